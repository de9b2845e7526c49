/// `recycle_rows %density, scores %scores, tokens %tokens, slots %slots {top = k, share = s, per_cluster = p, count = K}` : f32[M, 2], f32[M],
/// i32[M], i32[M] -> i32[K]
/// Without `top` where `recycle_density` has none.
///
/// The rows of a call of `step` that go on where dropped vision rows are merged, by what `recycle_density` with the same attributes says of them: of
/// each slot its text before its first vision row, the vision rows that stay, the centres of the c clusters in falling order of exp(-m) * delta, the
/// row with the better score first where two are equal, and the other rows of text. All but the centres are in their order.
/// K, at most M, is known when it has run.
public struct RecycleRows: OperationPayload {
    public static let mnemonic = "recycle_rows"
    public let recycling: Recycling
    public let count: String

    public init(_ recycling: Recycling, count: String) {
        self.recycling = recycling
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(try Recycling(&reader), count: try reader.word("count"))
    }

    public var attributes: [(name: String, value: Attribute)] { recycling.attributes + [("count", .symbol(count))] }
    public func operandLabels(count: Int) -> [String?] { [nil, "scores", "tokens", "slots"] }
    public var definedCount: String? { count }
    public var callArguments: [Attribute]? { [.integer(recycling.perCluster)] }
    public var selectsRows: Bool { true }
    public func visionRowsKept(of count: Int) -> Int? {
        guard let kept = recycling.kept(of: count) else { return nil }
        return kept + recycling.clusters(dropped: count - kept)
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 4...4)
        try expectDensity(operands[0])
        try expectType(operands[1], TensorType(.float32, [operands[0].shape[0]]), "the list of scores")
        for (operand, what) in zip(operands.dropFirst(2), ["tokens", "slots"]) {
            try expectRows(operand, operands[0], "the list of \(what)")
        }
        try recycling.check()
        return TensorType(.int32, [try countedDimension(count, most: operands[0].shape[0])])
    }
}

/// What `recycle_density` makes.
func expectDensity(_ type: TensorType) throws(TypeError) {
    try expectRank(type, 2, "the density")
    try expectType(type, TensorType(.float32, [type.shape[0], .fixed(2)]), "the density")
}
