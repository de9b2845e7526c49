import Support

/// What stands around the BPE in a `tokenizer.json`: normalizer, pre-tokenizer, post-processor and decoder, each recognised or refused by name.
extension MergeListModel {
    static func splitting(_ root: JSONObject) throws(Diagnostic) -> Splitting {
        let steps = try steps(root, "pre_tokenizer", list: "pretokenizers")
        let normalizers = try Self.steps(root, "normalizer", list: "normalizers")
        let decoders = try Self.steps(root, "decoder", list: "decoders")
        if steps.contains(where: { $0["type"] == .string("ByteLevel") }) {
            for step in normalizers { throw try unsupported(step, "no normalizer beside 'ByteLevel'") }
            for step in decoders where try step.string("type") != "ByteLevel" { throw try unsupported(step, "'ByteLevel'") }
            return try byteLevel(steps)
        }
        for step in decoders where !["Replace", "ByteFallback", "Fuse", "Strip", "Metaspace"].contains(try step.string("type")) {
            throw try unsupported(step, "'Replace', 'ByteFallback', 'Fuse' and 'Strip', or 'Metaspace'")
        }
        return try sentencePiece(normalizers, steps, file: root.file)
    }

    /// The parts of a pipeline member: of a `Sequence` its elements, else itself.
    private static func steps(_ root: JSONObject, _ key: String, list: String) throws(Diagnostic) -> [JSONObject] {
        guard let object = try root.optionalObject(key) else { return [] }
        guard try object.string("type") == "Sequence" else { return [object] }
        var steps: [JSONObject] = []
        for (index, value) in try object.array(list).enumerated() {
            guard case .object(let members) = value else { throw object.invalid(list, "holds \(value.kind)", expected: "objects") }
            steps.append(JSONObject(file: root.file, path: "\(key).\(list)[\(index)]", members: members))
        }
        return steps
    }

    private static func unsupported(_ step: JSONObject, _ expected: String) throws(Diagnostic) -> Diagnostic {
        step.invalid("type", "is \(quoted(try step.string("type"))), which is not supported here", expected: expected)
    }

    // MARK: - byte-level

    static let gpt2Pattern = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    static let llama3Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    private static func byteLevel(_ steps: [JSONObject]) throws(Diagnostic) -> Splitting {
        var pattern: Pattern?
        var digits = false
        for (index, step) in steps.enumerated() {
            switch try step.string("type") {
            case "Digits" where index == 0:
                guard try step.optionalBool("individual_digits") ?? false else {
                    throw step.invalid("individual_digits", "is false, which is not supported", expected: "true")
                }
                digits = true
            case "Split" where pattern == nil:
                pattern = try split(step)
            case "ByteLevel" where index == steps.count - 1:
                if try step.optionalBool("add_prefix_space") ?? true {
                    throw step.invalid("add_prefix_space", "is true, which is not supported", expected: "false")
                }
                let usesRegex = try step.optionalBool("use_regex") ?? true
                guard usesRegex == (pattern == nil) else {
                    throw step.invalid(
                        "use_regex", "is \(usesRegex)", expected: pattern == nil ? "true, or a 'Split' before" : "false after a 'Split'")
                }
                return .byteLevel(pattern ?? .gpt2, digits: digits)
            default: throw try unsupported(step, "'Digits' or 'Split', then 'ByteLevel'")
            }
        }
        throw steps[0].invalid("type", "comes after 'ByteLevel'", expected: "'ByteLevel' last")
    }

    private static func split(_ step: JSONObject) throws(Diagnostic) -> Pattern {
        guard try step.string("behavior") == "Isolated", try step.optionalBool("invert") ?? false == false else {
            throw step.invalid("behavior", "is \(quoted(try step.string("behavior")))", expected: "'Isolated', not inverted")
        }
        let regex = try step.object("pattern").optionalString("Regex") ?? ""
        switch regex {
        case gpt2Pattern: return .gpt2
        case llama3Pattern: return .llama3
        default:
            throw step.invalid(
                "pattern", "is \(quoted(regex)), which is not supported", expected: "the regular expression of GPT-2 or of Llama 3")
        }
    }

    // MARK: - after SentencePiece

    private static let mark = "\u{2581}"

    private static func sentencePiece(_ normalizers: [JSONObject], _ steps: [JSONObject], file: String) throws(Diagnostic) -> Splitting {
        if let step = steps.first {
            for normalizer in normalizers { throw try unsupported(normalizer, "no normalizer beside 'Metaspace'") }
            guard steps.count == 1, try step.string("type") == "Metaspace" else {
                throw try unsupported(steps.last!, "'ByteLevel' or 'Metaspace'")
            }
            return try metaspace(step)
        }
        var prefix = Prefix.none, replaces = false
        for (index, step) in normalizers.enumerated() {
            switch try step.string("type") {
            case "Prepend" where index == 0 && normalizers.count > 1:
                guard try step.string("prepend") == mark else {
                    throw step.invalid("prepend", "is \(quoted(try step.string("prepend")))", expected: quoted(mark))
                }
                prefix = .always
            case "Replace" where !replaces:
                guard try step.object("pattern").optionalString("String") == " ", try step.string("content") == mark else {
                    throw step.invalid("pattern", "is not a space for \(quoted(mark))", expected: "that")
                }
                replaces = true
            default: throw try unsupported(step, "'Prepend' and 'Replace', as SentencePiece escapes spaces")
            }
        }
        guard replaces else {
            throw .error("nothing escapes spaces", at: .file(file), expected: "'ByteLevel', 'Metaspace' or 'Replace'")
        }
        return .sentencePiece(prefix, splitsWords: false)
    }

    private static func metaspace(_ step: JSONObject) throws(Diagnostic) -> Splitting {
        guard try step.string("replacement") == mark else {
            throw step.invalid("replacement", "is \(quoted(try step.string("replacement")))", expected: quoted(mark))
        }
        let older = try step.optionalBool("add_prefix_space") ?? true ? "always" : "never"
        let scheme = try step.optionalString("prepend_scheme") ?? older
        let splits = try step.optionalBool("split") ?? true
        switch scheme {
        case "always": return .sentencePiece(.unlessSpaced, splitsWords: splits)
        case "first": return .sentencePiece(.onceUnlessSpaced, splitsWords: splits)
        case "never": return .sentencePiece(.none, splitsWords: splits)
        default: throw step.invalid("prepend_scheme", "is \(quoted(scheme))", expected: "'always', 'first' or 'never'")
        }
    }

    // MARK: - BOS

    /// The token that the post-processor puts before a text.
    static func bos(_ root: JSONObject) throws(Diagnostic) -> Int? {
        var bos: Int?
        for step in try steps(root, "post_processor", list: "processors") {
            switch try step.string("type") {
            case "ByteLevel": continue
            case "TemplateProcessing":
                let template = try step.array("single")
                let names = template.map { element -> String? in
                    guard case .object(let members) = element, case .object(let token)? = members["SpecialToken"],
                        case .string(let name)? = token["id"]
                    else { return nil }
                    return name
                }
                guard let last = names.last, last == nil, names.count <= 2 else {
                    throw step.invalid("single", "puts tokens after the text, or several before it", expected: "at most a BOS before it")
                }
                guard names.count == 2 else { continue }
                guard let name = names[0], case let ids = try step.object("special_tokens").object(name).integers("ids"), ids.count == 1
                else {
                    throw step.invalid("single", "puts no known token before the text", expected: "a BOS")
                }
                bos = ids[0]
            default: throw try unsupported(step, "'TemplateProcessing' or 'ByteLevel'")
            }
        }
        return bos
    }
}
