import Support

/// A tensor of a synthetic checkpoint: its values are normal with the given mean and deviation.
struct SynthTensor {
    var name: String
    var shape: [Int]
    var mean: Float = 0
    var deviation: Float

    var elementCount: Int { shape.reduce(1, *) }
}

/// A published architecture at its true widths, in the layout of its release (layout A).
struct SynthPreset {
    var name: String
    var hidden: Int
    var intermediate: Int
    var heads: Int
    var layers: Int
    /// MBTF and STF of the released LLaVA-STF; else LLaVA-1.5's projector.
    var hasFusion: Bool
    var visionLayers = 24
    var contextLength = 4096

    static let all = [
        SynthPreset(name: "llava-stf-7b", hidden: 4096, intermediate: 11008, heads: 32, layers: 32, hasFusion: true),
        SynthPreset(name: "llava-stf-13b", hidden: 5120, intermediate: 13824, heads: 40, layers: 40, hasFusion: true),
        SynthPreset(name: "llava-1.5-7b", hidden: 4096, intermediate: 11008, heads: 32, layers: 32, hasFusion: false),
        SynthPreset(name: "llava-1.5-13b", hidden: 5120, intermediate: 13824, heads: 40, layers: 40, hasFusion: false),
    ]

    // CLIP ViT-L/14 at 336 pixels
    static let visionFolder = "clip-vit-large-patch14-336"
    static let visionHidden = 1024, visionIntermediate = 4096, visionHeads = 16, imageSize = 336, patchSize = 14
    static var vocabulary: Int { SynthTokenizer.pieceCount }

    /// The taps' count as the released code chooses them: the block before the last, then every third down to 3.
    var tapCount: Int { 1 + stride(from: 3, to: visionLayers - 1, by: 3).reduce(0) { count, _ in count + 1 } }

    /// All tensors in file order. Deviations keep activations near 1 through any number of layers: 1/sqrt(inputs) for a linear map, less by
    /// sqrt(2 * layers) where its result is added to the residual stream.
    var tensors: [SynthTensor] {
        let width = Self.visionHidden
        var list: [SynthTensor] = []
        func add(_ name: String, _ shape: [Int], _ deviation: Float, mean: Float = 0) {
            list.append(SynthTensor(name: name, shape: shape, mean: mean, deviation: deviation))
        }
        func linear(_ name: String, _ output: Int, _ input: Int, gain: Float = 1, bias: Bool) {
            add(name + ".weight", [output, input], gain / Float(input).squareRoot())
            if bias { add(name + ".bias", [output], 0.02) }
        }

        add("model.embed_tokens.weight", [Self.vocabulary, hidden], 0.5)
        let decoderGain = 1 / Float(2 * layers).squareRoot()
        for layer in 0..<layers {
            let prefix = "model.layers.\(layer)."
            for name in ["q_proj", "k_proj", "v_proj"] { linear("\(prefix)self_attn.\(name)", hidden, hidden, bias: false) }
            linear(prefix + "self_attn.o_proj", hidden, hidden, gain: decoderGain, bias: false)
            for name in ["gate_proj", "up_proj"] { linear("\(prefix)mlp.\(name)", intermediate, hidden, bias: false) }
            linear(prefix + "mlp.down_proj", hidden, intermediate, gain: decoderGain, bias: false)
            for name in ["input_layernorm", "post_attention_layernorm"] { add("\(prefix)\(name).weight", [hidden], 0.1, mean: 1) }
        }
        add("model.norm.weight", [hidden], 0.1, mean: 1)

        if hasFusion {
            linear("model.mm_projector_crosslayer.0", 4 * width, tapCount * width, bias: true)
            linear("model.mm_projector_crosslayer.2", width, 4 * width, gain: 2, bias: true)
            linear("model.mm_projector.0", 16 * width, 4 * width, bias: true)
            linear("model.mm_projector.2", hidden, 16 * width, bias: true)
        } else {
            linear("model.mm_projector.0", hidden, width, bias: true)
            linear("model.mm_projector.2", hidden, hidden, bias: true)
        }

        let tower = "model.vision_tower.vision_tower.vision_model."
        let grid = Self.imageSize / Self.patchSize
        add(tower + "embeddings.class_embedding", [width], 0.5)
        add(tower + "embeddings.patch_embedding.weight", [width, 3, Self.patchSize, Self.patchSize], 1 / Float(3 * 14 * 14).squareRoot())
        add(tower + "embeddings.position_embedding.weight", [grid * grid + 1, width], 0.2)
        let visionGain = 1 / Float(2 * visionLayers).squareRoot()
        func layerNorm(_ name: String) {
            add(name + ".weight", [width], 0.1, mean: 1)
            add(name + ".bias", [width], 0.02)
        }
        layerNorm(tower + "pre_layrnorm")  // sic
        for layer in 0..<visionLayers {
            let prefix = "\(tower)encoder.layers.\(layer)."
            for name in ["q_proj", "k_proj", "v_proj"] { linear("\(prefix)self_attn.\(name)", width, width, bias: true) }
            linear(prefix + "self_attn.out_proj", width, width, gain: visionGain, bias: true)
            linear(prefix + "mlp.fc1", Self.visionIntermediate, width, bias: true)
            linear(prefix + "mlp.fc2", width, Self.visionIntermediate, gain: visionGain, bias: true)
            layerNorm(prefix + "layer_norm1")
            layerNorm(prefix + "layer_norm2")
        }
        layerNorm(tower + "post_layernorm")
        add("lm_head.weight", [Self.vocabulary, hidden], 2 / Float(hidden).squareRoot())
        return list
    }

