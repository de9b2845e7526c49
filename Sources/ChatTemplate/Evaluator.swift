import Support

/// Runs a template over values that are known at compile time; the user's words go through it unread.
struct TemplateEvaluator {
    let source: TemplateSource
    /// The innermost last.
    private var scopes: [[String: TemplateValue]]
    let budget = TemplateBudget()

    init(_ source: TemplateSource, variables: [String: TemplateValue]) {
        (self.source, scopes) = (source, [variables])
    }

    mutating func run(_ body: [Statement]) throws(Diagnostic) -> TemplateText {
        var output = TemplateText("")
        _ = try run(body, into: &output)
        return output
    }

    private enum Flow { case on, `break`, `continue` }

    private mutating func run(_ body: [Statement], into output: inout TemplateText) throws(Diagnostic) -> Flow {
        for statement in body {
            try spend(at: statement.offset)
            let flow = try run(statement, into: &output)
            if flow != .on { return flow }
        }
        return .on
    }

    private mutating func run(_ statement: Statement, into output: inout TemplateText) throws(Diagnostic) -> Flow {
        switch statement {
        case .data(let text, let offset):
            try spend(bytes: text.utf8.count, at: offset)
            output.append(.literal(text))
        case .print(let expression):
            let value = try evaluate(expression)
            guard let text = value.printed else {
                throw source.fault("prints \(value.kind)", at: expression.offset, expected: "a text or a number")
            }
            try spend(bytes: text.size, at: expression.offset)
            output.append(text)
        case .branch(let branches):
            for (condition, body) in branches {
                if let condition, !(try evaluate(condition).isTrue) { continue }
                return try run(body, into: &output)
            }
        case .loop(let names, let over, let filter, let body, let otherwise):
            return try loop(names, over, filter, body, otherwise, into: &output)
        case .set(let names, let expression):
            let value = try evaluate(expression)
            try checkDepth(value, at: expression.offset)
            try assign(names, value, at: expression.offset)
        case .setMember(let name, let member, let expression, let offset):
            guard case .namespace(let namespace) = lookUp(name) else {
                throw source.fault("sets a member of \(quoted(name))", at: offset, expected: "a namespace")
            }
            let value = try evaluate(expression)
            try checkDepth(value, at: expression.offset)
            namespace.members[member] = value
        case .capture(let name, let body, _):
            var text = TemplateText("")
            let flow = try run(body, into: &text)
            scopes[scopes.count - 1][name] = .text(text)
            return flow
        case .break: return .break
        case .continue: return .continue
        }
        return .on
    }

    private mutating func assign(_ names: [String], _ value: TemplateValue, at offset: Int) throws(Diagnostic) {
        guard names.count > 1 else {
            scopes[scopes.count - 1][names[0]] = value
            return
        }
        guard case .list(let list) = value, list.count == names.count else {
            throw source.fault("takes \(value.kind) apart", at: offset, expected: "a list of \(names.count)")
        }
        for (name, element) in zip(names, list) { scopes[scopes.count - 1][name] = element }
    }

    private mutating func loop(
        _ names: [String], _ over: Expression, _ filter: Expression?, _ body: [Statement], _ otherwise: [Statement],
        into output: inout TemplateText
    ) throws(Diagnostic) -> Flow {
        var elements = try elements(of: try evaluate(over), at: over.offset)
        scopes.append([:])
        defer { scopes.removeLast() }
        if let filter {
            var kept: [TemplateValue] = []
            for element in elements {
                try assign(names, element, at: over.offset)
                if try evaluate(filter).isTrue { kept.append(element) }
            }
            elements = kept
        }
        for (index, element) in elements.enumerated() {
            try spend(at: over.offset)
            let count = elements.count
            scopes[scopes.count - 1] = [
                "loop": .map([
                    ("index", .integer(index + 1)), ("index0", .integer(index)), ("revindex", .integer(count - index)),
                    ("revindex0", .integer(count - index - 1)), ("first", .bool(index == 0)), ("last", .bool(index == count - 1)),
                    ("length", .integer(count)),
                    ("previtem", index > 0 ? elements[index - 1] : .undefined("previtem")),
                    ("nextitem", index + 1 < count ? elements[index + 1] : .undefined("nextitem")),
                ])
            ]
            try assign(names, element, at: over.offset)
            if try run(body, into: &output) == .break { return .on }
        }
        guard elements.isEmpty else { return .on }
        scopes[scopes.count - 1] = [:]
        return try run(otherwise, into: &output)
    }

