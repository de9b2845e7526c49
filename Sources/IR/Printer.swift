import Support

extension Operation: CustomStringConvertible {
    /// `%name = mnemonic %a, @w, bias @b {attribute = value} : type`, without result and type where there are none:
    /// `cache_store &c, %x, %slots, %places as name`.
    public var description: String {
        let payload = op.payload
        let labels = payload.operandLabels(count: operands.count)
        let arguments = zip(labels, operands).map { label, operand in label.map { "\($0) \(operand)" } ?? "\(operand)" }
        let attributes = payload.attributes.map { "\($0.name) = \($0.value)" }
        var text = "\(op.mnemonic) \(arguments.joined(separator: ", "))"
        if !attributes.isEmpty { text += " {\(attributes.joined(separator: ", "))}" }
        return if let type { "%\(spelled(name)) = \(text) : \(type)" } else { "\(text) as \(spelled(name))" }
    }
}

extension Module: CustomStringConvertible {
    /// The IR text, which IRText parses back to an equal module.
    public var description: String {
        var text = header
        for symbol in symbols { text += Self.symbolLine(symbol) }
        for (name, weight) in weights { text += weight.line(name) }
        if !states.isEmpty { text += "\n" }
        for (name, type) in states { text += Self.stateLine(name, type) }
        for function in functions { text += "\n\(function)" }
        return text + "}\n"
    }

    public var header: String { "module \(doubleQuoted(name)) stage \(stage.rawValue) {\n" }

    public static func symbolLine(_ symbol: Symbol) -> String { "  symbol \(spelled(symbol.name)) <= \(symbol.bound)\n" }

    public static func stateLine(_ name: String, _ type: TensorType) -> String { "  state &\(spelled(name)) : \(type)\n" }
}

extension Weight {
    /// The declaration as the text has it; several lines where it is folded.
    public func line(_ name: String) -> String {
        let start = "  weight @\(spelled(name)) : \(type) = "
        return switch definition {
        case .source(let source): start + "source \(doubleQuoted(source.name)) \(source.type)\n"
        case .folded(let operations): start + "fold {\n" + operations.map { "    \($0)\n" }.joined() + "  }\n"
        }
    }
}

extension Function: CustomStringConvertible {
    public var description: String { header + operations.map { "    \($0)\n" }.joined() + footer }

    /// `func name(%x: type) {`
    public var header: String {
        let list = parameters.map { "%\(spelled($0.name)): \($0.type)" }.joined(separator: ", ")
        return "  func \(spelled(name))(\(list)) {\n"
    }

    /// What the function returns, and its end.
    public var footer: String {
        "    return\(results.isEmpty ? "" : " ")\(results.map(\.description).joined(separator: ", "))\n  }\n"
    }
}

/// Whether `byte` may stand in a name without quotes: ASCII letters, digits and `_ . - +`.
public func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
        UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "+"):
        true
    default: false
    }
}

/// A name as the text writes it: as it is, or quoted when it holds other characters.
public func spelled(_ name: String) -> String { !name.isEmpty && name.utf8.allSatisfy(isNameByte) ? name : doubleQuoted(name) }

/// A name in double quotes, with backslash, quote and unprintable characters escaped as `\\`, `\"` and `\u{hex}`.
public func doubleQuoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\\": result += "\\\\"
        case "\"": result += "\\\""
        case _ where isUnprintable(scalar): result += "\\u{\(String(scalar.value, radix: 16))}"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
