import Support
import TestSupport
import Testing

@Suite struct JSONValueTests {
    private let object: JSONObject

    init() throws {
        let text = """
            {"integer": 7, "whole": 4096.0, "number": 1.5, "text": "x", "flag": true, "none": null,
             "list": [1, 2], "mixed": [1, "a"], "reals": [1, 2.5], "inner": {"deep": {"n": "x"}}}
            """
        object = try JSONObject(parsing: Array(text.utf8), file: "c.json")
    }

    private func failure<T>(_ body: () throws(Diagnostic) -> T) -> String {
        do throws(Diagnostic) { return "got \(try body())" } catch { return error.rendered }
    }

    @Test func lookups() throws {
        #expect(try object.integer("integer") == 7)
        #expect(try object.integer("whole") == 4096)
        #expect(try object.double("integer") == 7)
        #expect(try object.double("number") == 1.5)
        #expect(try object.string("text") == "x")
        #expect(try object.bool("flag"))
        #expect(try object.integers("list") == [1, 2])
        #expect(try object.doubles("reals") == [1, 2.5])
        #expect(try object.array("mixed") == [.integer(1), .string("a")])
        #expect(try object.optionalInteger("none") == nil)
        #expect(try object.optionalObject("absent") == nil)
        #expect(object["none"] == nil && object["flag"] == .bool(true))
        #expect(try object.object("inner").object("deep").keyPath("n") == "inner.deep.n")
    }

    @Test func refusals() throws {
        let deep = try object.object("inner").object("deep")
        #expect(
            failure { () throws(Diagnostic) in try object.integer("text") }
                == "error: key 'text' is a string, at file 'c.json'; expected an integer")
        #expect(
            failure { () throws(Diagnostic) in try object.integer("number") }
                == "error: key 'number' is a number, at file 'c.json'; expected an integer")
        #expect(
            failure { () throws(Diagnostic) in try object.integer("flag") }
                == "error: key 'flag' is a boolean, at file 'c.json'; expected an integer")
        #expect(
            failure { () throws(Diagnostic) in try object.string("list") }
                == "error: key 'list' is an array, at file 'c.json'; expected a string")
        #expect(
            failure { () throws(Diagnostic) in try object.bool("integer") }
                == "error: key 'integer' is an integer, at file 'c.json'; expected a boolean")
        #expect(
            failure { () throws(Diagnostic) in try object.double("inner") }
                == "error: key 'inner' is an object, at file 'c.json'; expected a number")
        #expect(
            failure { () throws(Diagnostic) in try object.integers("mixed") }
                == "error: key 'mixed[1]' is a string, at file 'c.json'; expected an array of integers")
        #expect(
            failure { () throws(Diagnostic) in try object.integers("integer") }
                == "error: key 'integer' is an integer, at file 'c.json'; expected an array of integers")
        #expect(
            failure { () throws(Diagnostic) in try object.object("text") }
                == "error: key 'text' is a string, at file 'c.json'; expected an object")
        #expect(
            failure { () throws(Diagnostic) in try object.integer("absent") }
                == "error: key 'absent' is missing, at file 'c.json'; expected an integer")
        #expect(
            failure { () throws(Diagnostic) in try object.string("none") }
                == "error: key 'none' is null, at file 'c.json'; expected a string")
        #expect(
            failure { () throws(Diagnostic) in try deep.integer("n") }
                == "error: key 'inner.deep.n' is a string, at file 'c.json'; expected an integer")
        #expect(
            failure { () throws(Diagnostic) in try JSONObject(parsing: Array("[]".utf8), file: "c.json") }
                == "error: the top level is an array, at file 'c.json'; expected an object")
    }

    @Test func reading() throws {
        let folder = TemporaryFolder()
        let path = folder.write("a.json", "{\"a\": 1}")
        #expect(try JSONObject(readingFile: path).integer("a") == 1)
        #expect(
            failure { () throws(Diagnostic) in try JSONObject(readingFile: folder.file("b.json")) }
                == "error: cannot open '\(folder.file("b.json"))': no such file or directory")
    }
}
