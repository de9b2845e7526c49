/// What an operation reads: a value of the same function, a weight, or a state. The text spells them `%x`, `@x`, `&x`.
public enum Operand: Hashable, Sendable, CustomStringConvertible {
    case value(String)
    case weight(String)
    case state(String)

    public var description: String {
        switch self {
        case .value(let name): "%\(spelled(name))"
        case .weight(let name): "@\(spelled(name))"
        case .state(let name): "&\(spelled(name))"
        }
    }

    public var name: String {
        switch self {
        case .value(let name), .weight(let name), .state(let name): name
        }
    }

    public var isWeight: Bool {
        if case .weight = self { true } else { false }
    }

    public var isState: Bool {
        if case .state = self { true } else { false }
    }
}

/// One operation of a function. `name` is unique in its function and says where in the model it stands
/// (`decoder.layer0.attention.q`); it is also the name of the result, where there is one.
public struct Operation: Hashable, Sendable {
    public var name: String
    public var op: Op
    public var operands: [Operand]
    /// The result's type; nil for an operation that only has an effect.
    public var type: TensorType?

    public init(name: String, op: Op, operands: [Operand], type: TensorType?) {
        self.name = name
        self.op = op
        self.operands = operands
        self.type = type
    }

    public var result: Operand? { type == nil ? nil : .value(name) }
}

/// The payload of one kind of operation: its attributes, its type rule and its place in the text.
/// Operand order is the order of `operandLabels`; a labelled operand is an optional one that is present.
public protocol OperationPayload: Hashable, Sendable {
    static var mnemonic: String { get }
    /// In the order in which they print.
    var attributes: [(name: String, value: Attribute)] { get }
    init(_ reader: inout AttributeReader) throws(TypeError)
    /// One label per operand, nil for a positional one.
    func operandLabels(count: Int) -> [String?]
    /// The type of the result, nil for none, from the types of the operands: the one rule that builder, parser and verifier share.
    func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType?
    /// Which operands must be states; no other may be one.
    var stateOperands: Set<Int> { get }
    /// The state that it writes, by the operand's index. Such an operation must stay, and stay where it is, although nobody reads a result.
    var updatedState: Int? { get }
    /// Made of sums of products, in whose order programs differ: a program dumps its result, and `lmmc check` compares it.
    var isProduct: Bool { get }

    /// The symbol that its result's first dimension is and whose number nobody knows before it has run; nil for most operations. Each symbol
    /// that no call gives is defined by one operation.
    var definedCount: String? { get }
    /// What the routine is told behind its operands where one call of it, `lmmc_MNEMONIC` (Runtime/kernels/reduction), does the operation.
    /// Nil for an operation that the plan knows by itself.
    var callArguments: [Attribute]? { get }
    /// Makes a list of rows of a call of `step` that stay, in their order. Of a call of one row of text it is that row.
    var selectsRows: Bool { get }
    /// How many of a prompt's vision rows stay where the operation selects rows; nil where the values decide.
    func visionRowsKept(of count: Int) -> Int?
    /// Makes a list of rows in which no row of a call of text is: of a call of one row of text nothing is done with them.
    var leavesText: Bool { get }
    /// The operand that the result is where all rows stay, if the operation reads such a list.
    var passedOperand: Int? { get }
    /// Takes from caches what a selection has left. Of a call of one row of text that is nothing.
    var cutsCaches: Bool { get }

    // What passes may do with it. Where nothing is said they leave it alone.

    /// For an operation that computes each row of its result from the same row of some operands: which those are.
    /// A vector among them is repeated over the rows. Nil for an operation that mixes rows or reads states.
    var rowOperands: [Int]? { get }
    /// Whether the rows of all its operands may be reordered alike, which gives the rows of its result in that order. Of operations with
    /// `rowOperands` nothing need be said.
    var keepsRowOrder: Bool { get }
    /// The same operation with its result quantised row by row; nil where there is none, or where it has one already.
    func quantizing(to rows: RowType) -> Op?
    /// The scale by which the operation multiplies its first operand, queries, beside keys; nil for others.
    var queryScale: Float? { get }
    /// The same operation with another such scale.
    func scalingQuery(by scale: Float) -> Op?
    /// What is wrong with it at stage `optimized`, and what is expected there; nil for nothing.
    func optimizedFault(_ operands: [Operand]) -> (what: String?, expected: String)?
}

