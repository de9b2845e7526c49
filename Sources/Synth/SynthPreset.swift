import Support
import Work

/// A tensor of a synthetic checkpoint: its values are normal with the given mean and deviation.
public struct SynthTensor: Sendable {
    var name: String
    var shape: [Int]
    var mean: Float = 0
    var deviation: Float

    public var elementCount: Int { shape.reduce(1, *) }
}

/// A published architecture at its true widths, in the layout of its release, or in layout C where the fusion was chosen.
public struct SynthPreset: Sendable {
    struct Decoder {
        var hidden: Int
        var intermediate: Int
        var heads: Int
        var keyValueHeads: Int
        var layers: Int
        /// Llama 3.1's vocabulary, rotary embedding and context; else Vicuna's
        var isLlama3 = false
        /// VoCo-LLaMA's compression token behind the tokenizer's own
        var hasCompressionToken = false

        static let vicuna7B = Decoder(hidden: 4096, intermediate: 11008, heads: 32, keyValueHeads: 32, layers: 32)
        static let vicuna13B = Decoder(hidden: 5120, intermediate: 13824, heads: 40, keyValueHeads: 40, layers: 40)
        static let llama8B = Decoder(hidden: 4096, intermediate: 14336, heads: 32, keyValueHeads: 8, layers: 32, isLlama3: true)

        var vocabulary: Int {
            isLlama3 ? SynthByteLevelTokenizer.tokenCount : SynthTokenizer.pieceCount + (hasCompressionToken ? 1 : 0)
        }
    }

    enum Fusion {
        /// LLaVA-1.5's projector
        case projector
        /// MBTF and STF of the released LLaVA-STF
        case released
        /// TokenPacker with windows of that edge
        case tokenPacker(scale: Int)
        /// LLaVA-Mini with as many queries along each side
        case prefusion(edge: Int)
        /// `mm_token_fusion`
        case configurable(SynthFusion)

        /// `mm_projector_type`
        var projectorType: String { if case .tokenPacker = self { "tokenpacker" } else { "mlp2x_gelu" } }
    }

    public var name: String
    var decoder: Decoder
    /// Nil: a decoder without images
    var fusion: Fusion?
    var visionLayers = 24
    var imageSize = 336

    public static let all: [SynthPreset] = {
        let decoders: [(String, Decoder)] = [("7b", .vicuna7B), ("13b", .vicuna13B), ("llama3.1-8b", .llama8B)]
        func presets(_ prefix: String, _ fusion: Fusion?) -> [SynthPreset] {
            decoders.map { SynthPreset(name: prefix + $0.0, decoder: $0.1, fusion: fusion) }
        }
        let paper = SynthFusion(strategy: .stf, taps: SynthFusion.spread(8, over: 24), kernel: 2, tokensPerWindow: 1, hasMBTF: true)
        var voco = Decoder.vicuna7B
        voco.hasCompressionToken = true
        return presets("llava-stf-", .released) + presets("llava-stf-paper-", .configurable(paper)) + presets("llava-1.5-", .projector) + [
            SynthPreset(name: "tokenpacker-7b", decoder: .vicuna7B, fusion: .tokenPacker(scale: 2)),
            SynthPreset(name: "tokenpacker-13b", decoder: .vicuna13B, fusion: .tokenPacker(scale: 2)),
            SynthPreset(name: "vicuna-7b", decoder: .vicuna7B), SynthPreset(name: "vicuna-13b", decoder: .vicuna13B),
            SynthPreset(name: "llama-3.1-8b", decoder: .llama8B), SynthPreset(name: "voco-llama-7b", decoder: voco, fusion: .projector),
            SynthPreset(name: "llava-mini-llama-3.1-8b", decoder: .llama8B, fusion: .prefusion(edge: 1)),
        ]
    }()

    /// LLaVA-Mini's blocks ahead of the decoder, as published
    static let prefusionLayers = 4

    // CLIP ViT-L/14
    static let visionHidden = 1024, visionIntermediate = 4096, visionHeads = 16, patchSize = 14
    var visionFolder: String { imageSize == 224 ? "clip-vit-large-patch14" : "clip-vit-large-patch14-\(imageSize)" }
    var grid: Int { imageSize / Self.patchSize }

    /// The taps' count as the released code chooses them: the block before the last, then every third down to 3.
    var tapCount: Int { 1 + stride(from: 3, to: visionLayers - 1, by: 3).reduce(0) { count, _ in count + 1 } }

