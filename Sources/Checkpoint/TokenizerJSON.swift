import Support

extension MergeListModel {
    /// Reads `tokenizer.json` of the folder. Of the many tokenizers that the file can describe, byte-level BPE with GPT-2's or Llama 3's regular
    /// expression is accepted, and SentencePiece's BPE with byte fallback; anything else is refused by name.
    /// Added tokens for which the embedding has no row cannot be used and are left out.
    init(folder: String, vocabularySize: Int) throws(Diagnostic) {
        let path = joinedPath(folder, "tokenizer.json")
        try self.init(JSONCursor(readingFile: path), vocabularySize: vocabularySize)
        let configPath = joinedPath(folder, "tokenizer_config.json")
        guard !isAbsent(configPath) else { return }
        let config = try JSONObject(readingFile: configPath)
        if bosID == nil { bosID = try configured("bos_token", config) }
        eosID = try configured("eos_token", config)
    }

    private func configured(_ key: String, _ config: JSONObject) throws(Diagnostic) -> Int? {
        if case .object? = config[key] { return try special(config.object(key).string("content")) }
        return try config.optionalString(key).flatMap(special)
    }

    init(_ cursor: JSONCursor, vocabularySize: Int) throws(Diagnostic) {
        let file = try TokenizerFile(cursor)
        let (pipeline, model) = (file.root, file.model)
        try Self.checkModel(model)
        splitting = try Self.splitting(pipeline)
        let isByteLevel = if case .byteLevel = splitting { true } else { false }
        let fallback = try model.optionalBool("byte_fallback") ?? false
        guard fallback != isByteLevel else {
            throw model.invalid("byte_fallback", "is \(fallback)", expected: isByteLevel ? "false beside 'ByteLevel'" : "true without 'ByteLevel'")
        }
        keepsWholeWords = try model.optionalBool("ignore_merges") ?? false
        if keepsWholeWords && !isByteLevel {
            throw model.invalid("ignore_merges", "is true without 'ByteLevel', which is not supported", expected: "false")
        }

        var builder = MergeListBuilder(cursor.file, isByteLevel: isByteLevel, vocabularySize: vocabularySize)
        try builder.readVocabulary(cursor.at(file.vocabulary))
        try builder.readMerges(cursor.at(file.merges))
        for token in try pipeline.optionalArray("added_tokens") ?? [] {
            guard case .object(let members) = token else { throw pipeline.invalid("added_tokens", "holds \(token.kind)", expected: "objects") }
            try builder.add(JSONObject(file: cursor.file, path: "added_tokens", members: members))
        }
        (text, offsets, kinds) = try builder.pieces()
        merges = builder.merges
        let bos = try Self.bos(pipeline)
        (bosID, addsBOS, eosID) = (bos, bos != nil, nil)
        if let bos, !(0..<count ~= bos) || kinds[bos] != .control {
            throw pipeline.invalid("post_processor", "puts token \(bos) first", expected: "a special token")
        }
    }

    private static func checkModel(_ model: JSONObject) throws(Diagnostic) {
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            guard let value = try model.optionalString(key), !value.isEmpty else { continue }
            throw model.invalid(key, "is \(quoted(value)), which is not supported", expected: "null")
        }
        if let dropout = try model.optionalDouble("dropout"), dropout != 0 { throw model.invalid("dropout", "is \(dropout)", expected: "null") }
    }
}

/// Where the parts of a `tokenizer.json` are: the large ones by their places, the rest as trees.
struct TokenizerFile {
    let root: JSONObject
    let model: JSONObject
    let vocabulary: Int
    let merges: Int

    init(_ start: JSONCursor) throws(Diagnostic) {
        var cursor = start
        var root: [String: JSONValue] = [:], model: [String: JSONValue] = [:]
        var vocabulary: Int?, merges: Int?
        var key: [UInt8] = [], isFirst = true
        try cursor.expect("{")
        while try cursor.next(&isFirst, closing: "}") {
            try cursor.key(into: &key)
            guard key == Array("model".utf8) else {
                root[String(decoding: key, as: UTF8.self)] = try cursor.value()
                continue
            }
            try cursor.expect("{")
            var isFirstOfModel = true
            while try cursor.next(&isFirstOfModel, closing: "}") {
                try cursor.key(into: &key)
                switch key {
                case Array("vocab".utf8): vocabulary = try cursor.skip()
                case Array("merges".utf8): merges = try cursor.skip()
                default: model[String(decoding: key, as: UTF8.self)] = try cursor.value()
                }
            }
        }
        self.root = JSONObject(file: start.file, members: root)
        self.model = JSONObject(file: start.file, path: "model", members: model)
        // The kind first: another kind has no merges.
        if let kind = try self.model.optionalString("type"), kind != "BPE" {
            throw self.model.invalid("type", "is \(quoted(kind)), which is not supported", expected: "'BPE'")
        }
        guard let vocabulary, let merges else {
            throw self.model.invalid(vocabulary == nil ? "vocab" : "merges", "is missing", expected: "a BPE model")
        }
        (self.vocabulary, self.merges) = (vocabulary, merges)
    }
}

