/// `trim_rows %tokens {image = N, first = f, count = K}` : i32[M] -> i32[K]
///
/// The rows of a call of `step` that stay where the first f of an image's N vision rows leave, in their order: every row of text, and the vision
/// rows -1 - t with t mod N of f and more. K, at most M, is known when it has run.
public struct TrimRows: OperationPayload {
    public static let mnemonic = "trim_rows"
    public let image: Int
    public let first: Int
    public let count: String

    public init(image: Int, first: Int, count: String) {
        self.image = image
        self.first = first
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(image: try reader.integer("image"), first: try reader.integer("first"), count: try reader.word("count"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("image", .integer(image)), ("first", .integer(first)), ("count", .symbol(count))]
    }
    public var definedCount: String? { count }
    public var callArguments: [Attribute]? { [.integer(image), .integer(first)] }
    public var selectsRows: Bool { true }
    public func visionRowsKept(of count: Int) -> Int? { count / image * (image - first) + max(0, count % image - first) }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        // A slot's last row may be an image's, and the next token follows it.
        guard first > 0, image > first else { throw TypeError("drops \(first) rows of \(image); expected 1 or more, and fewer than all") }
        try expectIndices(operands[0], "the list of tokens")
        return TensorType(.int32, [try countedDimension(count, most: operands[0].shape[0])])
    }
}
