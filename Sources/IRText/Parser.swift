import IR
import Support

/// Parses the text of a module as `Module.description` prints it, with free whitespace and `// ...` comments, and verifies it.
///
/// Every error is one line with `file`, line and column, counted from 1. Symbols, weights and states stand before their
/// use; otherwise the four kinds of items may mix.
public func parseModule(_ text: String, file: String) throws(Diagnostic) -> Module {
    var parser = try Parser(text, file: file)
    let module = try parser.module()
    do throws(Diagnostic) {
        try module.verify()
    } catch {
        throw parser.located(error)
    }
    return module
}

struct Parser {
    let file: String
    private var lexer: Lexer
    private(set) var token: Token
    private var ahead: Token
    private var functionNames: Set<String> = []
    private var symbols: [String: Symbol] = [:]
    /// Where the things stand that the verifier names.
    private var places: [String: Token] = [:]

    init(_ text: String, file: String) throws(Diagnostic) {
        self.file = file
        lexer = Lexer(text, file: file)
        token = try lexer.next()
        ahead = try lexer.next()
    }

    // MARK: - tokens

    func failure(_ message: String, at token: Token, expected: String? = nil) -> Diagnostic {
        .error(message, at: .line(file: file, line: token.line, column: token.column), expected: expected)
    }

    private func unexpected(_ expected: String) -> Diagnostic { failure("unexpected \(token.text)", at: token, expected: expected) }

    @discardableResult
    private mutating func take() throws(Diagnostic) -> Token {
        let taken = token
        token = ahead
        ahead = try lexer.next()
        return taken
    }

    private func stands(_ mark: Unicode.Scalar) -> Bool { token.kind == .mark(UInt8(ascii: mark)) }

    private func stands(word: String) -> Bool { token.kind == .word(word) }

    private mutating func expect(_ mark: Unicode.Scalar) throws(Diagnostic) {
        guard stands(mark) else { throw unexpected("'\(mark)'") }
        try take()
    }

    private mutating func expect(word: String) throws(Diagnostic) {
        guard stands(word: word) else { throw unexpected("'\(word)'") }
        try take()
    }

    private mutating func string(_ what: String) throws(Diagnostic) -> String {
        guard case .string(let text) = token.kind else { throw unexpected("\(what) in double quotes") }
        try take()
        return text
    }

    /// A name that stands without a sigil.
    private mutating func bareName(_ what: String) throws(Diagnostic) -> String {
        switch token.kind {
        case .word(let name), .string(let name):
            try take()
            return name
        case .operand, .mark, .end: throw unexpected(what)
        }
    }

    /// `element {, element} close`, or nothing before `close`; the opening mark is already taken.
    private mutating func list(until close: Unicode.Scalar, _ element: (inout Parser) throws(Diagnostic) -> Void) throws(Diagnostic) {
        if !stands(close) {
            try element(&self)
            while stands(",") {
                try take()
                try element(&self)
            }
            guard stands(close) else { throw unexpected("',' or '\(close)'") }
        }
        try take()
    }

    /// `error` of the verifier with line and column, where its site is something that this parser has read.
    func located(_ error: Diagnostic) -> Diagnostic {
        guard case .operation(let place) = error.site, let token = places[place] else { return error }
        var error = error
        error.site = .line(file: file, line: token.line, column: token.column)
        return error
    }

    // MARK: - items

    mutating func module() throws(Diagnostic) -> Module {
        try expect(word: "module")
        let name = try string("the module's name")
        try expect(word: "stage")
        guard case .word(let word) = token.kind, let stage = Stage(rawValue: word) else {
            throw unexpected(quotedList(Stage.allCases.map(\.rawValue)))
        }
        try take()
        try expect("{")
        var module = Module(name: name, stage: stage)
        while !stands("}") {
            switch token.kind {
            case .word("symbol"): try symbol(&module)
            case .word("weight"): try weight(&module)
            case .word("state"): try state(&module)
            case .word("func"): try function(&module)
            default: throw unexpected("'symbol', 'weight', 'state', 'func' or '}'")
            }
        }
        try take()
        guard token.kind == .end else { throw unexpected("nothing after the module") }
        return module
    }

