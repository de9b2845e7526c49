import Support

/// Reads tokens into statements. What the evaluator lacks among filters, tests and methods is refused where it is reached.
struct TemplateParser {
    private let source: TemplateSource
    private let tokens: [TemplateToken]
    private var at = 0
    private var depth = 0
    private var loops = 0

    /// The deepest nesting of tags and of parentheses: no template comes near it, and a hostile one does not exhaust the stack.
    static let maximumDepth = 100

    init(_ source: TemplateSource) throws(Diagnostic) {
        (self.source, tokens) = (source, try TemplateLexer.tokens(of: source))
    }

    mutating func parse() throws(Diagnostic) -> [Statement] {
        let (body, end) = try statements(until: [])
        guard end == nil, next.kind == .end else { throw unexpected(next, "the end of the template") }
        return body
    }

    // MARK: - Tokens

    private var next: TemplateToken { tokens[at] }

    private mutating func take() -> TemplateToken {
        defer { if at + 1 < tokens.count { at += 1 } }
        return tokens[at]
    }

    private func unexpected(_ token: TemplateToken, _ expected: String) -> Diagnostic {
        source.fault("has \(token.described)", at: token.offset, expected: expected)
    }

    private mutating func skip(_ symbol: String) -> Bool {
        guard next.kind == .symbol(symbol) else { return false }
        at += 1
        return true
    }

    private mutating func skip(name: String) -> Bool {
        guard next.kind == .name(name) else { return false }
        at += 1
        return true
    }

    private mutating func expect(_ kind: TemplateToken.Kind) throws(Diagnostic) {
        guard next.kind == kind else { throw unexpected(next, TemplateToken(kind: kind, offset: 0).described) }
        _ = take()
    }

    private mutating func expectName() throws(Diagnostic) -> String {
        guard case .name(let name) = next.kind else { throw unexpected(next, "a name") }
        _ = take()
        return name
    }

    private mutating func nested<T>(_ parse: (inout TemplateParser) throws(Diagnostic) -> T) throws(Diagnostic) -> T {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.maximumDepth else {
            throw source.fault("is nested deeper", at: next.offset, expected: "at most \(Self.maximumDepth) levels")
        }
        return try parse(&self)
    }

    // MARK: - Statements

    /// Statements up to a block that begins with one of `ends`, of which the name has been taken; nil where the template ends.
    private mutating func statements(until ends: [String]) throws(Diagnostic) -> ([Statement], end: String?) {
        var body: [Statement] = []
        while true {
            let token = take()
            switch token.kind {
            case .data(let text): body.append(.data(text, offset: token.offset))
            case .printStart:
                body.append(.print(try expression()))
                try expect(.printEnd)
            case .blockStart:
                if case .name(let name) = next.kind, ends.contains(name) {
                    _ = take()
                    return (body, name)
                }
                body += try nested { parser throws(Diagnostic) in try parser.block() }
            default:
                guard ends.isEmpty else { throw unexpected(token, quotedList(ends)) }
                return (body, nil)
            }
        }
    }

    private mutating func body(until ends: [String]) throws(Diagnostic) -> ([Statement], end: String) {
        try expect(.blockEnd)
        let (body, end) = try statements(until: ends)
        return (body, end!)
    }

    private mutating func block() throws(Diagnostic) -> [Statement] {
        let start = next
        switch try expectName() {
        case "if": return [try branch()]
        case "for": return [try loop()]
        case "set": return [try assignment()]
        case "generation":
            // Marks the assistant's words for training.
            let (body, _) = try body(until: ["endgeneration"])
            try expect(.blockEnd)
            return body
        case "break" where loops > 0:
            try expect(.blockEnd)
            return [.break(offset: start.offset)]
        case "continue" where loops > 0:
            try expect(.blockEnd)
            return [.continue(offset: start.offset)]
        case let name:
            throw source.fault(
                "has the block \(quoted(name)), which is not supported,", at: start.offset, expected: "'if', 'for', 'set' or 'generation'")
        }
    }

    private mutating func branch() throws(Diagnostic) -> Statement {
        var branches: [(condition: Expression?, body: [Statement])] = []
        var condition: Expression? = try expression()
        while true {
            let (body, end) = try body(until: condition == nil ? ["endif"] : ["elif", "else", "endif"])
            branches.append((condition, body))
            if end == "endif" { break }
            condition = end == "elif" ? try expression() : nil
        }
        try expect(.blockEnd)
        return .branch(branches)
    }

