import Support

/// A count that is no number of the module: a name, and the most that it can be. It is 0 or more. A call gives it by its arguments.
public struct Symbol: Hashable, Sendable {
    public let name: String
    public let bound: Int

    public init(_ name: String, bound: Int) {
        self.name = name
        self.bound = bound
    }

    /// What a bound may be: programs count rows in 32 bits.
    public static let bounds = 1...Int(Int32.max)

    /// Whether the text can write `name` in a dimension: a letter, then letters, digits and `_`, all of ASCII.
    public static func isName(_ name: String) -> Bool {
        func isLetter(_ byte: UInt8) -> Bool { UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 }
        func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
        return name.utf8.first.map(isLetter) ?? false && name.utf8.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "_") }
    }
}

/// What stands for each symbol.
public struct SymbolValues: Hashable, Sendable {
    private let values: [String: Int]

    /// By the symbols' names. One that is not named has what makes a number the most: its bound or, where it is taken away, 0.
    public init(_ values: [String: Int]) { self.values = values }

    public static let bounds = SymbolValues([:])

    public func with(_ symbol: String, _ value: Int) -> SymbolValues { SymbolValues(values.merging([symbol: value]) { $1 }) }

    fileprivate subscript(term: Affine.Term) -> Int { values[term.symbol.name] ?? (term.factor > 0 ? term.symbol.bound : 0) }
}

/// A number that is affine in symbols: `constant` plus a multiple of each. The text writes `4`, `T`, `2*T + 1`, `T + 20 - S`.
public struct Affine: Hashable, Sendable {
    public struct Term: Hashable, Sendable {
        public let symbol: Symbol
        /// Not 0
        public let factor: Int
    }

    public let constant: Int
    /// One per symbol, by their names.
    public let terms: [Term]

    private init(constant: Int, terms: [Term]) {
        self.constant = constant
        self.terms = terms
    }

    public init(_ constant: Int) { self.init(constant: constant, terms: []) }
    public init(_ symbol: Symbol) { self.init(constant: 0, terms: [Term(symbol: symbol, factor: 1)]) }

    public static func fixed(_ count: Int) -> Affine { Affine(count) }

    /// The number; nil where it holds a symbol.
    public var fixedValue: Int? { terms.isEmpty ? constant : nil }

    public var symbols: [Symbol] { terms.map(\.symbol) }

    /// nil on overflow.
    public func value(_ values: SymbolValues) -> Int? {
        terms.reduce(constant as Int?) { sum, term in
            guard let sum, let part = exactProduct(term.factor, values[term]) else { return nil }
            return checkedSum([sum, part])
        }
    }

    /// The most that it can be; nil on overflow.
    public var bound: Int? { value(.bounds) }

    /// The least that it can be; nil on overflow.
    public var least: Int? {
        value(SymbolValues(Dictionary(uniqueKeysWithValues: terms.map { ($0.symbol.name, $0.factor < 0 ? $0.symbol.bound : 0) })))
    }

    /// The sum; nil on overflow.
    public func adding(_ other: Affine) -> Affine? {
        guard let constant = checkedSum([constant, other.constant]) else { return nil }
        var factors: [String: (symbol: Symbol, factor: Int)] = [:]
        for term in terms + other.terms {
            guard let factor = checkedSum([factors[term.symbol.name]?.factor ?? 0, term.factor]) else { return nil }
            factors[term.symbol.name] = (term.symbol, factor)
        }
        return Affine(constant: constant, factors: factors)
    }

    /// The product with a number; nil on overflow.
    public func multiplied(by count: Int) -> Affine? {
        guard let constant = exactProduct(constant, count) else { return nil }
        var products: [Term] = []
        for term in terms where count != 0 {
            guard let factor = exactProduct(term.factor, count) else { return nil }
            products.append(Term(symbol: term.symbol, factor: factor))
        }
        return Affine(constant: constant, terms: products)
    }

    private init(constant: Int, factors: [String: (symbol: Symbol, factor: Int)]) {
        let terms = factors.values.filter { $0.factor != 0 }.map { Term(symbol: $0.symbol, factor: $0.factor) }
        self.init(constant: constant, terms: terms.sorted { $0.symbol.name < $1.symbol.name })
    }

    /// With numbers in the place of some symbols, by their names; nil on overflow.
    public func replacing(_ values: [String: Int]) -> Affine? {
        var result = Affine(constant) as Affine?
        for term in terms {
            let part = values[term.symbol.name].map { Affine($0) } ?? Affine(term.symbol)
            result = part.multiplied(by: term.factor).flatMap { result?.adding($0) }
        }
        return result
    }
}

extension Affine: CustomStringConvertible, ExpressibleByIntegerLiteral {
    public init(integerLiteral value: Int) { self.init(value) }

    public var description: String { text { factor, symbol in "\(factor)*\(symbol)" } }

    /// What is added, then what is taken away; in each terms first, by the names of their symbols. `product` is for a factor other than 1.
    public func text(product: (_ factor: String, _ symbol: String) -> String) -> String {
        var parts = terms.map { term in
            let magnitude = term.factor.magnitude
            return (text: magnitude == 1 ? term.symbol.name : product("\(magnitude)", term.symbol.name), isNegative: term.factor < 0)
        }
        if constant != 0 || terms.isEmpty { parts.append(("\(constant.magnitude)", constant < 0)) }
        let (added, taken) = (parts.filter { !$0.isNegative }.map(\.text), parts.filter(\.isNegative).map(\.text))
        return added.joined(separator: " + ") + (added.isEmpty ? "-" : taken.isEmpty ? "" : " - ") + taken.joined(separator: " - ")
    }
}

/// A product of either sign; nil on overflow.
private func exactProduct(_ a: Int, _ b: Int) -> Int? {
    let (product, overflow) = a.multipliedReportingOverflow(by: b)
    return overflow ? nil : product
}

/// One dimension of a shape. What is no number is counted by a call, and buffers have the room of its bound.
public typealias Dimension = Affine
