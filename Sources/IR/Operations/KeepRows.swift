/// `keep_rows %scores, tokens %tokens, slots %slots {top = k, count = K}` : f32[M], i32[M], i32[M] -> i32[K]
///
/// The rows of a call of `step` that stay, in their order: every row of text, of each slot the k vision rows (those with negative tokens)
/// with the best scores, the lower row first where two are equal, and of each slot the last row, which the next token follows. A slot with at
/// most k vision rows keeps them all; with `drop = d` it keeps d less than it has, where that is less than k. NaN is below all scores.
/// Rows of one slot stand together. K, at most M, is known when it has run.
public struct KeepRows: OperationPayload {
    public static let mnemonic = "keep_rows"
    public let top: Int
    /// Vision rows that leave in any case
    public let drop: Int
    public let count: String

    public init(top: Int, drop: Int = 0, count: String) {
        self.top = top
        self.drop = drop
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            top: try reader.integer("top"), drop: reader.has("drop") ? try reader.integer("drop") : 0, count: try reader.word("count"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("top", .integer(top))] + (drop == 0 ? [] : [("drop", .integer(drop))]) + [("count", .symbol(count))]
    }
    public func operandLabels(count: Int) -> [String?] { [nil, "tokens", "slots"] }
    public var definedCount: String? { count }
    public var callArguments: [Attribute]? { [.integer(top), .integer(drop)] }
    public var selectsRows: Bool { true }
    public func visionRowsKept(of count: Int) -> Int? { max(0, min(top, count - drop)) }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 3...3)
        guard top > 0 else { throw TypeError("keeps \(top) vision rows; expected 1 or more") }
        guard drop >= 0 else { throw TypeError("drops \(drop) vision rows; expected 0 or more") }
        try expectRank(operands[0], 1, "the list of scores")
        try expectFloat(operands[0], "the list of scores")
        try expectRows(operands[1], operands[0], "the list of tokens")
        try expectRows(operands[2], operands[0], "the list of slots")
        return TensorType(.int32, [try countedDimension(count, most: operands[0].shape[0])])
    }
}
