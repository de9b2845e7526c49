import Support

/// One tensor that a configuration asks for, with the names and shapes that files give it.
struct ExpectedTensor {
    let canonicalName: String
    /// In LLaVA's original layout.
    let sourceName: String
    let shape: [Int]
    /// A 1x1 convolution may stand as [out, in, 1, 1]; the bytes are the same.
    var isPointwiseConvolution = false
    /// Dead weights (blocks after the last tap) may be absent.
    var isRequired = true
    /// What in the configuration the shape follows from.
    var reason: String?

    /// The shape as the file is expected to spell it, for messages.
    private var fileShape: [Int] { isPointwiseConvolution ? shape + [1, 1] : shape }

    /// Finds the tensor and checks its shape and element type. Nil when it is absent and may be.
    func resolve(in folder: TensorFolder) throws(Diagnostic) -> TensorEntry? {
        guard let found = folder.tensors[sourceName] else {
            guard isRequired else { return nil }
            throw .error(
                "tensor \(quoted(folder.spelling(sourceName))) is missing", at: .file(folder.listing(of: sourceName)),
                expected: "shape \(fileShape)\(because)")
        }
        return try entry(found)
    }

    private var because: String { reason.map { " (\($0))" } ?? "" }

    /// What was found, with its shape and element type checked.
    func entry(_ found: TensorFolder.Entry) throws(Diagnostic) -> TensorEntry {
        let stored = found.tensor
        guard stored.shape == fileShape || stored.shape == shape else {
            throw .error("wrong shape \(stored.shape)", at: found.site, expected: "\(fileShape)\(because)")
        }
        guard let dtype = stored.dtype.elementType else {
            throw .error(
                "dtype \(quoted(stored.dtype.name)) cannot be a weight", at: found.site,
                expected: quotedList(ElementType.floats.map(\.rawValue)))
        }
        return TensorEntry(
            canonicalName: canonicalName, sourceName: stored.name, dtype: dtype, shape: shape, file: found.file, range: stored.range)
    }
}

extension TensorFolder {
    /// One tensor may be stored for head and embedding, under either name; it then stands under both, so that each can be replaced.
    mutating func shareEmbeddings() {
        let (table, head) = ("model.embed_tokens.weight", "lm_head.weight")
        tensors[table] = tensors[table] ?? tensors[head]
        tensors[head] = tensors[head] ?? tensors[table]
    }
}

/// The tensors of a LLaMA decoder in LLaVA's original layout.
func decoderTensors(_ decoder: DecoderConfiguration) -> some Sequence<ExpectedTensor> {
    let hidden = decoder.hiddenSize
    func tensor(_ name: String, _ shape: [Int]) -> ExpectedTensor {
        ExpectedTensor(canonicalName: "decoder.\(name)", sourceName: "model.\(name)", shape: shape)
    }
    var outer = [
        tensor("embed_tokens.weight", [decoder.vocabularySize, hidden]),
        tensor("norm.weight", [hidden]),
    ]
    if !decoder.tiedEmbeddings { outer.append(headTensor(decoder)) }
    let layers = decoderLayerTensors(decoder, count: decoder.layerCount, canonical: "decoder.layers", source: "model.layers")
    return [AnySequence(outer), AnySequence(layers)].joined()
}

/// The tensors of `count` layers as a decoder has them, whose names begin with `canonical`, and in the file with `source`.
func decoderLayerTensors(
    _ decoder: DecoderConfiguration, count: Int, canonical: String, source: String
) -> some Sequence<ExpectedTensor> {
    let hidden = decoder.hiddenSize
    let queries = decoder.headCount * decoder.headSize, keys = decoder.keyValueHeadCount * decoder.headSize
    // Lazy, so that an absurd layer count ends at the first missing tensor.
    return (0..<count).lazy.flatMap { index in
        func tensor(_ name: String, _ shape: [Int]) -> ExpectedTensor {
            ExpectedTensor(canonicalName: "\(canonical).\(index).\(name)", sourceName: "\(source).\(index).\(name)", shape: shape)
        }
        return [
            tensor("input_layernorm.weight", [hidden]),
            tensor("self_attn.q_proj.weight", [queries, hidden]),
            tensor("self_attn.k_proj.weight", [keys, hidden]),
            tensor("self_attn.v_proj.weight", [keys, hidden]),
            tensor("self_attn.o_proj.weight", [hidden, queries]),
            tensor("post_attention_layernorm.weight", [hidden]),
            tensor("mlp.gate_proj.weight", [decoder.intermediateSize, hidden]),
            tensor("mlp.up_proj.weight", [decoder.intermediateSize, hidden]),
            tensor("mlp.down_proj.weight", [hidden, decoder.intermediateSize]),
        ]
    }
}

func headTensor(_ decoder: DecoderConfiguration) -> ExpectedTensor {
    ExpectedTensor(
        canonicalName: "decoder.lm_head.weight", sourceName: "lm_head.weight", shape: [decoder.vocabularySize, decoder.hiddenSize])
}

/// The tensors of a CLIP tower whose names in the file begin with `prefix`; those after block `lastTap` are optional.
func visionTensors(_ vision: VisionConfiguration, prefix: String, lastTap: Int) -> some Sequence<ExpectedTensor> {
    let hidden = vision.hiddenSize, patch = vision.patchSize
    func tensor(_ canonical: String, _ source: String, _ shape: [Int], _ isRequired: Bool = true) -> ExpectedTensor {
        ExpectedTensor(canonicalName: "vision.\(canonical)", sourceName: prefix + source, shape: shape, isRequired: isRequired)
    }
    func affine(_ canonical: String, _ source: String, _ shape: [Int], _ isRequired: Bool = true) -> [ExpectedTensor] {
        [
            tensor(canonical + ".weight", source + ".weight", shape, isRequired),
            tensor(canonical + ".bias", source + ".bias", [shape[0]], isRequired),
        ]
    }
    let embeddings =
        [
            tensor("embeddings.class_embedding", "embeddings.class_embedding", [hidden]),
            tensor("embeddings.patch_embedding.weight", "embeddings.patch_embedding.weight", [hidden, 3, patch, patch]),
            tensor("embeddings.position_embedding.weight", "embeddings.position_embedding.weight", [vision.positionCount, hidden]),
        ]
        // The spelling of the published files.
        + affine("pre_layernorm", "pre_layrnorm", [hidden])
        + affine("post_layernorm", "post_layernorm", [hidden], false)
    let layers = (0..<vision.layerCount).lazy.flatMap { index in
        let needed = index < lastTap
        return [
            ("layer_norm1", [hidden]), ("layer_norm2", [hidden]),
            ("self_attn.q_proj", [hidden, hidden]), ("self_attn.k_proj", [hidden, hidden]),
            ("self_attn.v_proj", [hidden, hidden]), ("self_attn.out_proj", [hidden, hidden]),
            ("mlp.fc1", [vision.intermediateSize, hidden]), ("mlp.fc2", [hidden, vision.intermediateSize]),
        ].flatMap { affine("layers.\(index).\($0.0)", "encoder.layers.\(index).\($0.0)", $0.1, needed) }
    }
    return [AnySequence(embeddings), AnySequence(layers)].joined()
}
