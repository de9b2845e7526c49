/// `softmax_similarity %a, %b {temperature = t}` : f32[M, C], f32[N, C] -> f32[M, N]
///
/// How alike the rows of a are to those of b: softmax over j of a_i . b_j / t, over M. All elements together make 1.
/// C meaning: products in float32, the softmax's sum in double precision.
public struct SoftmaxSimilarity: OperationPayload {
    public static let mnemonic = "softmax_similarity"
    public let temperature: Float

    public init(temperature: Float) { self.temperature = temperature }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(temperature: try reader.float("temperature")) }
    public var attributes: [(name: String, value: Attribute)] { [("temperature", .float(temperature))] }
    public var callArguments: [Attribute]? { [.float(temperature)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        for operand in operands {
            try expectRank(operand, 2, "an operand")
            try expectFloat(operand, "an operand")
        }
        guard temperature > 0 else { throw TypeError("the temperature is \(temperature); expected a positive number") }
        try expectType(operands[1], TensorType(.float32, [operands[1].shape[0], operands[0].shape[1]]), "the second operand")
        return TensorType(.float32, [operands[0].shape[0], operands[1].shape[0]])
    }
}
