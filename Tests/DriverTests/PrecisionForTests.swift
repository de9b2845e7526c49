import TestSupport
import Testing

@testable import Driver

/// What the patterns of `--precision-for` mean.
@Suite(.serialized) struct PrecisionForTests {
    private func optimized(_ model: String, _ options: String...) throws -> String {
        let result = try run([lmmcPath, "ir", "\(goldens)/\(model)", "--stage", "optimized"] + options)
        try #require(result.status == 0, "\(result.errors)")
        return result.output
    }

    /// The IR's own names, those of `inspect`, and the file's mean the same. One member of a merged product is kept out of it.
    @Test func names() throws {
        let plain = try optimized("decoder-tied")
        #expect(
            plain.contains("@decoder.layer1.attention.query_key_value.weight.q8") && plain.contains("@decoder.layer1.mlp.gate_up.weight.q8")
        )
        let spellings = ["*.query.weight=f32", "decoder.layers.*.self_attn.q_proj.weight=f32", "model.layers.?.self_attn.q_proj.*=f32"]
        let texts = try spellings.map { try optimized("decoder-tied", "--precision-for", $0) }
        for (spelling, text) in zip(spellings, texts) {
            #expect(text == texts[0], "\(spelling)")
            for layer in 0..<3 {
                #expect(
                    text.contains("= matmul %decoder.layer\(layer).attention.norm, @decoder.layer\(layer).attention.query.weight.folded"),
                    "\(spelling)")
                #expect(
                    text.contains(
                        "= matmul %decoder.layer\(layer).attention.norm.q8, @decoder.layer\(layer).attention.key_value.weight.q8"),
                    "\(spelling)")
            }
            #expect(!text.contains("query_key_value") && text.contains("@decoder.layer1.mlp.gate_up.weight.q8"), "\(spelling)")
        }
    }

    /// All members alike stay one product; so does what names the merged one; the last that fits wins, by whichever name.
    @Test func mergedProducts() throws {
        let text = try optimized("decoder-tied", "--precision-for", "*.attention.query_key_value.*=bf16")
        #expect(text.contains("@decoder.layer2.attention.query_key_value.weight.bf16") && !text.contains("query_key_value.weight.q8"))
        let members = [
            "--precision-for", "*.q_proj.weight=bf16", "--precision-for", "*.key.weight=bf16", "--precision-for", "*.v_proj.weight=bf16",
        ]
        #expect(try run([lmmcPath, "ir", "\(goldens)/decoder-tied", "--stage", "optimized"] + members).output == text)
        let one = try optimized(
            "decoder-tied", "--precision-for", "*.mlp.*=bf16", "--precision-for", "model.layers.0.mlp.up_proj.weight=int8")
        #expect(one.contains("@decoder.layer0.mlp.gate.weight.bf16") && one.contains("@decoder.layer0.mlp.up.weight.q8"))
        #expect(one.contains("@decoder.layer1.mlp.gate_up.weight.bf16") && one.contains("@decoder.layer0.mlp.down.weight.bf16"))
        #expect(try optimized("decoder-tied", "--precision-for", "model.embed_tokens.weight=int4").contains("@decoder.embedding.q4"))
    }

    /// Weights that an adapter changes or that passes fold keep the names of the tensor that they were.
    @Test func derivedWeights() throws {
        let result = try run([
            lmmcPath, "ir", "\(goldens)/formats/base", "--adapter", "\(goldens)/formats/adapter", "--stage", "optimized", "--precision-for",
            "*.q_proj.weight=f32",
        ])
        #expect(
            result.status == 0 && result.output.contains("matmul %decoder.layer0.attention.norm, @decoder.layer0.attention.query.weight"),
            "\(result.errors)")
        let text = try optimized("released-stf", "--precision-for", "projector.linear1.weight=f32")
        #expect(
            text.contains("matmul %stf.windows, @projector.linear1.weight.windowed,")
                && !text.contains("@projector.linear1.weight.windowed.q8"))
    }

    /// A pattern that fits no weight of a product, as a misspelt one, that of a norm, or that of a block behind the last tap, is refused.
    @Test func unfitPatterns() throws {
        let expected = "expected a name that 'lmmc inspect' or 'lmmc ir' shows, or the file's own"
        let cases = [
            ("decoder-tied", "*.qeury.weight", "; did you mean '*.query.weight'?"), ("decoder-tied", "*norm*", ""),
            ("decoder-tied", "decoder.layer0.mlp.dwn.weight", "; did you mean 'decoder.layer0.mlp.down.weight'?"),
            ("decoder-tied", "decoder.layer3.*", ""), ("fusion-k2-e4", "*.encoder.layers.1.*", ""),
        ]
        let scratch = try Scratch()
        for (model, pattern, hint) in cases {
            for base in ["int8", "f32"] {
                let result = try lmmc(
                    "compile", "\(goldens)/\(model)", "-o", scratch["out"], "--quiet", "--precision", base, "--precision-for",
                    "*.down.*=f32",
                    "--precision-for", "\(pattern)=f32")
                #expect(result.status == 2 && scratch.contents == [])
                #expect(
                    result.errorLine
                        == "error: no weight of a product is called '\(pattern)'\(hint), at option '--precision-for'; \(expected)")
            }
        }
    }
}
