import IR
import Support

/// C spellings of names and numbers.

/// A C identifier from an IR name: other characters become `_`.
func identifier(_ name: String) -> String {
    var result = ""
    for scalar in name.unicodeScalars {
        let isWord = ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar) || scalar == "_"
        result.unicodeScalars.append(isWord ? scalar : "_")
    }
    if result.isEmpty || ("0"..."9").contains(result.unicodeScalars.first!) || result.hasPrefix("_") { result = "v" + result }
    return result
}

/// Gives each name of a scope an identifier that no other has.
struct NameScope {
    private var taken: Set<String>

    var names: Set<String> { taken }

    init(reserved: Set<String> = []) { taken = Self.keywords.union(EntryPoint.Count.allCases.map(\.rawValue)).union(reserved) }

    mutating func unique(_ name: String) -> String {
        let base = identifier(name)
        var candidate = base
        var number = 2
        while !taken.insert(candidate).inserted {
            candidate = "\(base)_\(number)"
            number += 1
        }
        return candidate
    }

    /// Keywords, and what the headers that model.c includes define without a prefix of theirs.
    private static let keywords: Set<String> = [
        "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float", "for", "goto",
        "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch",
        "typedef", "typeof", "union", "unsigned", "void", "volatile", "while", "asm", "bool", "true", "false", "linux", "unix", "main",
        "memory", "layer", "layers", "i", "NULL", "INFINITY", "NAN", "WEIGHT", "ARENA", "W", "exp", "log", "gamma", "scale",
        "index", "round",
        "floor", "ceil", "pow", "sqrt", "sin", "cos", "tan", "erf", "j0", "j1", "jn", "y0", "y1", "yn", "div", "abs", "signgam",
        "alignas", "alignof", "constexpr", "nullptr", "static_assert", "thread_local", "typeof_unqual",
    ]
}

/// A float constant that reads back to the same value.
func literal(_ value: Float) -> String {
    if value.isNaN { return "NAN" }
    if value.isInfinite { return value < 0 ? "-INFINITY" : "INFINITY" }
    return "\(value)f"
}

/// A string constant; bytes outside of printable ASCII become octal escapes, which end after three digits whatever follows.
func literal(_ text: String) -> String {
    var result = "\""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "\""): result += "\\\""
        case UInt8(ascii: "\\"): result += "\\\\"
        case UInt8(ascii: "\n"): result += "\\n"
        case UInt8(ascii: "\t"): result += "\\t"
        case UInt8(ascii: "?"): result += "\\?"  // no trigraphs
        case 0x20...0x7E: result.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            let digits = String(byte, radix: 8)
            result += "\\" + String(repeating: "0", count: 3 - digits.count) + digits
        }
    }
    return result + "\""
}

/// A string constant in pieces of 80 to 110 columns, to stand below each other; they end behind a space or a newline where there is one near.
func literals(_ text: String) -> [String] {
    var parts: [String] = [], part = "", width = 0
    for scalar in text.unicodeScalars {
        part.unicodeScalars.append(scalar)
        width += literal(String(scalar)).count - 2
        if width >= 94 || (width >= 80 && (scalar == " " || scalar == "\n")) {
            parts.append(literal(part))
            (part, width) = ("", 0)
        }
    }
    return part.isEmpty && !parts.isEmpty ? parts : parts + [literal(part)]
}

/// Text that may stand in a comment line.
func comment(_ text: String) -> String {
    String(String.UnicodeScalarView(text.unicodeScalars.map { isUnprintable($0) || $0 == "\\" ? " " : $0 }))
}

/// A statement in lines of at most 120 columns, broken after commas at most `depth` brackets deep; further lines stand under the first
/// argument or at `hanging`.
func wrapped(_ statement: String, indent: Int, hanging: Int? = nil, depth limit: Int = 1) -> [String] {
    let opening = statement.firstIndex(of: "(").map { statement.distance(from: statement.startIndex, to: $0) + 1 } ?? 4
    let margin = String(repeating: " ", count: hanging ?? indent + opening)
    var parts: [String] = [""]
    var depth = 0
    for character in statement {
        if "([{".contains(character) { depth += 1 }
        if ")]}".contains(character) { depth -= 1 }
        if character == " ", depth <= limit, parts[parts.count - 1].last == "," {
            parts.append("")
        } else {
            parts[parts.count - 1].append(character)
        }
    }
    var lines: [String] = []
    var line = String(repeating: " ", count: indent) + parts[0]
    for part in parts.dropFirst() {
        if line.count + 1 + part.count > 120 {
            lines.append(line)
            line = margin + part
        } else {
            line += " " + part
        }
    }
    return lines + [line]
}
