import Support

/// A LoRA adapter in PEFT's layout: `adapter_config.json`, the low-rank tensors, and, where LLaVA made it, the other tensors that were
/// trained along (`non_lora_trainables.bin`).
struct AdapterSource {
    /// A weight W becomes W + scale * B A.
    struct Update {
        let down, up: TensorFolder.Entry
    }

    let scale: Float
    let rank: Int
    /// By the weight's name in LLaVA's layout.
    private(set) var updates: [String: Update] = [:]
    /// Whole tensors that stand for the checkpoint's.
    private(set) var replacements: [String: TensorFolder.Entry] = [:]
    private let listing: String

    /// `naming` gives a name of the base checkpoint's files in LLaVA's layout.
    init(folder: String, naming: (String) -> String) throws(Diagnostic) {
        guard fileKind(folder) == .folder else {
            throw .error("\(quoted(folder)) is not a folder", at: .option("--adapter"), expected: "a folder with 'adapter_config.json'")
        }
        let path = joinedPath(folder, "adapter_config.json")
        guard !isAbsent(path) else { throw .error("no 'adapter_config.json'", at: .file(folder), expected: "an adapter in PEFT's layout") }
        let config = try JSONObject(readingFile: path)
        (rank, scale) = try Self.rankAndScale(config)
        let names = ["adapter_model.safetensors", "adapter_model.bin"]
        guard let name = names.first(where: { !isAbsent(joinedPath(folder, $0)) }) else {
            throw .error("no weights of the adapter", at: .file(folder), expected: quotedList(names))
        }
        listing = joinedPath(folder, name)
        try readLowRank(TensorFile(path: listing), naming)
        let others = joinedPath(folder, "non_lora_trainables.bin")
        if !isAbsent(others) {
            let file = try TensorFile(path: others)
            for (name, entry) in file.entries { replacements[naming(Self.withoutWrapper(name))] = entry }
        }
    }

    private static func rankAndScale(_ config: JSONObject) throws(Diagnostic) -> (Int, Float) {
        if let kind = try config.optionalString("peft_type"), kind != "LORA" {
            throw config.invalid("peft_type", "is \(quoted(kind)), which is not supported", expected: "'LORA'")
        }
        try config.refuseTrue("use_dora")
        try config.refuseTrue("fan_in_fan_out")
        if let bias = try config.optionalString("bias"), bias != "none" {
            throw config.invalid("bias", "is \(quoted(bias)), which is not supported", expected: "'none'")
        }
        for key in ["rank_pattern", "alpha_pattern"] {
            if let patterns = try config.optionalObject(key), !patterns.members.isEmpty {
                throw config.invalid(key, "is set, which is not supported", expected: "one rank and alpha for all weights")
            }
        }
        let rank = try config.dimension("r", default: 8)
        let alpha = try config.positive("lora_alpha", default: 8)
        let isStabilised = try config.optionalBool("use_rslora") ?? false
        return (rank, Float(isStabilised ? alpha / Double(rank).squareRoot() : alpha / Double(rank)))
    }

    /// PEFT puts `base_model.model.` before the model's own names.
    private static func withoutWrapper(_ name: String) -> String {
        let prefix = "base_model.model."
        return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }

    private mutating func readLowRank(_ file: TensorFile, _ naming: (String) -> String) throws(Diagnostic) {
        var down: [String: TensorFolder.Entry] = [:], up: [String: TensorFolder.Entry] = [:]
        for (name, entry) in file.entries.sorted(by: { $0.key < $1.key }) {
            let own = Self.withoutWrapper(name)
            // `x.lora_A.weight`, or `x.lora_A.default.weight` in older releases.
            guard let range = own.firstRange(of: ".lora_") else {
                replacements[naming(own)] = entry
                continue
            }
            let weight = naming(own[..<range.lowerBound] + ".weight")
            switch own[range.upperBound...].split(separator: ".").first {
            case "A": down[weight] = entry
            case "B": up[weight] = entry
            default: throw .error("the adapter changes more than linear layers", at: entry.site, expected: "'lora_A' and 'lora_B'")
            }
        }
        for (weight, entry) in down {
            guard let other = up[weight] else { throw .error("'lora_A' has no 'lora_B'", at: entry.site, expected: "both") }
            updates[weight] = Update(down: entry, up: other)
        }
        if let (_, entry) = up.first(where: { down[$0.key] == nil }) {
            throw .error("'lora_B' has no 'lora_A'", at: entry.site, expected: "both")
        }
        guard !updates.isEmpty else { throw .error("the adapter changes nothing", at: .file(file.file.path), expected: "tensors '*.lora_A.weight'") }
    }

    /// The low-rank tensors as entries beside those of `matcher`; gives the scale by canonical name of the weight that changes.
    func apply(to matcher: inout TensorMatcher) throws(Diagnostic) -> [String: Float] {
        var scales: [String: Float] = [:]
        for (name, update) in updates.sorted(by: { $0.key < $1.key }) {
            guard let canonical = matcher.canonicalNames[name], let base = matcher.entries[canonical], base.shape.count == 2 else {
                throw .error(
                    "the adapter changes a weight that the model does not have", at: update.down.site, expected: "a linear layer of the checkpoint")
            }
            for (part, entry, shape) in [("lora_A", update.down, [rank, base.shape[1]]), ("lora_B", update.up, [base.shape[0], rank])] {
                let name = Self.canonicalName(of: part, canonical)
                let expected = ExpectedTensor(canonicalName: name, sourceName: "", shape: shape, reason: "for rank \(rank) and \(base.shape)")
                matcher.entries[name] = try expected.entry(entry)
            }
            scales[canonical] = scale
        }
        return scales
    }

    static func canonicalName(of part: String, _ weight: String) -> String {
        ModelConfiguration.adapterPrefix + weight.dropLast("weight".count) + part
    }
}
