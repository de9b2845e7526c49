/// `gather_rows %x, %rows` : [M, C] or [M], i32[N] -> [N, C] or [N]
///
/// Row i of the result is row rows[i] of x: the rows of a step whose logits are wanted, say. No row may be out of range.
/// C meaning: one copy per row; where x and the result have one row, none.
public struct GatherRows: OperationPayload {
    public static let mnemonic = "gather_rows"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var passedOperand: Int? { 0 }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        guard 1...2 ~= operands[0].rank else { throw TypeError("the operand is \(operands[0]); expected 1 or 2 dimensions") }
        try expectIndices(operands[1], "the list of rows")
        return TensorType(operands[0].dtype, [operands[1].shape[0]] + operands[0].shape.dropFirst())
    }
}
