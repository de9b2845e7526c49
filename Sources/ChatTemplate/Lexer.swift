import Support

/// A token of a template and the byte where it begins.
struct TemplateToken {
    enum Kind: Equatable {
        /// Text between tags.
        case data(String)
        case printStart, printEnd, blockStart, blockEnd
        case name(String)
        case integer(Int)
        case string(String)
        case symbol(String)
        case end
    }

    var kind: Kind
    var offset: Int

    /// As messages name it.
    var described: String {
        switch kind {
        case .data: "text"
        case .printStart: "'{{'"
        case .printEnd: "'}}'"
        case .blockStart: "'{%'"
        case .blockEnd: "'%}'"
        case .name(let name): quoted(name)
        case .integer(let value): "'\(value)'"
        case .string(let text): "the text \(quoted(text))"
        case .symbol(let symbol): quoted(symbol)
        case .end: "its end"
        }
    }
}

/// Cuts a template into tokens with transformers' settings: `trim_blocks` and `lstrip_blocks`.
struct TemplateLexer {
    private let source: TemplateSource
    private let bytes: [UInt8]
    private var at = 0
    private var tokens: [TemplateToken] = []

    static func tokens(of source: TemplateSource) throws(Diagnostic) -> [TemplateToken] {
        var lexer = TemplateLexer(source: source, bytes: source.bytes)
        return try lexer.run()
    }

    private init(source: TemplateSource, bytes: [UInt8]) { (self.source, self.bytes) = (source, bytes) }

    private func stands(_ text: String, _ place: Int) -> Bool { bytes[min(place, bytes.count)...].starts(with: text.utf8) }

    /// In one tag: no template comes near it, and a hostile one does not exhaust the stack.
    static let maximumTokens = 1000

    private mutating func run() throws(Diagnostic) -> [TemplateToken] {
        // Whether the text from `from` on begins a line, and whether the tag before it asks to cut its white space.
        var from = 0, beginsLine = true, cuts = false
        while at < bytes.count {
            guard let (opening, isBlock) = [("{{", false), ("{%", true), ("{#", true)].first(where: { stands($0.0, at) }) else {
                at += 1
                continue
            }
            let tag = at
            at += 2
            let sign = at < bytes.count ? bytes[at] : 0
            if sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") { at += 1 }
            addData(
                from..<tag, cutsStart: cuts, cutsEnd: sign == UInt8(ascii: "-"),
                cutsIndent: isBlock && sign != UInt8(ascii: "+"), beginsLine: beginsLine)
            switch opening {
            case "{#":
                while at < bytes.count, !stands("#}", at) { at += 1 }
                guard at < bytes.count else { throw source.fault("has a comment without an end", at: tag, expected: "'#}'") }
                cuts = bytes[at - 1] == UInt8(ascii: "-") && at - 1 > tag + 1
                at += 2
            default:
                tokens.append(TemplateToken(kind: isBlock ? .blockStart : .printStart, offset: tag))
                cuts = try addInside(isBlock ? "%}" : "}}", from: tag)
                tokens.append(TemplateToken(kind: isBlock ? .blockEnd : .printEnd, offset: at - 2))
            }
            // The first newline behind a block goes, unless the sign '+' keeps it.
            let plus = bytes[at - 3] == UInt8(ascii: "+")
            beginsLine = isBlock && !plus && stands("\n", at)
            if beginsLine, !cuts { at += 1 }
            from = at
        }
        addData(from..<bytes.count, cutsStart: cuts, cutsEnd: false, cutsIndent: false, beginsLine: beginsLine)
        tokens.append(TemplateToken(kind: .end, offset: bytes.count))
        return tokens
    }

    private mutating func addData(_ range: Range<Int>, cutsStart: Bool, cutsEnd: Bool, cutsIndent: Bool, beginsLine: Bool) {
        var text = TemplateText(String(decoding: bytes[range], as: UTF8.self))
        text = text.trimmed(start: cutsStart, end: cutsEnd)
        var literal = text.literal!
        if cutsIndent {
            let rest = withoutEnd(literal) { $0 != "\n" && isPythonSpace($0) }
            if rest.isEmpty ? beginsLine : rest.unicodeScalars.last == "\n" { literal = rest }
        }
        if !literal.isEmpty { tokens.append(TemplateToken(kind: .data(literal), offset: range.lowerBound)) }
    }

