/// `rotary %x {head_size = d, theta = t}` : f32[M, H*d] -> f32[M, H*d], at the position P
///
/// Rotary embedding in the half-split layout of transformers: row i stands at position P + i; in each head the pair
/// (x[j], x[j + d/2]) turns by the angle (P + i) * t^(-2j/d).
public struct Rotary: OperationPayload {
    public static let mnemonic = "rotary"
    public let headSize: Int
    public let theta: Float

    public init(headSize: Int, theta: Float) {
        self.headSize = headSize
        self.theta = theta
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(headSize: try reader.integer("head_size"), theta: try reader.float("theta"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("head_size", .integer(headSize)), ("theta", .float(theta))]
    }

    public func usesPosition(states: Bool) -> Bool { true }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        let width = try expectFixed(operands[0].shape[1], "the width")
        guard headSize > 0, headSize % 2 == 0, width % headSize == 0 else {
            throw TypeError("heads of \(headSize) do not divide a width of \(width) into pairs")
        }
        return operands[0]
    }
}
