/// `segment_means %x, %segments {count = n}` : f32[M, C], i32[M] -> f32[n, C]
///
/// Row i of the result is the mean of the rows of x whose segment is i, zeros where there is none. Rows with a negative segment belong to
/// none; no segment is n or more. Summed in double precision, in ascending order.
public struct SegmentMeans: OperationPayload {
    public static let mnemonic = "segment_means"
    public let count: Int

    public init(count: Int) { self.count = count }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(count: try reader.integer("count")) }
    public var attributes: [(name: String, value: Attribute)] { [("count", .integer(count))] }
    public var callArguments: [Attribute]? { [.integer(count)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        try expectRows(operands[1], operands[0], "the list of segments")
        guard count > 0 else { throw TypeError("means of \(count) segments; expected 1 or more") }
        return TensorType(.float32, [.fixed(count), operands[0].shape[1]])
    }
}
