/// `log %x` : f32[M] -> f32[M]
///
/// The natural logarithm of each entry: minus infinity of 0, NaN below.
public struct Logarithm: OperationPayload {
    public static let mnemonic = "log"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var callArguments: [Attribute]? { [] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 1, "the operand")
        try expectFloat(operands[0], "the operand")
        return operands[0]
    }
}
