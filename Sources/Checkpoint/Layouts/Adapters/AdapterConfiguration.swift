import Support

/// What `adapter_config.json` says of a LoRA adapter, in PEFT's format.
struct AdapterConfiguration {
    /// Values for the modules whose name ends in `text`, of which each dot stands for any character, as in PEFT's regular expressions.
    private struct Pattern {
        let text: Substring
        /// The whole name must fit.
        let isAnchored: Bool
        let source: String
        let value: Double

        func fits(_ module: String) -> Bool {
            guard module.utf8.count == text.utf8.count || !isAnchored && module.utf8.count > text.utf8.count else { return false }
            let start = module.utf8.count - text.utf8.count
            guard start == 0 || module.utf8.dropLast(text.utf8.count).last == UInt8(ascii: ".") else { return false }
            return zip(module.utf8.dropFirst(start), text.utf8).allSatisfy { $1 == UInt8(ascii: ".") || $0 == $1 }
        }
    }

    private let config: JSONObject
    private let rank: Int
    private let alpha: Double
    private let isStabilised: Bool
    private let ranks, alphas: [Pattern]

    /// Keys that change nothing in what a saved adapter computes: where it comes from, how it was trained, and which modules it was put into,
    /// which its tensors' names say.
    private static let harmless: Set<String> = [
        "auto_mapping", "base_model_name_or_path", "corda_config", "eva_config", "exclude_modules", "inference_mode",
        "layers_pattern", "layers_to_transform", "loftq_config", "lora_dropout", "lora_dtype", "lora_ga_config", "lorap_emb_lr",
        "lorap_lr_ratio",
        "megatron_core", "modules_to_save", "peft_version", "qalora_group_size", "revision", "runtime_config", "target_modules",
        "task_type", "velora_config",
    ]
    /// Keys that are read below.
    private static let known: Set<String> = [
        "alpha_pattern", "bias", "init_lora_weights", "lora_alpha", "peft_type", "r", "rank_pattern", "use_rslora",
    ]
    /// Ways to begin that leave the base's weights as they are.
    private static let initializations = ["gaussian", "eva", "mica", "orthogonal"]

    init(_ config: JSONObject) throws(Diagnostic) {
        if let kind = try config.optionalString("peft_type"), kind != "LORA" {
            throw config.invalid("peft_type", "is \(quoted(kind)), which is not supported", expected: "'LORA'")
        }
        for key in config.members.keys.sorted() where !Self.harmless.contains(key) && !Self.known.contains(key) {
            switch config.members[key]! {
            case .null, .bool(false), .string(""), .array([]), .object([:]): continue
            case .bool(true): throw config.invalid(key, "is true, which is not supported", expected: "false")
            default: throw config.invalid(key, "is set, which is not supported", expected: "null")
            }
        }
        if let bias = try config.optionalString("bias"), bias != "none" {
            throw config.invalid("bias", "is \(quoted(bias)), which is not supported", expected: "'none'")
        }
        switch config["init_lora_weights"] {
        case nil, .bool?: break
        case .string(let name)? where Self.initializations.contains(name.lowercased()): break
        default:
            throw config.invalid(
                "init_lora_weights", "is \(quoted(try config.string("init_lora_weights"))), with which PEFT changes the base's weights",
                expected: "an adapter that was saved with 'path_initial_model_for_weight_conversion'")
        }
        self.config = config
        rank = try config.dimension("r", default: 8)
        alpha = try config.positive("lora_alpha", default: 8)
        isStabilised = try config.optionalBool("use_rslora") ?? false
        ranks = try Self.patterns("rank_pattern", config)
        alphas = try Self.patterns("alpha_pattern", config)
    }

    private static func patterns(_ key: String, _ config: JSONObject) throws(Diagnostic) -> [Pattern] {
        guard let patterns = try config.optionalObject(key) else { return [] }
        var result: [Pattern] = []
        for source in patterns.members.keys.sorted() {
            var text = source[...]
            let isAnchored = text.first == "^"
            if isAnchored { text.removeFirst() }
            guard !text.isEmpty, text.allSatisfy({ $0 == "." || $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber) }) else {
                throw config.invalid(
                    key, "has the regular expression \(quoted(source)), which is not supported", expected: "names of modules")
            }
            let value = key == "rank_pattern" ? Double(try patterns.dimension(source)) : try patterns.positive(source, default: 0)
            result.append(Pattern(text: text, isAnchored: isAnchored, source: source, value: value))
        }
        return result
    }

    /// The value of the pattern that fits. PEFT takes the first, in an order that JSON does not promise.
    private func value(_ key: String, _ patterns: [Pattern], _ module: String) throws(Diagnostic) -> Double? {
        let fitting = patterns.filter { $0.fits(module) }
        if let other = fitting.first(where: { $0.value != fitting[0].value }) {
            throw config.invalid(
                key, "has two values for \(quoted(module)), by \(quoted(fitting[0].source)) and \(quoted(other.source))", expected: "one")
        }
        return fitting.first?.value
    }

    func rank(of module: String) throws(Diagnostic) -> Int { try value("rank_pattern", ranks, module).map { Int($0) } ?? rank }

    /// What B A of a module, by its name in the adapter, is scaled by.
    func scale(of module: String) throws(Diagnostic) -> Float {
        let alpha = try value("alpha_pattern", alphas, module) ?? alpha, rank = Double(try rank(of: module))
        return Float(isStabilised ? alpha / rank.squareRoot() : alpha / rank)
    }
}
