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
        return if let type { "%\(name) = \(text) : \(type)" } else { "\(text) as \(name)" }
    }
}

extension Module: CustomStringConvertible {
    /// The IR text, which IRText parses back to an equal module.
    public var description: String {
        var text = "module \(doubleQuoted(name)) stage \(stage.rawValue) {\n"
        for (name, weight) in weights {
            text += "  weight @\(name) : \(weight.type) = "
            switch weight.definition {
            case .source(let source): text += "source \(doubleQuoted(source.name)) \(source.type)\n"
            case .folded(let operations):
                text += "fold {\n"
                for operation in operations { text += "    \(operation)\n" }
                text += "  }\n"
            }
        }
        if !states.isEmpty { text += "\n" }
        for (name, type) in states { text += "  state &\(name) : \(type)\n" }
        for function in functions { text += "\n\(function)" }
        return text + "}\n"
    }
}

extension Function: CustomStringConvertible {
    public var description: String {
        let list = parameters.map { "%\($0.name): \($0.type)" }.joined(separator: ", ")
        var text = "  func \(name)(\(list))\(hasPosition ? " at P" : "") {\n"
        for operation in operations { text += "    \(operation)\n" }
        text += "    return \(results.map(\.description).joined(separator: ", "))\n"
        return text + "  }\n"
    }
}

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