/// Pieces and merges as they are read.
struct MergeListBuilder {
    let file: String
    let isByteLevel: Bool
    let vocabularySize: Int
    private(set) var merges: [MergeListModel.Merge] = []
    /// Texts in the order of the file; those that match text are keyed by their bytes.
    private var table = ByteStringTable()
    private var idOfEntry: [Int32] = []
    private var entryOfID: [Int32] = []
    /// Added tokens by id.
    private var added: [Int: (text: [UInt8], kind: SentencePieceModel.Piece.Kind)] = [:]

    init(_ file: String, isByteLevel: Bool, vocabularySize: Int) {
        (self.file, self.isByteLevel, self.vocabularySize) = (file, isByteLevel, vocabularySize)
    }

    mutating func readVocabulary(_ start: JSONCursor) throws(Diagnostic) {
        var cursor = start
        var key: [UInt8] = [], isFirst = true
        try cursor.expect("{")
        while try cursor.next(&isFirst, closing: "}") {
            try cursor.key(into: &key)
            let place = cursor.offset
            try add(key, id: cursor.integer()) { problem, expected in cursor.fault(problem, at: place, expected: expected) }
        }
    }

    /// One entry of the vocabulary, written as the file writes it.
    mutating func add(_ written: [UInt8], id: Int, fault: (String, String) -> Diagnostic) throws(Diagnostic) {
        guard id < vocabularySize else { throw fault("token id \(id)", "less than 'vocab_size', \(vocabularySize)") }
        let (entry, isNew) = table.insert(written)
        let name = String(decoding: written, as: UTF8.self)
        guard isNew else { throw fault("token \(quoted(name)) stands twice in the vocabulary", "distinct tokens") }
        while entryOfID.count <= id { entryOfID.append(-1) }
        guard entryOfID[id] < 0 else { throw fault("token id \(id) stands twice in the vocabulary", "distinct ids") }
        guard !written.isEmpty else { throw fault("token \(id) is empty", "a text") }
        idOfEntry.append(Int32(id))
        entryOfID[id] = Int32(entry)
    }

    mutating func readMerges(_ start: JSONCursor) throws(Diagnostic) {
        var cursor = start
        var pair: [UInt8] = [], isFirst = true
        try cursor.expect("[")
        while try cursor.next(&isFirst, closing: "]") {
            pair.removeAll(keepingCapacity: true)
            let place = cursor.offset
            var middle: Int?
            if cursor.peek() == UInt8(ascii: "[") {
                try cursor.expect("[")
                try cursor.string(appendingTo: &pair)
                middle = pair.count
                try cursor.expect(",")
                try cursor.string(appendingTo: &pair)
                try cursor.expect("]")
            } else {
                try cursor.string(appendingTo: &pair)
                if let space = pair.firstIndex(of: 0x20), !pair[(space + 1)...].contains(0x20) {
                    middle = space
                    pair.remove(at: space)
                }
            }
            guard let middle else { throw cursor.fault("a merge that is not two tokens", at: place, expected: "one space between two") }
            try merge(pair, middle) { problem, expected in cursor.fault(problem, at: place, expected: expected) }
        }
    }

    /// The next merge: of the first `middle` bytes of `pair` and of the rest, written as the file writes tokens.
    mutating func merge(_ pair: [UInt8], _ middle: Int, fault: (String, String) -> Diagnostic) throws(Diagnostic) {
        guard merges.count < 1 << 24 else { throw fault("more than \(1 << 24) merges", "fewer") }
        let left = Array(pair[..<middle]), right = Array(pair[middle...])
        guard let first = table.find(left), let second = table.find(right), let both = table.find(pair) else {
            let names = [left, right].map { quoted(String(decoding: $0, as: UTF8.self)) }
            throw fault("merge \(merges.count) joins \(names[0]) and \(names[1])", "tokens of the vocabulary that make one")
        }
        merges.append(MergeListModel.Merge(left: idOfEntry[first], right: idOfEntry[second], result: idOfEntry[both]))
    }