    /// What a loop over the value sees; of a mapping its keys.
    func elements(of value: TemplateValue, at offset: Int) throws(Diagnostic) -> [TemplateValue] {
        switch value {
        case .list(let list):
            try spend(list.count, at: offset)
            return list
        case .map(let entries):
            try spend(entries.count, at: offset)
            return entries.map { .string($0.key) }
        case .undefined: return []
        case .text(let text):
            guard let literal = text.literal else { throw source.fault("goes through the user's words", at: offset) }
            try spend(literal.utf8.count, at: offset)
            return literal.unicodeScalars.map { .string(String(Character($0))) }
        case .none, .bool, .integer, .namespace: throw source.fault("goes through \(value.kind)", at: offset, expected: "a list")
        }
    }

    private func lookUp(_ name: String) -> TemplateValue {
        for scope in scopes.reversed() { if let value = scope[name] { return value } }
        return .undefined(name)
    }

    // MARK: - Expressions

    mutating func evaluate(_ expression: Expression) throws(Diagnostic) -> TemplateValue {
        let offset = expression.offset
        try spend(at: offset)
        switch expression.kind {
        case .constant(let value): return value
        case .name(let name): return lookUp(name)
        case .list(let list): return .list(try list.map { element throws(Diagnostic) in try evaluate(element) })
        case .map(let entries):
            var result: [(key: String, value: TemplateValue)] = []
            for (key, value) in entries {
                let name = try text(try evaluate(key), at: key.offset)
                result.removeAll { isSame($0.key, name) }
                result.append((name, try evaluate(value)))
            }
            return .map(result)
        case .member(let operand, let key):
            return try member(of: try evaluate(operand), try evaluate(key), at: offset)
        case .slice(let operand, let start, let end, let step):
            return try slice(try evaluate(operand), [start, end, step], at: offset)
        case .call(let callee, let arguments): return try call(callee, arguments)
        case .filter(let operand, let name, let arguments):
            return try filter(name, try evaluate(operand), try evaluate(arguments), at: offset)
        case .test(let operand, let name, let arguments):
            return .bool(try test(name, try evaluate(operand), try evaluate(arguments), at: offset))
        case .not(let operand): return .bool(!(try evaluate(operand).isTrue))
        case .negative(let operand):
            let value = try evaluate(operand)
            guard let result = value.number.flatMap({ Self.integer(0, "-", $0) }) else {
                throw source.fault("negates \(value.kind)", at: offset, expected: "an integer")
            }
            return .integer(result)
        case .arithmetic(let left, let symbol, let right):
            return try arithmetic(try evaluate(left), symbol, try evaluate(right), at: offset)
        case .comparison(let first, let rest):
            var left = try evaluate(first)
            for (symbol, right) in rest {
                let value = try evaluate(right)
                guard try compare(left, symbol, value, at: offset) else { return .bool(false) }
                left = value
            }
            return .bool(true)
        case .and(let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? try evaluate(right) : value
        case .or(let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? value : try evaluate(right)
        case .choice(let condition, let then, let otherwise):
            if try evaluate(condition).isTrue { return try evaluate(then) }
            return try otherwise.map { otherwise throws(Diagnostic) in try evaluate(otherwise) } ?? .undefined("the missing else")
        }
    }

    private mutating func evaluate(_ arguments: Arguments) throws(Diagnostic) -> TemplateArguments {
        var result = TemplateArguments()
        for argument in arguments.positional { result.positional.append(try evaluate(argument)) }
        for (name, value) in arguments.named { result.named[name] = try evaluate(value) }
        return result
    }

    /// A text without the user's words.
    func text(_ value: TemplateValue, at offset: Int) throws(Diagnostic) -> String {
        guard case .text(let text) = value else { throw source.fault("uses \(value.kind)", at: offset, expected: "a text") }
        guard let literal = text.literal else { throw readsWords(offset) }
        return literal
    }

    func readsWords(_ offset: Int) -> Diagnostic {
        source.fault("reads the user's words, which are not known yet,", at: offset, expected: "a template that prints them")
    }

    private func member(of value: TemplateValue, _ key: TemplateValue, at offset: Int) throws(Diagnostic) -> TemplateValue {
        if case .undefined = value { throw source.fault("uses \(value.kind)", at: offset, expected: "a value") }
        if let index = key.number {
            let list: [TemplateValue]
            switch value {
            case .list(let elements): list = elements
            case .text: list = try elements(of: value, at: offset)
            default: return .undefined("\(index)")
            }
            let place = index < 0 ? list.count + index : index
            return list.indices.contains(place) ? list[place] : .undefined("\(index)")
        }
        let name = try text(key, at: offset)
        return value.member(name) ?? .undefined(name)
    }

    private mutating func slice(_ value: TemplateValue, _ bounds: [Expression?], at offset: Int) throws(Diagnostic) -> TemplateValue {
        var numbers: [Int?] = []
        for bound in bounds {
            guard let bound, case let value = try evaluate(bound), !value.isNone else {
                numbers.append(nil)
                continue
            }
            guard let number = value.number else { throw source.fault("slices by \(value.kind)", at: bound.offset, expected: "an integer") }
            numbers.append(number)
        }
        let list = try elements(of: value, at: offset), step = max(-list.count - 1, min(numbers[2] ?? 1, list.count + 1))
        guard step != 0 else { throw source.fault("slices in steps of 0", at: offset, expected: "another step") }
        func clamped(_ number: Int?, _ fallback: Int) -> Int {
            guard let number else { return fallback }
            let place = number < 0 ? list.count + number : number
            return step > 0 ? min(max(place, 0), list.count) : min(max(place, -1), list.count - 1)
        }
        let start = clamped(numbers[0], step > 0 ? 0 : list.count - 1), end = clamped(numbers[1], step > 0 ? list.count : -1)
        let taken = stride(from: start, to: end, by: step).map { list[$0] }
        guard case .text = value else { return .list(taken) }
        return .text(TemplateText(taken.flatMap { if case .text(let text) = $0 { text.pieces } else { [TemplateText.Piece]() } }))
    }

    private func arithmetic(_ left: TemplateValue, _ symbol: String, _ right: TemplateValue, at offset: Int) throws(Diagnostic)
        -> TemplateValue
    {
        func joined(_ left: TemplateText, _ right: TemplateText) throws(Diagnostic) -> TemplateValue {
            try spend(bytes: left.size + right.size, at: offset)
            var text = left
            text.append(right)
            return .text(text)
        }
        if symbol == "~", let text = left.printed, let more = right.printed { return try joined(text, more) }
        switch (left, right) {
        case (.text(let text), .text(let more)) where symbol == "+": return try joined(text, more)
        case (.list(let a), .list(let b)) where symbol == "+":
            try spend(a.count + b.count, at: offset)
            return .list(a + b)
        default: break
        }
        guard let a = left.number, let b = right.number, let result = Self.integer(a, symbol, b) else {
            throw source.fault(
                "applies \(quoted(symbol)) to \(left.kind) and \(right.kind)", at: offset, expected: "two texts, lists or integers")
        }
        return .integer(result)
    }

    /// Nil where the subset has no result: a fraction, an overflow, a division by zero.
    private static func integer(_ a: Int, _ symbol: String, _ b: Int) -> Int? {
        let (value, overflow): (Int, Bool)
        switch symbol {
        case "+": (value, overflow) = a.addingReportingOverflow(b)
        case "-": (value, overflow) = a.subtractingReportingOverflow(b)
        case "*": (value, overflow) = a.multipliedReportingOverflow(by: b)
        case "//", "%":
            guard b != 0, b != -1 || a != .min else { return nil }
            // Python rounds down.
            let (quotient, rest) = a.quotientAndRemainder(dividingBy: b), isRounded = rest != 0 && (rest < 0) != (b < 0)
            (value, overflow) = (symbol == "%" ? isRounded ? rest + b : rest : isRounded ? quotient - 1 : quotient, false)
        default: return nil
        }
        return overflow ? nil : value
    }

    func compare(_ left: TemplateValue, _ symbol: String, _ right: TemplateValue, at offset: Int) throws(Diagnostic) -> Bool {
        switch symbol {
        case "==", "!=":
            guard let isEqual = try equals(left, right, at: offset) else { throw readsWords(offset) }
            return isEqual == (symbol == "==")
        case "in", "not in":
            return try contains(right, left, at: offset) == (symbol == "in")
        default: break
        }
        if let a = left.number, let b = right.number {
            return symbol == "<" ? a < b : symbol == "<=" ? a <= b : symbol == ">" ? a > b : a >= b
        }
        throw source.fault("compares \(left.kind) and \(right.kind) by \(quoted(symbol))", at: offset, expected: "two integers")
    }

    private func contains(_ container: TemplateValue, _ value: TemplateValue, at offset: Int) throws(Diagnostic) -> Bool {
        switch container {
        case .text:
            let text = try text(container, at: offset), wanted = try self.text(value, at: offset)
            try spend(reading: text, at: offset)
            return wanted.isEmpty || firstIndex(of: Array(wanted.utf8), in: Array(text.utf8), from: 0) != nil
        case .list(let list):
            for element in list {
                guard let isEqual = try equals(element, value, at: offset) else { throw readsWords(offset) }
                if isEqual { return true }
            }
            return false
        case .map, .namespace: return container.member(try text(value, at: offset)) != nil
        case .undefined: return false
        case .none, .bool, .integer: throw source.fault("looks into \(container.kind)", at: offset, expected: "a text, list or mapping")
        }
    }

    private mutating func call(_ callee: Expression, _ given: Arguments) throws(Diagnostic) -> TemplateValue {
        let arguments = try evaluate(given)
        switch callee.kind {
        case .name(let name): return try function(name, arguments, at: callee.offset)
        case .member(let operand, let key):
            return try method(try text(try evaluate(key), at: key.offset), of: try evaluate(operand), arguments, at: key.offset)
        default: throw source.fault("calls something without a name", at: callee.offset, expected: "a function or a method")
        }
    }

    private func function(_ name: String, _ arguments: TemplateArguments, at offset: Int) throws(Diagnostic) -> TemplateValue {
        switch name {
        case "raise_exception":
            let message = arguments.positional.first?.printed?.literal ?? ""
            throw source.fault("refuses a single question with \(quoted(message))", at: offset)
        case "namespace":
            let namespace = budget.made(TemplateNamespace())
            if case .map(let entries)? = arguments.positional.first { for (key, value) in entries { namespace.members[key] = value } }
            namespace.members.merge(arguments.named) { _, new in new }
            for value in namespace.members.values { try checkDepth(value, at: offset) }
            return .namespace(namespace)
        case "range":
            let numbers = arguments.positional.compactMap(\.number)
            let limit = TemplateBudget.steps
            guard 1...3 ~= numbers.count, numbers.count == arguments.positional.count, numbers.allSatisfy({ -limit...limit ~= $0 }),
                numbers.count < 3 || numbers[2] != 0
            else {
                throw source.fault("calls 'range' with other arguments", at: offset, expected: "one to three integers of at most \(limit)")
            }
            let start = numbers.count > 1 ? numbers[0] : 0, end = numbers.count > 1 ? numbers[1] : numbers[0]
            let range = stride(from: start, to: end, by: numbers.count > 2 ? numbers[2] : 1)
            try spend(abs((end - start) / (numbers.count > 2 ? numbers[2] : 1)), at: offset)
            return .list(range.map { .integer($0) })
        default: throw source.fault("calls the function \(quoted(name)), which is not supported,", at: offset)
        }
    }
}

struct TemplateArguments {
    var positional: [TemplateValue] = []
    var named: [String: TemplateValue] = [:]
}

extension TemplateValue {
    var isNone: Bool { if case .none = self { true } else { false } }
}
