import Support

extension PrefusionConfiguration {
    /// What a model that has one says of itself, in `config.json`.
    static let modelType = "llava_mini_llama"

    /// What the published code fixes, whatever the configuration says.
    static let headCount = 8

    static func isMeant(by config: JSONObject) throws(Diagnostic) -> Bool { try config.optionalString("model_type") == modelType }

    /// Refuses what the published code does to images of more pixels, and a tower whose channels its heads do not share.
    init(_ config: JSONObject, vision: VisionConfiguration) throws(Diagnostic) {
        if let ratio = try config.optionalDouble("resolution_ratio"), ratio != 1 {
            throw config.invalid("resolution_ratio", "is \(ratio), which is not supported", expected: "1, an image as one")
        }
        edge = try config.dimension("compressor_size", default: 2, limit: vision.grid)
        layerCount = try config.dimension("prefusion_layer_num", default: 4, limit: JSONObject.maximumLayers)
        (width, headCount, layerNormEpsilon) = (vision.hiddenSize, Self.headCount, 1e-5)
        guard width % headCount == 0 else {
            throw .error(
                "a tower of \(width) channels", at: .file(config.file),
                expected: "a multiple of the \(headCount) heads of LLaVA-Mini's compressor"
            )
        }
    }

    /// Its tensors ahead of a decoder.
    func tensors(_ decoder: DecoderConfiguration) -> some Sequence<ExpectedTensor> {
        func tensor(_ name: String, _ shape: [Int]) -> ExpectedTensor {
            ExpectedTensor(canonicalName: "compressor.\(name)", sourceName: "model.compressor.\(name)", shape: shape)
        }
        let compressor = [
            ExpectedTensor(
                canonicalName: "compressor.query", sourceName: "model.compressor.query", shape: [tokens, width],
                reason: "by key 'compressor_size', \(edge) x \(edge)"),
            tensor("pos_embed", [tokens, width]), tensor("ln_q.weight", [width]), tensor("ln_q.bias", [width]),
            tensor("ln_kv.weight", [width]), tensor("ln_kv.bias", [width]), tensor("attn.in_proj_weight", [3 * width, width]),
            tensor("attn.in_proj_bias", [3 * width]), tensor("attn.out_proj.weight", [width, width]), tensor("attn.out_proj.bias", [width]),
        ]
        let layers = decoderLayerTensors(decoder, count: layerCount, canonical: "prefusion.layers", source: "model.prefusion_layers")
        return [AnySequence(compressor), AnySequence(layers)].joined()
    }
}
