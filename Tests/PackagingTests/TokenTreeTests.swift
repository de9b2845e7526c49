import Testing

@testable import Checkpoint
@testable import Packaging

@Suite struct TokenTreeTests {
    /// Header, ids in the order of their texts, and where each stands, from Runtime/grammar/vocabulary.h. Control tokens and `unk` have no text, and
    /// rows may be more than tokens.
    @Test func everyTokenHasItsPlace() throws {
        let named: [(String, SentencePieceModel.Piece.Kind)] = [
            ("<unk>", .unknown), ("<s>", .control), ("</s>", .control), ("\u{2581}a", .normal), ("b", .normal), ("cd", .normal),
        ]
        func hex(_ byte: Int) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true) }
        let pieces = named + (0..<256).map { ("<0x\(hex($0))>", .byte) }
        let model = SentencePieceModel(
            pieces: pieces.map { .init(text: Array($0.0.utf8), score: 0, kind: $0.1) }, unknownID: 0, bosID: 1, eosID: 2, padID: nil,
            addsDummyPrefix: true, addedTokens: [])
        let blob = try tokenTree(of: tokenizerBlob(model), rows: 300)
        #expect(blob.prefix(8) == Array("lmmcvoc1".utf8)[...])
        let words = stride(from: 0, to: blob.count, by: 4).map { at in
            (0..<4).reduce(UInt32(0)) { $0 | UInt32(blob[at + $1]) << (8 * UInt32($1)) }
        }
        #expect(Int(words[2]) == blob.count)
        // Rows, the flag of a dropped space, the byte token of a space.
        #expect(words[4...6] == [300, 1, 6 + 0x20])
        let nodes = Int(words[7]), tokens = Int(words[8]), safe = Int(words[10])
        #expect(tokens == 259 && words[11...12] == [2, 2])
        func text(_ id: Int) -> [UInt8] { id >= 6 ? [UInt8(id - 6)] : Array([" a", "b", "cd"][id - 3].utf8) }
        let first = 16 + 2 * (nodes + 1)
        let ids = words[first..<first + tokens].map(Int.init)
        // Printable ASCII but for quote and backslash, and the three pieces.
        #expect(
            safe == 95 - 2 + 3 && ids[..<safe].allSatisfy { text($0).allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C } })
        for part in [ids[..<safe], ids[safe...]] {
            #expect(zip(part, part.dropFirst()).allSatisfy { !text($1).lexicographicallyPrecedes(text($0)) })
        }
        #expect(Set(ids) == Set(3..<262))
        func padded(_ count: Int) -> Int { (count + 1) / 2 * 2 }
        let order = first + padded(tokens) + padded(safe) + 256
        for id in 0..<300 {
            #expect((3..<262).contains(id) ? ids[Int(words[order + id])] == id : words[order + id] == .max)
        }
    }

    @Test func damage() throws {
        #expect(throws: (any Error).self) { try tokenTree(of: [UInt8](repeating: 7, count: 128), rows: 7) }
    }
}
