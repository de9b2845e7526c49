import Support

/// A LoRA adapter in PEFT's layout: `adapter_config.json`, the low-rank tensors, and, where LLaVA made it, the other tensors that were
/// trained along (`non_lora_trainables.bin`).
struct AdapterSource {
    /// A weight W becomes W + scale * B A; an embedding's, which stands the other way round, W + scale * (B A)^T.
    struct Update {
        let down, up: TensorFolder.Entry
        let rank: Int
        let scale: Float
        let isEmbedding: Bool
    }

    /// By the weight's name in LLaVA's layout.
    private(set) var updates: [String: Update] = [:]
    /// Whole tensors that stand for the checkpoint's.
    private(set) var replacements: [String: TensorFolder.Entry] = [:]

    /// `naming` gives a name of any spelling in LLaVA's layout.
    init(folder: String, naming: (String) -> String) throws(Diagnostic) {
        guard fileKind(folder) == .folder else {
            throw .error("\(quoted(folder)) is not a folder", at: .option("--adapter"), expected: "a folder with 'adapter_config.json'")
        }
        let path = joinedPath(folder, "adapter_config.json")
        guard !isAbsent(path) else { throw .error("no 'adapter_config.json'", at: .file(folder), expected: "an adapter in PEFT's layout") }
        let config = try AdapterConfiguration(JSONObject(readingFile: path))
        guard let name = Self.weightNames.first(where: { !isAbsent(joinedPath(folder, $0)) }) else {
            throw .error("no weights of the adapter", at: .file(folder), expected: quotedList(Self.weightNames))
        }
        try read(TensorFile(path: joinedPath(folder, name)), config, naming)
        let others = joinedPath(folder, "non_lora_trainables.bin")
        if !isAbsent(others) {
            for (name, entry) in try TensorFile(path: others).entries.sorted(by: { $0.key < $1.key }) {
                try replacements.add(entry, as: naming(Self.replacedName(Self.withoutWrapper(name))))
            }
        }
    }

    /// The files that may hold an adapter's tensors, the preferred first.
    static let weightNames = ["adapter_model.safetensors", "adapter_model.bin"]

    /// PEFT puts `base_model.model.` before the model's own names.
    private static func withoutWrapper(_ name: String) -> String {
        let prefix = "base_model.model."
        return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }

    /// The weight that a whole tensor stands for: PEFT keeps it under `base_layer` where it has an update too, as of a head, and under
    /// `modules_to_save` where it was trained whole.
    private static func replacedName(_ name: String) -> String {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false)
        if let index = parts.lastIndex(of: "modules_to_save") {
            // The adapter's name may follow.
            parts.removeSubrange(index..<max(index + 1, parts.count - 1))
        } else if let index = parts.lastIndex(of: "base_layer") {
            parts.remove(at: index)
        }
        return parts.joined(separator: ".")
    }

    private enum Part { case down, up }

    /// What stands behind `.lora_`: `A.weight`, in older releases `A.default.weight`, or `embedding_A`, and the same of B.
    private static func part(_ rest: Substring) -> (Part, isEmbedding: Bool)? {
        let words = rest.split(separator: ".", omittingEmptySubsequences: false)
        switch (words.first, words.count, words.last == "weight") {
        case ("A", 2...3, true): return (.down, false)
        case ("B", 2...3, true): return (.up, false)
        case ("embedding_A", 1...2, false): return (.down, true)
        case ("embedding_B", 1...2, false): return (.up, true)
        default: return nil
        }
    }

    private mutating func read(_ file: TensorFile, _ config: AdapterConfiguration, _ naming: (String) -> String) throws(Diagnostic) {
        struct Pair {
            let module: String
            let isEmbedding: Bool
            var entries: [Part: TensorFolder.Entry] = [:]
        }
        var pairs: [String: Pair] = [:]
        for (name, entry) in file.entries.sorted(by: { $0.key < $1.key }) {
            let own = Self.withoutWrapper(name)
            guard let range = own.firstRange(of: ".lora_") else {
                try replacements.add(entry, as: naming(Self.replacedName(own)))
                continue
            }
            guard let (part, isEmbedding) = Self.part(own[range.upperBound...]) else {
                throw .error(
                    "the tensor is neither A nor B of a low-rank update", at: entry.site,
                    expected: "'lora_A' and 'lora_B' of linear layers and embeddings")
            }
            let module = String(own[..<range.lowerBound])
            let weight = naming(module + ".weight")
            if let other = pairs[weight]?.entries.values.first, pairs[weight]?.isEmbedding != isEmbedding {
                throw entry.sameName(as: other, weight)
            }
            if let other = pairs[weight, default: Pair(module: module, isEmbedding: isEmbedding)].entries.updateValue(entry, forKey: part) {
                throw entry.sameName(as: other, weight)
            }
        }
        for (weight, pair) in pairs.sorted(by: { $0.key < $1.key }) {
            guard let down = pair.entries[.down], let up = pair.entries[.up] else {
                let isDown = pair.entries[.down] != nil
                throw .error(
                    "'lora_\(isDown ? "A" : "B")' has no 'lora_\(isDown ? "B" : "A")'", at: pair.entries.first!.value.site, expected: "both"
                )
            }
            updates[weight] = Update(
                down: down, up: up, rank: try config.rank(of: pair.module), scale: try config.scale(of: pair.module),
                isEmbedding: pair.isEmbedding)
        }
        guard !updates.isEmpty else {
            throw .error("the adapter changes nothing", at: .file(file.file.path), expected: "tensors '*.lora_A.weight'")
        }
    }

    /// The low-rank tensors as entries beside those of `matcher`; gives the scale by canonical name of the weight that changes.
    func apply(to matcher: inout TensorMatcher) throws(Diagnostic) -> [String: Float] {
        var scales: [String: Float] = [:]
        for (name, update) in updates.sorted(by: { $0.key < $1.key }) {
            guard let canonical = matcher.canonicalNames[name], let base = matcher.entries[canonical], base.shape.count == 2,
                update.isEmbedding == (canonical == ModelConfiguration.embeddingName)
            else {
                let what = update.isEmbedding ? "an embedding" : "a weight"
                throw .error(
                    "the adapter changes \(what) that the model does not have", at: update.down.site,
                    expected: update.isEmbedding ? "the decoder's" : "a linear layer of the checkpoint")
            }
            let (output, input) = update.isEmbedding ? (base.shape[1], base.shape[0]) : (base.shape[0], base.shape[1])
            for (part, entry, shape) in [("lora_A", update.down, [update.rank, input]), ("lora_B", update.up, [output, update.rank])] {
                let name = Self.canonicalName(of: part, canonical)
                let expected = ExpectedTensor(
                    canonicalName: name, sourceName: "", shape: shape, reason: "for rank \(update.rank) and \(base.shape)")
                matcher.entries[name] = try expected.entry(entry)
            }
            scales[canonical] = update.scale
        }
        return scales
    }

    /// A tensor of an adapter has its rows as transformers does, so it cannot stand for one whose rows a GGUF file keeps in another order.
    func refuseReplacedHeads() throws(Diagnostic) {
        for (name, entry) in replacements.sorted(by: { $0.key < $1.key })
        where name.hasSuffix(".q_proj.weight") || name.hasSuffix(".k_proj.weight") {
            throw .error(
                "the adapter replaces a whole query or key weight of a GGUF file", at: entry.site,
                expected: "a low-rank update, or a base in safetensors")
        }
    }

    static func canonicalName(of part: String, _ weight: String) -> String {
        ModelConfiguration.adapterPrefix + weight.dropLast("weight".count) + part
    }
}