    /// `symbol T <= 1024`
    private mutating func symbol(_ module: inout Module) throws(Diagnostic) {
        try take()
        let place = token
        guard case .word(let name) = token.kind, Symbol.isName(name) else {
            throw unexpected("the symbol's name: a letter, then letters, digits and '_'")
        }
        try take()
        if symbols[name] != nil { throw failure("symbol \(quoted(name)) is declared twice", at: place) }
        try expect("<")
        try expect("=")
        let number = token
        guard case .integer(let bound) = try self.number(), Symbol.bounds.contains(bound) else {
            throw failure("\(number.text) bounds no symbol", at: number, expected: "a number from 1 to \(Symbol.bounds.upperBound)")
        }
        let symbol = Symbol(name, bound: bound)
        symbols[name] = symbol
        module.symbols.append(symbol)
    }

    private mutating func weight(_ module: inout Module) throws(Diagnostic) {
        try take()
        let place = token
        guard case .operand(.weight(let name)) = token.kind else { throw unexpected("'@' and the weight's name") }
        if module.weights[name] != nil { throw failure("weight \(token.text) is defined twice", at: token) }
        places["@\(name)"] = token
        try take()
        try expect(":")
        let type = try self.type()
        try expect("=")
        let definition: Weight.Definition
        switch token.kind {
        case .word("source"):
            try take()
            definition = .source(SourceTensor(name: try string("the tensor's name"), type: try self.type()))
        case .word("fold"):
            try take()
            try expect("{")
            var environment = TypeEnvironment(module)
            var operations: [Operation] = []
            while !stands("}") {
                operations.append(try operation(in: &environment, function: nil, end: "an operation or '}'"))
            }
            try take()
            definition = .folded(operations)
        default: throw unexpected("'source' or 'fold'")
        }
        let weight = Weight(named: name, type: type, definition: definition)
        if case .folded(let operations) = definition, operations.last?.type != type {
            let last = operations.last?.type.map(\.description) ?? "nothing"
            throw failure("weight \(place.text) is \(type), but its definition ends in \(last)", at: place)
        }
        module.weights[name] = weight
    }

    private mutating func state(_ module: inout Module) throws(Diagnostic) {
        try take()
        guard case .operand(.state(let name)) = token.kind else { throw unexpected("'&' and the state's name") }
        if module.states[name] != nil { throw failure("state \(token.text) is defined twice", at: token) }
        places["&\(name)"] = token
        try take()
        try expect(":")
        module.states[name] = try type()
    }

    private mutating func function(_ module: inout Module) throws(Diagnostic) {
        try take()
        let place = token
        let name = try bareName("the function's name")
        if !functionNames.insert(name).inserted { throw failure("function '\(name)' is defined twice", at: place) }
        places[name] = place
        try expect("(")
        var parameters: [Parameter] = []
        try list(until: ")") { parser throws(Diagnostic) in
            let place = parser.token
            guard case .operand(.value(let name)) = place.kind else { throw parser.unexpected("'%' and a parameter's name") }
            if parameters.contains(where: { $0.name == name }) { throw parser.failure("name \(place.text) is defined twice", at: place) }
            try parser.take()
            try parser.expect(":")
            parameters.append(Parameter(name: name, type: try parser.type()))
        }
        var function = Function(name: name, parameters: parameters)
        try expect("{")
        var environment = TypeEnvironment(module, function)
        while !stands(word: "return") {
            function.operations.append(try operation(in: &environment, function: name, end: "an operation or 'return'"))
        }
        try take()
        try list(until: "}") { parser throws(Diagnostic) in
            function.results.append(try parser.operand(in: environment, "a result"))
        }
        module.functions.append(function)
    }

    // MARK: - operations

    private mutating func operand(in environment: TypeEnvironment, _ what: String) throws(Diagnostic) -> Operand {
        guard case .operand(let operand) = token.kind else { throw unexpected(what) }
        if environment[operand] == nil { throw failure("\(token.text) is not defined", at: token, expected: "a name defined before it") }
        try take()
        return operand
    }

