/// `recycle_density %x, scores %scores, tokens %tokens, slots %slots {top = k, share = s, per_cluster = p}` : f32[M, C], f32[M], i32[M], i32[M]
/// -> f32[M, 2]
/// The same with `counts %counts` : i32[M] behind them, and without `top`.
///
/// Which vision rows of a call of `step` are recycled, and how fit each is to be the centre of a cluster. Rows of one slot stand together. Of the n
/// vision rows of a slot (those with negative tokens) the best min(k, n - 1) by their scores stay, or as many as `counts` says at the slot's first
/// row, and so does the slot's last row. Of the d others
/// the best int(s * d) + 1 are recycled, c = int(of those / p) + 1 clusters are made of them, and the rest leaves. The lower of two rows with equal
/// scores is better, and NaN is below all.
/// With d(i, j) = ||x_i - x_j|| / sqrt(C) over the recycled rows of a slot, m_i is the mean of the c smallest d(i, j)^2, that of i itself among
/// them. Row j is denser than i if m_j < m_i, or if they are equal and j has the better score. delta_i is the smallest d(i, j) over the rows j that
/// are denser, or the greatest of all d for the densest row. Row i of the result is (m_i, exp(-m_i) * delta_i) if i is recycled, (-1, -1) if it
/// stays and (-2, -2) if it leaves; rows of text stay.
/// C meaning: the rows of the distances one at a time, twice; sums of squares in float32.
public struct RecycleDensity: OperationPayload {
    public static let mnemonic = "recycle_density"
    /// Programs have room for the distances of a row to as many others, and for as many clusters of a slot.
    public static let mostClusters = 1024
    public let recycling: Recycling

    public init(_ recycling: Recycling) { self.recycling = recycling }
    public init(_ reader: inout AttributeReader) throws(TypeError) { recycling = try Recycling(&reader) }
    public var attributes: [(name: String, value: Attribute)] { recycling.attributes }
    public func operandLabels(count: Int) -> [String?] { [nil, "scores", "tokens", "slots"] + (recycling.top == nil ? ["counts"] : []) }
    public var callArguments: [Attribute]? {
        [.integer(recycling.top ?? 0), .float(recycling.share), .integer(recycling.perCluster)]
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, recycling.top == nil ? 5...5 : 4...4)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        _ = try expectFixed(operands[0].shape[1], "the width of the rows")
        try expectType(operands[1], TensorType(.float32, [operands[0].shape[0]]), "the list of scores")
        for (operand, what) in zip(operands.dropFirst(2), ["tokens", "slots", "counts"]) {
            try expectRows(operand, operands[0], "the list of \(what)")
        }
        try recycling.check()
        let clusters = operands[0].shape[0].bound.map { recycling.clusters(dropped: $0) }
        guard let clusters, clusters <= Self.mostClusters else {
            throw TypeError("makes clusters of \(operands[0].shape[0]) rows; expected at most \(Self.mostClusters) clusters")
        }
        return TensorType(.float32, [operands[0].shape[0], .fixed(2)])
    }
}

/// How many of a prompt's vision rows stay, and how many are made of those that do not.
public struct Recycling: Hashable, Sendable {
    /// Rows that stay, at most all but one; nil where a list says how many.
    public let top: Int?
    /// The share of the others that is merged, but for one more
    public let share: Float
    /// Rows for each cluster, but for one cluster more
    public let perCluster: Int

    public init(top: Int?, share: Float = 0.3, perCluster: Int = 10) {
        self.top = top
        self.share = share
        self.perCluster = perCluster
    }

    init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            top: reader.has("top") ? try reader.integer("top") : nil, share: try reader.float("share"),
            perCluster: try reader.integer("per_cluster"))
    }

    var attributes: [(name: String, value: Attribute)] {
        (top.map { [("top", .integer($0))] } ?? []) + [("share", .float(share)), ("per_cluster", .integer(perCluster))]
    }

    func check() throws(TypeError) {
        guard top ?? 1 > 0, perCluster > 1, share >= 0, share < 1 else {
            throw TypeError("keeps \(top ?? 0) vision rows and merges \(share) of the others in clusters of \(perCluster)")
        }
    }

    /// Nil where a list says it.
    public func kept(of count: Int) -> Int? { top.map { max(0, min($0, count - 1)) } }
    /// Rows that are merged, of those that do not stay.
    public func recycled(dropped: Int) -> Int { dropped > 0 ? Int(Double(share) * Double(dropped)) + 1 : 0 }
    public func clusters(recycled: Int) -> Int { recycled > 0 ? recycled / perCluster + 1 : 0 }
    public func clusters(dropped: Int) -> Int { clusters(recycled: recycled(dropped: dropped)) }
}
