import Support

/// The chat template that a checkpoint's files hold, unread.
public struct ChatTemplateSource: Sendable, Equatable {
    /// Jinja.
    public var text: String
    /// Where it stands.
    public var file: String
    /// The tokenizer's special tokens by the names that templates have for them, as `bos_token`.
    public var tokens: [String: String]
}

extension Checkpoint {
    /// The checkpoint's own template, in transformers' order of files; nil where there is none.
    public func chatTemplate() throws(Diagnostic) -> ChatTemplateSource? {
        if fileKind(path) == .regular {
            guard let text = try GGUFFile(path: path).optionalString("tokenizer.chat_template") else { return nil }
            return ChatTemplateSource(text: text, file: path, tokens: try specialTokens(nil))
        }
        let names = try JSONObject.ifPresent("tokenizer_config.json", in: path), file = joinedPath(path, "chat_template.jinja")
        if !isAbsent(file) {
            let bytes = try readFile(file, limit: 1 << 20)
            guard let text = String(validating: bytes, as: UTF8.self), hasFewMarks(text) else {
                throw .error("the chat template is no UTF-8 text", at: .file(file), expected: "text")
            }
            return ChatTemplateSource(text: text, file: file, tokens: try specialTokens(names))
        }
        let others = try ["chat_template.json", "processor_config.json"].map { (name) throws(Diagnostic) in
            try JSONObject.ifPresent(name, in: path)
        }
        for object in others + [names] {
            guard let object, let text = try Self.template(object) else { continue }
            return ChatTemplateSource(text: text, file: object.file, tokens: try specialTokens(names))
        }
        return nil
    }

    /// A text, or several by name, of which one is called `default`.
    private static func template(_ object: JSONObject) throws(Diagnostic) -> String? {
        let key = "chat_template"
        guard case .array(let list)? = object[key] else { return try object.optionalString(key) }
        for case .object(let members) in list {
            let entry = JSONObject(file: object.file, path: key, members: members)
            if try entry.string("name") == "default" { return try entry.string("template") }
        }
        throw object.invalid(key, "has no template 'default'", expected: "one of that name")
    }

    private func specialTokens(_ names: JSONObject?) throws(Diagnostic) -> [String: String] {
        var tokens: [String: String] = [:]
        for (key, id) in [
            ("bos_token", configuration.prompt.bosID), ("eos_token", tokenizer.eosID), ("unk_token", nil), ("pad_token", nil),
        ] {
            if case .object? = names?[key] {
                tokens[key] = try names?.object(key).string("content")
            } else {
                tokens[key] = try names?.optionalString(key) ?? id.flatMap(tokenizer.text)
            }
        }
        return tokens
    }
}

extension Tokenizer {
    /// A token's text; nil where it is none of the tokenizer's or not UTF-8.
    func text(of id: Int) -> String? {
        let bytes: ArraySlice<UInt8>
        switch self {
        case .sentencePiece(let model):
            if let token = model.addedTokens.first(where: { $0.id == id }) { return token.text }
            guard model.pieces.indices.contains(id) else { return nil }
            bytes = model.pieces[id].text[...]
        case .mergeList(let model):
            guard 0..<model.count ~= id else { return nil }
            bytes = model.bytes(of: id)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
