import Glibc
import Support

/// A decoder in a GGUF file of architecture "llama", with LLaVA's names.
struct GGUFDecoder {
    let file: GGUFFile
    let folder: TensorFolder
    let decoder: DecoderConfiguration

    init(_ file: GGUFFile) throws(Diagnostic) {
        let kind = try file.optionalString("general.architecture") ?? ""
        guard kind == "llama" else {
            let note = kind == "clip" ? ["a mmproj file goes to the option '--vision-tower'"] : []
            throw .error(
                "architecture \(quoted(kind)) is not supported", at: .file(file.file.path), expected: "'llama'", notes: note)
        }
        if let type = try file.optionalString("general.type"), type == "adapter" {
            throw file.invalid(
                "general.type", "is 'adapter', a LoRA adapter",
                expected: "a model; an adapter in PEFT's layout goes to the option '--adapter'")
        }
        if let parts = try file.optionalInteger("split.count"), parts > 1 {
            throw file.invalid("split.count", "is \(parts): the file is one of several", expected: "one file")
        }
        self.file = file
        folder = try TensorFolder(file, naming: Self.naming)
        decoder = try DecoderConfiguration(file, tied: file.tensors["output.weight"] == nil)
    }

    /// (LLaVA's, GGUF's) names within a layer, and outside.
    private static let layerParts = [
        ("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm"), ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ]
    private static let outerParts = [
        ("model.embed_tokens.weight", "token_embd.weight"), ("model.norm.weight", "output_norm.weight"),
        ("lm_head.weight", "output.weight"),
    ]

    private static let naming = GGUFNaming(
        outer: outerParts, layers: [("model.layers.", "blk.")], parts: layerParts)
}

/// Names of LLaVA's layout and of GGUF, both ways.
struct GGUFNaming: Sendable {
    let outer: [(original: String, here: String)]
    /// What stands before a layer's number.
    let layers: [(original: String, here: String)]
    /// What stands behind it, without `.weight` or `.bias`.
    let parts: [(original: String, here: String)]

    func original(_ name: String) -> String? {
        func turned(_ pairs: [(original: String, here: String)]) -> [(String, String)] { pairs.map { ($0.here, $0.original) } }
        return translated(name, turned(outer), turned(layers), turned(parts))
    }

    func here(_ name: String) -> String? { translated(name, outer, layers, parts) }

    private func translated(
        _ name: String, _ outer: [(String, String)], _ layers: [(String, String)], _ parts: [(String, String)]
    ) -> String? {
        if let pair = outer.first(where: { $0.0 == name }) { return pair.1 }
        guard let layer = layers.first(where: { name.hasPrefix($0.0) }) else { return nil }
        let rest = name.dropFirst(layer.0.count)
        guard let dot = rest.firstIndex(of: "."), rest[..<dot].allSatisfy(\.isNumber), let end = rest.lastIndex(of: "."), dot < end,
            let part = parts.first(where: { $0.0 == rest[rest.index(after: dot)..<end] })
        else { return nil }
        return layer.1 + rest[...dot] + part.1 + rest[end...]
    }
}

extension TensorFolder {
    init(_ file: GGUFFile, naming: GGUFNaming) throws(Diagnostic) {
        self.init(tensors: [:], listing: file.file.path)
        for (name, tensor) in file.tensors.sorted(by: { $0.key < $1.key }) {
            try tensors.add(Entry(tensor: tensor, file: file.file), as: naming.original(name) ?? "?\(name)")
        }
        spelling = { naming.here($0) ?? $0 }
        self.naming = { naming.original($0) ?? $0 }
    }
}

