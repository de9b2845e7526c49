import Support

extension DecoderConfiguration {
    /// The rotary settings of a LLaMA's `config.json` in transformers' order of precedence. A key that is there and null is none that is
    /// absent: transformers computes with it, and fails. `positions` is `max_position_embeddings`.
    static func rotary(_ config: JSONObject, positions: Int) throws(Diagnostic) -> (theta: Double, scaling: RopeScaling?) {
        // The older name counts alone, unless it is empty.
        let older = try config.optionalObject("rope_scaling"), newer = try config.optionalObject("rope_parameters")
        let settings = [older, newer].compactMap(\.self).first { !$0.members.isEmpty }
        for (key, value) in settings?.members.sorted(by: { $0.key < $1.key }) ?? [] {
            guard case .object = value else { continue }
            throw settings!.invalid(
                key, "has settings of its own for a kind of layer, which is not supported", expected: "one for all layers")
        }
        for object in [settings, config].compactMap(\.self) {
            if let factor = try object.optionalDouble("partial_rotary_factor"), factor != 1 {
                throw object.invalid("partial_rotary_factor", "is \(factor), which is not supported", expected: "1")
            }
        }
        func given(_ key: String) -> JSONObject? { [settings, config].compactMap(\.self).first { $0.members[key] != nil } }
        let theta = try given("rope_theta").map { (object) throws(Diagnostic) in try object.requiredPositive("rope_theta") } ?? 10_000

        guard let settings, let kindKey = ["rope_type", "type"].first(where: { settings.members[$0] != nil }) else { return (theta, nil) }
        switch try settings.string(kindKey) {
        case "default": return (theta, nil)
        case "llama3": return (theta, try RopeScaling(settings, config, positions: positions))
        case let kind:
            throw settings.invalid(kindKey, "is \(quoted(kind)), which is not supported yet", expected: "'llama3' or 'default'")
        }
    }
}

extension RopeScaling {
    fileprivate init(_ settings: JSONObject, _ config: JSONObject, positions: Int) throws(Diagnostic) {
        let key = "original_max_position_embeddings"
        var original = positions
        // What stands at the top wins, and what it replaces must be sound all the same.
        for object in [settings, config] where object.members[key] != nil { original = try object.dimension(key) }
        self.init(
            factor: try settings.requiredPositive("factor"), lowFrequencyFactor: try settings.requiredPositive("low_freq_factor"),
            highFrequencyFactor: try settings.requiredPositive("high_freq_factor"), originalPositions: original)
        guard highFrequencyFactor > lowFrequencyFactor else {
            throw settings.invalid(
                "high_freq_factor", "is \(highFrequencyFactor)", expected: "more than low_freq_factor, \(lowFrequencyFactor)")
        }
    }
}

extension JSONObject {
    fileprivate func requiredPositive(_ key: String) throws(Diagnostic) -> Double {
        _ = try double(key)
        return try positive(key, default: 0)
    }
}
