/// `rank_counts %a, tokens %tokens, slots %slots, raters %raters {scale = s, bias = b}` : f32[M, V], i32[M], i32[M], i32[M] -> i32[M]
///
/// How many vision rows of each slot of a call stay, by the rank of the `rater_attention` of its raters to its n vision rows, which counts singular
/// values above max(raters, n) * 2^-23 * the greatest: all n where the rank is n, else int(s * rank + b), at most n - 1. Each row of the slot has
/// the number. Of more than 128 raters the first 128 count.
/// C meaning: eigenvalues of the raters' products in float64, by rotations of Jacobi's.
public struct RankCounts: OperationPayload {
    public static let mnemonic = "rank_counts"
    public static let mostRaters = 128
    public let scale: Float
    public let bias: Float

    public init(scale: Float, bias: Float) {
        self.scale = scale
        self.bias = bias
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(scale: try reader.float("scale"), bias: try reader.float("bias"))
    }

    public var attributes: [(name: String, value: Attribute)] { [("scale", .float(scale)), ("bias", .float(bias))] }
    public func operandLabels(count: Int) -> [String?] { [nil, "tokens", "slots", "raters"] }
    public var callArguments: [Attribute]? { attributes.map(\.value) }

    /// How many of n vision rows stay, by the rank of their matrix.
    public func count(rank: Int, of vision: Int) -> Int {
        rank == vision ? vision : max(0, min(Int(Double(rank) * Double(scale) + Double(bias)), vision - 1))
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 4...4)
        try expectRank(operands[0], 2, "the matrix")
        try expectFloat(operands[0], "the matrix")
        _ = try expectFixed(operands[0].shape[1], "the width of the matrix")
        for (operand, what) in zip(operands.dropFirst(), ["tokens", "slots", "raters"]) {
            try expectRows(operand, operands[0], "the list of \(what)")
        }
        guard scale >= 0, scale < 1e6, bias >= 0, bias < 1e6 else { throw TypeError("keeps \(scale) rows for each rank and \(bias) more") }
        return operands[1]
    }
}