extension OperationPayload {
    public func operandLabels(count: Int) -> [String?] { Array(repeating: nil, count: count) }
    public var stateOperands: Set<Int> { [] }
    public var updatedState: Int? { nil }
    public var hasEffect: Bool { updatedState != nil }
    public var isProduct: Bool { false }
    public var definedCount: String? { nil }
    public var callArguments: [Attribute]? { nil }
    public var selectsRows: Bool { false }
    public var leavesText: Bool { false }
    public func visionRowsKept(of count: Int) -> Int? { nil }
    public var passedOperand: Int? { nil }
    public var cutsCaches: Bool { false }
    public var rowOperands: [Int]? { nil }
    public var keepsRowOrder: Bool { false }
    public func quantizing(to rows: RowType) -> Op? { nil }
    public var queryScale: Float? { nil }
    public func scalingQuery(by scale: Float) -> Op? { nil }
    public func optimizedFault(_ operands: [Operand]) -> (what: String?, expected: String)? { nil }
}

/// The elementwise functions that the model uses.
public enum ActivationFunction: String, Sendable, Hashable, CaseIterable {
    /// x/2 * (1 + erf(x / sqrt 2)), the exact form
    case gelu
    /// x * sigmoid(1.702 x), CLIP's
    case quickGELU = "quick_gelu"
    /// x * sigmoid(x)
    case silu
}

// MARK: - helpers of the type rules

func expectCount(_ operands: [TensorType], _ range: ClosedRange<Int>) throws(TypeError) {
    if range.contains(operands.count) { return }
    let wanted = range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
    throw TypeError("takes \(wanted) operand\(wanted == "1" ? "" : "s"), not \(operands.count)")
}

func expectRank(_ type: TensorType, _ rank: Int, _ what: String) throws(TypeError) {
    if type.rank != rank { throw TypeError("\(what) is \(type); expected \(rank) dimension\(rank == 1 ? "" : "s")") }
}

func expectFloat(_ type: TensorType, _ what: String) throws(TypeError) {
    if type.dtype != .float32 { throw TypeError("\(what) is \(type); expected f32") }
}

func expectType(_ type: TensorType, _ expected: TensorType, _ what: String) throws(TypeError) {
    if type != expected { throw TypeError("\(what) is \(type); expected \(expected)") }
}

func expectFixed(_ dimension: Dimension, _ what: String) throws(TypeError) -> Int {
    guard let value = dimension.fixedValue else { throw TypeError("\(what) is \(dimension); expected a number") }
    return value
}

/// A list of numbers of rows, slots or positions.
func expectIndices(_ type: TensorType, _ what: String) throws(TypeError) {
    if type.dtype != .int32 || type.rank != 1 { throw TypeError("\(what) is \(type); expected i32 of 1 dimension") }
}

/// A list with an entry for each row of `matrix`.
func expectRows(_ type: TensorType, _ matrix: TensorType, _ what: String) throws(TypeError) {
    try expectType(type, TensorType(.int32, [matrix.shape[0]]), what)
}

/// The dimension of a result that is counted as `name`, of at most as many as `dimension` can be.
func countedDimension(_ name: String, most dimension: Dimension) throws(TypeError) -> Dimension {
    guard Symbol.isName(name) else { throw TypeError("counts '\(name)'; expected a letter, then letters, digits and '_'") }
    guard let bound = dimension.bound, Symbol.bounds.contains(bound) else { throw TypeError("counts up to \(dimension)") }
    return Dimension(Symbol(name, bound: bound))
}
