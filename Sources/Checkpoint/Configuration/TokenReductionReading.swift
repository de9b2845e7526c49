import Support

extension TokenReduction {
    /// The option that chooses a method.
    public static let option = "--reduce"
    /// The key of `config.json` that does.
    public static let configurationKey = "mm_token_reduction"

    /// Reads the text of `--reduce`: `METHOD[:key=value,...]`; nil for `none`.
    public static func parse(_ text: String) throws(Diagnostic) -> TokenReduction? {
        let name = text.prefix { $0 != ":" }
        if text == "none" { return nil }
        var keys = try ReductionKeys(method: String(name), of: nil)
        if name.endIndex != text.endIndex {
            for pair in text[text.index(after: name.endIndex)...].split(separator: ",", omittingEmptySubsequences: false) {
                guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else {
                    throw .usage("\(quoted(String(pair))) is no 'key=value'", at: .option(option), expected: keys.form)
                }
                try keys.add(String(pair[..<equals]), String(pair[pair.index(after: equals)...]))
            }
        }
        return try read(&keys)
    }

    /// Reads `mm_token_reduction` of a `config.json`; nil without it. Files are relative to `folder`, the checkpoint's.
    static func read(_ config: JSONObject, folder: String) throws(Diagnostic) -> TokenReduction? {
        guard let object = try config.optionalObject(configurationKey) else { return try config.releasedYOPO().map(TokenReduction.yopo) }
        let method = try object.string("method")
        if method == "none" { return nil }
        var keys = try ReductionKeys(method: method, of: object)
        keys.folder = folder
        for (key, value) in object.members.sorted(by: { $0.key < $1.key }) where key != "method" && value != .null {
            try keys.add(key, keys.text(of: value, key: key))
        }
        return try read(&keys).completed(by: config.releasedYOPO().map(TokenReduction.yopo))
    }

    private static func read(_ keys: inout ReductionKeys) throws(Diagnostic) -> TokenReduction {
        switch keys.method {
        case .prumerge, .prumergePlus:
            return .prumerge(
                PruMerge(
                    samplesGrid: keys.method == .prumergePlus, neighbours: try keys.size("neighbours", default: 32),
                    ratio: try keys.ratio("ratio")))
        case .visionzip:
            if keys.has("keep") {
                try keys.refuse("keep", with: ["dominant", "contextual"])
                return .visionzip(VisionZip(keep: try keys.size("keep", from: 7)))
            }
            return .visionzip(VisionZip(dominant: try keys.size("dominant"), contextual: try keys.size("contextual")))
        case .mmtok:
            return .mmtok(
                MMTok(
                    keep: try keys.size("keep"), alpha: try keys.number("alpha", default: 0.5),
                    textTemperature: try keys.number("t_text", default: 0.02, isPositive: true),
                    visionTemperature: try keys.number("t_vis", default: 0.2, isPositive: true),
                    padding: try keys.choice("padding", default: .auto)))
        case .cdpruner: return .cdpruner(CDPruner(keep: try keys.size("keep"), clip: try keys.path("clip", "a folder with a whole CLIP")))
        case .tome:
            if keys.has("keep") {
                try keys.refuse("keep", with: ["r"])
                return .tome(ToMe(.keep(try keys.size("keep"))))
            }
            let counts = try keys.list("r", from: 0)
            return .tome(ToMe(counts.count == 1 ? .constant(counts[0]) : .list(counts)))
        case .fastv:
            return .fastv(
                FastV(
                    layer: try keys.layer("layer"), keep: try keys.size("keep"),
                    recomputes: try keys.choice("variant", default: FastVVariant.cached) == .recompute))
        case .sparsevlm: return .sparsevlm(try sparseVLM(&keys))
        case .mustdrop:
            return .mustdrop(
                MustDrop(
                    global: try keys.number("global"), individual: try keys.number("individual"),
                    window: try keys.size("window", default: 3, from: 2), similarity: try keys.number("similarity", default: 0.8),
                    key: try keys.number("key", default: 0.08, limit: 1)))
        case .yopo:
            let window = keys.has("window") ? try keys.size("window") : nil
            guard (window ?? 1) % 2 == 1 else { throw keys.invalid("window", expected: "an odd number") }
            let ffn = keys.has("ffn") ? try keys.number("ffn", isPositive: true) : nil
            guard ffn ?? 1 >= 1 else { throw keys.invalid("ffn", expected: "a number of at least 1") }
            return .yopo(
                YOPO(
                    heads: try keys.path("heads", "a NumPy file with a mask of heads"),
                    layers: keys.has("layers") ? try keys.layer("layers") : nil, window: window, ffn: ffn,
                    softmax: try keys.choice("softmax", default: .all)))
        case .llavolta: return .llavolta(LLaVolta(layer: try keys.layer("layer"), stride: try keys.size("stride")))
        case .voco: return .voco(VoCo(tokens: try keys.size("tokens", default: 2)))
        }
    }

