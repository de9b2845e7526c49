import Support

/// A mmproj file: a CLIP tower and LLaVA's projector in GGUF.
struct GGUFVision {
    let tower: VisionSource
    let fusion: FusionSource
    let folder: TensorFolder

    static let inside = "model.vision_tower.vision_tower.vision_model."

    init(_ file: GGUFFile, decoder: DecoderConfiguration) throws(Diagnostic) {
        let kind = try file.optionalString("general.architecture") ?? ""
        guard kind == "clip" else {
            throw .error("architecture \(quoted(kind)) is no vision tower", at: .file(file.file.path), expected: "'clip', a mmproj file")
        }
        if let projector = try file.optionalString("clip.projector_type"), projector != "mlp" {
            throw file.invalid("clip.projector_type", "is \(quoted(projector)), which is not supported", expected: "'mlp'")
        }
        if let merge = try file.optionalString("clip.vision.mm_patch_merge_type"), merge != "flat" {
            throw file.invalid("clip.vision.mm_patch_merge_type", "is \(quoted(merge)), which is not supported", expected: "'flat'")
        }
        if try file.optionalBool("clip.use_silu") == true {
            throw file.invalid("clip.use_silu", "is true, which is not supported", expected: "false")
        }
        let vision = try VisionConfiguration(file)
        folder = try TensorFolder(file, naming: Self.naming(file, vision))
        tower = VisionSource(
            vision: vision, preprocessing: try Self.preprocessing(file, vision), folder: nil, label: lastPathComponent(file.file.path))

        var fusion = FusionSource()
        fusion.fusion.taps = try Self.taps(file, vision)
        let width = fusion.fusion.taps.count * vision.hiddenSize
        let inner = folder.tensors["model.mm_projector.0.weight"]?.tensor.shape.first ?? decoder.hiddenSize
        guard 1...JSONObject.maximumDimension ~= inner else {
            throw .error("a projector of width \(inner)", at: .tensor("mm.0.weight", file: file.file.path), expected: "a positive size")
        }
        let layers = [
            fusion.addLayer("projector.linear1", "model.mm_projector.0", width, inner, .gelu),
            fusion.addLayer(
                "projector.linear2", "model.mm_projector.2", inner, decoder.hiddenSize, nil,
                reason: "by the decoder's width, \(decoder.hiddenSize)"),
        ]
        fusion.fusion.aligner = layers
        self.fusion = fusion
    }

    /// The hidden states that the projector reads. Older converters leave out the key and, with the post-layernorm, the blocks that LLaVA
    /// does not need: then it is the last one that is there, of a whole tower the last but one.
    private static func taps(_ file: GGUFFile, _ vision: VisionConfiguration) throws(Diagnostic) -> [Int] {
        let key = "clip.vision.feature_layer"
        let given = (try file.optionalIntegers(key) ?? []).filter { $0 != -1 }
        if let wrong = given.first(where: { !(0...vision.layerCount ~= $0) }) {
            throw file.invalid(key, "holds \(wrong)", expected: "0 to \(vision.layerCount)")
        }
        if !given.isEmpty { return given }
        return [file.tensors["v.post_ln.weight"] == nil ? vision.layerCount : max(0, vision.layerCount - 1)]
    }

    /// LLaVA pads to a square.
    private static func preprocessing(_ file: GGUFFile, _ vision: VisionConfiguration) throws(Diagnostic) -> PreprocessingConfiguration {
        func channels(_ key: String, _ fallback: [Float], _ isValid: (Float) -> Bool) throws(Diagnostic) -> [Float] {
            let values = try file.optionalFloats(key) ?? fallback
            guard values.count == 3, values.allSatisfy(isValid) else {
                throw file.invalid(key, "is \(values.prefix(4))", expected: "three numbers")
            }
            return values
        }
        return PreprocessingConfiguration(
            imageSize: vision.imageSize, mode: .pad,
            mean: try channels("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073]) { $0.isFinite },
            std: try channels("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711]) { $0.isFinite && $0 > 0 })
    }

    /// Older converters call the first map of a block's MLP `ffn_down`; the shape tells, and where it does not, the newer meaning holds.
    private static func naming(_ file: GGUFFile, _ vision: VisionConfiguration) -> GGUFNaming {
        let first = file.tensors["v.blk.0.ffn_down.weight"]?.shape
        let isOlder = vision.hiddenSize != vision.intermediateSize && first == [vision.intermediateSize, vision.hiddenSize]
        var outer: [(String, String)] = [
            (inside + "embeddings.class_embedding", "v.class_embd"), (inside + "embeddings.patch_embedding.weight", "v.patch_embd.weight"),
            (inside + "embeddings.position_embedding.weight", "v.position_embd.weight"),
        ]
        for part in ["weight", "bias"] {
            outer += [
                (inside + "pre_layrnorm.\(part)", "v.pre_ln.\(part)"), (inside + "post_layernorm.\(part)", "v.post_ln.\(part)"),
                ("model.mm_projector.0.\(part)", "mm.0.\(part)"), ("model.mm_projector.2.\(part)", "mm.2.\(part)"),
            ]
        }
        return GGUFNaming(
            outer: outer, layers: [(inside + "encoder.layers.", "v.blk.")],
            parts: [
                ("layer_norm1", "ln1"), ("layer_norm2", "ln2"), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
                ("self_attn.v_proj", "attn_v"), ("self_attn.out_proj", "attn_out"), ("mlp.fc1", isOlder ? "ffn_down" : "ffn_up"),
                ("mlp.fc2", isOlder ? "ffn_up" : "ffn_down"),
            ])
    }
}

extension VisionConfiguration {
    init(_ file: GGUFFile) throws(Diagnostic) {
        func size(_ name: String, limit: Int = JSONObject.maximumDimension) throws(Diagnostic) -> Int {
            try file.dimension("clip.vision.\(name)", limit: limit)
        }
        self.init(
            hiddenSize: try size("embedding_length"), layerCount: try size("block_count", limit: JSONObject.maximumLayers),
            headCount: try size("attention.head_count"), intermediateSize: try size("feed_forward_length"),
            imageSize: try size("image_size", limit: 1 << 16), patchSize: try size("patch_size", limit: 1 << 16),
            layerNormEpsilon: Float(try file.positive("clip.vision.attention.layer_norm_epsilon")),
            activation: try file.optionalBool("clip.use_gelu") == true ? .gelu : .quickGELU)
        guard hiddenSize % headCount == 0 else {
            throw file.invalid(
                "clip.vision.embedding_length", "is \(hiddenSize)", expected: "a multiple of the \(headCount) attention heads")
        }
        guard imageSize / patchSize <= Self.maximumGrid else {
            throw file.invalid(
                "clip.vision.patch_size", "is \(patchSize)", expected: "at most \(Self.maximumGrid) patches along \(imageSize) pixels")
        }
        guard imageSize % patchSize == 0 else {
            throw file.invalid("clip.vision.image_size", "is \(imageSize)", expected: "a multiple of the patch size \(patchSize)")
        }
    }
}
