/// Parses RFC 8259 text. Ours, because Foundation's decoder gives no position on Linux and keeps one of two equal keys
/// without a word, which in a tensor file would hide a tensor.
struct JSONParser {
    let bytes: [UInt8]
    /// Only named in errors.
    let file: String
    /// Where `bytes` begin in the file.
    let origin: UInt64
    private var offset = 0
    private var depth = 0

    static let maximumDepth = 256
    /// A value takes more memory than the few bytes that it may be written in. A header of 100,000 tensors has 800,000 values.
    static let maximumValues = 1 << 21

    private var count = 0

    init(bytes: [UInt8], file: String, origin: UInt64) {
        (self.bytes, self.file, self.origin) = (bytes, file, origin)
    }

    mutating func parse() throws(Diagnostic) -> JSONValue {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { offset = 3 }
        let value = try value()
        skipSpace()
        guard offset == bytes.count else { throw fault("text after the JSON value", "the end of the file") }
        return value
    }

    private func fault(_ problem: String, _ expected: String, at place: Int? = nil) -> Diagnostic {
        .error("not valid JSON: \(problem)", at: .byte(file: file, offset: origin + UInt64(place ?? offset)), expected: expected)
    }

    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { offset += 1 }
    }

    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard next == UInt8(ascii: character) else { return false }
        offset += 1
        return true
    }

    /// What stands at the offset, for messages.
    private var found: String {
        guard let byte = next else { return "the text ends" }
        let word = bytes[offset...].prefix(24).prefix { isWord($0) }
        if !word.isEmpty { return "found \(quoted(String(decoding: word, as: UTF8.self)))" }
        return 0x20..<0x7F ~= byte ? "found \(quoted(String(Unicode.Scalar(byte))))" : "found byte \(byte)"
    }

    private func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private mutating func value() throws(Diagnostic) -> JSONValue {
        skipSpace()
        count += 1
        guard count <= Self.maximumValues else { throw fault("more than \(Self.maximumValues) values", "fewer") }
        switch next {
        case UInt8(ascii: "{"): return try nested { (parser) throws(Diagnostic) in try parser.object() }
        case UInt8(ascii: "["): return try nested { (parser) throws(Diagnostic) in try parser.array() }
        case UInt8(ascii: "\""): return .string(try string())
        default: return try scalar()
        }
    }

    private mutating func nested(_ body: (inout JSONParser) throws(Diagnostic) -> JSONValue) throws(Diagnostic) -> JSONValue {
        guard depth < Self.maximumDepth else { throw fault("too deeply nested", "at most \(Self.maximumDepth) levels") }
        depth += 1
        offset += 1
        let value = try body(&self)
        depth -= 1
        return value
    }

    private mutating func object() throws(Diagnostic) -> JSONValue {
        var members: [String: JSONValue] = [:]
        if skip("}") { return .object(members) }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw fault(found, "a key in double quotes") }
            let start = offset
            let key = try string()
            guard skip(":") else { throw fault(found, "':'") }
            guard members.updateValue(try value(), forKey: key) == nil else {
                throw fault("key \(quoted(key)) stands twice", "distinct keys", at: start)
            }
        } while skip(",")
        guard skip("}") else { throw fault(found, "',' or '}'") }
        return .object(members)
    }

    private mutating func array() throws(Diagnostic) -> JSONValue {
        var values: [JSONValue] = []
        if skip("]") { return .array(values) }
        repeat { values.append(try value()) } while skip(",")
        guard skip("]") else { throw fault(found, "',' or ']'") }
        return .array(values)
    }

    /// A number or one of the three words.
    private mutating func scalar() throws(Diagnostic) -> JSONValue {
        let start = offset
        let text = String(decoding: bytes[start...].prefix { isWord($0) }, as: UTF8.self)
        offset = start + text.utf8.count
        switch text {
        case "true": return .bool(true)
        case "false": return .bool(false)
        case "null": return .null
        default: break
        }
        guard let isInteger = Self.numberForm(text) else {
            offset = start
            // Python's json module writes these words for what JSON cannot say.
            let isPython = ["NaN", "Infinity", "-Infinity"].contains(text)
            throw fault(found, isPython ? "finite numbers" : "a value")
        }
        if isInteger, let value = Int64(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else {
            throw fault("number \(quoted(text)) is out of range", "a 64-bit number", at: start)
        }
        return .number(value)
    }

    /// Nil when `text` is no JSON number; else whether it has neither fraction nor exponent.
    private static func numberForm(_ text: String) -> Bool? {
        var rest = text.utf8[...]
        func digits() -> Int {
            let count = rest.prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }.count
            rest = rest.dropFirst(count)
            return count
        }
        func take(_ characters: String) -> Bool {
            guard let byte = rest.first, characters.utf8.contains(byte) else { return false }
            rest = rest.dropFirst()
            return true
        }
        _ = take("-")
        let startsWithZero = rest.first == UInt8(ascii: "0")
        let count = digits()
        guard count == 1 || count > 1 && !startsWithZero else { return nil }
        var isInteger = true
        if take(".") {
            isInteger = false
            guard digits() > 0 else { return nil }
        }
        if take("eE") {
            isInteger = false
            _ = take("+-")
            guard digits() > 0 else { return nil }
        }
        return rest.isEmpty ? isInteger : nil
    }

    private mutating func string() throws(Diagnostic) -> String {
        let start = offset
        offset += 1
        // What stands before the run that begins at `run`; empty, and never grown, where nothing is escaped.
        var text: [UInt8] = []
        var run = offset
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                defer { offset += 1 }
                if !text.isEmpty { text += bytes[run..<offset] }
                guard
                    let string = text.isEmpty
                        ? String(validating: bytes[run..<offset], as: UTF8.self) : String(validating: text, as: UTF8.self)
                else {
                    throw fault("the string is not UTF-8", "UTF-8", at: start)
                }
                guard hasFewMarks(string) else { throw fault("a letter has more than 64 marks", "fewer", at: start) }
                return string
            case UInt8(ascii: "\\"):
                text += bytes[run..<offset]
                text += Array(String(try escape()).utf8)
                run = offset
            case 0..<0x20:
                throw fault("control character \(byte) in a string", "an escape")
            default:
                offset += 1
            }
        }
        throw fault("the string does not end", "'\"'", at: start)
    }

    private mutating func escape() throws(Diagnostic) -> Character {
        let start = offset
        offset += 1
        defer { offset += 1 }
        switch next {
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "\"")?, UInt8(ascii: "\\")?, UInt8(ascii: "/")?: return Character(Unicode.Scalar(next!))
        case UInt8(ascii: "u"):
            var unit = hexUnit()
            if let high = unit, 0xD800..<0xDC00 ~= high {
                guard bytes[offset...].dropFirst().starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")]) else {
                    throw fault("half of a surrogate pair", "both halves", at: start)
                }
                offset += 2
                unit = hexUnit().flatMap { 0xDC00..<0xE000 ~= $0 ? 0x10000 + (high - 0xD800) << 10 + ($0 - 0xDC00) : nil }
            }
            guard let unit, let scalar = Unicode.Scalar(unit) else { throw fault("an impossible escape", "'\\uXXXX'", at: start) }
            return Character(scalar)
        default: throw fault("an unknown escape", "one of JSON's", at: start)
        }
    }

    /// The four hexadecimal digits after a `u`, leaving the offset on the last of them.
    private mutating func hexUnit() -> UInt32? {
        let digits = bytes[offset...].dropFirst().prefix(4)
        guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else { return nil }
        offset += 4
        return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    }
}