    /// `cached` is the name for what is meant without the key.
    private enum FastVVariant: String, CaseIterable { case cached, recompute }

    /// A published setting by its name, or lists of one's own, which come before the name.
    private static func sparseVLM(_ keys: inout ReductionKeys) throws(Diagnostic) -> SparseVLM {
        let version = try keys.choice("version", default: SparseVLM.Version.v15)
        var setting: SparseVLM?
        if keys.has("tokens") || !keys.has("keep") {
            setting = SparseVLM(tokens: try keys.size("tokens"), version: version)
            guard setting != nil else {
                let names = SparseVLM.names(version).map(String.init)
                throw keys.invalid("tokens", expected: "\(quotedList(names)), the settings of version \(version.rawValue)")
            }
        }
        if version == .v10, keys.has("keep") {
            throw keys.invalid("keep", "is set, which version 1.0 has no place for", expected: "the key 'tokens'")
        }
        let layers =
            keys.has("layers") ? try keys.list("layers", from: 0, limit: JSONObject.maximumLayers) : SparseVLM.publishedLayers(version)
        guard zip(layers, layers.dropFirst()).allSatisfy(<) else { throw keys.invalid("layers", expected: "ascending numbers") }
        guard version != .v10 else { return SparseVLM(version: version, layers: layers, rank: setting?.rank) }
        let keep = keys.has("keep") ? try keys.list("keep", from: 1) : setting?.keep ?? []
        guard keep.count == layers.count else {
            let given = keys.has("keep") ? "keep" : "layers"
            throw keys.invalid(
                given, "has \(given == "keep" ? keep.count : layers.count) entries",
                expected: given == "keep" ? "one for each of the \(layers.count) layers" : "\(keep.count), as many as 'keep'")
        }
        return SparseVLM(version: version, layers: layers, keep: keep)
    }
}

/// The pairs of key and value of one method, as text, from the option or from a configuration.
private struct ReductionKeys {
    let method: TokenReduction.Method
    /// What a configuration's relative paths stand for.
    var folder: String?
    private var values: [String: String] = [:]
    /// Nil for the option.
    private let object: JSONObject?

    init(method name: String, of object: JSONObject?) throws(Diagnostic) {
        self.object = object
        let names = TokenReduction.Method.allCases.map(\.rawValue)
        guard let method = TokenReduction.Method(rawValue: name) else {
            let expected = quotedList(names + ["none"]), hint = nearestHint(to: name, among: names)
            guard let object else {
                throw .usage("unknown method \(quoted(name))\(hint)", at: .option(TokenReduction.option), expected: expected)
            }
            throw object.invalid("method", "is \(quoted(name)), which is not known\(hint)", expected: expected)
        }
        self.method = method
    }

    private static let known: [TokenReduction.Method: [String]] = [
        .prumerge: ["neighbours", "ratio"], .prumergePlus: ["neighbours", "ratio"], .visionzip: ["dominant", "contextual", "keep"],
        .mmtok: ["keep", "alpha", "t_text", "t_vis", "padding"], .cdpruner: ["keep", "clip"], .tome: ["r", "keep"],
        .fastv: ["layer", "keep", "variant"], .sparsevlm: ["tokens", "version", "layers", "keep"],
        .mustdrop: ["global", "individual", "window", "similarity", "key"], .yopo: ["heads", "layers", "window", "ffn", "softmax"],
        .llavolta: ["layer", "stride"], .voco: ["tokens"],
    ]

    /// The option's form, with the keys of this method.
    var form: String { "'\(method.rawValue):key=value,...' with \(quotedList(Self.known[method]!))" }

    mutating func add(_ key: String, _ value: String) throws(Diagnostic) {
        let known = Self.known[method]!
        guard known.contains(key) else {
            throw invalid(
                key, "is not known of method \(quoted(method.rawValue))\(nearestHint(to: key, among: known))", expected: quotedList(known))
        }
        guard values.updateValue(value, forKey: key) == nil else { throw invalid(key, "stands twice", expected: "one value") }
    }

    /// A member of a configuration as the option would spell it.
    func text(of value: JSONValue, key: String) throws(Diagnostic) -> String {
        switch value {
        case .integer(let value): return "\(value)"
        case .number(let value): return Int(exactly: value).map(String.init) ?? "\(value)"
        case .string(let value): return value
        case .array(let values):
            var texts: [String] = []
            for (index, value) in values.enumerated() {
                if case .array = value { throw invalid("\(key)[\(index)]", "is \(value.kind)", expected: "a number or a string") }
                texts.append(try text(of: value, key: "\(key)[\(index)]"))
            }
            return texts.joined(separator: "+")
        case .null, .bool, .object: throw invalid(key, "is \(value.kind)", expected: "a number, a string or a list")
        }
    }

