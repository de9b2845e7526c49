import Support
import Testing

@testable import Checkpoint

/// A model of the type llava_mini_llama compresses its images and fuses them with the words.
@Suite struct PrefusionReadingTests {
    @Test func theModelTypeSaysIt() throws {
        let checkpoint = try Fixture.llavaMini.open()
        let fusion = try #require(checkpoint.configuration.fusion)
        #expect(
            fusion.prefusion == PrefusionConfiguration(edge: 2, layerCount: 1, width: 8, headCount: 8, layerNormEpsilon: 1e-5)
                && fusion.taps == [7] && fusion.kernel == 1 && fusion.aligner.count == 2)
        // The patches and the queries stand in the prompt, and the decoder gets the queries.
        #expect(fusion.visionTokens(grid: 4) == 20 && fusion.decoderTokens(grid: 4) == 4)
        let own = checkpoint.tensors.filter { $0.key.hasPrefix("compressor.") || $0.key.hasPrefix("prefusion.") }
        #expect(own.count == 10 + 9 && own["compressor.attn.in_proj_weight"]?.shape == [24, 8])
        #expect(own["prefusion.layers.0.self_attn.k_proj.weight"]?.sourceName == "model.prefusion_layers.0.self_attn.k_proj.weight")
        #expect(try Fixture.llava.open().configuration.fusion?.prefusion == nil)
    }

    /// What the published code takes where a key is absent.
    @Test func defaults() throws {
        var fixture = Fixture.llavaMini
        for key in ["compressor_size", "prefusion_layer_num"] { fixture.config[key] = nil }
        for layer in 1..<4 {
            for (name, tensor) in fixture.tensors where name.hasPrefix("model.prefusion_layers.0.") {
                fixture.tensors[name.replacing("layers.0", with: "layers.\(layer)")] = tensor
            }
        }
        fixture.config["resolution_ratio"] = 1
        let prefusion = try fixture.open().configuration.fusion?.prefusion
        #expect(prefusion?.edge == 2 && prefusion?.layerCount == 4)
    }

    @Test func refusals() {
        let table: [(String, Any, String)] = [
            ("compressor_size", 0, "is 0; expected 1 to 4"), ("compressor_size", 5, "is 5; expected 1 to 4"),
            ("prefusion_layer_num", 0, "is 0; expected 1 to 10000"),
            ("resolution_ratio", 2, "is 2.0, which is not supported; expected 1, an image as one"),
            (
                "mm_vision_select_feature", "cls_patch",
                "is 'cls_patch', which cannot be combined with LLaVA-Mini's compressor; expected 'patch'"
            ),
            ("mm_token_fusion", ["strategy": "stf"], "is set, which cannot be combined with model type 'llava_mini_llama'; expected null"),
        ]
        Fixture.llavaMini.expectProblems(table)
        #expect(
            Fixture.llavaMini.failure { $0.config["compressor_size"] = 1 } == """
                error: wrong shape [4, 8], at tensor 'model.compressor.query' of file 'DIR/model.safetensors'; \
                expected [1, 8] (by key 'compressor_size', 1 x 1)
                """)
        let layer = "model.prefusion_layers.1.input_layernorm.weight"
        #expect(
            Fixture.llavaMini.failure { $0.config["prefusion_layer_num"] = 2 }
                == "error: tensor '\(layer)' is missing, at file 'DIR/model.safetensors'; expected shape [8]")
        #expect(Fixture.llavaMini.failure { $0.config["model_type"] = "llava_llama" }.contains("model.compressor.attn.in_proj_bias"))
        var narrow = Fixture.llava
        narrow.config["model_type"] = "llava_mini_llama"
        #expect(
            narrow.failure { _ in }
                == "error: a tower of 4 channels, at file 'DIR/config.json'; expected a multiple of the 8 heads of LLaVA-Mini's compressor")
        var packer = Fixture.tokenPacker
        packer.config["model_type"] = "llava_mini_llama"
        #expect(packer.failure { _ in }.contains("is 'llava_mini_llama', which cannot be combined with TokenPacker, at file"))
        var released = Fixture.released
        released.config["model_type"] = "llava_mini_llama"
        #expect(
            released.failure { _ in }.contains("is 'llava_mini_llama', which cannot be combined with 'mm_projector_crosslayer', at file"))
    }
}
