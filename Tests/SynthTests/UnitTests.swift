import Checkpoint
import Foundation
import TestSupport
import Testing

@testable import Synth

@Suite struct UnitTests {
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