    /// Tokens up to the tag's end; whether that cuts the white space behind it.
    private mutating func addInside(_ closing: String, from tag: Int) throws(Diagnostic) -> Bool {
        var depth = 0
        let first = tokens.count
        while at < bytes.count {
            guard tokens.count - first <= Self.maximumTokens else {
                throw source.fault("has a tag of more than \(Self.maximumTokens) words", at: tag)
            }
            let byte = bytes[at], start = at
            if byte == UInt8(ascii: " ") || 9...13 ~= byte {
                at += 1
                continue
            }
            if depth == 0 {
                for sign in ["-", "+", ""] where stands(sign + closing, at) {
                    at += sign.utf8.count + 2
                    return sign == "-"
                }
            }
            let kind: TemplateToken.Kind
            if isNameByte(byte), !(0x30...0x39 ~= byte) {
                while at < bytes.count, isNameByte(bytes[at]) { at += 1 }
                kind = .name(String(decoding: bytes[start..<at], as: UTF8.self))
            } else if 0x30...0x39 ~= byte {
                while at < bytes.count, isNameByte(bytes[at]) { at += 1 }
                let digits = String(decoding: bytes[start..<at].filter { $0 != UInt8(ascii: "_") }, as: UTF8.self)
                guard let value = Int(digits), !(stands(".", at) && at + 1 < bytes.count && 0x30...0x39 ~= bytes[at + 1]) else {
                    throw source.fault(
                        "has the number \(quoted(digits)), which is not supported,", at: start, expected: "an integer of at most 64 bits")
                }
                kind = .integer(value)
            } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                kind = .string(try string(byte))
            } else {
                let symbols = [
                    "**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ".", ",",
                    ":", "|",
                ]
                guard let symbol = symbols.first(where: { stands($0, at) }) else {
                    throw source.fault("has byte \(byte), which begins nothing inside of a tag,", at: start)
                }
                if ["(", "[", "{"].contains(symbol) { depth += 1 }
                if [")", "]", "}"].contains(symbol) { depth -= 1 }
                at += symbol.utf8.count
                kind = .symbol(symbol)
            }
            tokens.append(TemplateToken(kind: kind, offset: start))
        }
        throw source.fault("has a tag without an end", at: tag, expected: quoted(closing))
    }

    private func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// A literal in Python's escapes.
    private mutating func string(_ quote: UInt8) throws(Diagnostic) -> String {
        let start = at
        var text: [UInt8] = []
        at += 1
        while at < bytes.count, bytes[at] != quote {
            guard bytes[at] == UInt8(ascii: "\\"), at + 1 < bytes.count else {
                text.append(bytes[at])
                at += 1
                continue
            }
            let place = at, escape = Character(Unicode.Scalar(bytes[at + 1]))
            at += 2
            switch escape {
            case "n": text.append(10)
            case "t": text.append(9)
            case "r": text.append(13)
            case "a": text.append(7)
            case "b": text.append(8)
            case "v": text.append(11)
            case "f": text.append(12)
            case "\n": break
            case "\\", "'", "\"": text.append(escape.asciiValue!)
            case "x", "u", "U":
                let count = escape == "x" ? 2 : escape == "u" ? 4 : 8
                let digits = String(decoding: bytes[at..<min(at + count, bytes.count)], as: UTF8.self)
                guard digits.utf8.count == count, let value = UInt32(digits, radix: 16), let scalar = Unicode.Scalar(value) else {
                    throw source.fault("has the escape '\\\(escape)\(digits)', which is no character,", at: place)
                }
                text.append(contentsOf: String(Character(scalar)).utf8)
                at += count
            case "0"..."7", "N":
                throw source.fault("has an escape '\\\(escape)', which is not supported,", at: place)
            default: text.append(contentsOf: [UInt8(ascii: "\\"), bytes[at - 1]])
            }
        }
        guard at < bytes.count else { throw source.fault("has a text without an end", at: start, expected: "its second quote") }
        at += 1
        return String(decoding: text, as: UTF8.self)
    }
}
