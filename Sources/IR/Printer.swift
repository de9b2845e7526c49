extension Operation: CustomStringConvertible {
    /// `%name = mnemonic %a, @w, bias @b {attribute = value} : type`, without result and type where there are none:
    /// `cache_store &c, %x as name`.
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
        var text = "module \(doubleQuoted(name)) stage \(stage.rawValue) {\n"
        for (name, weight) in weights {
            text += "  weight @\(spelled(name)) : \(weight.type) = "
            switch weight.definition {
            case .source(let source): text += "source \(doubleQuoted(source.name)) \(source.type)\n"
            case .folded(let operations):
                text += "fold {\n"
                for operation in operations { text += "    \(operation)\n" }
                text += "  }\n"
            }
        }
        if !states.isEmpty { text += "\n" }
        for (name, type) in states { text += "  state &\(spelled(name)) : \(type)\n" }
        for function in functions { text += "\n\(function)" }
        return text + "}\n"
    }
}

extension Function: CustomStringConvertible {
    public var description: String {
        let list = parameters.map { "%\(spelled($0.name)): \($0.type)" }.joined(separator: ", ")
        var text = "  func \(spelled(name))(\(list))\(hasPosition ? " at P" : "") {\n"
        for operation in operations { text += "    \(operation)\n" }
        text += "    return\(results.isEmpty ? "" : " ")\(results.map(\.description).joined(separator: ", "))\n"
        return text + "  }\n"
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
func spelled(_ name: String) -> String { !name.isEmpty && name.utf8.allSatisfy(isNameByte) ? name : doubleQuoted(name) }

/// A name in double quotes, with backslash, quote and control characters escaped as `\\`, `\"` and `\u{hex}`.
func doubleQuoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\\": result += "\\\\"
        case "\"": result += "\\\""
        case _ where scalar.value < 0x20 || scalar.value == 0x7F: result += "\\u{\(String(scalar.value, radix: 16))}"
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
