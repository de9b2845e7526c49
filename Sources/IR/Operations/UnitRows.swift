/// `unit_rows %x {epsilon = e}` : f32[M, C] -> f32[M, C]
///
/// Each row over its Euclidean norm, or over epsilon where that is greater. The norm is summed in double precision and rounded once.
public struct UnitRows: OperationPayload {
    public static let mnemonic = "unit_rows"
    public let epsilon: Float

    public init(epsilon: Float) { self.epsilon = epsilon }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(epsilon: try reader.float("epsilon")) }
    public var attributes: [(name: String, value: Attribute)] { [("epsilon", .float(epsilon))] }
    public var callArguments: [Attribute]? { [.float(epsilon)] }
    public var rowOperands: [Int]? { [0] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        guard epsilon > 0 else { throw TypeError("epsilon is \(epsilon); expected a positive number") }
        return operands[0]
    }
}
