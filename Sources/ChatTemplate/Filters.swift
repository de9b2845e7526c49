import Support

/// Filters, tests and methods; one that is not here is refused by its name.
extension TemplateEvaluator {
    func filter(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, at offset: Int) throws(Diagnostic) -> TemplateValue
    {
        switch name {
        case "trim": return try method("strip", of: try printed(value, at: offset), arguments, at: offset)
        case "upper", "lower", "capitalize", "title", "replace":
            return try method(name, of: try printed(value, at: offset), arguments, at: offset)
        case "string", "safe": return try printed(value, at: offset)
        case "length", "count": return .integer(try count(value, at: offset))
        case "first", "last":
            let list = try elements(of: value, at: offset)
            return (name == "first" ? list.first : list.last) ?? .undefined("the \(name) of nothing")
        case "list": return .list(try elements(of: value, at: offset))
        case "reverse": return .list(try elements(of: value, at: offset).reversed())
        case "default", "d":
            let fallback = try arguments.value(0, "default_value") ?? .string("")
            if case .undefined = value { return fallback }
            return try arguments.value(1, "boolean")?.isTrue == true && !value.isTrue ? fallback : value
        case "items":
            if case .undefined = value { return .list([]) }
            return try method("items", of: value, arguments, at: offset)
        case "join":
            let separator = try printed(arguments.value(0, "d") ?? .string(""), at: offset), attribute = try arguments.value(1, "attribute")
            var result = TemplateText("")
            for (index, element) in try elements(of: value, at: offset).enumerated() {
                if index > 0, case .text(let text) = separator {
                    try spend(bytes: text.size, at: offset)
                    result.append(text)
                }
                guard
                    case .text(let text) = try printed(
                        attribute.map { name throws(Diagnostic) in try self.attribute(name, of: element, at: offset) } ?? element,
                        at: offset)
                else { continue }
                try spend(bytes: text.size, at: offset)
                result.append(text)
            }
            return .text(result)
        case "map":
            guard let attribute = arguments.named["attribute"] else {
                guard let inner = arguments.positional.first else {
                    throw source.fault("has the filter 'map' without an argument", at: offset)
                }
                let name = try text(inner, at: offset),
                    rest = TemplateArguments(positional: Array(arguments.positional.dropFirst()), named: arguments.named)
                return .list(
                    try elements(of: value, at: offset).map { element throws(Diagnostic) in try filter(name, element, rest, at: offset) })
            }
            return .list(
                try elements(of: value, at: offset).map { element throws(Diagnostic) in
                    try self.attribute(attribute, of: element, at: offset)
                })
        case "select", "reject", "selectattr", "rejectattr":
            return .list(try selected(name, value, arguments, at: offset))
        case "tojson":
            guard arguments.positional.isEmpty, arguments.named.isEmpty else {
                throw source.fault("has the filter 'tojson' with arguments, which are not supported,", at: offset)
            }
            return .text(try json(value, at: offset))
        default: throw source.fault("has the filter \(quoted(name)), which is not supported,", at: offset)
        }
    }

    private func printed(_ value: TemplateValue, at offset: Int) throws(Diagnostic) -> TemplateValue {
        guard let text = value.printed else {
            throw source.fault("makes a text of \(value.kind)", at: offset, expected: "a text or a number")
        }
        return .text(text)
    }

    private func count(_ value: TemplateValue, at offset: Int) throws(Diagnostic) -> Int {
        if case .text(let text) = value, text.literal == nil { throw readsWords(offset) }
        return try elements(of: value, at: offset).count
    }

    /// A member by its name, with dots between several.
    private func attribute(_ name: TemplateValue, of value: TemplateValue, at offset: Int) throws(Diagnostic) -> TemplateValue {
        var result = value
        for part in try text(name, at: offset).split(separator: ".") { result = result.member(String(part)) ?? .undefined(String(part)) }
        return result
    }

    private func selected(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, at offset: Int) throws(Diagnostic)
        -> [TemplateValue]
    {
        var rest = arguments.positional[...]
        let attribute = name.hasSuffix("attr") ? rest.popFirst() ?? .string("") : nil
        let question = try rest.popFirst().map { name throws(Diagnostic) in try text(name, at: offset) }
        let keeps = name.hasPrefix("select"), given = TemplateArguments(positional: Array(rest))
        var result: [TemplateValue] = []
        for element in try elements(of: value, at: offset) {
            let subject = try attribute.map { name throws(Diagnostic) in try self.attribute(name, of: element, at: offset) } ?? element
            let answer =
                try question.map { question throws(Diagnostic) in try test(question, subject, given, at: offset) } ?? subject.isTrue
            if answer == keeps { result.append(element) }
        }
        return result
    }