    /// All tensors in file order. Deviations keep activations near 1 through any number of layers: 1/sqrt(inputs) for a linear map, less by
    /// sqrt(2 * layers) where its result is added to the residual stream, more where a GELU has made its inputs small.
    public var tensors: [SynthTensor] {
        var list = SynthTensors()
        let hidden = decoder.hidden
        list.add("model.embed_tokens.weight", [decoder.vocabulary, hidden], 0.5)
        addDecoderLayers("model.layers", decoder.layers, to: &list)
        list.add("model.norm.weight", [hidden], 0.1, mean: 1)
        if let fusion {
            addFusion(fusion, to: &list)
            addTower(to: &list)
        }
        list.add("lm_head.weight", [decoder.vocabulary, hidden], 2 / Float(hidden).squareRoot())
        return list.tensors
    }

    private func addDecoderLayers(_ stem: String, _ count: Int, to list: inout SynthTensors) {
        let hidden = decoder.hidden, keys = hidden / decoder.heads * decoder.keyValueHeads
        let gain = 1 / Float(2 * decoder.layers).squareRoot()
        for layer in 0..<count {
            let prefix = "\(stem).\(layer)."
            for (name, rows) in [("q_proj", hidden), ("k_proj", keys), ("v_proj", keys)] {
                list.linear("\(prefix)self_attn.\(name)", rows, hidden, bias: false)
            }
            list.linear(prefix + "self_attn.o_proj", hidden, hidden, gain: gain, bias: false)
            for name in ["gate_proj", "up_proj"] { list.linear("\(prefix)mlp.\(name)", decoder.intermediate, hidden, bias: false) }
            list.linear(prefix + "mlp.down_proj", hidden, decoder.intermediate, gain: gain, bias: false)
            for name in ["input_layernorm", "post_attention_layernorm"] { list.add("\(prefix)\(name).weight", [hidden], 0.1, mean: 1) }
        }
    }

    private func addFusion(_ fusion: Fusion, to list: inout SynthTensors) {
        let width = Self.visionHidden, hidden = decoder.hidden
        switch fusion {
        case .released:
            list.linear("model.mm_projector_crosslayer.0", 4 * width, tapCount * width, bias: true)
            list.linear("model.mm_projector_crosslayer.2", width, 4 * width, gain: 2, bias: true)
            list.linear("model.mm_projector.0", 16 * width, 4 * width, bias: true)
            list.linear("model.mm_projector.2", hidden, 16 * width, bias: true)
        case .projector, .prefusion:
            list.linear("model.mm_projector.0", hidden, width, bias: true)
            list.linear("model.mm_projector.2", hidden, hidden, bias: true)
            if case .prefusion(let edge) = fusion { addPrefusion(rows: edge * edge, to: &list) }
        case .tokenPacker: addTokenPacker(to: &list)
        case .configurable(let fusion): fusion.addTensors(to: &list, visionHidden: width, hidden: hidden)
        }
    }

    /// In the order of the published module.
    private func addTokenPacker(to list: inout SynthTensors) {
        let width = Self.visionHidden, hidden = decoder.hidden, prefix = "model.mm_projector."
        list.linear(prefix + "q_proj_1", width, width, bias: false)
        for side in ["k_proj_1", "v_proj_1"] {
            list.linear("\(prefix)\(side).0", width, 4 * width, bias: true)
            list.linear("\(prefix)\(side).2", width, width, gain: 2, bias: true)
        }
        for norm in ["ln_q_1", "ln_k_1", "ln_v_1"] { list.norm(prefix + norm, width) }
        list.add(prefix + "clip_attn.in_proj_weight", [3 * width, width], 1 / Float(width).squareRoot())
        list.add(prefix + "clip_attn.in_proj_bias", [3 * width], 0.02)
        list.linear(prefix + "clip_attn.out_proj", width, width, bias: true)
        list.linear(prefix + "mlp.0", hidden, width, bias: true)
        list.linear(prefix + "mlp.2", hidden, hidden, bias: true)
    }

    /// LLaVA-Mini's compressor, and the blocks ahead of the decoder, as many as are published.
    private func addPrefusion(rows: Int, to list: inout SynthTensors) {
        let width = Self.visionHidden, prefix = "model.compressor."
        for name in ["query", "pos_embed"] { list.add(prefix + name, [rows, width], 0.5) }
        for norm in ["ln_q", "ln_kv"] { list.norm(prefix + norm, width) }
        list.add(prefix + "attn.in_proj_weight", [3 * width, width], 1 / Float(width).squareRoot())
        list.add(prefix + "attn.in_proj_bias", [3 * width], 0.02)
        list.linear(prefix + "attn.out_proj", width, width, bias: true)
        addDecoderLayers("model.prefusion_layers", Self.prefusionLayers, to: &list)
    }

