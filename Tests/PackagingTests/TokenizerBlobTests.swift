import Foundation
import Testing

@testable import Checkpoint
@testable import Packaging

private let goldens = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path + "/Golden"

@Suite struct TokenizerBlobTests {
    /// Every section by hand from Runtime/contract/tokenizer_blob.h; Tests/Runtime/tokenizer checks that the C reader understands the same form.
    @Test func everySection() throws {
        let pieces: [(String, Float, SentencePieceModel.Piece.Kind)] = [
            ("<unk>", 0, .unknown), ("<s>", 0, .control), ("</s>", 0, .control), ("\u{2581}a", -1.5, .normal), ("b", 0, .userDefined),
            ("cd", 0, .normal),
        ]
        let model = SentencePieceModel(
            pieces: pieces.map { .init(text: Array($0.0.utf8), score: $0.1, kind: $0.2) }, unknownID: 0, bosID: 1, eosID: 2,
            padID: nil, addsDummyPrefix: true,
            addedTokens: [.init(id: 5, text: "e", isSpecial: false), .init(id: 7, text: "[A]"), .init(id: 8, text: "<s>")])
        let none: UInt32 = .max
        var expected: [UInt8] = Array("lmmctok2".utf8)
        expected += words(288, 0, 1, 3, 9, 8, 5, 0, 1, 2, 0, 0, 0, 0)
        expected += words(0, 0, 0, Float(-1.5).bitPattern, 0, 0, 0, 0, 0, 0)  // scores
        expected += words(0, 5, 8, 12, 16, 17, 18, 18, 21, 24)  // offsets
        expected += words(none, 4, none, 3, none, none, none, none)
        expected += words(2, 1, 7, 4, 5, 0)  // ids of whole tokens, by their texts; '<s>' once
        expected += words(0, 4, 7, 10, 11, 12)  // their offsets
        expected += [1, 1, 1, 8, 2, 0, 0, 0]
        expected += [2, 3, 3, 1, 4, 4, 5, 3, 3] + [UInt8](repeating: 0, count: 7)
        expected += Array("<unk><s></s>\u{2581}abe[A]<s>".utf8)
        expected += Array("</s><s>[A]be".utf8) + [UInt8](repeating: 0, count: 4)
        #expect(try tokenizerBlob(model) == expected)
        #expect(expected.count == 288)
    }

    @Test func absentParts() throws {
        var model = SentencePieceModel(
            pieces: [.init(text: [97], score: 0, kind: .unknown)], unknownID: nil, bosID: nil, eosID: nil, padID: nil,
            addsDummyPrefix: false, addedTokens: [.init(id: 1, text: "")])
        let blob = try tokenizerBlob(model)
        #expect(Array(blob[20..<24]) == words(2))
        #expect(Array(blob[36..<48]) == words(.max, .max, .max))
        #expect(Array(blob[32..<36]) == words(0))  // a token without text matches nothing and is left out
        model.addsDummyPrefix = true
        #expect(try Array(tokenizerBlob(model)[20..<24]) == words(3))
    }

    /// Tokens that were made to fall on the same slots get another hash; so do merges.
    @Test func collisions() throws {
        func fnv1a(_ bytes: [UInt8]) -> UInt64 { bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 } }
        let count = 2000, mask = UInt64(8191)
        var pieces: [SentencePieceModel.Piece] = [.init(text: Array("<unk>".utf8), score: 0, kind: .unknown)], number = 0
        while pieces.count <= count {
            let text = Array("\(number)".utf8), hash = fnv1a(text)
            number += 1
            if (hash ^ hash >> 32) & mask < 16 { pieces.append(.init(text: text, score: 0, kind: .normal)) }
        }
        let model = SentencePieceModel(
            pieces: pieces, unknownID: 0, bosID: nil, eosID: nil, padID: nil, addsDummyPrefix: true, addedTokens: [])
        let blob = try tokenizerBlob(model), again = try tokenizerBlob(model)
        #expect(blob[60] == 1 && blob == again)
        // (left << 32 | right) * odd, folded: the same slot for left = 0 and steps of 2^20.
        var list = try MergeListModel(folder: "\(goldens)/tokenizers/llama3", vocabularySize: 1000)
        #expect(try tokenizerBlob(list)[60] == 0)
        let inverse = (0..<6).reduce(UInt64(0x9E37_79B9_7F4A_7C15)) { x, _ in x &* (2 &- 0x9E37_79B9_7F4A_7C15 &* x) }
        list.merges = (0..<UInt64(2000)).map { step in
            let pair = (step << 16 | step << 48) &* inverse
            return .init(left: Int32(truncatingIfNeeded: pair >> 32), right: Int32(truncatingIfNeeded: pair), result: 0)
        }
        #expect(try tokenizerBlob(list)[60] > 0)
    }

    /// Tests/Golden/tokenizer_json.py writes the same form, which Tests/Runtime reads.
    @Test(arguments: ["llama3", "smollm2", "prepend", "first", "words", "added", "added-first"])
    func mergeLists(_ name: String) throws {
        let folder = "\(goldens)/tokenizers"
        let model = try MergeListModel(folder: "\(folder)/\(name)", vocabularySize: 1000)
        #expect(try tokenizerBlob(model) == [UInt8](Data(contentsOf: URL(filePath: "\(folder)/\(name).blob"))))
    }

    private func words(_ values: UInt32...) -> [UInt8] {
        values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    }
}
