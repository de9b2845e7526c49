import Foundation
import Support
import TestSupport
import Testing

@testable import Checkpoint

/// `rotary.json` holds what transformers takes (make_rotary.py).
@Suite struct RotaryReadingTests {
    private struct Row {
        let keys: [String: Any]
        let expected: [String: Double]
        let refused: String?

        init(_ object: [String: Any]) {
            keys = object["keys"] as! [String: Any]
            expected = object.compactMapValues { ($0 as? NSNumber)?.doubleValue }
            refused = object["refused"] as? String ?? object["strict"] as? String
        }
    }

    private static var base: [String: Any] {
        [
            "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 6,
            "vocab_size": 260,
            "max_position_embeddings": 512,
        ]
    }

    private func rows() throws -> [Row] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("rotary.json")
        let objects = try #require(JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [[String: Any]])
        return objects.map { Row($0) }
    }

    private func read(_ row: Row, asText: Bool) throws(Diagnostic) -> DecoderConfiguration {
        let config = Self.base.merging(row.keys) { $1 }
        let whole: [String: Any] = asText ? ["text_config": config] : config
        let bytes = [UInt8](try! JSONSerialization.data(withJSONObject: whole))
        let object = try JSONObject(parsing: bytes, file: "config.json")
        guard asText else { return try DecoderConfiguration(object) }
        let text = try object.transformersText()
        return try DecoderConfiguration(text)
    }

    @Test(arguments: [false, true])
    func asTransformersReadsThem(asText: Bool) throws {
        let rows = try rows()
        #expect(rows.count > 100 && rows.contains { $0.refused != nil })
        for row in rows {
            let name = "\(row.keys)"
            do throws(Diagnostic) {
                let decoder = try read(row, asText: asText)
                #expect(row.refused == nil, "\(name) is read, but \(row.refused ?? "")")
                guard row.refused == nil else { continue }
                #expect(decoder.ropeTheta == row.expected["theta"], "\(name)")
                let scaling = decoder.ropeScaling
                #expect(scaling?.factor == row.expected["factor"] && scaling?.lowFrequencyFactor == row.expected["low"], "\(name)")
                #expect(
                    scaling?.highFrequencyFactor == row.expected["high"]
                        && (scaling?.originalPositions).map(Double.init) == row.expected["original"], "\(name)")
            } catch {
                #expect(row.refused != nil, "\(name): \(error.rendered)")
                #expect(row.keys.keys.contains { error.message.contains($0) }, "names no key of \(name): \(error.rendered)")
            }
        }
    }
}