    private func addTower(to list: inout SynthTensors) {
        let width = Self.visionHidden
        let tower = "model.vision_tower.vision_tower.vision_model."
        list.add(tower + "embeddings.class_embedding", [width], 0.5)
        list.add(
            tower + "embeddings.patch_embedding.weight", [width, 3, Self.patchSize, Self.patchSize], 1 / Float(3 * 14 * 14).squareRoot())
        list.add(tower + "embeddings.position_embedding.weight", [grid * grid + 1, width], 0.2)
        let visionGain = 1 / Float(2 * visionLayers).squareRoot()
        list.norm(tower + "pre_layrnorm", width)  // sic
        for layer in 0..<visionLayers {
            let prefix = "\(tower)encoder.layers.\(layer)."
            for name in ["q_proj", "k_proj", "v_proj"] { list.linear("\(prefix)self_attn.\(name)", width, width, bias: true) }
            list.linear(prefix + "self_attn.out_proj", width, width, gain: visionGain, bias: true)
            list.linear(prefix + "mlp.fc1", Self.visionIntermediate, width, bias: true)
            list.linear(prefix + "mlp.fc2", width, Self.visionIntermediate, gain: visionGain, bias: true)
            list.norm(prefix + "layer_norm1", width)
            list.norm(prefix + "layer_norm2", width)
        }
        list.norm(tower + "post_layernorm", width)
    }

    /// Small files by path, relative to the checkpoint.
    var textFiles: [(path: String, text: String)] {
        var files: [(String, JSONText)] = [("config.json", .object(configuration)), ("generation_config.json", .object(generation))]
        if decoder.isLlama3 {
            files.append(
                (
                    "tokenizer_config.json",
                    .object([
                        ("bos_token", "<|begin_of_text|>"), ("eos_token", "<|end_of_text|>"),
                        ("tokenizer_class", "PreTrainedTokenizerFast"),
                    ])
                ))
        } else {
            files.append(("tokenizer_config.json", .object([("add_bos_token", .bool(true)), ("tokenizer_class", "LlamaTokenizer")])))
        }
        if decoder.hasCompressionToken {
            files += [
                ("added_tokens.json", .object([("<voco>", .integer(SynthTokenizer.pieceCount))])),
                ("special_tokens_map.json", .object([("additional_special_tokens", .array(["<voco>"]))])),
            ]
        }
        if fusion != nil { files += [("\(visionFolder)/config.json", vision), ("\(visionFolder)/preprocessor_config.json", preprocessor)] }
        return files.map { ($0.0, $0.1.text(indent: 0) + "\n") }
    }

    private var generation: [(String, JSONText)] {
        decoder.isLlama3
            ? [("bos_token_id", 128_000), ("eos_token_id", .array([128_001, 128_008, 128_009]))]
            : [("bos_token_id", 1), ("eos_token_id", 2)]
    }

    private var modelType: String {
        switch fusion {
        case nil: "llama"
        case .prefusion: "llava_mini_llama"
        case .projector, .released, .tokenPacker, .configurable: "llava_llama"
        }
    }

    private var configuration: [(String, JSONText)] {
        var members: [(String, JSONText)] =
            [
                ("architectures", .array([fusion == nil ? "LlamaForCausalLM" : "LlavaLlamaForCausalLM"])),
                ("model_type", .string(modelType)), ("vocab_size", .integer(decoder.vocabulary)),
                ("hidden_size", .integer(decoder.hidden)), ("intermediate_size", .integer(decoder.intermediate)),
                ("num_hidden_layers", .integer(decoder.layers)), ("num_attention_heads", .integer(decoder.heads)),
                ("num_key_value_heads", .integer(decoder.keyValueHeads)), ("hidden_act", "silu"),
                ("max_position_embeddings", .integer(decoder.isLlama3 ? 131_072 : 4096)), ("rms_norm_eps", .number(1e-5)),
                ("rope_theta", .number(decoder.isLlama3 ? 500_000 : 10_000)), ("tie_word_embeddings", .bool(false)),
            ] + generation + [("torch_dtype", "float16")]
        if decoder.isLlama3 {
            members.append(
                (
                    "rope_scaling",
                    .object([
                        ("factor", .number(8)), ("low_freq_factor", .number(1)), ("high_freq_factor", .number(4)),
                        ("original_max_position_embeddings", 8192), ("rope_type", "llama3"),
                    ])
                ))
        }
        guard let fusion else { return members }
        members += [
            ("mm_vision_tower", .string(visionFolder)), ("mm_vision_select_layer", .integer(-2)), ("mm_vision_select_feature", "patch"),
            ("mm_hidden_size", .integer(Self.visionHidden)), ("mm_projector_type", .string(fusion.projectorType)),
            ("mm_use_im_start_end", .bool(false)),
            ("mm_use_im_patch_token", .bool(false)), ("image_aspect_ratio", "pad"),
        ]
        if case .tokenPacker(let scale) = fusion { members.append(("scale_factor", .integer(scale))) }
        if case .prefusion(let edge) = fusion {
            members += [
                ("compressor_size", .integer(edge)), ("prefusion_layer_num", .integer(Self.prefusionLayers)), ("resolution_ratio", 1),
            ]
        }
        if case .configurable(let fusion) = fusion {
            members.append(("mm_token_fusion", fusion.configuration(visionHidden: Self.visionHidden, hidden: decoder.hidden)))
        }
        return members
    }

