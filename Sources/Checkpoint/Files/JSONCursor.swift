import Support

/// Reads JSON text from front to back without building a tree, strings as bytes: for the one kind of file whose objects have hundreds of thousands of
/// members, and whose keys differ where Swift's strings are equal (by canonical equivalence).
struct JSONCursor {
    let bytes: [UInt8]
    let file: String
    private(set) var offset = 0

    init(readingFile path: String) throws(Diagnostic) {
        try self.init(bytes: readFile(path, limit: 256 << 20), file: path)
    }

    init(bytes: [UInt8], file: String) throws(Diagnostic) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw .error("the text is not UTF-8", at: .file(file), expected: "JSON")
        }
        (self.bytes, self.file) = (bytes, file)
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { offset = 3 }
    }

    func fault(_ problem: String, at place: Int? = nil, expected: String) -> Diagnostic {
        .error(problem, at: .byte(file: file, offset: UInt64(place ?? offset)), expected: expected)
    }

    private mutating func skipSpace() {
        while offset < bytes.count, bytes[offset] == 0x20 || bytes[offset] == 0x0A || bytes[offset] == 0x0D || bytes[offset] == 0x09 {
            offset += 1
        }
    }

    /// The next byte that is no space, 0 at the end.
    mutating func peek() -> UInt8 {
        skipSpace()
        return offset < bytes.count ? bytes[offset] : 0
    }

    mutating func expect(_ character: Unicode.Scalar) throws(Diagnostic) {
        guard peek() == UInt8(ascii: character) else { throw fault("not valid JSON", expected: "'\(character)'") }
        offset += 1
    }

    /// Steps to the next element of an object or array whose opening bracket has been read; false behind the last, with the closing one read.
    mutating func next(_ isFirst: inout Bool, closing: Unicode.Scalar) throws(Diagnostic) -> Bool {
        if peek() == UInt8(ascii: closing) {
            offset += 1
            return false
        }
        if !isFirst { try expect(",") }
        isFirst = false
        return true
    }

    /// A member's key, with the colon.
    mutating func key(into text: inout [UInt8]) throws(Diagnostic) {
        text.removeAll(keepingCapacity: true)
        try string(appendingTo: &text)
        try expect(":")
    }

    mutating func string(appendingTo text: inout [UInt8]) throws(Diagnostic) {
        try expect("\"")
        var start = offset
        while offset < bytes.count {
            switch bytes[offset] {
            case UInt8(ascii: "\""):
                text.append(contentsOf: bytes[start..<offset])
                offset += 1
                return
            case UInt8(ascii: "\\"):
                text.append(contentsOf: bytes[start..<offset])
                try escape(appendingTo: &text)
                start = offset
            case 0..<0x20: throw fault("not valid JSON: a control character in a string", expected: "an escape")
            default: offset += 1
            }
        }
        throw fault("not valid JSON: the text ends in a string", expected: "'\"'")
    }

    private mutating func escape(appendingTo text: inout [UInt8]) throws(Diagnostic) {
        let place = offset
        let letter = offset + 1 < bytes.count ? bytes[offset + 1] : 0
        offset += 2
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if 0xD800..<0xDC00 ~= code, offset + 1 < bytes.count, bytes[offset] == UInt8(ascii: "\\"),
                bytes[offset + 1] == UInt8(ascii: "u")
            {
                offset += 2
                let low = try hexadecimal()
                if 0xDC00..<0xE000 ~= low { code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00) }
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw fault("not valid JSON: half of a surrogate pair", at: place, expected: "both halves")
            }
            text.append(contentsOf: UTF8.encode(scalar)!)
        default: throw fault("not valid JSON: an unknown escape", at: place, expected: "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
        }
    }

    private mutating func hexadecimal() throws(Diagnostic) -> UInt32 {
        let digits = bytes[min(offset, bytes.count)..<min(offset + 4, bytes.count)]
        guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw fault("not valid JSON", expected: "four hexadecimal digits") }
        offset += 4
        return value
    }

    /// A whole number from 0 on.
    mutating func integer() throws(Diagnostic) -> Int {
        let first = peek(), start = offset
        var value = 0
        while offset < bytes.count, 0x30...0x39 ~= bytes[offset], value <= 1 << 40 {
            value = value * 10 + Int(bytes[offset] - 0x30)
            offset += 1
        }
        guard 0x30...0x39 ~= first, value <= Int(Int32.max) else { throw fault("not a token id", at: start, expected: "0 to \(Int32.max)") }
        return value
    }

    /// The value that stands here, as a tree.
    mutating func value() throws(Diagnostic) -> JSONValue {
        let start = try skip()
        return try JSONValue.parse(bytes[start..<offset], file: file, origin: UInt64(start))
    }

    /// Passes over a value, whose start it returns. Only brackets and strings are looked at.
    @discardableResult
    mutating func skip() throws(Diagnostic) -> Int {
        skipSpace()
        let start = offset
        var depth = 0
        repeat {
            guard offset < bytes.count else { throw fault("not valid JSON: the text ends in a value", expected: "the rest") }
            switch bytes[offset] {
            case UInt8(ascii: "\""):
                offset += 1
                while offset < bytes.count, bytes[offset] != UInt8(ascii: "\"") { offset += bytes[offset] == UInt8(ascii: "\\") ? 2 : 1 }
                offset += 1
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                offset += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { throw fault("not valid JSON", expected: "a value") }
                depth -= 1
                offset += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                guard depth > 0 else { throw fault("not valid JSON", expected: "a value") }
                offset += 1
            default:
                // A number or word, or spaces between.
                offset += 1
                while depth == 0, offset < bytes.count, !Self.ends.contains(bytes[offset]) { offset += 1 }
            }
        } while depth > 0
        guard offset <= bytes.count else { throw fault("not valid JSON: the text ends in a string", at: bytes.count, expected: "'\"'") }
        return start
    }

    private static let ends = Set(",:}] \n\r\t".utf8)

    /// A second reader of the same text, from `offset` on.
    func at(_ offset: Int) -> JSONCursor {
        var copy = self
        copy.offset = offset
        return copy
    }
}