extension DecoderConfiguration {
    init(_ file: GGUFFile, tied: Bool) throws(Diagnostic) {
        func key(_ name: String) -> String { "llama.\(name)" }
        let heads = try file.dimension(key("attention.head_count"))
        let hidden = try file.dimension(key("embedding_length"))
        let keys = try file.dimension(key("attention.head_count_kv"), default: heads)
        guard heads % keys == 0 else {
            throw file.invalid(key("attention.head_count_kv"), "is \(keys)", expected: "a divisor of the \(heads) attention heads")
        }
        let size = try file.dimension(key("attention.key_length"), default: max(1, hidden / heads))
        guard size % 2 == 0, let width = checkedProduct(heads, size), width <= JSONObject.maximumDimension else {
            throw file.invalid(key("attention.head_count"), "gives heads of \(size)", expected: "an even size, for rotary embeddings")
        }
        for (name, wanted) in [("attention.value_length", size), ("rope.dimension_count", size), ("expert_count", 0)] {
            if let value = try file.optionalInteger(key(name)), value != wanted {
                throw file.invalid(key(name), "is \(value), which is not supported", expected: "\(wanted)")
            }
        }
        for name in ["rope.scaling.type", "rope.scale_linear"] where file.metadata[key(name)] != nil {
            let kind = name.hasSuffix("type") ? try file.optionalString(key(name)) : try file.positive(key(name)) == 1 ? "none" : "linear"
            if let kind, kind != "none" {
                throw file.invalid(key(name), "asks for \(quoted(kind)), which is not supported", expected: "'none'")
            }
        }
        let theta = try file.positive(key("rope.freq_base"), default: 10_000)
        self.init(
            hiddenSize: hidden, layerCount: try file.dimension(key("block_count"), limit: JSONObject.maximumLayers), headCount: heads,
            keyValueHeadCount: keys, headSize: size, intermediateSize: try file.dimension(key("feed_forward_length")),
            vocabularySize: try Self.vocabularySize(file),
            rmsNormEpsilon: Float(try file.positive(key("attention.layer_norm_rms_epsilon"))),
            ropeTheta: theta, ropeScaling: try Self.scaling(file, theta: theta, headSize: size),
            maxPositionEmbeddings: try file.dimension(key("context_length")), tiedEmbeddings: tied, interleavedRotary: true)
    }

    /// The embedding's rows say it best; the file's key for it is optional.
    private static func vocabularySize(_ file: GGUFFile) throws(Diagnostic) -> Int {
        if let rows = file.tensors["token_embd.weight"]?.shape.first, 1...JSONObject.maximumDimension ~= rows { return rows }
        return try file.dimension("llama.vocab_size")
    }

    /// Llama 3's scaling stands in the file as a factor per frequency. Those of the published models are told by them.
    private static func scaling(_ file: GGUFFile, theta: Double, headSize: Int) throws(Diagnostic) -> RopeScaling? {
        let name = "rope_freqs.weight"
        guard let tensor = file.tensors[name] else { return nil }
        guard tensor.dtype == .weight(.float32), tensor.shape == [headSize / 2] else {
            throw .error(
                "\(tensor.dtype.name) \(tensor.shape)", at: .tensor(name, file: file.file.path), expected: "F32 [\(headSize / 2)]")
        }
        let entry = TensorEntry(
            canonicalName: name, sourceName: name, dtype: .float32, shape: tensor.shape, file: file.file, range: tensor.range)
        let factors = entry.floats()
        if factors.allSatisfy({ $0 == 1 }) { return nil }
        let largest = Double(factors.max() ?? 1)
        for original in [8192, 4096, 2048, 1024, 512, 256, 128, 64, 32] {
            let scaling = RopeScaling(factor: largest, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: original)
            let expected = scaling.factors(theta: theta, headSize: headSize)
            // The converter computes in 32 bits.
            if zip(factors, expected).allSatisfy({ abs(Double($0) / $1 - 1) < 1e-4 }) { return scaling }
        }
        throw .error(
            "the factors are not those of Llama 3's scaling", at: .tensor(name, file: file.file.path),
            expected: "low and high frequency factors 1 and 4 over a power of two of positions")
    }
}

extension RopeScaling {
    /// What each frequency is divided by.
    func factors(theta: Double, headSize: Int) -> [Double] {
        (0..<headSize / 2).map { index in
            let turns = Double(originalPositions) * pow(theta, -2 * Double(index) / Double(headSize)) / (2 * .pi)
            let blend = min(1, max(0, (turns - lowFrequencyFactor) / (highFrequencyFactor - lowFrequencyFactor)))
            return 1 / (blend + (1 - blend) / factor)
        }
    }
}
