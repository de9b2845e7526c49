import Support
import Testing

@Suite struct JSONParserTests {
    private func parse(_ text: String) throws(Diagnostic) -> JSONValue { try .parse(Array(text.utf8), file: "f") }

    private func failure(_ text: String) -> String {
        do throws(Diagnostic) { return "parsed \(try parse(text))" } catch { return error.rendered }
    }

    @Test func values() throws {
        #expect(
            try parse(" {\"a\" : [1, -2.5, true, false, null, \"x\", {}, []]}\n")
                == .object([
                    "a": .array([.integer(1), .number(-2.5), .bool(true), .bool(false), .null, .string("x"), .object([:]), .array([])])
                ]))
        #expect(try parse("\u{FEFF}1") == .integer(1))
    }

    @Test func numbers() throws {
        #expect(try parse("9223372036854775807") == .integer(.max))
        #expect(try parse("-9223372036854775808") == .integer(.min))
        #expect(try parse("9223372036854775808") == .number(9_223_372_036_854_775_808))
        #expect(try parse("1e-05") == .number(1e-5))
        #expect(try parse("-0") == .integer(0))
        #expect(try parse("0.1E+2") == .number(10))
        for text in ["01", "+1", ".5", "1.", "1e", "-", "0x10", "1_000", "--1"] {
            #expect(
                failure(text)
                    == "error: not valid JSON: found '\(text.prefix { $0 != "_" })', at byte \(text == "1_000" ? 1 : 0) of file 'f'; expected a value"
                    || failure(text)
                        == "error: not valid JSON: text after the JSON value, at byte 1 of file 'f'; expected the end of the file"
            )
        }
    }

    @Test func strings() throws {
        #expect(try parse(#""\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00é""#) == .string("\"\\/\u{8}\u{C}\n\r\tA\u{e9}\u{1F600}é"))
    }

    /// Swift would sort a letter's marks in quadratic time.
    @Test func manyMarks() throws {
        let marks = String(repeating: "\u{301}\u{316}", count: 1 << 20)
        for text in ["{\"a\(marks)\": 1}", "{\"a\": \"\(marks)\"}"] {
            #expect(failure(text).hasPrefix("error: not valid JSON: a letter has more than 64 marks, at byte "))
        }
        #expect(try parse("\"\(String(repeating: "a\u{301}\u{316}", count: 200))\"").kind == "a string")
    }

    /// Values are counted, since each takes more memory than its text.
    @Test func manyValues() {
        for text in ["[],", "{\"\":[]},"] {
            let list = "[" + String(repeating: text, count: (1 << 21) + 1) + "0]"
            #expect(failure(list).hasPrefix("error: not valid JSON: more than 2097152 values, at byte "))
        }
    }

    @Test func refusals() {
        let table = [
            ("", "the text ends, at byte 0 of file 'f'; expected a value"),
            ("{\"a\": NaN}", "found 'NaN', at byte 6 of file 'f'; expected finite numbers"),
            ("[-Infinity]", "found '-Infinity', at byte 1 of file 'f'; expected finite numbers"),
            ("1e400", "number '1e400' is out of range, at byte 0 of file 'f'; expected a 64-bit number"),
            ("{\"a\" 1}", "found '1', at byte 5 of file 'f'; expected ':'"),
            ("{a: 1}", "found 'a', at byte 1 of file 'f'; expected a key in double quotes"),
            ("{\"a\": 1,}", "found '}', at byte 8 of file 'f'; expected a key in double quotes"),
            ("[1 2]", "found '2', at byte 3 of file 'f'; expected ',' or ']'"),
            ("{\"a\": 1", "the text ends, at byte 7 of file 'f'; expected ',' or '}'"),
            ("{\"a\": 1, \"a\": 2}", "key 'a' stands twice, at byte 9 of file 'f'; expected distinct keys"),
            ("tru", "found 'tru', at byte 0 of file 'f'; expected a value"),
            ("1 x", "text after the JSON value, at byte 2 of file 'f'; expected the end of the file"),
            ("\"a\nb\"", "control character 10 in a string, at byte 2 of file 'f'; expected an escape"),
            ("\"abc", "the string does not end, at byte 0 of file 'f'; expected '\"'"),
            (#""\x""#, "an unknown escape, at byte 1 of file 'f'; expected one of JSON's"),
            (#""\ud800""#, "half of a surrogate pair, at byte 1 of file 'f'; expected both halves"),
            (#""\ud800\u0041""#, "an impossible escape, at byte 1 of file 'f'; expected '\\uXXXX'"),
            (#""\u00g0""#, "an impossible escape, at byte 1 of file 'f'; expected '\\uXXXX'"),
            (#""\u12"#, "an impossible escape, at byte 1 of file 'f'; expected '\\uXXXX'"),
            (#""\"#, "an unknown escape, at byte 1 of file 'f'; expected one of JSON's"),
            (String(repeating: "[", count: 100_000), "too deeply nested, at byte 256 of file 'f'; expected at most 256 levels"),
        ]
        for (text, expected) in table { #expect(failure(text) == "error: not valid JSON: " + expected) }
    }

    @Test func countsBytesFromTheOrigin() {
        #expect(throws: Diagnostic.error("not valid JSON: found '?'", at: .byte(file: "f", offset: 9), expected: "a value")) {
            try JSONValue.parse(Array(" ?".utf8), file: "f", origin: 8)
        }
        #expect(throws: Diagnostic.error("not valid JSON: the string is not UTF-8", at: .byte(file: "f", offset: 0), expected: "UTF-8")) {
            try JSONValue.parse([0x22, 0xFF, 0x22], file: "f")
        }
    }
}
