/// The value of a named attribute of an operation, as it stands in the IR text.
public enum Attribute: Hashable, Sendable, CustomStringConvertible {
    case integer(Int)
    case float(Float)
    case symbol(String)
    case integers([Int])
    case floats([Float])

    /// Zeros and ones.
    static func mask(_ mask: [Bool]) -> Attribute { .integers(mask.map { $0 ? 1 : 0 }) }

    public var description: String {
        switch self {
        case .integer(let value): String(value)
        case .float(let value): value.description
        case .symbol(let name): name
        case .integers(let values): "[\(values.map(String.init).joined(separator: ", "))]"
        case .floats(let values): "[\(values.map(\.description).joined(separator: ", "))]"
        }
    }
}

extension Attribute {
    /// False where a number is infinite or NaN, which the text cannot say.
    var isFinite: Bool {
        switch self {
        case .float(let value): value.isFinite
        case .floats(let values): values.allSatisfy(\.isFinite)
        case .integer, .integers, .symbol: true
        }
    }
}

/// What stands between an operation's mnemonic and its type in IR text; a payload is made from it.
/// Every attribute must be asked for: `finish` names one that nobody wanted.
public struct AttributeReader {
    private var attributes: [String: Attribute]
    /// One label per operand, nil for a positional one.
    public let labels: [String?]

    public init(_ attributes: [String: Attribute], labels: [String?]) {
        self.attributes = attributes
        self.labels = labels
    }

    private mutating func take(_ name: String) throws(TypeError) -> Attribute {
        guard let value = attributes.removeValue(forKey: name) else { throw TypeError("attribute '\(name)' is missing") }
        return value
    }

    public mutating func integer(_ name: String) throws(TypeError) -> Int {
        let value = try take(name)
        guard case .integer(let integer) = value else { throw TypeError("attribute '\(name)' is '\(value)', not an integer") }
        return integer
    }

    /// A float; an integer is taken as one, since a person may write `1` for `1.0`.
    public mutating func float(_ name: String) throws(TypeError) -> Float {
        switch try take(name) {
        case .float(let value): return value
        case .integer(let value): return Float(value)
        case let other: throw TypeError("attribute '\(name)' is '\(other)', not a number")
        }
    }

    public mutating func integers(_ name: String) throws(TypeError) -> [Int] {
        let value = try take(name)
        guard case .integers(let integers) = value else { throw TypeError("attribute '\(name)' is '\(value)', not a list of integers") }
        return integers
    }

    public mutating func floats(_ name: String) throws(TypeError) -> [Float] {
        switch try take(name) {
        case .floats(let values): return values
        case .integers(let values): return values.map(Float.init)
        case let other: throw TypeError("attribute '\(name)' is '\(other)', not a list of numbers")
        }
    }

    public mutating func symbol<Choice: RawRepresentable & CaseIterable>(
        _ name: String, of: Choice.Type
    ) throws(TypeError) -> Choice where Choice.RawValue == String {
        let value = try take(name)
        if case .symbol(let text) = value, let choice = Choice(rawValue: text) { return choice }
        let choices = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        throw TypeError("attribute '\(name)' is '\(value)'; expected one of \(choices)")
    }

    /// Any word: the name of a symbol.
    public mutating func word(_ name: String) throws(TypeError) -> String {
        let value = try take(name)
        guard case .symbol(let text) = value else { throw TypeError("attribute '\(name)' is '\(value)', not a word") }
        return text
    }

    public func has(_ name: String) -> Bool { attributes[name] != nil }

    public func finish() throws(TypeError) {
        if let name = attributes.keys.min() { throw TypeError("unknown attribute '\(name)'") }
    }
}

/// Why operand types or attributes do not fit an operation. The verifier and the parser add the place.
public struct TypeError: Error, Hashable, Sendable {
    public let message: String

    public init(_ message: String) { self.message = message }
}
