import Foundation
import TestSupport
import Testing

@testable import Driver

/// Weights that are no numbers are refused in every precision, with the element's name, and leave nothing behind.
@Suite(.serialized) struct DamagedWeightTests {
    private static let precisions = ["f32", "bf16", "int8", "int4"]

    private func expectRefusal(_ model: String, _ options: [String], _ wanted: (String) -> Bool) throws {
        let scratch = try Scratch()
        let result = try run([lmmcPath, "compile", model, "--emit", "c", "-o", scratch["out"], "--quiet"] + options)
        #expect(result.status == 1 && result.output == "" && scratch.contents == [], "\(options): \(result.errors)")
        #expect(!result.errorLine.contains("\n") && wanted(result.errorLine), "\(options): \(result.errors)")
    }

    @Test(arguments: [(Float.nan, "a NaN"), (-.infinity, "an infinity")])
    func elements(_ x: Float, _ name: String) throws {
        let scratch = try Scratch()
        for (tensor, index, place) in [
            ("model.layers.1.mlp.down_proj.weight", 3 * 60 + 5, "(row 3, column 5)"),
            ("model.layers.0.self_attn.q_proj.weight", 39 * 40, "(row 39, column 0)"),
            ("model.layers.2.input_layernorm.weight", 39, "(element 39)"), ("model.embed_tokens.weight", 7, "(row 0, column 7)"),
        ] {
            let model = try scratch.checkpoint("decoder-tied")
            defer { try? FileManager.default.removeItem(atPath: model) }
            #expect(try editWeights(model, where: { $0 == tensor }) { $0 == index ? x : $1 } == 1)
            for precision in Self.precisions {
                try expectRefusal(model, ["--precision", precision]) {
                    $0 == "error: \(name), at tensor '\(tensor)' \(place) of file '\(model)/model.safetensors'; expected finite numbers"
                }
            }
        }
    }

    /// Finite tensors, of which a fold or a rounding makes more than there are numbers for: the weight and what it is made of are named.
    @Test func productsOfFolds() throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("decoder-tied")
        #expect(try editWeights(model, where: { $0 == "model.layers.1.post_attention_layernorm.weight" }) { _, _ in 0x1p100 } == 1)
        #expect(try editWeights(model, where: { $0 == "model.layers.1.mlp.up_proj.weight" }) { $0 == 2 * 40 + 1 ? 0x1p100 : $1 } == 1)
        for precision in Self.precisions {
            try expectRefusal(model, ["--precision", precision]) {
                $0.hasPrefix(
                    "error: an infinity (row 62, column 1), at operation '@decoder.layer1.mlp.gate_up.weight.folded'; expected finite numbers"
                )
                    && $0.contains("'model.layers.1.mlp.up_proj.weight'") && $0.contains("'model.layers.1.post_attention_layernorm.weight'")
            }
        }
    }

    @Test func greatWeights() throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("decoder-tied")
        #expect(try editWeights(model, where: { $0 == "model.layers.1.mlp.down_proj.weight" }) { $0 == 61 ? 0x1.8p127 : $1 } == 1)
        try expectRefusal(model, []) {
            $0.hasPrefix(
                "error: 2.5521178e+38 (row 1, column 1), at operation '@decoder.layer1.mlp.down.weight'; expected finite numbers below 1.7014118e+38"
            )
        }
        let scratchOfFloats = try Scratch()
        for precision in ["f32", "bf16"] {
            #expect(
                try lmmc("compile", model, "--emit", "c", "-o", scratchOfFloats[precision], "--quiet", "--precision", precision).status == 0
            )
        }
    }

    /// What no function reads is not read: blocks behind the last tap.
    @Test func deadWeights() throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("fusion-k2-e4")
        let changed = try editWeights(model, where: { $0.contains(".encoder.layers.1.") }) { _, _ in .nan }
        #expect(changed == 16)
        #expect(try lmmc("compile", model, "--emit", "c", "-o", scratch["out"], "--quiet").status == 0)
    }
}
