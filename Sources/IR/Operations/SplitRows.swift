/// `split_rows %tokens, slots %slots {kind = text, count = X}` : i32[M], i32[M] -> i32[X]
///
/// The rows of one kind of a call of `step`, in their order: the vision rows, those with negative tokens, or the rows of text. The last row
/// of a slot, which the next token follows, counts as text whatever its token is. Rows of one slot stand together. X, at most M, is known
/// when it has run.
public struct SplitRows: OperationPayload {
    public static let mnemonic = "split_rows"
    public let kind: Kind
    public let count: String

    public enum Kind: String, Sendable, Hashable, CaseIterable { case text, vision }

    public init(_ kind: Kind, count: String) {
        self.kind = kind
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(try reader.symbol("kind", of: Kind.self), count: try reader.word("count"))
    }

    public var attributes: [(name: String, value: Attribute)] { [("kind", .symbol(kind.rawValue)), ("count", .symbol(count))] }
    public func operandLabels(count: Int) -> [String?] { [nil, "slots"] }
    public var definedCount: String? { count }
    public var callArguments: [Attribute]? { [.integer(kind == .vision ? 1 : 0)] }
    public var selectsRows: Bool { kind == .text }
    public var leavesText: Bool { kind == .vision }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        try expectIndices(operands[0], "the list of tokens")
        try expectType(operands[1], operands[0], "the list of slots")
        return TensorType(.int32, [try countedDimension(count, most: operands[0].shape[0])])
    }
}
