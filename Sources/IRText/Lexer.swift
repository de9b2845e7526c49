import IR
import Support

/// A token of IR text and where it begins.
struct Token {
    enum Kind: Equatable {
        /// Letters, digits and `_ . - +`: a keyword, mnemonic, label, number, type name or bare name
        case word(String)
        /// `%x`, `@x` or `&x`; the name may be quoted
        case operand(Operand)
        case string(String)
        /// One of `{ } ( ) [ ] , : = < *`
        case mark(UInt8)
        case end
    }

    var kind: Kind
    var line: Int
    /// In Unicode scalars from 1
    var column: Int

    /// As a message names it.
    var text: String {
        switch kind {
        case .word(let word): quoted(word)
        case .operand(let operand): quoted("\(operand)")
        case .string(let text): "string \(quoted(text))"
        case .mark(let byte): quoted(String(UnicodeScalar(byte)))
        case .end: "the end of the text"
        }
    }
}

/// Cuts IR text into tokens. Blanks, line ends and `// ...` comments only separate.
struct Lexer {
    private let bytes: [UInt8]
    private let file: String
    private var index = 0
    private var line = 1
    private var column = 1

    init(_ text: String, file: String) {
        bytes = Array(text.utf8)
        self.file = file
    }

    private var current: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func advance() {
        // The bytes of one scalar count as one column.
        if bytes[index] == UInt8(ascii: "\n") {
            (line, column) = (line + 1, 1)
        } else if bytes[index] & 0xC0 != 0x80 {
            column += 1
        }
        index += 1
    }

    private func failure(_ message: String, _ line: Int, _ column: Int, expected: String) -> Diagnostic {
        .error(message, at: .line(file: file, line: line, column: column), expected: expected)
    }

    private mutating func skipBlanks() {
        while let byte = current {
            switch byte {
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"): advance()
            case UInt8(ascii: "/") where index + 1 < bytes.count && bytes[index + 1] == byte:
                while let byte = current, byte != UInt8(ascii: "\n") { advance() }
            default: return
            }
        }
    }

    mutating func next() throws(Diagnostic) -> Token {
        skipBlanks()
        let (line, column) = (line, column)
        func token(_ kind: Token.Kind) -> Token { Token(kind: kind, line: line, column: column) }
        guard let byte = current else { return token(.end) }
        switch byte {
        case UInt8(ascii: "%"): return token(.operand(.value(try name(after: "%"))))
        case UInt8(ascii: "@"): return token(.operand(.weight(try name(after: "@"))))
        case UInt8(ascii: "&"): return token(.operand(.state(try name(after: "&"))))
        case UInt8(ascii: "\""): return token(.string(try string()))
        case UInt8(ascii: "{"), UInt8(ascii: "}"), UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "["), UInt8(ascii: "]"),
            UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "="), UInt8(ascii: "<"), UInt8(ascii: "*"):
            advance()
            return token(.mark(byte))
        case _ where isNameByte(byte): return token(.word(word()))
        default:
            let scalar = String(decoding: bytes[index...].prefix(4), as: UTF8.self).unicodeScalars.first!
            throw failure("unexpected character \(quoted(String(scalar)))", line, column, expected: "IR text")
        }
    }

    private mutating func word() -> String {
        let start = index
        while let byte = current, isNameByte(byte) { advance() }
        return String(decoding: bytes[start..<index], as: UTF8.self)
    }

    private mutating func name(after sigil: String) throws(Diagnostic) -> String {
        advance()
        if current == UInt8(ascii: "\"") { return try string() }
        let name = word()
        if name.isEmpty {
            throw failure("no name after '\(sigil)'", line, column, expected: "letters, digits, '_', '.', '-', '+' or a string")
        }
        return name
    }

    /// A string in double quotes on one line, with the escapes `\\`, `\"` and `\u{hex}`.
    private mutating func string() throws(Diagnostic) -> String {
        let (startLine, startColumn) = (line, column)
        advance()
        var text: [UInt8] = []
        while let byte = current, byte != UInt8(ascii: "\n") {
            let (line, column) = (line, column)
            advance()
            if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
            guard byte == UInt8(ascii: "\\") else {
                text.append(byte)
                continue
            }
            switch current {
            case UInt8(ascii: "\\"), UInt8(ascii: "\""):
                text.append(bytes[index])
                advance()
            case UInt8(ascii: "u"):
                guard let scalar = scalar() else {
                    throw failure("unknown escape", line, column, expected: "'\\u{hex}' with a Unicode scalar")
                }
                text.append(contentsOf: Array(String(scalar).utf8))
            default: throw failure("unknown escape", line, column, expected: "'\\\\', '\\\"' or '\\u{hex}'")
            }
        }
        throw failure("string without an end", startLine, startColumn, expected: "'\"' on the same line")
    }

    /// What follows a backslash: `u{hex}` with 1 to 6 digits.
    private mutating func scalar() -> Unicode.Scalar? {
        advance()
        guard current == UInt8(ascii: "{") else { return nil }
        advance()
        var (value, digits): (UInt32, Int) = (0, 0)
        while let byte = current, let digit = Character(UnicodeScalar(byte)).hexDigitValue, digits < 6 {
            (value, digits) = (value * 16 + UInt32(digit), digits + 1)
            advance()
        }
        guard digits > 0, current == UInt8(ascii: "}") else { return nil }
        advance()
        return Unicode.Scalar(value)
    }
}
