/// `mean_heads %x {heads = h}` : f32[M, h*d] -> f32[M, d]
///
/// The mean of each row over its heads, which stand side by side. Summed in double precision.
public struct MeanHeads: OperationPayload {
    public static let mnemonic = "mean_heads"
    public let heads: Int

    public init(heads: Int) { self.heads = heads }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(heads: try reader.integer("heads")) }
    public var attributes: [(name: String, value: Attribute)] { [("heads", .integer(heads))] }
    public var callArguments: [Attribute]? { [.integer(heads)] }
    public var rowOperands: [Int]? { [0] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        let width = try expectFixed(operands[0].shape[1], "the width of the rows")
        guard heads > 0, width % heads == 0 else { throw TypeError("rows of width \(width) have no \(heads) heads") }
        return TensorType(.float32, [operands[0].shape[0], .fixed(width / heads)])
    }
}
