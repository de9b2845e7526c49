/// `segment_means %x, %segments {count = n}` : f32[M, C], i32[M] -> f32[n, C]
/// `segment_means %x, %segments, weights %w {count = n}` : f32[M, C], i32[M], f32[M] -> f32[n, C]
///
/// Row i of the result is the mean of the rows of x whose segment is i, by their weights where those are given, and zeros where there is none or
/// the weights' sum is 0. Rows with a negative segment belong to none; no segment is n or more. Summed in double precision, in ascending order.
public struct SegmentMeans: SegmentPayload {
    public static let mnemonic = "segment_means"
    public let count: Int
    public let hasWeights: Bool

    public init(count: Int, hasWeights: Bool) {
        self.count = count
        self.hasWeights = hasWeights
    }

    public func operandLabels(count: Int) -> [String?] { [nil, nil] + (hasWeights ? ["weights"] : []) }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        let operandCount = hasWeights ? 3 : 2
        try expectCount(operands, operandCount...operandCount)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        try expectRows(operands[1], operands[0], "the list of segments")
        if hasWeights { try expectType(operands[2], TensorType(.float32, [operands[0].shape[0]]), "the list of weights") }
        guard count > 0 else { throw TypeError("means of \(count) segments; expected 1 or more") }
        return TensorType(.float32, [.fixed(count), operands[0].shape[1]])
    }
}

/// What sums rows by the segments that a list puts them into, with a weight for each or 1.
public protocol SegmentPayload: OperationPayload {
    var count: Int { get }
    var hasWeights: Bool { get }
    init(count: Int, hasWeights: Bool)
}

extension SegmentPayload {
    public init(count: Int) { self.init(count: count, hasWeights: false) }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(count: try reader.integer("count"), hasWeights: reader.labels.contains("weights"))
    }

    public var attributes: [(name: String, value: Attribute)] { [("count", .integer(count))] }
    public var callArguments: [Attribute]? { [.integer(count), .integer(hasWeights ? 1 : 0)] }
}
