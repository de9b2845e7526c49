/// `rater_rows %x, tokens %tokens, slots %slots` : f32[M, C], i32[M], i32[M] -> i32[M]
///
/// Which words of a prompt look at its image, as SparseVLM has it: 1 for a row that does, 0 for any other. Rows of one slot stand together. Of a
/// slot with vision rows (those with negative tokens) the rows behind the last of them may be raters. Each vision row v shares itself out among
/// them by the softmax of x_v . x_p over p; those rate whose share, the mean over v, is above the mean of all shares. Where none is, all do.
/// C meaning: sums of products in float32, sums of shares in float64.
public struct RaterRows: OperationPayload {
    public static let mnemonic = "rater_rows"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public func operandLabels(count: Int) -> [String?] { [nil, "tokens", "slots"] }
    public var callArguments: [Attribute]? { [] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 3...3)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        _ = try expectFixed(operands[0].shape[1], "the width of the rows")
        for (operand, what) in zip(operands.dropFirst(), ["tokens", "slots"]) {
            try expectRows(operand, operands[0], "the list of \(what)")
        }
        return operands[1]
    }
}
