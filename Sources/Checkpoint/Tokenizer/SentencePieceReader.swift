import Support

extension SentencePieceModel {
    /// Reads `tokenizer.model`, a serialized SentencePiece ModelProto. Only BPE with byte fallback and without any text
    /// normalisation is accepted, which is what LLaMA's tokenizers are.
    public init(readingFile path: String) throws(Diagnostic) {
        try self.init(parsing: readFile(path, limit: 256 << 20), file: path)
    }

    init(parsing bytes: [UInt8], file: String) throws(Diagnostic) {
        var pieces: [Piece] = []
        var trainer = TrainerSpec(), normalizer = NormalizerSpec()
        var reader = ProtobufReader(bytes[...], file: file)
        while let field = try reader.next() {
            switch field.number {
            case 1: pieces.append(try Self.piece(field.bytes(reader), file: file, offset: field.offset, index: pieces.count))
            case 2: try trainer.merge(field.bytes(reader), file: file)
            case 3: try normalizer.merge(field.bytes(reader), file: file)
            default: break
            }
        }
        guard !pieces.isEmpty else { throw .error("no pieces", at: .file(file), expected: "a SentencePiece model") }
        try trainer.check(file)
        try normalizer.check(file)
        try Self.check(pieces, file: file)
        guard pieces.contains(where: { $0.kind == .unknown }) else { throw .error("0 unknown pieces", at: .file(file), expected: "one") }

        func control(_ name: String, _ id: Int) throws(Diagnostic) -> Int? {
            guard id >= 0 else { return nil }
            guard id < pieces.count else {
                throw .error("\(name) is \(id)", at: .file(file), expected: "less than the \(pieces.count) pieces")
            }
            return id
        }
        bosID = try control("bos_id", trainer.bosID)
        eosID = try control("eos_id", trainer.eosID)
        padID = try control("pad_id", trainer.padID)
        unknownID = pieces.firstIndex { $0.kind == .unknown }
        self.pieces = pieces
        addsDummyPrefix = normalizer.addsDummyPrefix
        addedTokens = []
    }

    private static func piece(_ bytes: ArraySlice<UInt8>, file: String, offset: Int, index: Int) throws(Diagnostic) -> Piece {
        var piece = Piece(text: [], score: 0, kind: .normal)
        var reader = ProtobufReader(bytes, file: file)
        while let field = try reader.next() {
            switch field.number {
            case 1: piece.text = Array(try field.bytes(reader))
            case 2: piece.score = try field.float(reader)
            case 3:
                let number = try field.integer(reader)
                guard let kind = Piece.Kind(rawValue: number) else {
                    throw reader.fault("piece \(index) has type \(number)", field.offset, "1 to 6")
                }
                piece.kind = kind
            default: break
            }
        }
        guard !piece.text.isEmpty, String(validating: piece.text, as: UTF8.self) != nil else {
            throw reader.fault("piece \(index) is \(piece.text.isEmpty ? "empty" : "not UTF-8")", offset, "text in UTF-8")
        }
        guard piece.score.isFinite else { throw reader.fault("piece \(index) has score \(piece.score)", offset, "a finite score") }
        return piece
    }

    static func check(_ pieces: [Piece], file: String) throws(Diagnostic) {
        var seen: [[UInt8]: Int] = [:]
        var byteValues: Set<UInt8> = []
        for (index, piece) in pieces.enumerated() {
            let text = String(decoding: piece.text, as: UTF8.self)
            if let other = seen.updateValue(index, forKey: piece.text) {
                throw .error("pieces \(other) and \(index) are both \(quoted(text))", at: .file(file), expected: "distinct pieces")
            }
            if piece.kind == .byte {
                guard text.utf8.count == 6, text.hasPrefix("<0x"), text.hasSuffix(">"),
                    text.dropFirst(3).dropLast().allSatisfy(\.isHexDigit),
                    let value = UInt8(text.dropFirst(3).dropLast(), radix: 16), byteValues.insert(value).inserted
                else {
                    throw .error("byte piece \(index) is \(quoted(text))", at: .file(file), expected: "'<0x00>' to '<0xFF>', each once")
                }
            }
        }
        guard byteValues.count == 256 else {
            throw .error("\(byteValues.count) byte pieces", at: .file(file), expected: "256, for byte fallback")
        }
        let unknown = pieces.count { $0.kind == .unknown }
        guard unknown <= 1 else { throw .error("\(unknown) unknown pieces", at: .file(file), expected: "one") }
        try TokenizerLimits.check(pieces.lazy.map(\.text.count), .file(file))
    }

    // Field numbers and defaults as sentencepiece_model.proto declares them.

    private struct TrainerSpec {
        var modelType = 1, byteFallback = false, whitespaceAsSuffix = false
        var bosID = 1, eosID = 2, padID = -1

        mutating func merge(_ bytes: ArraySlice<UInt8>, file: String) throws(Diagnostic) {
            var reader = ProtobufReader(bytes, file: file)
            while let field = try reader.next() {
                switch field.number {
                case 3: modelType = try field.integer(reader)
                case 24: whitespaceAsSuffix = try field.bool(reader)
                case 35: byteFallback = try field.bool(reader)
                case 41: bosID = try field.integer(reader)
                case 42: eosID = try field.integer(reader)
                case 43: padID = try field.integer(reader)
                default: break
                }
            }
        }

        func check(_ file: String) throws(Diagnostic) {
            guard modelType == 2 else {
                let name = [1: "unigram", 3: "word", 4: "char"][modelType] ?? String(modelType)
                throw .error("model type \(quoted(name)) is not supported", at: .file(file), expected: "'bpe'")
            }
            guard byteFallback else {
                throw .error("a tokenizer without 'byte_fallback' is not supported", at: .file(file), expected: "'byte_fallback' true")
            }
            guard !whitespaceAsSuffix else {
                throw .error("'treat_whitespace_as_suffix' true is not supported", at: .file(file), expected: "false")
            }
        }
    }

    private struct NormalizerSpec {
        var name = "", hasCharsmap = false
        var addsDummyPrefix = true, removesExtraWhitespaces = true, escapesWhitespaces = true

        mutating func merge(_ bytes: ArraySlice<UInt8>, file: String) throws(Diagnostic) {
            var reader = ProtobufReader(bytes, file: file)
            while let field = try reader.next() {
                switch field.number {
                case 1: name = String(decoding: try field.bytes(reader), as: UTF8.self)
                case 2: hasCharsmap = try !field.bytes(reader).isEmpty
                case 3: addsDummyPrefix = try field.bool(reader)
                case 4: removesExtraWhitespaces = try field.bool(reader)
                case 5: escapesWhitespaces = try field.bool(reader)
                default: break
                }
            }
        }

        func check(_ file: String) throws(Diagnostic) {
            guard !hasCharsmap else {
                throw .error("normalisation \(quoted(name)) is not supported", at: .file(file), expected: "'identity', without a charsmap")
            }
            guard !removesExtraWhitespaces else {
                throw .error("'remove_extra_whitespaces' true is not supported", at: .file(file), expected: "false")
            }
            guard escapesWhitespaces else {
                throw .error("'escape_whitespaces' false is not supported", at: .file(file), expected: "true")
            }
        }
    }
}