    private mutating func loop() throws(Diagnostic) -> Statement {
        var names = [try expectName()]
        while skip(",") { names.append(try expectName()) }
        guard skip(name: "in") else { throw unexpected(next, "'in'") }
        let over = try disjunction()
        let filter = skip(name: "if") ? try expression() : nil
        if case .name("recursive") = next.kind {
            throw source.fault("has a loop that is 'recursive', which is not supported,", at: next.offset)
        }
        loops += 1
        let (inside, end) = try body(until: ["else", "endfor"])
        loops -= 1
        var otherwise: [Statement] = []
        if end == "else" { (otherwise, _) = try body(until: ["endfor"]) }
        try expect(.blockEnd)
        return .loop(names: names, over, filter: filter, body: inside, otherwise: otherwise)
    }

    private mutating func assignment() throws(Diagnostic) -> Statement {
        let offset = next.offset
        var names = [try expectName()]
        if skip(".") {
            let member = try expectName()
            try expect(.symbol("="))
            let value = try expressions()
            try expect(.blockEnd)
            return .setMember(names[0], member: member, value, offset: offset)
        }
        while skip(",") { names.append(try expectName()) }
        if skip("=") {
            let value = try expressions()
            try expect(.blockEnd)
            return .set(names: names, value)
        }
        guard names.count == 1, next.kind == .blockEnd else { throw unexpected(next, "'='") }
        let (inside, _) = try body(until: ["endset"])
        try expect(.blockEnd)
        return .capture(names[0], inside, offset: offset)
    }

    // MARK: - Expressions, from the loosest to the tightest

    /// One expression, or several with commas as a list.
    private mutating func expressions() throws(Diagnostic) -> Expression {
        let first = try expression()
        guard next.kind == .symbol(",") else { return first }
        var list = [first]
        while skip(",") { list.append(try expression()) }
        return Expression(kind: .list(list), offset: first.offset)
    }

    private mutating func expression() throws(Diagnostic) -> Expression {
        try nested { parser throws(Diagnostic) in
            var result = try parser.disjunction()
            while parser.skip(name: "if") {
                let condition = try parser.disjunction()
                let otherwise = parser.skip(name: "else") ? try parser.expression() : nil
                result = Expression(kind: .choice(condition: condition, then: result, otherwise: otherwise), offset: result.offset)
            }
            return result
        }
    }

    private mutating func disjunction() throws(Diagnostic) -> Expression {
        var left = try conjunction()
        while skip(name: "or") { left = Expression(kind: .or(left, try conjunction()), offset: left.offset) }
        return left
    }

    private mutating func conjunction() throws(Diagnostic) -> Expression {
        var left = try negation()
        while skip(name: "and") { left = Expression(kind: .and(left, try negation()), offset: left.offset) }
        return left
    }

    private mutating func negation() throws(Diagnostic) -> Expression {
        let offset = next.offset
        guard skip(name: "not") else { return try comparison() }
        return try nested { parser throws(Diagnostic) in Expression(kind: .not(try parser.negation()), offset: offset) }
    }

    private mutating func comparison() throws(Diagnostic) -> Expression {
        let left = try sum()
        var rest: [(symbol: String, right: Expression)] = []
        while let symbol = comparator() { rest.append((symbol, try sum())) }
        return rest.isEmpty ? left : Expression(kind: .comparison(left, rest), offset: left.offset)
    }

    private mutating func comparator() -> String? {
        for symbol in ["==", "!=", "<=", ">=", "<", ">"] where skip(symbol) { return symbol }
        if skip(name: "in") { return "in" }
        if next.kind == .name("not"), tokens[min(at + 1, tokens.count - 1)].kind == .name("in") {
            at += 2
            return "not in"
        }
        return nil
    }

    private mutating func sum() throws(Diagnostic) -> Expression {
        try chain(["+", "-"]) { parser throws(Diagnostic) in
            try parser.chain(["~"]) { parser throws(Diagnostic) in
                try parser.chain(["*", "//", "/", "%"]) { parser throws(Diagnostic) in try parser.unary(filters: true) }
            }
        }
    }

    private mutating func chain(
        _ symbols: [String], _ operand: (inout TemplateParser) throws(Diagnostic) -> Expression
    ) throws(Diagnostic) -> Expression {
        var left = try operand(&self)
        while let symbol = symbols.first(where: { next.kind == .symbol($0) }) {
            _ = take()
            left = Expression(kind: .arithmetic(left, symbol, try operand(&self)), offset: left.offset)
        }
        return left
    }

    private mutating func unary(filters: Bool) throws(Diagnostic) -> Expression {
        let offset = next.offset
        var result: Expression
        if skip("-") {
            result = Expression(
                kind: .negative(try nested { parser throws(Diagnostic) in try parser.unary(filters: false) }), offset: offset)
        } else {
            result = try postfix(try primary())
        }
        while filters {
            if skip("|") {
                let name = try expectName()
                result = try postfix(Expression(kind: .filter(result, name, try optionalArguments()), offset: offset))
            } else if skip(name: "is") {
                result = try test(of: result)
            } else {
                break
            }
        }
        return result
    }

