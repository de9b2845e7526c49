import Checkpoint
import Glibc
import Support
import TestSupport
import Testing

@Suite struct SafetensorsFileTests {
    private let folder = TemporaryFolder()

    private func failure(_ bytes: [UInt8]) -> String {
        let path = folder.write("f", bytes)
        return errorText(in: folder) { () throws(Diagnostic) in try SafetensorsFile(path: path).tensors }
    }

    private func failure(_ header: String, data: Int = 0) -> String {
        failure(framed(Array(header.utf8)) + [UInt8](repeating: 0, count: data))
    }

    @Test func reads() throws {
        let tensors = [
            "b": TensorFixture(dtype: "F32", shape: [2, 3]), "a": TensorFixture(dtype: "I64", shape: []),
            "c": TensorFixture(shape: [0, 5]),
        ]
        let bytes = safetensors(tensors, data: Array(0..<32))
        let file = try SafetensorsFile(path: folder.write("f", bytes))
        let b = try #require(file.tensors["b"])
        #expect(file.tensors.count == 3)
        #expect(b.dtype == .weight(.float32) && b.shape == [2, 3])
        #expect(file.file.withBytes(b.range) { Array($0) } == Array(8..<32))
        #expect(file.tensors["a"]?.shape == [] && file.tensors["a"]?.dtype == .other(.int64))
        #expect(file.tensors["c"]?.range.isEmpty == true)
    }

    @Test func emptyHeader() throws {
        #expect(try SafetensorsFile(path: folder.write("f", framed(Array("{}  ".utf8)))).tensors.isEmpty)
    }