    func has(_ key: String) -> Bool { values[key] != nil }

    // MARK: Values

    func size(_ key: String, default fallback: Int? = nil, from lowest: Int = 1, limit: Int = JSONObject.maximumDimension)
        throws(Diagnostic) -> Int
    {
        let expected = "\(lowest) to \(limit)"
        guard let text = try text(key, orDefault: fallback != nil, expected: expected) else { return fallback! }
        guard let value = Int(text), lowest...limit ~= value else { throw invalid(key, expected: expected) }
        return value
    }

    /// A block of the decoder in front of which something happens: there is one in front of it.
    func layer(_ key: String) throws(Diagnostic) -> Int { try size(key, limit: JSONObject.maximumLayers) }

    func list(_ key: String, from lowest: Int, limit: Int = JSONObject.maximumDimension) throws(Diagnostic) -> [Int] {
        let expected = "numbers of \(lowest) to \(limit), joined by '+'"
        let texts = try text(key, orDefault: false, expected: expected)!.split(separator: "+", omittingEmptySubsequences: false)
        var result: [Int] = []
        for text in texts {
            guard let value = Int(text), lowest...limit ~= value else { throw invalid(key, expected: expected) }
            result.append(value)
        }
        guard result.count <= JSONObject.maximumLayers else {
            throw invalid(key, "has \(result.count) entries", expected: "at most \(JSONObject.maximumLayers)")
        }
        return result
    }

    /// Not negative, and finite as a float, since programs compute with floats.
    func number(_ key: String, default fallback: Double? = nil, isPositive: Bool = false, limit: Double? = nil) throws(Diagnostic)
        -> Double
    {
        let expected = limit.map { "a number of 0 to \($0)" } ?? (isPositive ? "a positive number" : "a number of at least 0")
        guard let text = try text(key, orDefault: fallback != nil, expected: expected) else { return fallback! }
        guard let value = Self.decimal(text), Float(value).isFinite, isPositive ? Float(value) > 0 : value >= 0, value <= limit ?? value
        else { throw invalid(key, expected: expected) }
        return value
    }

    /// A share of at most 1, as a decimal or as `1/8`.
    func ratio(_ key: String) throws(Diagnostic) -> Double? {
        let expected = "a share as '1/8' or '0.125', of at most 1"
        guard let text = try text(key, orDefault: true, expected: expected) else { return nil }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map { Self.decimal(String($0)) }
        guard let first = parts[0], let second = parts.count == 2 ? parts[1] : 1, second > 0, case let value = first / second,
            Float(value) > 0, value <= 1
        else { throw invalid(key, expected: expected) }
        return value
    }

    private static func decimal(_ text: String) -> Double? {
        // Double reads hexadecimal and names too.
        text.utf8.allSatisfy { "0123456789.eE+-".utf8.contains($0) } ? Double(text) : nil
    }

    func choice<Choice: RawRepresentable & CaseIterable>(_ key: String, default fallback: Choice) throws(Diagnostic) -> Choice
    where Choice.RawValue == String {
        guard let text = values[key] else { return fallback }
        // JSON has 2.0 as a number, which is the integer 2.
        guard let choice = Choice(rawValue: text) ?? Choice(rawValue: text + ".0") else {
            throw invalid(key, expected: quotedList(Choice.allCases.map(\.rawValue)))
        }
        return choice
    }

    func path(_ key: String, _ kind: String) throws(Diagnostic) -> String {
        let path = try text(key, orDefault: false, expected: kind)!
        guard !path.isEmpty else { throw invalid(key, expected: kind) }
        return folder.map { joinedPath($0, path) } ?? path
    }

    /// The value's text; nil if there is none and need not be.
    private func text(_ key: String, orDefault: Bool, expected: String) throws(Diagnostic) -> String? {
        if let value = values[key] { return value }
        if orDefault { return nil }
        throw invalid(key, "is missing", expected: expected)
    }

    // MARK: Errors

    func refuse(_ key: String, with others: [String]) throws(Diagnostic) {
        if let other = others.first(where: has) { throw invalid(other, "stands beside 'keep'", expected: "one of both") }
    }

    /// An error about the value of a key.
    func invalid(_ key: String, expected: String) -> Diagnostic {
        invalid(key, "is \(quoted(values[key] ?? ""))", expected: expected)
    }

    func invalid(_ key: String, _ problem: String, expected: String) -> Diagnostic {
        guard let object else {
            return .usage(
                "key \(quoted(key)) of \(quoted(method.rawValue)) \(problem)", at: .option(TokenReduction.option), expected: expected)
        }
        return object.invalid(key, problem, expected: expected)
    }
}
