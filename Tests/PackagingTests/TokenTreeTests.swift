import Testing

@testable import Checkpoint
@testable import Packaging

@Suite struct TokenTreeTests {
    /// Every section by hand from Runtime/grammar/vocabulary.h. Control tokens and `unk` have no text, and rows may be more than tokens.
    @Test func everySection() throws {
        let pieces: [(String, SentencePieceModel.Piece.Kind)] = [
            ("<unk>", .unknown), ("<s>", .control), ("</s>", .control), ("\u{2581}a", .normal), ("b", .normal), ("cd", .normal),
        ]
        let model = SentencePieceModel(
            pieces: pieces.map { .init(text: Array($0.0.utf8), score: 0, kind: $0.1) }, unknownID: 0, bosID: 1, eosID: 2, padID: nil,
            addsDummyPrefix: true, addedTokens: [])
        let none: UInt32 = .max
        func node(_ byte: Character, depth: UInt32, end: UInt32, token: UInt32) -> [UInt32] {
            [end | depth << 24, token | UInt32(byte.asciiValue!) << 24]
        }
        // Rows, the flag of a dropped space, no byte token of a space; 5 nodes and 3 tokens, all of them safe; the longest has 2 bytes, and 2 characters.
        var words: [UInt32] = [7, 1, none, 5, 3, 5, 3, 2, 2, 0, 0, 0]
        words += node(" ", depth: 0, end: 2, token: 0) + node("a", depth: 1, end: 2, token: 0) + node("b", depth: 0, end: 3, token: 1)
        words += node("c", depth: 0, end: 5, token: 2) + node("d", depth: 1, end: 5, token: 2) + [5, 3]
        words += [3, 4, 5, 0]  // ids in the order of their texts, padded
        words += [3, 5, 4, 0]  // those of most characters first
        words += [3, 2] + [UInt32](repeating: 0, count: 254)  // how many have more characters than none, one, ...
        words += [none, none, none, 0, 1, 2, none, 0]
        words += [0b111000, 0]
        let bytes = words.flatMap { word in withUnsafeBytes(of: word.littleEndian, Array.init) }
        let count = withUnsafeBytes(of: UInt64(16 + bytes.count).littleEndian, Array.init)
        #expect(try tokenTree(of: tokenizerBlob(model), rows: 7) == Array("lmmcvoc1".utf8) + count + bytes)
    }

    @Test func damage() throws {
        #expect(throws: (any Error).self) { try tokenTree(of: [UInt8](repeating: 7, count: 128), rows: 7) }
    }
}
