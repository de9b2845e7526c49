import Checkpoint
import IR
import Support

extension Importer {
    /// KV caches of `context` rows in each of `sequences` slots, rotary already applied to the keys, and the rows that each block's hold.
    mutating func addCaches(_ decoder: DecoderConfiguration, context: Int, sequences: Int) {
        let type = TensorType(.float32, fixed: [sequences, context, decoder.keyValueHeadCount * decoder.headSize])
        for layer in 0..<decoder.layerCount {
            module.states["decoder.layer\(layer).lengths"] = TensorType(.int32, fixed: [sequences])
            module.states["decoder.layer\(layer).key_cache"] = type
            module.states["decoder.layer\(layer).value_cache"] = type
        }
    }

    /// A LLaMA decoder over T rows of any sequences: `step` returns the logits f32[S, vocabulary] of the wanted ones.
    /// `visionRows`: rows of the last parameter, which negative tokens stand for; nil leaves it out.
    mutating func addDecoder(_ decoder: DecoderConfiguration, _ bounds: StepBounds, visionRows: Int?) throws(Diagnostic) {
        let rows = module.declare(EntryPoint.Count.rows.rawValue, bound: bounds.rows)
        let wanted = module.declare(EntryPoint.Count.wanted.rawValue, bound: bounds.wanted)
        let embedding = try weight("decoder.embedding", from: "decoder.embed_tokens.weight", role: .embedding)
        let head = decoder.tiedEmbeddings ? embedding : try weight("decoder.head.weight", from: "decoder.lm_head.weight", role: .head)
        let finalNorm = try weight("decoder.norm.scale", from: "decoder.norm.weight")
        var layers: [Layer] = []
        for index in 0..<decoder.layerCount { layers.append(try layer(index, decoder)) }

        let list = TensorType(.int32, [rows])
        var parameters = [
            Parameter(.tokens, type: list), Parameter(.slots, type: list), Parameter(.positions, type: list),
            Parameter(.wanted, type: TensorType(.int32, [wanted])),
        ]
        if let visionRows {
            parameters.append(Parameter(.visionRows, type: TensorType(.float32, fixed: [visionRows, decoder.hiddenSize])))
        }
        let epsilon = RMSNorm(epsilon: decoder.rmsNormEpsilon)
        var builder = FunctionBuilder(.step, parameters: parameters, in: module)
        var hidden = try builder.append(
            "decoder.tokens", .embed(Embed(hasVision: visionRows != nil)),
            [.region(.tokens), embedding] + (visionRows == nil ? [] : [.region(.visionRows)]))
        for (index, layer) in layers.enumerated() {
            hidden = try append(layer, to: &builder, "decoder.layer\(index)", hidden, decoder, epsilon)
        }
        // Norm of every row, as the model says; a pass may move gather_rows before it.
        let normed = try builder.append("decoder.norm", .rmsNorm(epsilon), [hidden, finalNorm])
        let wantedRows = try builder.append("decoder.wanted", .gatherRows(GatherRows()), [normed, .region(.wanted)])
        let logits = try builder.linear("decoder.logits", wantedRows, head)
        module.functions.append(builder.finish(returning: [logits]))
    }

    private struct Layer {
        let norm1, norm2, query, key, value, output, gate, up, down: Operand
    }

    private mutating func layer(_ index: Int, _ decoder: DecoderConfiguration) throws(Diagnostic) -> Layer {
        let isInterleaved = decoder.interleavedRotary
        let (name, layer) = ("decoder.layer\(index)", "decoder.layers.\(index)")
        func weight(_ part: String, from source: String, interleavedHeads: Int? = nil) throws(Diagnostic) -> Operand {
            try self.weight(
                "\(name).\(part)", from: "\(layer).\(source).weight", role: .decoderLayer,
                interleavedHeads: isInterleaved ? interleavedHeads : nil)
        }
        return Layer(
            norm1: try weight("attention.norm.scale", from: "input_layernorm"),
            norm2: try weight("mlp.norm.scale", from: "post_attention_layernorm"),
            query: try weight("attention.query.weight", from: "self_attn.q_proj", interleavedHeads: decoder.headCount),
            key: try weight("attention.key.weight", from: "self_attn.k_proj", interleavedHeads: decoder.keyValueHeadCount),
            value: try weight("attention.value.weight", from: "self_attn.v_proj"),
            output: try weight("attention.output.weight", from: "self_attn.o_proj"),
            gate: try weight("mlp.gate.weight", from: "mlp.gate_proj"),
            up: try weight("mlp.up.weight", from: "mlp.up_proj"),
            down: try weight("mlp.down.weight", from: "mlp.down_proj"))
    }

    private func append(
        _ layer: Layer, to builder: inout FunctionBuilder, _ name: String, _ input: Operand, _ decoder: DecoderConfiguration,
        _ epsilon: RMSNorm
    ) throws(Diagnostic) -> Operand {
        let scaling = decoder.ropeScaling.map {
            Rotary.Scaling(
                factor: Float($0.factor), low: Float($0.lowFrequencyFactor), high: Float($0.highFrequencyFactor),
                original: $0.originalPositions)
        }
        let rotary = Rotary(headSize: decoder.headSize, theta: Float(decoder.ropeTheta), scaling: scaling)
        let attention = Attention(
            heads: decoder.headCount, keyValueHeads: decoder.keyValueHeadCount, scale: 1 / Float(decoder.headSize).squareRoot(),
            isCached: true)
        let keys = Operand.state("\(name).key_cache")
        let values = Operand.state("\(name).value_cache")
        let normed = try builder.append("\(name).attention.norm", .rmsNorm(epsilon), [input, layer.norm1])
        let query = try builder.linear("\(name).attention.query", normed, layer.query)
        let key = try builder.linear("\(name).attention.key", normed, layer.key)
        let value = try builder.linear("\(name).attention.value", normed, layer.value)
        let turnedQuery = try builder.append("\(name).attention.query.rotary", .rotary(rotary), [query, .region(.positions)])
        let turnedKey = try builder.append("\(name).attention.key.rotary", .rotary(rotary), [key, .region(.positions)])
        let slots = Operand.region(.slots)
        let places = try builder.append("\(name).attention.places", .reserve(Reserve()), [.state("\(name).lengths"), slots])
        try builder.append("\(name).attention.key.store", .cacheStore(CacheStore()), [keys, turnedKey, slots, places])
        try builder.append("\(name).attention.value.store", .cacheStore(CacheStore()), [values, value, slots, places])
        let mixed = try builder.append("\(name).attention", .attention(attention), [turnedQuery, keys, values, slots, places])
        let output = try builder.linear("\(name).attention.output", mixed, layer.output)
        let middle = try builder.append("\(name).attention.residual", .add(Add()), [output, input])
        let normed2 = try builder.append("\(name).mlp.norm", .rmsNorm(epsilon), [middle, layer.norm2])
        let gate = try builder.linear("\(name).mlp.gate", normed2, layer.gate)
        let up = try builder.linear("\(name).mlp.up", normed2, layer.up)
        let active = try builder.append("\(name).mlp.activation", .activation(Activation(.silu)), [gate])
        let product = try builder.append("\(name).mlp.product", .multiply(Multiply()), [active, up])
        let down = try builder.linear("\(name).mlp.down", product, layer.down)
        return try builder.append("\(name).output", .add(Add()), [down, middle])
    }
}
