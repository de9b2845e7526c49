/// `threshold_rows %sums, most %most, tokens %tokens, slots %slots, protected %protected {global = g, individual = i, count = K}` :
/// f32[M], f32[M], i32[M], i32[M], i32[R] -> i32[K]
///
/// The rows of a call of `step` that stay, in their order, by two thresholds. A vision row (with a negative token) leaves where its sum is below g times
/// that of all vision rows of its slot, and its entry of `most` is below i; not where `protected` is other than 0 at row -1 - token, and not the last
/// row of a slot, which the next token follows. Nothing compares as below with NaN. Rows of one slot stand together. K, at most M, is known when it has
/// run.
public struct ThresholdRows: OperationPayload {
    public static let mnemonic = "threshold_rows"
    public let global: Float
    public let individual: Float
    public let count: String

    public init(global: Float, individual: Float, count: String) {
        self.global = global
        self.individual = individual
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            global: try reader.float("global"), individual: try reader.float("individual"), count: try reader.word("count"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("global", .float(global)), ("individual", .float(individual)), ("count", .symbol(count))]
    }

    public func operandLabels(count: Int) -> [String?] { [nil, "most", "tokens", "slots", "protected"] }
    public var definedCount: String? { count }
    public var callArguments: [Attribute]? { [.float(global), .float(individual)] }
    public var selectsRows: Bool { true }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 5...5)
        try expectRank(operands[0], 1, "the list of sums")
        try expectFloat(operands[0], "the list of sums")
        try expectType(operands[1], operands[0], "the list of greatest scores")
        try expectRows(operands[2], operands[0], "the list of tokens")
        try expectRows(operands[3], operands[0], "the list of slots")
        try expectIndices(operands[4], "the list of protected rows")
        return TensorType(.int32, [try countedDimension(count, most: operands[0].shape[0])])
    }
}
