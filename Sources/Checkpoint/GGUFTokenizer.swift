import Support

extension GGUFFile {
    private static let prefix = "tokenizer.ggml."

    /// The tokenizer that the file carries.
    func tokenizer(vocabularySize: Int) throws(Diagnostic) -> Tokenizer {
        let key = Self.prefix + "model"
        switch try optionalString(key) ?? "" {
        case "llama": return .sentencePiece(try sentencePieces(vocabularySize: vocabularySize))
        case let kind: throw invalid(key, "is \(quoted(kind)), which is not supported", expected: "'llama'")
        }
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
                throw invalid(Self.prefix + "tokens", "has token \(index) that is \(texts[index].isEmpty ? "empty" : "not UTF-8")", expected: "text")
            }
            pieces.append(SentencePieceModel.Piece(text: texts[index], score: scores[index], kind: kinds[index]))
        }
        try SentencePieceModel.check(pieces, file: file.path)
        return SentencePieceModel(
            pieces: pieces, unknownID: pieces.firstIndex { $0.kind == .unknown }!, bosID: try tokenID("bos", texts.count),
            eosID: try tokenID("eos", texts.count), padID: try tokenID("padding", texts.count),
            addsDummyPrefix: try optionalBool(Self.prefix + "add_space_prefix") ?? true, addedTokens: [])
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
            guard let kind = SentencePieceModel.Piece.Kind(rawValue: number) else { throw invalid(key, "holds \(number)", expected: "1 to 6") }
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
        let wantsBOS = try optionalBool(Self.prefix + "add_bos_token") ?? true
        return PromptConfiguration(
            bosID: tokenizer.bosID, addsBOS: tokenizer.bosID != nil && wantsBOS, eosIDs: ends.sorted(), templateName: "vicuna_v1")
    }
}
