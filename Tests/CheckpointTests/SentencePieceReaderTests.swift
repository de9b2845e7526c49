import Support
import Testing

@testable import Checkpoint

@Suite struct SentencePieceReaderTests {
    private func read(_ fixture: TokenizerFixture) throws(Diagnostic) -> SentencePieceModel {
        try SentencePieceModel(parsing: fixture.bytes, file: "t")
    }

    private func failure(_ spoil: (inout TokenizerFixture) -> Void) -> String {
        var fixture = TokenizerFixture(words: ["\u{2581}a"])
        spoil(&fixture)
        return errorText { () throws(Diagnostic) in try read(fixture).pieces.count }
    }

    @Test func reads() throws {
        let model = try read(TokenizerFixture(words: ["\u{2581}a", "bc"]))
        #expect(model.pieces.count == 261)
        #expect(model.pieces[260] == SentencePieceModel.Piece(text: Array("bc".utf8), score: -1, kind: .normal))
        #expect(model.pieces[0].kind == .unknown && model.pieces[1].kind == .control && model.pieces[3].kind == .byte)
        #expect(model.unknownID == 0 && model.bosID == 1 && model.eosID == 2 && model.padID == nil)
        #expect(model.addsDummyPrefix)
        var fixture = TokenizerFixture()
        fixture.normalizer[3] = 0
        fixture.trainer[41] = -1
        fixture.trainer[43] = 0
        let other = try read(fixture)
        #expect(!other.addsDummyPrefix && other.bosID == nil && other.padID == 0)
    }

    @Test func refusals() {
        let table: [((inout TokenizerFixture) -> Void, String)] = [
            ({ $0.trainer[3] = 1 }, "model type 'unigram' is not supported, at file 't'; expected 'bpe'"),
            ({ $0.trainer[3] = nil }, "model type 'unigram' is not supported, at file 't'; expected 'bpe'"),
            ({ $0.trainer[3] = 4 }, "model type 'char' is not supported, at file 't'; expected 'bpe'"),
            ({ $0.trainer[35] = nil }, "a tokenizer without 'byte_fallback' is not supported, at file 't'; expected 'byte_fallback' true"),
            ({ $0.trainer[24] = 1 }, "'treat_whitespace_as_suffix' true is not supported, at file 't'; expected false"),
            (
                { ($0.charsmap, $0.normalizerName) = ([1, 2], "nmt_nfkc") },
                "normalisation 'nmt_nfkc' is not supported, at file 't'; expected 'identity', without a charsmap"
            ),
            ({ $0.normalizer[4] = nil }, "'remove_extra_whitespaces' true is not supported, at file 't'; expected false"),
            ({ $0.normalizer[5] = 0 }, "'escape_whitespaces' false is not supported, at file 't'; expected true"),
            ({ $0.trainer[41] = 260 }, "bos_id is 260, at file 't'; expected less than the 260 pieces"),
            ({ $0.trainer[42] = 1 << 40 }, "eos_id is 1099511627776, at file 't'; expected less than the 260 pieces"),
            ({ $0.pieces.remove(at: 100) }, "255 byte pieces, at file 't'; expected 256, for byte fallback"),
            (
                { $0.pieces[4].text = Array("<0x+1>".utf8) },
                "byte piece 4 is '<0x+1>', at file 't'; expected '<0x00>' to '<0xFF>', each once"
            ),
            (
                { $0.pieces[100].text = Array("<0xff>".utf8) },
                "byte piece 258 is '<0xFF>', at file 't'; expected '<0x00>' to '<0xFF>', each once"
            ),
            ({ $0.pieces[0].kind = 3 }, "0 unknown pieces, at file 't'; expected one"),
            ({ $0.pieces[1].kind = 2 }, "2 unknown pieces, at file 't'; expected one"),
            ({ $0.pieces[259].text = Array("<s>".utf8) }, "pieces 1 and 259 are both '<s>', at file 't'; expected distinct pieces"),
            ({ $0.pieces[0].text = [] }, "piece 0 is empty, at byte 0 of file 't'; expected text in UTF-8"),
            ({ $0.pieces[0].text = [0xC0, 0x80] }, "piece 0 is not UTF-8, at byte 0 of file 't'; expected text in UTF-8"),
            ({ $0.pieces[0].score = .nan }, "piece 0 has score nan, at byte 0 of file 't'; expected a finite score"),
            ({ $0.pieces[0].kind = 7 }, "piece 0 has type 7, at byte 14 of file 't'; expected 1 to 6"),
            ({ $0.pieces[259].text = [UInt8](repeating: 97, count: 1025) }, "token 259 has 1025 bytes, at file 't'; expected at most 1024"),
            ({ $0.pieces = [] }, "no pieces, at file 't'; expected a SentencePiece model"),
        ]
        for (spoil, text) in table { #expect(failure(spoil) == "error: " + text) }
    }

    @Test func everyTruncationIsRefused() {
        let bytes = TokenizerFixture(words: ["x"]).bytes
        // Cut inside the two specifications at the end and inside the pieces.
        for count in Array(0..<64) + Array((bytes.count - 60)..<bytes.count) {
            #expect(throws: Diagnostic.self) { try SentencePieceModel(parsing: Array(bytes.prefix(count)), file: "t") }
        }
        #expect(throws: Never.self) { try SentencePieceModel(parsing: bytes, file: "t") }
    }
}
