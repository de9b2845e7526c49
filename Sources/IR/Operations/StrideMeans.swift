/// `stride_means %x, tokens %tokens, rows %list {stride = s}` : f32[M, C], i32[M], i32[K] -> f32[K, C]
///
/// The rows of a `stride_rows`: row i is row list[i] of x where that is text and, of a vision row, the mean of the s rows of its window, which
/// stands from (s - 1)/2 rows before it on. A window that the call does not hold whole gives the row as it is.
public struct StrideMeans: OperationPayload {
    public static let mnemonic = "stride_means"
    public let stride: Int

    public init(stride: Int) { self.stride = stride }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(stride: try reader.integer("stride")) }
    public var attributes: [(name: String, value: Attribute)] { [("stride", .integer(stride))] }
    public func operandLabels(count: Int) -> [String?] { [nil, "tokens", "rows"] }
    public var callArguments: [Attribute]? { [.integer(stride)] }
    public var passedOperand: Int? { 0 }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 3...3)
        guard stride > 0 else { throw TypeError("means of \(stride) rows; expected 1 or more") }
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        _ = try expectFixed(operands[0].shape[1], "the width of the rows")
        try expectRows(operands[1], operands[0], "the list of tokens")
        try expectIndices(operands[2], "the list of rows")
        return TensorType(.float32, [operands[2].shape[0], operands[0].shape[1]])
    }
}
