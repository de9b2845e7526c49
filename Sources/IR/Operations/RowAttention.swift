/// `row_attention %q, %k {heads = h, scale = s}` : f32[1, h*d], f32[T, h*d] -> f32[T]
///
/// How much attention one row pays to each row, the sum over its heads: element j is the sum of softmax(scale * q . k_i)[j] over the rows i.
/// C meaning: one row of scores at a time, in float32.
public struct RowAttention: OperationPayload {
    public static let mnemonic = "row_attention"
    public let heads: Int
    public let scale: Float

    public init(heads: Int, scale: Float) {
        self.heads = heads
        self.scale = scale
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(heads: try reader.integer("heads"), scale: try reader.float("scale"))
    }

    public var attributes: [(name: String, value: Attribute)] { [("heads", .integer(heads)), ("scale", .float(scale))] }
    public var callArguments: [Attribute]? { [.integer(heads), .float(scale)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        for (operand, what) in zip(operands, ["the query", "the key"]) {
            try expectRank(operand, 2, what)
            try expectFloat(operand, what)
        }
        let width = try expectFixed(operands[0].shape[1], "the query's width")
        guard 1...AttentionScores.mostHeads ~= heads, width % heads == 0 else {
            throw TypeError("a query of width \(width) has no \(heads) heads, at most \(AttentionScores.mostHeads)")
        }
        try expectType(operands[0], TensorType(.float32, fixed: [1, width]), "the query")
        try expectType(operands[1], TensorType(.float32, [operands[1].shape[0], .fixed(width)]), "the key")
        return TensorType(.float32, [operands[1].shape[0]])
    }
}