    /// `%name = mnemonic operands {attributes} : type` or, without a result, `mnemonic operands {attributes} as name`.
    private mutating func operation(
        in environment: inout TypeEnvironment, function: String?, end: String
    ) throws(Diagnostic) -> Operation {
        let start = token
        var result: String?
        if case .operand(.value(let name)) = token.kind {
            result = name
            try take()
            try expect("=")
        }
        let place = token
        guard case .word(let mnemonic) = token.kind else { throw unexpected(result == nil ? end : "an operation") }
        guard let make = Op.parsers.first(where: { $0.mnemonic == mnemonic })?.make else {
            let nearest = nearestName(to: mnemonic, among: Op.parsers.map(\.mnemonic))
            throw failure(
                "unknown operation \(token.text)", at: token,
                expected: nearest.map { quoted($0) } ?? "one of \(Op.parsers.map(\.mnemonic).joined(separator: ", "))")
        }
        try take()
        let (operands, labels) = try self.operands(in: environment)
        var reader = AttributeReader(try attributes(), labels: labels)

        let op: Op
        let inferred: Operation
        do throws(TypeError) {
            op = try make(&reader)
            try reader.finish()
            try checkLabels(labels, of: op)
            inferred = try makeOperation(result ?? "", op, operands) { environment[$0] }
        } catch {
            throw failure("'\(mnemonic)' \(error.message)", at: place)
        }

        var operation = inferred
        if let result {
            guard let type = inferred.type else {
                throw failure("'\(mnemonic)' has no result", at: start, expected: "'\(mnemonic) ... as name'")
            }
            try expect(":")
            let written = token
            let declared = try self.type()
            guard declared == type else { throw failure("'\(mnemonic)' has type \(declared)", at: written, expected: "\(type)") }
            operation.name = result
        } else {
            if let type = inferred.type {
                throw failure("'\(mnemonic)' has a result", at: start, expected: "'%name = \(mnemonic) ... : \(type)'")
            }
            try expect(word: "as")
            operation.name = try bareName("the operation's name")
        }
        guard environment.define(operation) else { throw failure("name '%\(operation.name)' is defined twice", at: start) }
        if let function { places["\(function): %\(operation.name)"] = place }
        return operation
    }

    /// `%a, @b, label %c`, at least where an operand or a label can stand.
    private mutating func operands(in environment: TypeEnvironment) throws(Diagnostic) -> ([Operand], [String?]) {
        var operands: [Operand] = []
        var labels: [String?] = []
        func begins(_ token: Token, _ ahead: Token) -> Bool {
            switch (token.kind, ahead.kind) {
            case (.operand, _), (.word, .operand): true
            default: false
            }
        }
        guard begins(token, ahead) else { return ([], []) }
        while true {
            var label: String?
            if case .word(let word) = token.kind {
                label = word
                try take()
            }
            labels.append(label)
            operands.append(try operand(in: environment, "an operand"))
            guard stands(",") else { return (operands, labels) }
            try take()
        }
    }

    /// The labels in the text must be those with which the operation prints.
    private func checkLabels(_ labels: [String?], of op: Op) throws(TypeError) {
        let expected = op.payload.operandLabels(count: labels.count)
        for (index, label) in labels.enumerated() {
            // A missing or superfluous operand without a label is the type rule's matter.
            let wanted = index < expected.count ? expected[index] : nil
            if label == wanted { continue }
            let rule = wanted.map { "expected label '\($0)'" } ?? "expected no label"
            throw TypeError("has operand \(index) \(label.map { "with label '\($0)'" } ?? "without a label"); \(rule)")
        }
    }

    // MARK: - attributes and types

    private mutating func attributes() throws(Diagnostic) -> [String: Attribute] {
        var attributes: [String: Attribute] = [:]
        guard stands("{") else { return [:] }
        try take()
        try list(until: "}") { parser throws(Diagnostic) in
            let place = parser.token
            guard case .word(let name) = place.kind else { throw parser.unexpected("an attribute's name") }
            if attributes[name] != nil { throw parser.failure("attribute '\(name)' stands twice", at: place) }
            try parser.take()
            try parser.expect("=")
            attributes[name] = try parser.attribute()
        }
        return attributes
    }

