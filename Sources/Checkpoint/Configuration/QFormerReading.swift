import Support

extension QFormerConfiguration {
    /// The key `qformer` of `mm_token_fusion`; what may be left out has `Blip2QFormerConfig`'s value.
    init(_ object: JSONObject) throws(Diagnostic) {
        try object.refuseUnknownKeys([
            "queries", "hidden_size", "layers", "heads", "intermediate_size", "cross_attention_frequency", "layer_norm_eps",
        ])
        queries = try object.dimension("queries")
        hiddenSize = try object.dimension("hidden_size")
        layerCount = try object.dimension("layers", limit: JSONObject.maximumLayers)
        headCount = try object.dimension("heads")
        intermediateSize = try object.dimension("intermediate_size")
        crossAttentionFrequency = try object.dimension("cross_attention_frequency", default: 2)
        layerNormEpsilon = Float(try object.positive("layer_norm_eps", default: 1e-12))
        guard hiddenSize % headCount == 0 else {
            throw object.invalid("heads", "is \(headCount)", expected: divisors(of: hiddenSize, called: "hidden size \(hiddenSize)"))
        }
    }
}

/// The tensors of a Q-Former over tokens of `inputChannels`; lazy, so that an absurd layer count ends at the first missing tensor.
func qformerTensors(_ qformer: QFormerConfiguration, inputChannels: Int) -> some Sequence<ExpectedTensor> {
    let hidden = qformer.hiddenSize
    func tensor(_ name: String, _ shape: [Int]) -> ExpectedTensor {
        ExpectedTensor(
            canonicalName: "qformer.\(name)", sourceName: "model.qformer.\(name)", shape: shape, reason: "by key 'mm_token_fusion.qformer'")
    }
    /// A linear map, or for one size a norm.
    func affine(_ name: String, _ shape: [Int]) -> [ExpectedTensor] {
        [tensor(name + ".weight", shape), tensor(name + ".bias", [shape[0]])]
    }
    func attention(_ name: String, keys: Int) -> [ExpectedTensor] {
        affine("\(name).attention.query", [hidden, hidden]) + affine("\(name).attention.key", [hidden, keys])
            + affine("\(name).attention.value", [hidden, keys]) + affine("\(name).output.dense", [hidden, hidden])
            + affine("\(name).output.LayerNorm", [hidden])
    }
    let outer = [tensor("query_tokens", [1, qformer.queries, hidden])] + affine("layernorm", [hidden])
    let layers = (0..<qformer.layerCount).lazy.flatMap { index in
        let prefix = "encoder.layer.\(index)."
        return attention(prefix + "attention", keys: hidden)
            + (qformer.hasCrossAttention(layer: index) ? attention(prefix + "crossattention", keys: inputChannels) : [])
            + affine(prefix + "intermediate_query.dense", [qformer.intermediateSize, hidden])
            + affine(prefix + "output_query.dense", [hidden, qformer.intermediateSize])
            + affine(prefix + "output_query.LayerNorm", [hidden])
    }
    return [AnySequence(outer), AnySequence(layers)].joined()
}
