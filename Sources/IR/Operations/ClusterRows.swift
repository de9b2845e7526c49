/// `cluster_rows %x {step = s, count = n}` : f32[M, C] -> i32[M]
///
/// Which centre each row belongs to. The centres are the rows 0, s, ..., (n - 1)*s, which belong to none: -1. Any other row belongs to the
/// centre with which it has the greatest product, which of unit rows is the cosine; the first where several are equal. NaN is below all others.
public struct ClusterRows: OperationPayload {
    public static let mnemonic = "cluster_rows"
    public let step: Int
    public let count: Int

    public init(step: Int, count: Int) {
        self.step = step
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(step: try reader.integer("step"), count: try reader.integer("count"))
    }

    public var attributes: [(name: String, value: Attribute)] { [("step", .integer(step)), ("count", .integer(count))] }
    public var callArguments: [Attribute]? { [.integer(step), .integer(count)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        let rows = try expectFixed(operands[0].shape[0], "the number of rows")
        guard step > 0, count > 0, count - 1 <= (rows - 1) / step else {
            throw TypeError("\(rows) rows have no \(count) centres, \(step) apart")
        }
        return TensorType(.int32, fixed: [rows])
    }
}
