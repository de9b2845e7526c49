/// `stride_rows %tokens, slots %slots {stride = s, image = N, count = K}` : i32[M], i32[M] -> i32[K]
///
/// The rows of a call of `step` that stay where each s consecutive vision rows of an image become one, in their order: every row of text, the
/// row (s - 1)/2, rounded down, of each window of s, whose position is the windows' middle, and of each slot the last row. A vision row -1 - t of an image
/// of N rows stands in window (t mod N)/s; one in no whole window leaves.
/// K, at most M, is known when it has run.
public struct StrideRows: OperationPayload {
    public static let mnemonic = "stride_rows"
    public let stride: Int
    public let image: Int
    public let count: String

    public init(stride: Int, image: Int, count: String) {
        self.stride = stride
        self.image = image
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(stride: try reader.integer("stride"), image: try reader.integer("image"), count: try reader.word("count"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("stride", .integer(stride)), ("image", .integer(image)), ("count", .symbol(count))]
    }
    public func operandLabels(count: Int) -> [String?] { [nil, "slots"] }
    public var definedCount: String? { count }
    public var callArguments: [Attribute]? { [.integer(stride), .integer(image)] }
    public var selectsRows: Bool { true }
    public func visionRowsKept(of count: Int) -> Int? { count / image * (image / stride) + count % image / stride }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        guard stride > 0, image >= stride else { throw TypeError("means of \(stride) rows of \(image); expected 1 to as many") }
        try expectIndices(operands[0], "the list of tokens")
        try expectRows(operands[1], operands[0], "the list of slots")
        return TensorType(.int32, [try countedDimension(count, most: operands[0].shape[0])])
    }
}