    private var vision: JSONText {
        .object([
            ("model_type", "clip_vision_model"), ("hidden_size", .integer(Self.visionHidden)),
            ("intermediate_size", .integer(Self.visionIntermediate)), ("num_hidden_layers", .integer(visionLayers)),
            ("num_attention_heads", .integer(Self.visionHeads)), ("image_size", .integer(imageSize)),
            ("patch_size", .integer(Self.patchSize)), ("num_channels", 3), ("hidden_act", "quick_gelu"), ("layer_norm_eps", .number(1e-5)),
        ])
    }

    private var preprocessor: JSONText {
        let side: JSONText = .integer(imageSize)
        return .object([
            ("do_resize", .bool(true)), ("size", .object([("shortest_edge", side)])), ("resample", 3), ("do_center_crop", .bool(true)),
            ("crop_size", .object([("height", side), ("width", side)])), ("do_normalize", .bool(true)),
            ("image_mean", .array([0.48145466, 0.4578275, 0.40821073].map(JSONText.number))),
            ("image_std", .array([0.26862954, 0.26130258, 0.27577711].map(JSONText.number))), ("do_convert_rgb", .bool(true)),
            ("image_processor_type", "CLIPImageProcessor"),
        ])
    }
}

/// Tensors as they are listed.
struct SynthTensors {
    private(set) var tensors: [SynthTensor] = []

    mutating func add(_ name: String, _ shape: [Int], _ deviation: Float, mean: Float = 0) {
        tensors.append(SynthTensor(name: name, shape: shape, mean: mean, deviation: deviation))
    }

    /// [output, input], or with a kernel [output, input, kernel, kernel].
    mutating func linear(_ name: String, _ output: Int, _ input: Int, kernel: Int? = nil, gain: Float = 1, bias: Bool) {
        let inputs = input * (kernel ?? 1) * (kernel ?? 1)
        add(name + ".weight", [output, input] + (kernel.map { [$0, $0] } ?? []), gain / Float(inputs).squareRoot())
        if bias { add(name + ".bias", [output], 0.02) }
    }

    mutating func norm(_ name: String, _ width: Int) {
        add(name + ".weight", [width], 0.1, mean: 1)
        add(name + ".bias", [width], 0.02)
    }
}

extension SynthPreset {
    /// Everything but the tensors.
    public func writeSmallFiles(to folder: String, _ shards: [SynthShard]) throws(Diagnostic) {
        for file in textFiles {
            try makeFolders(above: joinedPath(folder, file.path))
            try writeFile(joinedPath(folder, file.path), file.text)
        }
        if decoder.isLlama3 {
            try writeFile(joinedPath(folder, "tokenizer.json"), SynthByteLevelTokenizer.json())
        } else {
            try writeFile(joinedPath(folder, "tokenizer.model"), SynthTokenizer.model())
        }
        if shards.count > 1 { try writeFile(joinedPath(folder, "model.safetensors.index.json"), SynthShard.index(shards)) }
    }

    /// A checkpoint whose tensors are holes, which take no room on the disk: for everything that reads no weights.
    public func writeWithoutWeights(to folder: String) throws(Diagnostic) {
        let shards = SynthShard.split(tensors)
        try writeSmallFiles(to: folder, shards)
        for shard in shards { try shard.writeHoles(joinedPath(folder, shard.name)) }
    }
}
