import Testing

@testable import Checkpoint

/// Layout D: a decoder without images.
@Suite struct DecoderOnlyTests {
    private var fixture: Fixture {
        var fixture = Fixture.decoder
        fixture.config["architectures"] = ["LlamaForCausalLM"]
        return fixture
    }

    @Test func opens() throws {
        let checkpoint = try fixture.open()
        let configuration = checkpoint.configuration
        #expect(configuration.layout == .decoderOnly && configuration.prompt.templateName == "none")
        #expect(configuration.vision == nil && configuration.fusion == nil && configuration.preprocessing == nil)
        #expect(checkpoint.tensors.count == 12 && checkpoint.tensors.keys.allSatisfy { $0.hasPrefix("decoder.") })
    }

    @Test func tiedHead() throws {
        var tied = fixture
        tied.tensors["lm_head.weight"] = nil
        #expect(
            fixture.failure { $0.tensors["lm_head.weight"] = nil }
                == "error: tensor 'lm_head.weight' is missing, at file 'DIR/model.safetensors'; expected shape [260, 8]")
        tied.config["tie_word_embeddings"] = true
        #expect(try tied.open().tensors["decoder.lm_head.weight"]?.sourceName == "model.embed_tokens.weight")
    }

    @Test func refusals() {
        #expect(
            fixture.failure { $0.config["architectures"] = ["LlamaForSequenceClassification"] }
                == "error: key 'architectures' names another head, at file 'DIR/config.json'; expected 'LlamaForCausalLM'")
        #expect(
            fixture.failure { $0.addLinear("model.mm_projector.0", 4, 8) }
                == "error: unknown tensor (and 1 more like it), at tensor 'model.mm_projector.0.bias' of file 'DIR/model.safetensors'; expected only what the configuration describes"
        )
    }
}