    func test(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments, at offset: Int) throws(Diagnostic) -> Bool {
        func argument() throws(Diagnostic) -> TemplateValue {
            guard let value = arguments.positional.first else {
                throw source.fault("has the test \(quoted(name)) without an argument", at: offset)
            }
            return value
        }
        switch (name, value) {
        case ("defined", .undefined), ("undefined", .undefined): return name == "undefined"
        case ("defined", _), ("undefined", _): return name == "defined"
        case ("none", _): return value.isNone
        case ("string", .text), ("mapping", .map), ("boolean", .bool), ("integer", .integer): return true
        case ("number", .integer), ("number", .bool): return true
        case ("string", _), ("mapping", _), ("boolean", _), ("integer", _), ("number", _): return false
        case ("iterable", .text), ("iterable", .list), ("iterable", .map), ("iterable", .undefined): return true
        case ("sequence", .text), ("sequence", .list), ("sequence", .map), ("sequence", .undefined): return true
        case ("iterable", _), ("sequence", _): return false
        case ("true", .bool(let value)): return value
        case ("false", .bool(let value)): return !value
        case ("true", _), ("false", _): return false
        case ("equalto", _), ("eq", _): return try compare(value, "==", try argument(), at: offset)
        case ("ne", _): return try compare(value, "!=", try argument(), at: offset)
        case ("in", _): return try compare(value, "in", try argument(), at: offset)
        case ("odd", .integer(let number)): return number % 2 != 0
        case ("even", .integer(let number)): return number % 2 == 0
        default: throw source.fault("has the test \(quoted(name)) of \(value.kind), which is not supported,", at: offset)
        }
    }

    func method(_ name: String, of value: TemplateValue, _ arguments: TemplateArguments, at offset: Int) throws(Diagnostic) -> TemplateValue
    {
        if case .text(let whole) = value, ["strip", "lstrip", "rstrip"].contains(name) {
            let start = name != "rstrip", end = name != "lstrip"
            try spend(bytes: whole.size, at: offset)
            guard let characters = arguments.positional.first else { return .text(whole.trimmed(start: start, end: end)) }
            let set = Set(try text(characters, at: offset).unicodeScalars)
            var text = try text(value, at: offset)
            if start { text = String(String.UnicodeScalarView(text.unicodeScalars.drop(while: set.contains))) }
            return .string(end ? withoutEnd(text, while: set.contains) : text)
        }
        if case .map(let entries) = value {
            switch name {
            case "items": return .list(entries.map { .list([.string($0.key), $0.value]) })
            case "keys": return .list(entries.map { .string($0.key) })
            case "values": return .list(entries.map(\.value))
            case "get":
                guard let key = arguments.positional.first else { break }
                return value.member(try text(key, at: offset)) ?? (arguments.positional.count > 1 ? arguments.positional[1] : .none)
            default: break
            }
        }
        if case .text = value, ["upper", "lower", "capitalize", "title", "startswith", "endswith", "split", "replace"].contains(name) {
            return try method(name, of: try text(value, at: offset), arguments, at: offset)
        }
        if case .undefined = value { throw source.fault("uses \(value.kind)", at: offset, expected: "a value") }
        throw source.fault("has the method \(quoted(name)) of \(value.kind), which is not supported,", at: offset)
    }

