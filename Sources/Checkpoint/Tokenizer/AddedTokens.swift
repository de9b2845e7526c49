import Support

/// A token that files of a folder add to the vocabulary of its tokenizer.
struct AddedTokenEntry {
    var text: String
    /// Read in templates and raw prompts, and not printed; else a word, which is found in any text.
    var isSpecial: Bool
    /// Where it stands.
    var file: String
}

extension AddedTokenEntry {
    /// What `added_tokens.json` and `added_tokens_decoder` of `tokenizer_config.json` add, by id, without tokens that the embedding has no row for.
    /// As transformers has it, a token of the first file is special where another key names it, as `pad_token` does.
    static func entries(folder: String, vocabularySize: Int) throws(Diagnostic) -> [Int: AddedTokenEntry] {
        var entries: [Int: AddedTokenEntry] = [:]
        let config = try JSONObject.ifPresent("tokenizer_config.json", in: folder)
        let special = try specialNames([config, JSONObject.ifPresent("special_tokens_map.json", in: folder)])
        func add(_ id: Int, _ text: String, isSpecial: Bool, _ file: String) throws(Diagnostic) {
            guard 0..<vocabularySize ~= id, !text.isEmpty else { return }
            guard id < TokenizerLimits.tokens, text.utf8.count <= TokenizerLimits.length else {
                throw .error(
                    "token \(id) has \(text.utf8.count) bytes", at: .file(file),
                    expected: "at most \(TokenizerLimits.length), and an id below \(TokenizerLimits.tokens)")
            }
            let entry = AddedTokenEntry(text: text, isSpecial: isSpecial || special.contains(Array(text.utf8)), file: file)
            if let other = entries.updateValue(entry, forKey: id), !other.text.utf8.elementsEqual(text.utf8) {
                throw .error("token \(id) is both \(quoted(other.text)) and \(quoted(text))", at: .file(file), expected: "one text per id")
            }
        }
        if let added = try JSONObject.ifPresent("added_tokens.json", in: folder) {
            for text in added.members.keys.sorted() { try add(added.integer(text), text, isSpecial: false, added.file) }
        }
        if let decoder = try config?.optionalObject("added_tokens_decoder") {
            for key in decoder.members.keys.sorted() {
                guard let id = Int(key) else { throw decoder.invalid(key, "is not a token id", expected: "an integer in quotes") }
                let token = try decoder.object(key), text = try token.string("content")
                if 0..<vocabularySize ~= id { try token.refuseAddedTokenFlags(quoted(text)) }
                try add(id, text, isSpecial: try token.optionalBool("special") ?? false, decoder.file)
            }
        }
        return entries
    }

    /// The texts of the tokens that files give a role.
    private static func specialNames(_ objects: [JSONObject?]) throws(Diagnostic) -> Set<[UInt8]> {
        var names: Set<[UInt8]> = []
        func add(_ value: JSONValue) {
            if case .string(let text) = value { names.insert(Array(text.utf8)) }
            if case .object(let members) = value, case .string(let text)? = members["content"] { names.insert(Array(text.utf8)) }
            if case .array(let list) = value { for element in list { add(element) } }
        }
        for case let object? in objects {
            for key in ["bos", "eos", "unk", "sep", "pad", "cls", "mask"] { if let value = object["\(key)_token"] { add(value) } }
            for key in ["additional_special_tokens", "extra_special_tokens"] { if let value = object[key] { add(value) } }
        }
        return names
    }
}

extension JSONObject {
    /// Refuses what an added token may ask of the text around it.
    func refuseAddedTokenFlags(_ name: String) throws(Diagnostic) {
        for key in ["single_word", "lstrip", "rstrip"] where try optionalBool(key) ?? false {
            throw invalid(key, "is true of \(name), which is not supported", expected: "false")
        }
    }
}

extension SentencePieceModel {
    /// Reads the folder's `tokenizer.model` and what other files add to it.
    init(folder: String, vocabularySize: Int) throws(Diagnostic) {
        let path = joinedPath(folder, "tokenizer.model")
        guard !isAbsent(path) else {
            throw .error("no tokenizer", at: .file(folder), expected: "'tokenizer.model' or 'tokenizer.json'")
        }
        try self.init(readingFile: path)
        guard pieces.count <= vocabularySize else {
            throw .error("the tokenizer has \(pieces.count) pieces", at: .file(path), expected: "at most 'vocab_size', \(vocabularySize)")
        }
        for (id, entry) in try AddedTokenEntry.entries(folder: folder, vocabularySize: vocabularySize).sorted(by: { $0.key < $1.key }) {
            if pieces.indices.contains(id) {
                let piece = pieces[id]
                // What the model itself calls special stays so.
                let isSame = piece.text.elementsEqual(entry.text.utf8)
                if [.unknown, .byte].contains(piece.kind) || piece.kind == .control && isSame { continue }
            }
            addedTokens.append(AddedToken(id: id, text: entry.text, isSpecial: entry.isSpecial))
        }
    }
}

/// What no tokenizer comes near, and a hostile one must not reach: work and memory grow with them.
enum TokenizerLimits {
    static let tokens = 1 << 24
    /// Bytes of one token.
    static let length = 1024
    /// Bytes of all.
    static let total = 1 << 30

    static func check(_ counts: some Sequence<Int>, _ site: Site) throws(Diagnostic) {
        var total = 0, index = 0
        for count in counts {
            guard count <= length else { throw .error("token \(index) has \(count) bytes", at: site, expected: "at most \(length)") }
            total += count
            index += 1
        }
        guard index <= tokens else { throw .error("\(index) tokens", at: site, expected: "at most \(tokens)") }
        guard total <= Self.total else { throw .error("tokens of \(total) bytes", at: site, expected: "at most \(Self.total)") }
    }
}
