/// `last_row %x` : f32[M, C] -> f32[1, C], M a number or T: the row whose logits the next token is drawn from.
public struct LastRow: OperationPayload {
    public static let mnemonic = "last_row"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        return TensorType(operands[0].dtype, [1, operands[0].shape[1]])
    }
}
