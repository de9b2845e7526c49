/// A SentencePiece model of 32,000 pieces in LLaMA's form, made up: control and byte pieces, merges of letters, ASCII.
/// Every merged piece is the join of two others, as in a trained BPE model.
enum SynthTokenizer {
    static let pieceCount = 32_000
    /// By frequency in English, so that common words become few tokens.
    private static let letters = Array("etaoinshrdlcumwfgypbvkjxqz").map(String.init)
    private static let boundary = "\u{2581}"

    /// The serialized ModelProto.
    static func model() -> [UInt8] {
        var proto = Protobuf()
        for piece in pieces() { proto.message(1, piece) }
        var trainer = Protobuf()
        trainer.integer(3, 2)  // model_type: BPE
        trainer.integer(4, pieceCount)
        trainer.integer(35, 1)  // byte_fallback
        for (field, id) in [(40, 0), (41, 1), (42, 2), (43, -1)] { trainer.integer(field, id) }  // unk, bos, eos, pad
        proto.message(2, trainer)
        var normalizer = Protobuf()
        normalizer.string(1, "identity")
        normalizer.integer(3, 1)  // add_dummy_prefix
        normalizer.integer(4, 0)  // remove_extra_whitespaces
        normalizer.integer(5, 1)  // escape_whitespaces
        proto.message(3, normalizer)
        return proto.bytes
    }

    private static func pieces() -> [Protobuf] {
        var list: [Protobuf] = []
        func add(_ text: String, score: Float, kind: Int) {
            var piece = Protobuf()
            piece.string(1, text)
            piece.float(2, score)
            if kind != 1 { piece.integer(3, kind) }  // normal is the default
            list.append(piece)
        }
        add("<unk>", score: 0, kind: 2)
        add("<s>", score: 0, kind: 3)
        add("</s>", score: 0, kind: 3)
        for byte in 0..<256 {
            let digits = String(byte, radix: 16, uppercase: true)
            add("<0x\(digits.count == 1 ? "0" : "")\(digits)>", score: 0, kind: 6)
        }
        let characters = [boundary] + (33...126).map { String(Unicode.Scalar(UInt8($0))) }
        let room = pieceCount - list.count - characters.count
        var score: Float = 0
        for text in merges().prefix(room) {
            add(text, score: score, kind: 1)
            score -= 1
        }
        for text in characters {
            add(text, score: score, kind: 1)
            score -= 1
        }
        precondition(list.count == pieceCount, "the merges do not fill the vocabulary")
        return list
    }

    /// Shorter ones first, so that both halves of a merge stand before it or among the characters.
    private static func merges() -> [String] {
        let pairs = letters.flatMap { a in letters.map { a + $0 } }
        let triples = pairs.flatMap { pair in letters.map { pair + $0 } }
        return letters.map { boundary + $0 } + pairs + pairs.map { boundary + $0 } + triples + triples.map { boundary + $0 }
    }
}

/// Protocol buffers, as far as they are written here.
private struct Protobuf {
    private(set) var bytes: [UInt8] = []

    private mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            bytes.append(UInt8(value & 0x7F | 0x80))
            value >>= 7
        }
        bytes.append(UInt8(value))
    }

    mutating func integer(_ field: Int, _ value: Int) {
        varint(UInt64(field << 3))
        varint(UInt64(bitPattern: Int64(value)))
    }

    mutating func float(_ field: Int, _ value: Float) {
        varint(UInt64(field << 3 | 5))
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes += $0 }
    }

    mutating func string(_ field: Int, _ text: String) { delimited(field, Array(text.utf8)) }

    mutating func message(_ field: Int, _ message: Protobuf) { delimited(field, message.bytes) }

    private mutating func delimited(_ field: Int, _ content: [UInt8]) {
        varint(UInt64(field << 3 | 2))
        varint(UInt64(content.count))
        bytes += content
    }
}