    private func method(_ name: String, of text: String, _ arguments: TemplateArguments, at offset: Int) throws(Diagnostic) -> TemplateValue
    {
        func argument(_ index: Int) throws(Diagnostic) -> String {
            guard index < arguments.positional.count else { throw source.fault("has \(quoted(name)) without its argument", at: offset) }
            return try self.text(arguments.positional[index], at: offset)
        }
        try spend(reading: text, at: offset)
        if ["upper", "lower", "capitalize", "title"].contains(name) { try spend(bytes: text.utf8.count, at: offset) }
        switch name {
        case "upper": return .string(text.uppercased())
        case "lower": return .string(text.lowercased())
        case "capitalize", "title":
            guard text.utf8.allSatisfy({ $0 < 0x80 }), name == "capitalize" || text.allSatisfy(\.isLetter) else {
                throw source.fault(
                    "has \(quoted(name)) of \(quoted(text)), which is not supported,", at: offset, expected: "one word of ASCII letters")
            }
            return .string(text.prefix(1).uppercased() + text.dropFirst().lowercased())
        case "startswith": return .bool(text.utf8.starts(with: try argument(0).utf8))
        case "endswith": return .bool(text.utf8.reversed().starts(with: try argument(0).utf8.reversed()))
        case "split":
            guard arguments.named.isEmpty, arguments.positional.count <= 1 else {
                throw source.fault("has 'split' with a limit, which is not supported,", at: offset)
            }
            try spend(bytes: text.utf8.count, at: offset)
            guard arguments.positional.first.map({ !$0.isNone }) ?? false else {
                try spend(text.utf8.count / 2, at: offset)
                return .list(text.unicodeScalars.split(whereSeparator: isPythonSpace).map { .string(String($0)) })
            }
            let separator = try argument(0)
            guard !separator.isEmpty else { throw source.fault("has 'split' by an empty text", at: offset, expected: "a separator") }
            return .list(try parts(of: text, separator, at: offset).map(TemplateValue.string))
        case "replace":
            guard arguments.positional.count == 2 else {
                throw source.fault("has 'replace' with a limit, which is not supported,", at: offset)
            }
            let old = try argument(0)
            guard !old.isEmpty else { throw source.fault("has 'replace' of an empty text", at: offset, expected: "a text") }
            let parts = try parts(of: text, old, at: offset), new = try argument(1)
            let (added, overflow) = parts.count.multipliedReportingOverflow(by: new.utf8.count)
            try spend(bytes: overflow ? .max : max(added, text.utf8.count), at: offset)
            return .string(parts.joined(separator: new))
        default: fatalError("unreachable: the caller lists the names")
        }
    }

    /// By bytes, since Swift's characters take a newline after a carriage return as one.
    private func parts(of text: String, _ separator: String, at offset: Int) throws(Diagnostic) -> [String] {
        let bytes = Array(text.utf8), wanted = Array(separator.utf8)
        var result: [String] = [], from = 0
        while let at = firstIndex(of: wanted, in: bytes, from: from) {
            try spend(at: offset)
            result.append(String(decoding: bytes[from..<at], as: UTF8.self))
            from = at + wanted.count
        }
        return result + [String(decoding: bytes[from...], as: UTF8.self)]
    }

    /// As Python's `json.dumps(value, ensure_ascii=False)`.
    private func json(_ value: TemplateValue, at offset: Int) throws(Diagnostic) -> TemplateText {
        try spend(at: offset)
        func joined(_ parts: [TemplateText], _ opening: String, _ closing: String) throws(Diagnostic) -> TemplateText {
            try spend(bytes: parts.reduce(2) { $0 + $1.size + 2 }, at: offset)
            var result = TemplateText(opening)
            for (index, part) in parts.enumerated() {
                if index > 0 { result.append(.literal(", ")) }
                result.append(part)
            }
            result.append(.literal(closing))
            return result
        }
        switch value {
        case .none: return TemplateText("null")
        case .bool(let value): return TemplateText(value ? "true" : "false")
        case .integer(let value): return TemplateText("\(value)")
        case .text:
            var result = "\""
            let text = try text(value, at: offset)
            try spend(bytes: text.utf8.count, at: offset)
            for scalar in text.unicodeScalars {
                switch scalar {
                case "\"", "\\": result += "\\\(scalar)"
                case "\n": result += "\\n"
                case "\r": result += "\\r"
                case "\t": result += "\\t"
                case "\u{8}": result += "\\b"
                case "\u{c}": result += "\\f"
                case _ where scalar.value < 32: result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
                default: result.unicodeScalars.append(scalar)
                }
            }
            return TemplateText(result + "\"")
        case .list(let list): return try joined(list.map { element throws(Diagnostic) in try json(element, at: offset) }, "[", "]")
        case .map(let entries):
            return try joined(
                entries.map { entry throws(Diagnostic) in
                    var member = try json(.string(entry.key), at: offset)
                    member.append(.literal(": "))
                    member.append(try json(entry.value, at: offset))
                    return member
                }, "{", "}")
        case .undefined, .namespace: throw source.fault("writes \(value.kind) as JSON", at: offset, expected: "a value")
        }
    }
}

extension TemplateArguments {
    /// The argument at a place, or by its name.
    func value(_ index: Int, _ name: String) throws(Diagnostic) -> TemplateValue? {
        index < positional.count ? positional[index] : named[name]
    }
}