    private mutating func test(of operand: Expression) throws(Diagnostic) -> Expression {
        let isNegated = skip(name: "not")
        let offset = next.offset
        // Some tests have names that are words of the language.
        let name = try expectName()
        var arguments = try optionalArguments()
        if arguments.positional.isEmpty {
            switch next.kind {
            case .name(let word) where !["else", "or", "and", "is", "if", "in", "not"].contains(word):
                arguments.positional = [try postfix(try primary())]
            case .string, .integer, .symbol("["), .symbol("{"): arguments.positional = [try postfix(try primary())]
            default: break
            }
        }
        let test = Expression(kind: .test(operand, name, arguments), offset: offset)
        return isNegated ? Expression(kind: .not(test), offset: offset) : test
    }

    private mutating func optionalArguments() throws(Diagnostic) -> Arguments { next.kind == .symbol("(") ? try arguments() : Arguments() }

    private mutating func arguments() throws(Diagnostic) -> Arguments {
        try expect(.symbol("("))
        var result = Arguments()
        while !skip(")") {
            if case .name(let name) = next.kind, tokens[min(at + 1, tokens.count - 1)].kind == .symbol("=") {
                at += 2
                result.named.append((name, try expression()))
            } else {
                result.positional.append(try expression())
            }
            guard skip(",") || next.kind == .symbol(")") else { throw unexpected(next, "',' or ')'") }
        }
        return result
    }

    private mutating func postfix(_ operand: Expression) throws(Diagnostic) -> Expression {
        var result = operand
        while true {
            let offset = next.offset
            if skip(".") {
                let name = next
                let key: TemplateValue
                switch take().kind {
                case .name(let text): key = .text(TemplateText(text))
                case .integer(let index): key = .integer(index)
                default: throw unexpected(name, "a name")
                }
                result = Expression(kind: .member(result, Expression(kind: .constant(key), offset: name.offset)), offset: offset)
            } else if skip("[") {
                result = Expression(kind: try subscripted(result), offset: offset)
            } else if next.kind == .symbol("(") {
                result = Expression(kind: .call(result, try arguments()), offset: offset)
            } else {
                return result
            }
        }
    }

    /// What stands in brackets, up to the closing one.
    private mutating func subscripted(_ operand: Expression) throws(Diagnostic) -> Expression.Kind {
        var parts: [Expression?] = [nil]
        while !skip("]") {
            if skip(":") {
                parts.append(nil)
            } else {
                guard parts[parts.count - 1] == nil else { throw unexpected(next, "']'") }
                parts[parts.count - 1] = try expression()
            }
        }
        guard parts.count > 1 else {
            guard let index = parts[0] else { throw unexpected(next, "an index") }
            return .member(operand, index)
        }
        guard parts.count <= 3 else { throw unexpected(next, "a slice of two or three parts") }
        return .slice(operand, start: parts[0], end: parts[1], step: parts.count > 2 ? parts[2] : nil)
    }

    private mutating func primary() throws(Diagnostic) -> Expression {
        let token = take()
        func made(_ kind: Expression.Kind) -> Expression { Expression(kind: kind, offset: token.offset) }
        switch token.kind {
        case .name("true"), .name("True"): return made(.constant(.bool(true)))
        case .name("false"), .name("False"): return made(.constant(.bool(false)))
        case .name("none"), .name("None"): return made(.constant(.none))
        case .name(let name): return made(.name(name))
        case .integer(let value): return made(.constant(.integer(value)))
        case .string(var text):
            // Neighbours are one text.
            while case .string(let more) = next.kind {
                text += more
                _ = take()
            }
            return made(.constant(.text(TemplateText(text))))
        case .symbol("("):
            // A tuple counts as a list: nothing but a comparison of the two would tell them apart.
            if skip(")") { return made(.list([])) }
            let first = try expression()
            guard next.kind == .symbol(",") else {
                try expect(.symbol(")"))
                return first
            }
            return made(.list(try list(after: first, closing: ")")))
        case .symbol("["):
            return made(.list(skip("]") ? [] : try list(after: try expression(), closing: "]")))
        case .symbol("{"):
            var entries: [(key: Expression, value: Expression)] = []
            while !skip("}") {
                let key = try expression()
                try expect(.symbol(":"))
                entries.append((key, try expression()))
                guard skip(",") || next.kind == .symbol("}") else { throw unexpected(next, "',' or '}'") }
            }
            return made(.map(entries))
        default: throw unexpected(token, "an expression")
        }
    }

    private mutating func list(after first: Expression, closing: String) throws(Diagnostic) -> [Expression] {
        var result = [first]
        while !skip(closing) {
            try expect(.symbol(","))
            if next.kind != .symbol(closing) { result.append(try expression()) }
        }
        return result
    }
}
