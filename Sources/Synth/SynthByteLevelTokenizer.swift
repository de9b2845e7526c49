import Support

/// A `tokenizer.json` of 128,256 tokens in Llama 3's form, made up: the bytes, merges of letters, Llama 3's special tokens at their ids.
enum SynthByteLevelTokenizer {
    static let tokenCount = 128_256
    private static let specialCount = 256
    /// By frequency in English, as in `SynthTokenizer`.
    private static let letters = Array("etaoinshrdlcumwfgypbvkjxqz").map(String.init)
    /// How GPT-2 writes a space.
    private static let space = "\u{120}"

    private static let named = [
        0: "<|begin_of_text|>", 1: "<|end_of_text|>", 4: "<|finetune_right_pad_id|>", 6: "<|start_header_id|>", 7: "<|end_header_id|>",
        8: "<|eom_id|>", 9: "<|eot_id|>", 10: "<|python_tag|>",
    ]
    private static let pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    static func json() -> String {
        let base = tokenCount - specialCount
        let bytes = (0...255).map(byteText)
        let merges = Array(merges().prefix(base - bytes.count))
        precondition(merges.count == base - bytes.count, "the merges do not fill the vocabulary")
        let words = bytes + merges.map { $0.0 + $0.1 }
        var unnamed = 0
        let special: [(Int, String)] = (0..<specialCount).map { index in
            if let name = named[index] { return (base + index, name) }
            defer { unnamed += 1 }
            return (base + index, "<|reserved_special_token_\(unnamed)|>")
        }
        let added: [JSONText] = special.map { id, content in
            .object([
                ("id", .integer(id)), ("content", .string(content)), ("single_word", .bool(false)), ("lstrip", .bool(false)),
                ("rstrip", .bool(false)), ("normalized", .bool(false)), ("special", .bool(true)),
            ])
        }
        let byteLevel: JSONText = .object([
            ("type", "ByteLevel"), ("add_prefix_space", .bool(false)), ("trim_offsets", .bool(true)), ("use_regex", .bool(false)),
        ])
        let split: JSONText = .object([
            ("type", "Split"), ("pattern", .object([("Regex", .string(pattern))])), ("behavior", "Isolated"), ("invert", .bool(false)),
        ])
        let bos: JSONText = .string("<|begin_of_text|>")
        let template: JSONText = .object([
            ("type", "TemplateProcessing"),
            (
                "single",
                .array([
                    .object([("SpecialToken", .object([("id", bos), ("type_id", 0)]))]),
                    .object([("Sequence", .object([("id", "A"), ("type_id", 0)]))]),
                ])
            ),
            (
                "special_tokens",
                .object([
                    ("<|begin_of_text|>", .object([("id", bos), ("ids", .array([.integer(base)])), ("tokens", .array([bos]))]))
                ])
            ),
        ])
        let model: JSONText = .object([
            ("type", "BPE"), ("dropout", .null), ("unk_token", .null), ("byte_fallback", .bool(false)), ("ignore_merges", .bool(true)),
            ("vocab", .object(words.enumerated().map { ($0.element, .integer($0.offset)) })),
            ("merges", .array(merges.map { .string("\($0.0) \($0.1)") })),
        ])
        return JSONText.object([
            ("version", "1.0"), ("added_tokens", .array(added)), ("normalizer", .null),
            ("pre_tokenizer", .object([("type", "Sequence"), ("pretokenizers", .array([split, byteLevel]))])),
            ("post_processor", .object([("type", "Sequence"), ("processors", .array([byteLevel, template]))])), ("decoder", byteLevel),
            ("model", model),
        ]).text() + "\n"
    }

    /// Shorter ones first, so that both halves stand before a merge.
    private static func merges() -> some Sequence<(String, String)> {
        let starts = letters + [space]
        let pairs = starts.flatMap { a in letters.map { (a, $0) } }
        let triples = pairs.flatMap { pair in letters.map { (pair.0 + pair.1, $0) } }
        let longer = triples.lazy.flatMap { triple in letters.map { (triple.0 + triple.1, $0) } }
        return [AnySequence(pairs), AnySequence(triples), AnySequence(longer)].joined()
    }

    /// Printable bytes of Latin-1 are those characters, the others in order U+0100 on.
    private static func byteText(_ byte: Int) -> String {
        func isPrintable(_ byte: Int) -> Bool { 33...126 ~= byte || 161...172 ~= byte || 174...255 ~= byte }
        let code = isPrintable(byte) ? byte : 256 + (0..<byte).count { !isPrintable($0) }
        return String(UnicodeScalar(UInt32(code))!)
    }
}
