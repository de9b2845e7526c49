/// `similar_windows %unit {window = w, similarity = s, count = V}` : f32[G*G, C] -> i32[V]
///
/// What becomes of a square grid of patches when the w x w windows of patches that are alike become one row each: the first patch of each such window,
/// by falling similarity, the earlier window first where two are equal, then the patches of all other windows in raster order. A window's similarity
/// is the mean of the products of its rows, each with each other; with rows of length 1, the mean cosine. It is alike from `similarity` on, and not
/// where that is NaN. V, at most G*G, is known when it has run.
/// C meaning: products in float32, their sum in double precision.
public struct SimilarWindows: OperationPayload {
    public static let mnemonic = "similar_windows"
    public let window: Int
    public let similarity: Float
    public let count: String

    public init(window: Int, similarity: Float, count: String) {
        self.window = window
        self.similarity = similarity
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            window: try reader.integer("window"), similarity: try reader.float("similarity"), count: try reader.word("count"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("window", .integer(window)), ("similarity", .float(similarity)), ("count", .symbol(count))]
    }

    public var definedCount: String? { count }
    public var callArguments: [Attribute]? { [.integer(window), .float(similarity)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        _ = try expectFixed(operands[0].shape[1], "the width of the rows")
        try expectWindows(window, of: operands[0].shape[0])
        return TensorType(.int32, [try countedDimension(count, most: operands[0].shape[0])])
    }
}

/// Refuses patches that are no square grid which windows of `window` x `window` cut up.
func expectWindows(_ window: Int, of patches: Dimension) throws(TypeError) {
    let count = try expectFixed(patches, "the number of patches")
    guard let edge = gridEdge(of: count), window > 1, edge % window == 0 else {
        throw TypeError("\(count) patches are no square grid that windows of \(window) x \(window), at least 2 x 2, cut up")
    }
}
