import Checkpoint
import Foundation
import RuntimeSources
import Support
import Testing

@testable import Driver
@testable import Work

@Suite struct UnitTests {
    /// Every C file of Runtime/ and of the packager, byte for byte.
    @Test func everyRuntimeFileIsCarried() throws {
        var expected: [String: [UInt8]] = [:]
        for (folder, prefix) in [("/Runtime", ""), ("/Sources/Packaging/Attach", "attach/")] {
            for name in try FileManager.default.subpathsOfDirectory(atPath: repository + folder) where name.hasSuffix(".c") || name.hasSuffix(".h") {
                expected[prefix + name] = [UInt8](try Data(contentsOf: URL(filePath: "\(repository)\(folder)/\(name)")))
            }
        }
        #expect(expected.count > 100)
        #expect(Dictionary(uniqueKeysWithValues: RuntimeFile.all.map { ($0.path, Array($0.bytes)) }) == expected)
    }

    @Test func jsonText() {
        let text = JSONText.object([("a\"\n", .array([1, .number(0.5), .number(.nan), .null, .bool(true)])), ("b", .object([("c", "\\")]))])
        #expect(text.text() == #"{"a\"\u000a": [1, 0.5, null, null, true], "b": {"c": "\\"}}"#)
        #expect(text.text(indent: 0).hasPrefix("{\n  \"a\\\"\\u000a\": [1, 0.5"))
    }

    @Test func firstErrorOfACompiler() {
        func first(_ output: String, status: Int32 = 1) -> String { firstError(SubprocessResult(status: status, output: output), folder: "/tmp/x") }
        #expect(first("/tmp/x/a.c: In function 'f':\n/tmp/x/a.c:3:1: error: no\nmore\n") == "a.c:3:1: error: no")
        #expect(first("/tmp/x/a.o: undefined reference to `g'\ncollect2: error: ld returned 1 exit status") == "a.o: undefined reference to `g'")
        #expect(first("/usr/bin/ld: final link failed: No space left on device\ncollect2: error: ld returned 1 exit status") == "/usr/bin/ld: final link failed: No space left on device")
        #expect(first("", status: 137) == "ended by signal 9")
        #expect(first("", status: 3) == "exit status 3")
    }

    /// A disk that is full while weights stream.
    @Test func streamedFileReportsAFullDisk() throws {
        let number = open("/dev/full", O_WRONLY)
        defer { close(number) }
        let file = StreamedFile(number, path: "model.bin")
        #expect(throws: Diagnostic.system("write", path: "model.bin", code: ENOSPC)) { try file.write([Float](repeating: 1, count: 10), at: 0) }
    }

    @Test func syntheticTokenizerIsOne() throws {
        let scratch = try Scratch()
        try Data(SynthTokenizer.model()).write(to: URL(filePath: scratch["tokenizer.model"]))
        let model = try SentencePieceModel(readingFile: scratch["tokenizer.model"])
        #expect(model.pieces.count == 32_000)
        #expect((model.unknownID, model.bosID, model.eosID, model.padID) == (0, 1, 2, nil))
        let texts = Set(model.pieces.map(\.text))
        // Each merged piece joins two others.
        for piece in model.pieces where piece.kind == .normal {
            let scalars = String(decoding: piece.text, as: UTF8.self).unicodeScalars.map { Array(String($0).utf8) }
            guard scalars.count > 1 else { continue }
            let splits = (1..<scalars.count).contains { cut in
                texts.contains(Array(scalars[..<cut].joined())) && texts.contains(Array(scalars[cut...].joined()))
            }
            #expect(splits, "\(String(decoding: piece.text, as: UTF8.self))")
        }
    }
}