    /// Small files by path, relative to the checkpoint.
    var textFiles: [(path: String, text: String)] {
        let config: JSONText = .object([
            ("architectures", .array(["LlavaLlamaForCausalLM"])), ("model_type", "llava_llama"), ("vocab_size", .integer(Self.vocabulary)),
            ("hidden_size", .integer(hidden)), ("intermediate_size", .integer(intermediate)), ("num_hidden_layers", .integer(layers)),
            ("num_attention_heads", .integer(heads)), ("num_key_value_heads", .integer(heads)), ("hidden_act", "silu"),
            ("max_position_embeddings", .integer(contextLength)), ("rms_norm_eps", .number(1e-5)), ("rope_theta", .number(10_000)),
            ("tie_word_embeddings", .bool(false)), ("bos_token_id", 1), ("eos_token_id", 2), ("torch_dtype", "float16"),
            ("mm_vision_tower", .string(Self.visionFolder)), ("mm_vision_select_layer", .integer(-2)), ("mm_vision_select_feature", "patch"),
            ("mm_hidden_size", .integer(Self.visionHidden)), ("mm_projector_type", "mlp2x_gelu"), ("mm_use_im_start_end", .bool(false)),
            ("mm_use_im_patch_token", .bool(false)), ("image_aspect_ratio", "pad"),
        ])
        let vision: JSONText = .object([
            ("model_type", "clip_vision_model"), ("hidden_size", .integer(Self.visionHidden)),
            ("intermediate_size", .integer(Self.visionIntermediate)), ("num_hidden_layers", .integer(visionLayers)),
            ("num_attention_heads", .integer(Self.visionHeads)), ("image_size", .integer(Self.imageSize)),
            ("patch_size", .integer(Self.patchSize)), ("num_channels", 3), ("hidden_act", "quick_gelu"), ("layer_norm_eps", .number(1e-5)),
        ])
        let side: JSONText = .integer(Self.imageSize)
        let preprocessor: JSONText = .object([
            ("do_resize", .bool(true)), ("size", .object([("shortest_edge", side)])), ("resample", 3), ("do_center_crop", .bool(true)),
            ("crop_size", .object([("height", side), ("width", side)])), ("do_normalize", .bool(true)),
            ("image_mean", .array([0.48145466, 0.4578275, 0.40821073].map(JSONText.number))),
            ("image_std", .array([0.26862954, 0.26130258, 0.27577711].map(JSONText.number))), ("do_convert_rgb", .bool(true)),
            ("image_processor_type", "CLIPImageProcessor"),
        ])
        return [
            ("config.json", config), ("generation_config.json", .object([("bos_token_id", 1), ("eos_token_id", 2)])),
            ("tokenizer_config.json", .object([("add_bos_token", .bool(true)), ("tokenizer_class", "LlamaTokenizer")])),
            ("\(Self.visionFolder)/config.json", vision), ("\(Self.visionFolder)/preprocessor_config.json", preprocessor),
        ].map { ($0.0, $0.1.text(indent: 0) + "\n") }
    }
}
