import Support

/// Look-ups that every part of the configuration shares.
extension JSONObject {
    static let maximumDimension = Int(Int32.max)
    static let maximumLayers = 10_000

    /// The `config.json` of `folder`, which `kind` describes to the user.
    static func configuration(of folder: String, kind: String) throws(Diagnostic) -> JSONObject {
        let path = joinedPath(folder, "config.json")
        guard !isAbsent(path) else { throw .error("no 'config.json'", at: .file(folder), expected: kind) }
        return try JSONObject(readingFile: path)
    }

    /// The object in the file `name` of `folder`; nil without that file.
    static func ifPresent(_ name: String, in folder: String) throws(Diagnostic) -> JSONObject? {
        let path = joinedPath(folder, name)
        return isAbsent(path) ? nil : try JSONObject(readingFile: path)
    }

    /// A positive size of at most `limit`.
    func dimension(_ key: String, default fallback: Int? = nil, limit: Int = maximumDimension) throws(Diagnostic) -> Int {
        if let fallback, self[key] == nil { return fallback }
        let value = try integer(key)
        guard 1...limit ~= value else { throw invalid(key, "is \(value)", expected: "1 to \(limit)") }
        return value
    }

    func positive(_ key: String, default fallback: Double) throws(Diagnostic) -> Double {
        let value = try optionalDouble(key) ?? fallback
        // The float must be positive too, since that is what the model computes with.
        guard Float(value) > 0, Float(value).isFinite else { throw invalid(key, "is \(value)", expected: "a positive number") }
        return value
    }

    /// Refuses a key whose only supported value is false (or absent).
    func refuseTrue(_ key: String) throws(Diagnostic) {
        if try optionalBool(key) == true { throw invalid(key, "is true, which is not supported", expected: "false") }
    }

    /// Heads that older releases cut out of the weights when they load them.
    func refusePrunedHeads() throws(Diagnostic) {
        if let heads = try optionalObject("pruned_heads"), !heads.members.isEmpty {
            throw invalid("pruned_heads", "is set, which is not supported", expected: "null or empty")
        }
    }

    /// Refuses packed weights, which bitsandbytes, GPTQ, AWQ and compressed-tensors announce by these keys.
    func refuseQuantization() throws(Diagnostic) {
        for key in ["quantization_config", "compression_config"] where self[key] != nil {
            throw invalid(key, "is set, which is not supported", expected: "weights in F32, F16 or BF16")
        }
    }

    /// Refuses keys outside of `known`, for objects whose whole meaning is ours.
    func refuseUnknownKeys(_ known: [String]) throws(Diagnostic) {
        for key in members.keys.sorted() where !known.contains(key) {
            let hint = nearestName(to: key, among: known).map { quoted($0) } ?? quotedList(known)
            throw invalid(key, "is not known", expected: hint)
        }
    }
}

extension DecoderConfiguration {
    /// Reads the keys of a LLaMA `config.json`, with transformers' defaults for what it may leave out.
    init(_ config: JSONObject) throws(Diagnostic) {
        hiddenSize = try config.dimension("hidden_size")
        layerCount = try config.dimension("num_hidden_layers", limit: JSONObject.maximumLayers)
        headCount = try config.dimension("num_attention_heads")
        keyValueHeadCount = try config.dimension("num_key_value_heads", default: headCount)
        intermediateSize = try config.dimension("intermediate_size")
        vocabularySize = try config.dimension("vocab_size")
        maxPositionEmbeddings = try config.dimension("max_position_embeddings", default: 2048)
        rmsNormEpsilon = Float(try config.positive("rms_norm_eps", default: 1e-6))
        tiedEmbeddings = try config.optionalBool("tie_word_embeddings") ?? false
        (ropeTheta, ropeScaling) = try Self.rotary(config, positions: maxPositionEmbeddings)

        guard headCount % keyValueHeadCount == 0 else {
            throw config.invalid(
                "num_key_value_heads", "is \(keyValueHeadCount)", expected: "a divisor of the \(headCount) attention heads")
        }
        if config["head_dim"] != nil {
            headSize = try config.dimension("head_dim")
        } else {
            guard hiddenSize % headCount == 0 else {
                throw config.invalid("hidden_size", "is \(hiddenSize)", expected: "a multiple of the \(headCount) attention heads")
            }
            headSize = hiddenSize / headCount
        }
        guard headSize % 2 == 0 else {
            let key = config["head_dim"] == nil ? "hidden_size" : "head_dim"
            throw config.invalid(key, "gives heads of \(headSize)", expected: "an even size, for rotary embeddings")
        }
        guard checkedProduct(headCount, headSize).map({ $0 <= JSONObject.maximumDimension }) == true else {
            throw config.invalid("head_dim", "is \(headSize)", expected: "heads of at most \(JSONObject.maximumDimension) together")
        }

        try config.refuseTrue("attention_bias")
        try config.refuseTrue("mlp_bias")
        try config.refuseTrue("use_sliding_window")
        if config["sliding_window"] != nil {
            throw config.invalid("sliding_window", "is set, which is not supported", expected: "null")
        }
        if let activation = try config.optionalString("hidden_act"), activation != "silu" {
            throw config.invalid("hidden_act", "is \(quoted(activation)), which is not supported", expected: "'silu'")
        }
        if let kinds = try config.optionalArray("layer_types"), let other = kinds.first(where: { $0 != .string("full_attention") }) {
            let name = if case .string(let name) = other { quoted(name) } else { other.kind }
            throw config.invalid("layer_types", "holds \(name), which is not supported", expected: "'full_attention' only")
        }
        if config["per_layer_config"] != nil {
            throw config.invalid("per_layer_config", "is set, which is not supported", expected: "null")
        }
        try config.refusePrunedHeads()
        try config.refuseQuantization()
    }
}

extension PromptConfiguration {
    /// Merges the ids of `config.json`, `generation_config.json`, `tokenizer_config.json` and the tokenizer itself.
    init(config: JSONObject, folder: String, tokenizer: Tokenizer, vocabularySize: Int) throws(Diagnostic) {
        func ids(_ object: JSONObject, _ key: String) throws(Diagnostic) -> [Int] {
            let ids = if case .array? = object[key] { try object.integers(key) } else { try object.optionalInteger(key).map { [$0] } ?? [] }
            if let wrong = ids.first(where: { !(0..<vocabularySize ~= $0) }) {
                throw object.invalid(key, "is \(wrong)", expected: "less than the vocabulary's \(vocabularySize)")
            }
            return ids
        }
        var eos = try ids(config, "eos_token_id")
        if let generation = try JSONObject.ifPresent("generation_config.json", in: folder) { eos += try ids(generation, "eos_token_id") }
        if eos.isEmpty, let id = tokenizer.eosID { eos = [id] }
        eosIDs = Set(eos).sorted()

        // The tokenizer is what puts the BOS there, so its own id counts before the configuration's.
        let configured = try ids(config, "bos_token_id").first
        bosID = tokenizer.bosID ?? configured
        // A 'tokenizer.json' says itself whether it puts the BOS there, and transformers 5 asks nothing else.
        var wantsBOS: Bool?
        if case .sentencePiece = tokenizer {
            wantsBOS = try JSONObject.ifPresent("tokenizer_config.json", in: folder)?.optionalBool("add_bos_token")
        }
        addsBOS = bosID != nil && wantsBOS ?? tokenizer.addsBOS
        templateName = tokenizer.templateName
    }
}
