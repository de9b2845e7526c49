import Support

extension MergeListModel {
    /// Reads `tokenizer.json` of the folder. Of the many tokenizers that the file can describe, byte-level BPE with GPT-2's or Llama 3's regular
    /// expression is accepted, and SentencePiece's BPE with byte fallback; anything else is refused by name.
    /// Added tokens for which the embedding has no row cannot be used and are left out. Those of other files come to them.
    init(folder: String, vocabularySize: Int) throws(Diagnostic) {
        let path = joinedPath(folder, "tokenizer.json")
        let added = try AddedTokenEntry.entries(folder: folder, vocabularySize: vocabularySize)
        try self.init(JSONCursor(readingFile: path), vocabularySize: vocabularySize, added: added)
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            guard bosID == nil || eosID == nil, let object = try JSONObject.ifPresent(name, in: folder) else { continue }
            if bosID == nil { bosID = try configured("bos_token", object) }
            if eosID == nil { eosID = try configured("eos_token", object) }
        }
        // What LlamaTokenizer calls them where no file does.
        guard case .sentencePiece = splitting else { return }
        if bosID == nil { bosID = special("<s>") }
        if eosID == nil { eosID = special("</s>") }
    }

    private func configured(_ key: String, _ config: JSONObject) throws(Diagnostic) -> Int? {
        if case .object? = config[key] { return try special(config.object(key).string("content")) }
        return try config.optionalString(key).flatMap(special)
    }

    init(_ cursor: JSONCursor, vocabularySize: Int, added: [Int: AddedTokenEntry] = [:]) throws(Diagnostic) {
        let file = try TokenizerFile(cursor)
        let (pipeline, model) = (file.root, file.model)
        try Self.checkModel(model)
        splitting = try Self.splitting(pipeline)
        let isByteLevel = if case .byteLevel = splitting { true } else { false }
        let fallback = try model.optionalBool("byte_fallback") ?? false
        guard fallback != isByteLevel else {
            throw model.invalid(
                "byte_fallback", "is \(fallback)", expected: isByteLevel ? "false beside 'ByteLevel'" : "true without 'ByteLevel'")
        }
        keepsWholeWords = try model.optionalBool("ignore_merges") ?? false
        if keepsWholeWords && !isByteLevel {
            throw model.invalid("ignore_merges", "is true without 'ByteLevel', which is not supported", expected: "false")
        }

        var builder = MergeListBuilder(cursor.file, isByteLevel: isByteLevel, vocabularySize: vocabularySize)
        if case .sentencePiece(.always, _) = splitting { builder.hasPrefixNormalizer = true }
        try builder.readVocabulary(cursor.at(file.vocabulary))
        try builder.readMerges(cursor.at(file.merges))
        for token in try pipeline.optionalArray("added_tokens") ?? [] {
            guard case .object(let members) = token else {
                throw pipeline.invalid("added_tokens", "holds \(token.kind)", expected: "objects")
            }
            try builder.add(JSONObject(file: cursor.file, path: "added_tokens", members: members))
        }
        for (id, entry) in added.sorted(by: { $0.key < $1.key }) { try builder.add(entry, id: id) }
        normalizedWords = builder.normalizedWords
        (text, offsets, kinds) = try builder.pieces()
        merges = builder.merges
        let bos = try Self.bos(pipeline)
        (bosID, addsBOS, eosID) = (bos, bos != nil, nil)
        if let bos, !kinds.indices.contains(bos) || kinds[bos] != .control {
            throw pipeline.invalid("post_processor", "puts token \(bos) first", expected: "a special token")
        }
    }

    private static func checkModel(_ model: JSONObject) throws(Diagnostic) {
        for key in ["continuing_subword_prefix", "end_of_word_suffix"] {
            guard let value = try model.optionalString(key), !value.isEmpty else { continue }
            throw model.invalid(key, "is \(quoted(value)), which is not supported", expected: "null")
        }
        if let dropout = try model.optionalDouble("dropout"), dropout != 0 {
            throw model.invalid("dropout", "is \(dropout)", expected: "null")
        }
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
    /// A normalizer escapes spaces and puts one before a text: in added words too that are looked for behind it.
    var hasPrefixNormalizer = false
    private(set) var normalizedWords: Set<Int> = []
    private(set) var merges: [MergeListModel.Merge] = []
    /// Texts in the order of the file; those that match text are keyed by their bytes.
    private var table = ByteStringTable()
    private var idOfEntry: [Int32] = []
    private var entryOfID: [Int32] = []
    /// Added tokens by id.
    private var added: [Int: (text: [UInt8], kind: SentencePieceModel.Piece.Kind)] = [:]
    private var idOfAdded: [[UInt8]: Int] = [:]
    /// Left and right of each merge.
    private var pairs: Set<UInt64> = []

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
        guard id < TokenizerLimits.tokens else { throw fault("token id \(id)", "less than \(TokenizerLimits.tokens)") }
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
        let merge = MergeListModel.Merge(left: idOfEntry[first], right: idOfEntry[second], result: idOfEntry[both])
        // Which of two ranks would count is another matter in each library.
        guard pairs.insert(UInt64(UInt32(bitPattern: merge.left)) << 32 | UInt64(UInt32(bitPattern: merge.right))).inserted else {
            let names = [left, right].map { quoted(String(decoding: $0, as: UTF8.self)) }
            throw fault("merge \(merges.count) joins \(names[0]) and \(names[1]) again", "each pair once")
        }
        merges.append(merge)
    }

    /// An entry of `added_tokens`.
    mutating func add(_ token: JSONObject) throws(Diagnostic) {
        let id = try token.integer("id"), content = try token.string("content"), isSpecial = try token.optionalBool("special") ?? false
        let name = quoted(content)
        guard 0..<vocabularySize ~= id, !content.isEmpty else { return }
        try token.refuseAddedTokenFlags(name)
        let text = Array(content.utf8)
        if let other = entry(id), Array(other) != text {
            let other = quoted(String(decoding: other, as: UTF8.self))
            throw token.invalid("content", "is \(name) for id \(id), which is \(other) in the vocabulary", expected: "one text per id")
        }
        guard id < TokenizerLimits.tokens else { throw token.invalid("id", "is \(id)", expected: "less than \(TokenizerLimits.tokens)") }
        guard added[id] == nil else { throw token.invalid("id", "is \(id) twice", expected: "one token per id") }
        let normalized = try token.optionalBool("normalized") ?? !isSpecial
        let isNormalized = normalized && !isSpecial
        if isNormalized, hasPrefixNormalizer, entry(id) != nil {
            throw token.invalid(
                "normalized", "is true of \(name), which is in the vocabulary too; that is not supported", expected: "false")
        }
        insert(id, text, isSpecial: isSpecial, isNormalized: isNormalized)
    }

    /// A token that another file adds: new here, or the same as here. Its text is looked for as it was typed.
    mutating func add(_ token: AddedTokenEntry, id: Int) throws(Diagnostic) {
        let text = Array(token.text.utf8)
        if let here = added[id]?.text ?? entry(id).map({ Array($0) }) {
            guard here == text else {
                throw .error(
                    "token \(id) is \(quoted(String(decoding: here, as: UTF8.self))) in \(quoted(file)) and \(quoted(token.text)) here",
                    at: .file(token.file),
                    expected: "one text per id")
            }
            guard added[id] == nil else { return }
        } else if let other = idOfAdded[text] ?? table.find(text).map({ Int(idOfEntry[$0]) }) {
            throw .error(
                "token \(quoted(token.text)) is \(other) in \(quoted(file)) and \(id) here", at: .file(token.file),
                expected: "one id per text")
        }
        insert(id, text, isSpecial: token.isSpecial, isNormalized: false)
    }

    private mutating func insert(_ id: Int, _ text: [UInt8], isSpecial: Bool, isNormalized: Bool) {
        let mark = Array("\u{2581}".utf8)
        let escaped = isNormalized && hasPrefixNormalizer ? mark + text.flatMap { $0 == UInt8(ascii: " ") ? mark : [$0] } : text
        added[id] = (escaped, isSpecial ? .control : .userDefined)
        idOfAdded[text] = id
        if isNormalized { normalizedWords.insert(id) }
    }

    /// The vocabulary's text for an id.
    private func entry(_ id: Int) -> ArraySlice<UInt8>? {
        id < entryOfID.count && entryOfID[id] >= 0 ? table.bytes(of: Int(entryOfID[id])) : nil
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
            guard text.count <= TokenizerLimits.total else {
                throw .error("tokens of more than \(TokenizerLimits.total) bytes", at: .file(file), expected: "fewer")
            }
            offsets.append(UInt32(text.count))
        }
        try TokenizerLimits.check(kinds.indices.lazy.map { Int(offsets[$0 + 1] - offsets[$0]) }, .file(file))
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