    /// An entry of `added_tokens`.
    mutating func add(_ token: JSONObject) throws(Diagnostic) {
        let id = try token.integer("id"), content = try token.string("content"), isSpecial = try token.optionalBool("special") ?? false
        let name = quoted(content)
        for key in ["single_word", "lstrip", "rstrip"] where try token.optionalBool(key) ?? false {
            throw token.invalid(key, "is true of \(name), which is not supported", expected: "false")
        }
        if !isSpecial, !isByteLevel, try token.optionalBool("normalized") ?? true {
            throw token.invalid("normalized", "is true of \(name), which is not supported", expected: "false, or 'special' true")
        }
        guard 0..<vocabularySize ~= id, !content.isEmpty else { return }
        let text = Array(content.utf8)
        if id < entryOfID.count, entryOfID[id] >= 0, Array(table.bytes(of: Int(entryOfID[id]))) != text {
            let other = quoted(String(decoding: table.bytes(of: Int(entryOfID[id])), as: UTF8.self))
            throw token.invalid("content", "is \(name) for id \(id), which is \(other) in the vocabulary", expected: "one text per id")
        }
        guard added.updateValue((text, isSpecial ? .control : .userDefined), forKey: id) == nil else {
            throw token.invalid("id", "is \(id) twice", expected: "one token per id")
        }
    }

    /// Texts by id, and what each is.
    func pieces() throws(Diagnostic) -> (text: [UInt8], offsets: [UInt32], kinds: [SentencePieceModel.Piece.Kind]) {
        let count = max(entryOfID.count, (added.keys.max() ?? -1) + 1)
        guard count > 0 else { throw .error("an empty vocabulary", at: .file(file), expected: "tokens") }
        var text: [UInt8] = [], offsets: [UInt32] = [0], kinds: [SentencePieceModel.Piece.Kind] = []
        text.reserveCapacity(table.text.count)
        var found: Set<UInt8> = []
        for id in 0..<count {
            var kind = SentencePieceModel.Piece.Kind.normal
            if let token = added[id] {
                text += token.text
                kind = token.kind
            } else if id < entryOfID.count, entryOfID[id] >= 0 {
                let written = table.bytes(of: Int(entryOfID[id]))
                if isByteLevel {
                    if !Self.appendBytes(of: written, to: &text) {
                        text.append(contentsOf: written)
                        kind = .unused
                    }
                } else {
                    text += written
                    if let byte = Self.byteValue(written) {
                        kind = .byte
                        found.insert(byte)
                    }
                }
            } else {
                kind = .unused
            }
            kinds.append(kind)
            offsets.append(UInt32(text.count))
        }
        // A byte-level tokenizer without one of them leaves that byte of a text out.
        for byte in UInt8.min...UInt8.max where !isByteLevel && !found.contains(byte) {
            throw .error("byte \(byte) has no token", at: .file(file), expected: "one for each byte")
        }
        return (text, offsets, kinds)
    }

    /// '<0xXX>'
    private static func byteValue(_ text: ArraySlice<UInt8>) -> UInt8? {
        guard text.count == 6, text.starts(with: Array("<0x".utf8)), text.last == UInt8(ascii: ">") else { return nil }
        return UInt8(String(decoding: text.dropFirst(3).dropLast(), as: UTF8.self), radix: 16)
    }

    /// GPT-2 writes printable bytes of Latin-1 as those characters, and the others, in order, as U+0100, U+0101, ... False, with nothing appended, for a
    /// text that has another character.
    private static func appendBytes(of written: ArraySlice<UInt8>, to text: inout [UInt8]) -> Bool {
        let start = text.count
        var index = written.startIndex
        while index < written.endIndex {
            let first = written[index]
            var code = Int(first)
            index += 1
            if first >= 0x80 {
                guard first < 0xE0, index < written.endIndex else { break }
                code = Int(first & 31) << 6 | Int(written[index] & 63)
                index += 1
            }
            guard code < byteOfCode.count, byteOfCode[code] >= 0 else { break }
            text.append(UInt8(byteOfCode[code]))
            if index == written.endIndex { return true }
        }
        text.removeSubrange(start...)
        return false
    }

    /// By code point; -1 for characters that stand for no byte.
    private static let byteOfCode: [Int16] = {
        var table = [Int16](repeating: -1, count: 0x100 + 68)
        var next = 0x100
        for byte in 0..<256 {
            if 0x21...0x7E ~= byte || 0xA1...0xAC ~= byte || 0xAE...0xFF ~= byte {
                table[byte] = Int16(byte)
            } else {
                table[next] = Int16(byte)
                next += 1
            }
        }
        return table
    }()
}
