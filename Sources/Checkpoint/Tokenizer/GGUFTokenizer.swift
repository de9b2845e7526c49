import Support

extension GGUFFile {
    private static let prefix = "tokenizer.ggml."

    /// The tokenizer that the file carries.
    func tokenizer(vocabularySize: Int) throws(Diagnostic) -> Tokenizer {
        let key = Self.prefix + "model"
        switch try optionalString(key) ?? "" {
        case "llama": return .sentencePiece(try sentencePieces(vocabularySize: vocabularySize))
        case "gpt2": return .mergeList(try mergeList(vocabularySize: vocabularySize))
        case let kind: throw invalid(key, "is \(quoted(kind)), which is not supported", expected: "'llama' or 'gpt2'")
        }
    }

    /// How the pre-tokenizers that a file names split a text, and whether a word that is a token needs no merges.
    private static let splittings: [String: (splitting: MergeListModel.Splitting, keepsWholeWords: Bool, addsBOS: Bool)] = [
        "gpt-2": (.byteLevel(.gpt2, digits: false), false, false),
        "smollm": (.byteLevel(.gpt2, digits: true), false, false),
        "llama-bpe": (.byteLevel(.llama3, digits: false), true, true),
    ]

    private func mergeList(vocabularySize: Int) throws(Diagnostic) -> MergeListModel {
        let pre = Self.prefix + "pre"
        let name = try optionalString(pre) ?? "gpt-2"
        guard let rule = Self.splittings[name] else {
            throw invalid(pre, "is \(quoted(name)), which is not supported", expected: quotedList(Self.splittings.keys.sorted()))
        }
        let key = Self.prefix + "tokens"
        let texts = try tokens(vocabularySize: vocabularySize), kinds = try tokenKinds(texts.count)
        var builder = MergeListBuilder(file.path, isByteLevel: true, vocabularySize: vocabularySize)
        for (id, text) in texts.enumerated() {
            switch kinds[id] {
            case .normal: try builder.add(text, id: id) { invalid(key, "has \($0)", expected: $1) }
            case .control, .userDefined:
                let members: [String: JSONValue] = [
                    "id": .integer(Int64(id)), "content": .string(String(decoding: text, as: UTF8.self)),
                    "special": .bool(kinds[id] == .control),
                ]
                try builder.add(JSONObject(file: file.path, path: key, members: members))
            // Rows of the embedding that no text becomes.
            case .unused: break
            case .unknown, .byte:
                throw invalid(
                    Self.prefix + "token_type", "holds \(kinds[id].rawValue) for token \(id)", expected: "1, 3, 4 or 5 in byte-level BPE")
            }
        }
        let mergesKey = Self.prefix + "merges"
        guard let lines = try optionalStrings(mergesKey) else { throw invalid(mergesKey, "is missing", expected: "the merges of BPE") }
        for line in lines {
            let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw invalid(
                    mergesKey, "holds \(quoted(String(decoding: line, as: UTF8.self)))", expected: "two tokens and one space between them")
            }
            try builder.merge(Array(parts[0] + parts[1]), parts[0].count) { invalid(mergesKey, $0, expected: $1) }
        }
        let (text, offsets, pieces) = try builder.pieces()
        return MergeListModel(
            text: text, offsets: offsets, kinds: pieces, normalizedWords: builder.normalizedWords, merges: builder.merges,
            splitting: rule.splitting, keepsWholeWords: rule.keepsWholeWords,
            bosID: try tokenID("bos", texts.count), eosID: try tokenID("eos", texts.count), addsBOS: rule.addsBOS)
    }

    private func sentencePieces(vocabularySize: Int) throws(Diagnostic) -> SentencePieceModel {
        let texts = try tokens(vocabularySize: vocabularySize)
        let scores = try optionalFloats(Self.prefix + "scores") ?? []
        let kinds = try tokenKinds(texts.count)
        guard scores.count == texts.count, scores.allSatisfy(\.isFinite) else {
            throw invalid(Self.prefix + "scores", "has \(scores.count) scores", expected: "a finite one for each of \(texts.count) tokens")
        }
        var pieces: [SentencePieceModel.Piece] = []
        pieces.reserveCapacity(texts.count)
        for index in texts.indices {
            guard !texts[index].isEmpty, String(validating: texts[index], as: UTF8.self) != nil else {
                throw invalid(
                    Self.prefix + "tokens", "has token \(index) that is \(texts[index].isEmpty ? "empty" : "not UTF-8")", expected: "text")
            }
            pieces.append(SentencePieceModel.Piece(text: texts[index], score: scores[index], kind: kinds[index]))
        }
        // llama.cpp's converter marks as control whatever a 'tokenizer_config.json' lists as special, the unknown piece too.
        if let id = try tokenID("unknown", texts.count), !kinds.contains(.unknown), pieces[id].kind == .control {
            pieces[id].kind = .unknown
        }
        try SentencePieceModel.check(pieces, file: file.path)
        // What is user-defined here are the tokens that files added; llama.cpp looks for them in the text as it was typed.
        let words = pieces.indices.filter { pieces[$0].kind == .userDefined }.map { id in
            SentencePieceModel.AddedToken(id: id, text: String(decoding: pieces[id].text, as: UTF8.self), isSpecial: false)
        }
        return SentencePieceModel(
            pieces: pieces, unknownID: pieces.firstIndex { $0.kind == .unknown }, bosID: try tokenID("bos", texts.count),
            eosID: try tokenID("eos", texts.count), padID: try tokenID("padding", texts.count),
            addsDummyPrefix: try optionalBool(Self.prefix + "add_space_prefix") ?? true, addedTokens: words)
    }

    func tokens(vocabularySize: Int) throws(Diagnostic) -> [[UInt8]] {
        let key = Self.prefix + "tokens"
        guard let texts = try optionalStrings(key), !texts.isEmpty else { throw invalid(key, "is missing", expected: "the tokens' texts") }
        guard texts.count <= vocabularySize else {
            throw invalid(key, "has \(texts.count) tokens", expected: "at most the embedding's \(vocabularySize)")
        }
        return texts
    }

    /// The format's numbers are SentencePiece's.
    func tokenKinds(_ count: Int) throws(Diagnostic) -> [SentencePieceModel.Piece.Kind] {
        let key = Self.prefix + "token_type"
        let numbers = try optionalIntegers(key) ?? []
        guard numbers.count == count else { throw invalid(key, "has \(numbers.count) types", expected: "one for each of \(count) tokens") }
        var kinds: [SentencePieceModel.Piece.Kind] = []
        for number in numbers {
            guard let kind = SentencePieceModel.Piece.Kind(rawValue: number) else {
                throw invalid(key, "holds \(number)", expected: "1 to 6")
            }
            kinds.append(kind)
        }
        return kinds
    }

    func tokenID(_ name: String, _ count: Int) throws(Diagnostic) -> Int? {
        let key = "\(Self.prefix)\(name)_token_id"
        guard let id = try optionalInteger(key) else { return nil }
        guard 0..<count ~= id else { throw invalid(key, "is \(id)", expected: "less than the \(count) tokens") }
        return id
    }

    /// Generation ends at the end of the text or of a turn.
    func prompt(_ tokenizer: Tokenizer, vocabularySize: Int) throws(Diagnostic) -> PromptConfiguration {
        var ends: Set<Int> = []
        for name in ["eos", "eot", "eom"] { if let id = try tokenID(name, vocabularySize) { ends.insert(id) } }
        if ends.isEmpty, let id = tokenizer.eosID { ends = [id] }
        let wantsBOS = try optionalBool(Self.prefix + "add_bos_token") ?? tokenizer.addsBOS
        return PromptConfiguration(
            bosID: tokenizer.bosID, addsBOS: tokenizer.bosID != nil && wantsBOS, eosIDs: ends.sorted(), templateName: tokenizer.templateName
        )
    }
}
