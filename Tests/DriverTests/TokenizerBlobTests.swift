import Foundation
import Testing

@testable import Checkpoint
@testable import Driver

@Suite struct TokenizerBlobTests {
    /// Every section by hand from Runtime/tokenizer.h; Tests/RuntimeC checks that the C reader understands the same form.
    @Test func everySection() {
        let pieces: [(String, Float, SentencePieceModel.Piece.Kind)] = [
            ("<unk>", 0, .unknown), ("<s>", 0, .control), ("</s>", 0, .control), ("\u{2581}a", -1.5, .normal), ("b", 0, .userDefined),
        ]
        let model = SentencePieceModel(
            pieces: pieces.map { .init(text: Array($0.0.utf8), score: $0.1, kind: $0.2) }, unknownID: 0, bosID: 1, eosID: 2,
            padID: nil, addsDummyPrefix: true, addedTokens: [.init(id: 5, text: "[A]")])
        let none: UInt32 = .max
        var expected: [UInt8] = Array("lmmctok1".utf8)
        expected += words(224, 0, 1, 3, 5, 8, 3, 0, 1, 2, 0, 0, 0, 0)
        expected += words(0, 0, 0, Float(-1.5).bitPattern, 0, 0)  // scores
        expected += words(0, 5, 8, 12, 16, 17)                    // offsets
        expected += words(none, 4, none, 3, none, none, none, none)
        expected += words(1, 2, 5, 0)                             // special ids
        expected += words(0, 3, 7, 10)                            // special offsets
        expected += [2, 3, 3, 1, 4, 0, 0, 0]
        expected += Array("<unk><s></s>\u{2581}ab".utf8) + [UInt8](repeating: 0, count: 7)
        expected += Array("<s></s>[A]".utf8) + [UInt8](repeating: 0, count: 6)
        #expect(tokenizerBlob(model) == expected)
        #expect(expected.count == 224)
    }

    @Test func absentParts() {
        var model = SentencePieceModel(
            pieces: [.init(text: [97], score: 0, kind: .unknown)], unknownID: 0, bosID: nil, eosID: nil, padID: nil,
            addsDummyPrefix: false, addedTokens: [.init(id: 1, text: "")])
        let blob = tokenizerBlob(model)
        #expect(Array(blob[20..<24]) == words(2))
        #expect(Array(blob[36..<48]) == words(0, .max, .max))
        #expect(Array(blob[32..<36]) == words(0))  // a token without text matches nothing and is left out
        model.addsDummyPrefix = true
        #expect(Array(tokenizerBlob(model)[20..<24]) == words(3))
    }

    /// Tests/Golden/tokenizer_json.py writes the same form, which Tests/RuntimeC reads.
    @Test(arguments: ["llama3", "smollm2", "prepend", "first", "words"])
    func mergeLists(_ name: String) throws {
        let folder = "\(goldens)/tokenizers"
        let model = try MergeListModel(folder: "\(folder)/\(name)", vocabularySize: 1000)
        #expect(tokenizerBlob(model) == [UInt8](try Data(contentsOf: URL(filePath: "\(folder)/\(name).blob"))))
    }

    private func words(_ values: UInt32...) -> [UInt8] {
        values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    }
}