    @Test func lengths() {
        #expect(failure([1, 2, 3]) == "error: the file has 3 bytes, at file 'DIR/f'; expected a safetensors file of at least 8 bytes")
        #expect(
            failure([255, 255, 255, 255, 255, 255, 255, 255, 0x7B])
                == "error: the header's length is 18446744073709551615, at byte 0 of file 'DIR/f'; expected at most 1")
        #expect(
            failure([3, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D])
                == "error: the header's length is 3, at byte 0 of file 'DIR/f'; expected at most 2")
        #expect(
            failure("{\"a\": }")
                == "error: not valid JSON: found '}', at byte 14 of file 'DIR/f'; expected a value")
        #expect(failure("[]") == "error: the top level is an array, at file 'DIR/f'; expected an object")
    }

    @Test func entries() {
        func entry(_ dtype: String = "\"F32\"", _ shape: String = "[2]", _ offsets: String = "[0, 8]") -> String {
            "{\"w\": {\"dtype\": \(dtype), \"shape\": \(shape), \"data_offsets\": \(offsets)}}"
        }
        let at = "at tensor 'w' of file 'DIR/f'; expected"
        let table = [
            ("{\"w\": 1}", "key 'w' is an integer, at file 'DIR/f'; expected an object"),
            ("{\"w\": {}}", "key 'w.dtype' is missing, at file 'DIR/f'; expected a string"),
            (entry("\"F4\""), "unknown dtype 'F4', \(at) 'F32', 'F16' or 'BF16'"),
            (entry("1"), "key 'w.dtype' is an integer, at file 'DIR/f'; expected a string"),
            (entry("\"F32\"", "2"), "key 'w.shape' is an integer, at file 'DIR/f'; expected an array of integers"),
            (entry("\"F32\"", "[2.5]"), "key 'w.shape[0]' is a number, at file 'DIR/f'; expected an array of integers"),
            (entry("\"F32\"", "[-2]"), "impossible shape [-2], \(at) sizes whose product is a 64-bit byte count"),
            (
                entry("\"F32\"", "[4294967296, 4294967296]"),
                "impossible shape [4294967296, 4294967296], \(at) sizes whose product is a 64-bit byte count"
            ),
            (
                entry("\"F32\"", "[4611686018427387904]"),
                "impossible shape [4611686018427387904], \(at) sizes whose product is a 64-bit byte count"
            ),
            (entry("\"F32\"", "[99999999999999999999]"), "key 'w.shape[0]' is a number, at file 'DIR/f'; expected an array of integers"),
            (entry("\"F32\"", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), "the tensor has 17 dimensions, \(at) at most 16"),
            (entry("\"F32\"", "[2]", "[0]"), "impossible data_offsets [0], \(at) [begin, end] with 0 <= begin <= end"),
            (entry("\"F32\"", "[2]", "[8, 0]"), "impossible data_offsets [8, 0], \(at) [begin, end] with 0 <= begin <= end"),
            (entry("\"F32\"", "[2]", "[-8, 0]"), "impossible data_offsets [-8, 0], \(at) [begin, end] with 0 <= begin <= end"),
            (
                entry("\"F32\"", "[2]", "[9223372036854775799, 9223372036854775807]"),
                "impossible data_offsets [9223372036854775799, 9223372036854775807], \(at) [begin, end] with 0 <= begin <= end"
            ),
            (entry("\"F32\"", "[2]", "[0, 4]"), "data_offsets [0, 4] span 4 bytes, \(at) 8 bytes for F32 [2]"),
            (entry("\"F32\"", "[2]", "[4, 12]"), "4 bytes before the tensor belong to none, \(at) ranges without gaps"),
        ]
        for (header, text) in table { #expect(failure(header, data: 8) == "error: " + text) }
    }

    /// What stands in place of a file, where no length is.
    @Test func otherBytes() {
        folder.write("f", [UInt8](repeating: 0, count: 100))
        let zeros =
            "error: the file begins with zeros, at file 'DIR/f'; expected a safetensors file; note: the download may not be finished"
        #expect(errorText(in: folder) { () throws(Diagnostic) in try SafetensorsFile(path: folder.file("f")).tensors.count } == zeros)
        folder.write("f", "Access to this model is restricted. Log in to go on.")
        #expect(
            errorText(in: folder) { () throws(Diagnostic) in try SafetensorsFile(path: folder.file("f")).tensors.count }
                == "error: the file begins with the text 'Access to this model is restricted. Log ', at file 'DIR/f'; expected safetensors or a torch archive"
        )
    }

    @Test func overlap() {
        let header = """
            {"a": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}, "b": {"dtype": "F16", "shape": [4], "data_offsets": [6, 14]}}
            """
        #expect(failure(header, data: 14) == "error: the tensor overlaps tensor 'a', at tensor 'b' of file 'DIR/f'; expected ranges apart")
        // Two equal keys would hide one range.
        let twice = "{\"a\": {\"dtype\": \"I8\", \"shape\": [1], \"data_offsets\": [0, 1]}, \"a\": {}}"
        #expect(
            failure(twice, data: 1) == "error: not valid JSON: key 'a' stands twice, at byte 69 of file 'DIR/f'; expected distinct keys")
    }

    @Test func sizeOfTheFile() {
        let bytes = safetensors(["a": TensorFixture(dtype: "F32", shape: [4])])
        let count = bytes.count
        #expect(
            failure(Array(bytes.dropLast(5))) == """
                error: the file has \(count - 5) bytes, at file 'DIR/f'; expected \(count) bytes, which its header describes; \
                note: the file seems to be truncated
                """)
        #expect(
            failure(bytes + [0])
                == "error: the file has \(count + 1) bytes, at file 'DIR/f'; expected \(count) bytes, which its header describes")
    }

    @Test func hugeHeader() {
        // A sparse file that would have room for the header.
        for length in [100_000_001, 1 << 36] as [UInt64] {
            let path = folder.write("f", withUnsafeBytes(of: length.littleEndian) { Array($0) })
            #expect(truncate(path, 1 << 37) == 0)
            #expect(
                errorText(in: folder) { () throws(Diagnostic) in try SafetensorsFile(path: path).tensors }
                    == "error: the header's length is \(length), at byte 0 of file 'DIR/f'; expected at most 100000000")
        }
    }
}
