/// `replace_rows %x, %y, at %places` : f32[M, C], f32[K, C], i32[K] -> f32[M, C]
///
/// x, with row i of y in the place of its row places[i]; the last where a place is named twice. No place may be out of range.
public struct ReplaceRows: OperationPayload {
    public static let mnemonic = "replace_rows"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public func operandLabels(count: Int) -> [String?] { [nil, nil, "at"] }
    public var callArguments: [Attribute]? { [] }
    public var passedOperand: Int? { 0 }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 3...3)
        for (operand, what) in zip(operands, ["the operand", "the operand of other rows"]) {
            try expectRank(operand, 2, what)
            try expectFloat(operand, what)
        }
        try expectType(operands[1], TensorType(.float32, [operands[1].shape[0], operands[0].shape[1]]), "the operand of other rows")
        try expectRows(operands[2], operands[1], "the list of places")
        return operands[0]
    }
}
