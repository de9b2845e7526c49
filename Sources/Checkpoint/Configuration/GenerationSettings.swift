import Support

/// A key by which a checkpoint asks for another way of choosing tokens than the program's: reported, and left to the program's options.
public struct GenerationSetting: Sendable, Equatable {
    public let key: String
    public let value: JSONValue
    public let file: String

    /// Keys that change which token comes next, with the values that change nothing.
    static let neutral: [String: [JSONValue]] = [
        "bad_words_ids": [.array([])], "begin_suppress_tokens": [.array([])], "constraints": [.array([])], "diversity_penalty": [0],
        "do_sample": [.bool(false)], "dola_layers": [], "early_stopping": [.bool(false)], "encoder_no_repeat_ngram_size": [0],
        "encoder_repetition_penalty": [1], "epsilon_cutoff": [0], "eta_cutoff": [0], "exponential_decay_length_penalty": [],
        "force_words_ids": [.array([])], "forced_bos_token_id": [], "forced_decoder_ids": [.array([])], "forced_eos_token_id": [],
        "guidance_scale": [1], "length_penalty": [1], "min_length": [0], "min_new_tokens": [0], "min_p": [0], "no_repeat_ngram_size": [0],
        "num_beam_groups": [1], "num_beams": [1], "num_return_sequences": [1], "penalty_alpha": [0], "repetition_penalty": [1],
        "sequence_bias": [.object([:]), .array([])], "stop_strings": [.array([])], "suppress_tokens": [.array([])], "temperature": [1],
        "token_healing": [.bool(false)], "top_h": [1], "top_k": [0, 50], "top_p": [1], "typical_p": [1], "watermarking_config": [],
    ]

    /// Those of a checkpoint's folder, by key: of `generation_config.json`, and of `config` and its text model, where older files have them.
    static func all(config: JSONObject, folder: String) throws(Diagnostic) -> [GenerationSetting] {
        var objects = [config]
        if case .object(let members)? = config["text_config"] { objects.append(JSONObject(file: config.file, members: members)) }
        if let own = try JSONObject.ifPresent("generation_config.json", in: folder) { objects.insert(own, at: 0) }
        return neutral.keys.sorted().compactMap { key in
            guard let object = objects.first(where: { $0[key] != nil }), let value = object[key], !isNeutral(value, key) else { return nil }
            return GenerationSetting(key: key, value: value, file: object.file)
        }
    }

    private static func isNeutral(_ value: JSONValue, _ key: String) -> Bool {
        if case .number(let number) = value, let integer = Int64(exactly: number) { return isNeutral(.integer(integer), key) }
        return neutral[key]!.contains(value)
    }

    /// What a `compile` says of `settings`, a line per file.
    public static func notes(_ settings: [GenerationSetting]) -> [Diagnostic] {
        Set(settings.map(\.file)).sorted().map { file in
            let own = settings.filter { $0.file == file }
            let list = own.map { "\(quoted($0.key)) \($0.shownValue.text())" }.joined(separator: ", ")
            return .note(
                "\(list) \(own.count == 1 ? "is" : "are") not followed: the program is greedy unless its options say otherwise",
                at: .file(file))
        }
    }

    /// The value, or what it is where it is long.
    public var shownValue: JSONText {
        let json = JSONText(value)
        return json.text().utf8.count <= 200 ? json : .string("\(value.kind), left out for its length")
    }
}

extension JSONValue: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: Int64) { self = .integer(value) }
}
