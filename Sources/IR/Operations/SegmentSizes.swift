/// `segment_sizes %segments {count = n}` : i32[M] -> f32[n]
/// `segment_sizes %segments, weights %w {count = n}` : i32[M], f32[M] -> f32[n]
///
/// How many of the M rows go into each of n segments, or the sum of their weights, in the order of the rows; row i goes into segment
/// segments[i]. Rows with a negative segment belong to none; no segment is n or more.
public struct SegmentSizes: SegmentPayload {
    public static let mnemonic = "segment_sizes"
    public let count: Int
    public let hasWeights: Bool

    public init(count: Int, hasWeights: Bool) {
        self.count = count
        self.hasWeights = hasWeights
    }

    public func operandLabels(count: Int) -> [String?] { [nil] + (hasWeights ? ["weights"] : []) }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        let operandCount = hasWeights ? 2 : 1
        try expectCount(operands, operandCount...operandCount)
        guard count > 0 else { throw TypeError("sizes of \(count) segments; expected 1 or more") }
        try expectIndices(operands[0], "the list of segments")
        if hasWeights { try expectType(operands[1], TensorType(.float32, [operands[0].shape[0]]), "the list of weights") }
        return TensorType(.float32, fixed: [count])
    }
}