    private mutating func attribute() throws(Diagnostic) -> Attribute {
        if stands("[") {
            try take()
            var values: [Attribute] = []
            try list(until: "]") { parser throws(Diagnostic) in values.append(try parser.number()) }
            // One number with a point makes the list a list of floats.
            let integers = values.compactMap { if case .integer(let value) = $0 { value } else { nil } }
            if integers.count == values.count { return .integers(integers) }
            return .floats(
                values.map {
                    switch $0 {
                    case .integer(let value): Float(value)
                    case .float(let value): value
                    case .symbol, .integers, .floats: .nan  // number() gives none of these
                    }
                })
        }
        guard case .word(let word) = token.kind else { throw unexpected("a number, a list or a symbol") }
        if let first = word.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first), first != UInt8(ascii: "-") {
            try take()
            return .symbol(word)
        }
        return try number()
    }

    private mutating func number() throws(Diagnostic) -> Attribute {
        guard case .word(let word) = token.kind else { throw unexpected("a number") }
        switch Number(word) {
        case .integer(let value):
            try take()
            return .integer(value)
        case .float(let value):
            try take()
            return .float(value)
        case .outOfRange(let type): throw failure("\(token.text) does not fit \(type)", at: token)
        case nil: throw unexpected("a number")
        }
    }

    /// `f32[2, T]`
    private mutating func type() throws(Diagnostic) -> TensorType {
        let place = token
        guard case .word(let word) = token.kind, let dtype = DType(rawValue: word) else {
            throw unexpected("a type: \(quotedList(DType.allCases.map(\.rawValue))) and '[dimensions]'")
        }
        try take()
        try expect("[")
        var shape: [Dimension] = []
        try list(until: "]") { parser throws(Diagnostic) in
            let place = parser.token
            let dimension = try parser.dimension()
            if dimension.fixedValue ?? 1 < 1 || dimension.least ?? -1 < 0 {
                throw parser.failure("a dimension of \(quoted(dimension.description))", at: place, expected: "one that is never negative")
            }
            shape.append(dimension)
        }
        let type = TensorType(dtype, shape)
        if type.byteCount() == nil { throw failure("\(type) is more than 2^63 bytes", at: place) }
        return type
    }

    /// `4`, `T`, `2*T + 1`, `T + 20 - S`, with blanks around `+` and `-`, which names may hold.
    private mutating func dimension() throws(Diagnostic) -> Dimension {
        var sum = Dimension(0)
        var sign = 1
        while true {
            let place = token
            guard let term = try term().multiplied(by: sign), let next = sum.adding(term) else {
                throw failure("the dimension does not fit a 64-bit integer", at: place)
            }
            sum = next
            if !stands(word: "+") && !stands(word: "-") { return sum }
            sign = stands(word: "-") ? -1 : 1
            try take()
        }
    }

    /// `4`, `T` or `2*T`
    private mutating func term() throws(Diagnostic) -> Dimension {
        guard case .word(let word) = token.kind else { throw unexpected("a dimension") }
        if let symbol = symbols[word] {
            try take()
            return Dimension(symbol)
        }
        switch Number(word) {
        case .integer(let count) where count > 0:
            try take()
            guard stands("*") else { return Dimension(count) }
            try take()
            guard case .word(let word) = token.kind, let symbol = symbols[word], let product = Dimension(symbol).multiplied(by: count)
            else {
                throw unexpected("a symbol of the module")
            }
            try take()
            return product
        case .outOfRange(let type): throw failure("\(token.text) does not fit \(type)", at: token)
        case .integer, .float, nil:
            throw unexpected(
                "a dimension: a number from 1 or a symbol\(symbols.isEmpty ? " that the module declares" : ", \(quotedList(symbols.keys.sorted()))")"
            )
        }
    }
}

/// A number as the text writes it: `-12`, `0.5`, `1e-05`, `3.4028235e+38`.
enum Number {
    case integer(Int)
    case float(Float)
    case outOfRange(String)

    init?(_ word: String) {
        var rest = Substring(word).utf8
        func digits() -> Int {
            let count = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
            rest = rest.dropFirst(count)
            return count
        }
        if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
        guard digits() > 0 else { return nil }
        if rest.isEmpty {
            self = Int(word).map(Number.integer) ?? .outOfRange("a 64-bit integer")
            return
        }
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            guard digits() > 0 else { return nil }
        }
        let isZero = !word.utf8.prefix(word.utf8.count - rest.count).contains { (UInt8(ascii: "1")...UInt8(ascii: "9")).contains($0) }
        if rest.first == UInt8(ascii: "e") || rest.first == UInt8(ascii: "E") {
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
            guard digits() > 0 else { return nil }
        }
        guard rest.isEmpty else { return nil }
        // The conversion itself turns what is too large into infinity and what is too small into zero.
        guard let value = Float(word), value.isFinite, value.isZero == isZero else {
            self = .outOfRange("f32")
            return
        }
        self = .float(value)
    }
}
