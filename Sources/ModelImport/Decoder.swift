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
    /// `visionRows`: rows of the last parameter, which negative tokens stand for; nil leaves it out. `prefusion` makes the decoder's rows of
    /// those of a prompt with an image.
    mutating func addDecoder(
        _ decoder: DecoderConfiguration, _ bounds: StepBounds, visionRows: Int?, _ prefusion: Prefusion? = nil
    ) throws(Diagnostic) {
        let rows = module.declare(EntryPoint.Count.rows.rawValue, bound: bounds.rows)
        let wanted = module.declare(EntryPoint.Count.wanted.rawValue, bound: bounds.wanted)
        let embedding = try weight("decoder.embedding", from: "decoder.embed_tokens.weight", role: .embedding)
        let head = decoder.tiedEmbeddings ? embedding : try weight("decoder.head.weight", from: "decoder.lm_head.weight", role: .head)
        let finalNorm = try weight("decoder.norm.scale", from: "decoder.norm.weight")
        var layers: [DecoderLayer] = []
        for index in 0..<decoder.layerCount {
            layers.append(try decoderLayer("decoder.layer\(index)", from: "decoder.layers.\(index)", decoder))
        }

        let list = TensorType(.int32, [rows])
        var parameters = [
            Parameter(.tokens, type: list), Parameter(.slots, type: list), Parameter(.positions, type: list),
            Parameter(.wanted, type: TensorType(.int32, [wanted])),
        ]
        if let visionRows {
            parameters.append(Parameter(.visionRows, type: TensorType(.float32, fixed: [visionRows, decoder.hiddenSize])))
        }
        var builder = FunctionBuilder(.step, parameters: parameters, in: module)
        var hidden = try builder.append(
            "decoder.tokens", .embed(Embed(hasVision: visionRows != nil)),
            [.region(.tokens), embedding] + (visionRows == nil ? [] : [.region(.visionRows)]))
        var (slots, wantedList) = (Operand.region(.slots), Operand.region(.wanted))
        if let prefusion {
            let rows = try append(prefusion, to: &builder, hidden, decoder)
            (hidden, slots, wantedList) = (rows.hidden, rows.slots, rows.wanted)
        }
        for (index, layer) in layers.enumerated() {
            let name = "decoder.layer\(index)"
            let call = LayerCall(
                keys: .state("\(name).key_cache"), values: .state("\(name).value_cache"), slots: slots,
                places: .reserved(lengths: .state("\(name).lengths")), positions: prefusion == nil ? .region(.positions) : nil)
            hidden = try append(layer, to: &builder, name, hidden, decoder, call)
        }
        let epsilon = RMSNorm(epsilon: decoder.rmsNormEpsilon)
        // Norm of every row, as the model says; a pass may move gather_rows before it.
        let normed = try builder.append("decoder.norm", .rmsNorm(epsilon), [hidden, finalNorm])
        let wantedRows = try builder.append("decoder.wanted", .gatherRows(GatherRows()), [normed, wantedList])
        let logits = try builder.linear("decoder.logits", wantedRows, head)
        module.functions.append(builder.finish(returning: [logits]))
    }

    struct DecoderLayer {
        let norm1, norm2, query, key, value, output, gate, up, down: Operand
    }

    /// What a layer is called with, beside its rows.
    struct LayerCall {
        enum Places {
            /// Behind the rows that a state counts
            case reserved(lengths: Operand)
            case given(Operand)
        }

        /// Caches
        let keys, values: Operand
        let slots: Operand
        let places: Places
        /// Nil where the rows' places are their positions
        let positions: Operand?
    }

    mutating func decoderLayer(
        _ name: String, from layer: String, _ decoder: DecoderConfiguration
    ) throws(Diagnostic) -> DecoderLayer {
        let isInterleaved = decoder.interleavedRotary
        func weight(_ part: String, from source: String, interleavedHeads: Int? = nil) throws(Diagnostic) -> Operand {
            try self.weight(
                "\(name).\(part)", from: "\(layer).\(source).weight", role: .decoderLayer,
                interleavedHeads: isInterleaved ? interleavedHeads : nil)
        }
        return DecoderLayer(
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

    func append(
        _ layer: DecoderLayer, to builder: inout FunctionBuilder, _ name: String, _ input: Operand, _ decoder: DecoderConfiguration,
        _ call: LayerCall
    ) throws(Diagnostic) -> Operand {
        let epsilon = RMSNorm(epsilon: decoder.rmsNormEpsilon)
        func reserve() throws(Diagnostic) -> Operand {
            switch call.places {
            case .reserved(let lengths): return try builder.append("\(name).attention.places", .reserve(Reserve()), [lengths, call.slots])
            case .given(let places): return places
            }
        }
        let scaling = decoder.ropeScaling.map {
            Rotary.Scaling(
                factor: Float($0.factor), low: Float($0.lowFrequencyFactor), high: Float($0.highFrequencyFactor),
                original: $0.originalPositions)
        }
        let rotary = Rotary(headSize: decoder.headSize, theta: Float(decoder.ropeTheta), scaling: scaling)
        let attention = Attention(
            heads: decoder.headCount, keyValueHeads: decoder.keyValueHeadCount, scale: 1 / Float(decoder.headSize).squareRoot(),
            isCached: true)
        let (keys, values, slots) = (call.keys, call.values, call.slots)
        let normed = try builder.append("\(name).attention.norm", .rmsNorm(epsilon), [input, layer.norm1])
        let query = try builder.linear("\(name).attention.query", normed, layer.query)
        let key = try builder.linear("\(name).attention.key", normed, layer.key)
        let value = try builder.linear("\(name).attention.value", normed, layer.value)
        let reserved = try call.positions == nil ? reserve() : nil
        let positions = call.positions ?? reserved ?? .region(.positions)
        let turnedQuery = try builder.append("\(name).attention.query.rotary", .rotary(rotary), [query, positions])
        let turnedKey = try builder.append("\(name).attention.key.rotary", .rotary(rotary), [key, positions])
        let places = if let reserved { reserved } else { try reserve() }
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
