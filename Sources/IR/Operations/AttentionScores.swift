/// `attention_scores %q, %k, tokens %tokens, slots %slots {heads = h, kv_heads = g, scale = s, statistic = mean}` : f32[M, h*d], f32[M, g*d],
/// i32[M], i32[M] -> f32[M]
/// The same with `raters %raters` : i32[M] behind them.
///
/// How much attention the raters pay to each vision row of a call of `step`. Rows of one slot stand together. Of each slot the raters are the
/// rows that are not 0 in `raters`, or the last row where there is no such list. P(r)[j] is the mean over the heads of softmax(scale * q_r . k_i)
/// at row j, over the rows i of the slot up to r; 0 for j behind r. Element j of a row with a negative token is the mean, the sum or the
/// maximum of P(r)[j] over the raters; 0 where there is none, and of all other rows.
/// The rows of a slot in the call must be all that it holds.
/// C meaning: one row of scores at a time, in float32.
public struct AttentionScores: OperationPayload {
    public static let mnemonic = "attention_scores"
    /// Programs have room for as many.
    public static let mostHeads = 256
    public let heads: Int
    public let keyValueHeads: Int
    public let scale: Float
    public let statistic: Statistic
    public let hasRaters: Bool

    public enum Statistic: String, Sendable, Hashable, CaseIterable { case mean, sum, max }

    public init(heads: Int, keyValueHeads: Int, scale: Float, statistic: Statistic = .mean, hasRaters: Bool = false) {
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.scale = scale
        self.statistic = statistic
        self.hasRaters = hasRaters
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            heads: try reader.integer("heads"), keyValueHeads: try reader.integer("kv_heads"), scale: try reader.float("scale"),
            statistic: try reader.symbol("statistic", of: Statistic.self), hasRaters: reader.labels.contains("raters"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [
            ("heads", .integer(heads)), ("kv_heads", .integer(keyValueHeads)), ("scale", .float(scale)),
            ("statistic", .symbol(statistic.rawValue)),
        ]
    }

    public func operandLabels(count: Int) -> [String?] { [nil, nil, "tokens", "slots"] + (hasRaters ? ["raters"] : []) }

    public var queryScale: Float? { scale }
    public func scalingQuery(by scale: Float) -> Op? {
        .attentionScores(
            AttentionScores(heads: heads, keyValueHeads: keyValueHeads, scale: scale, statistic: statistic, hasRaters: hasRaters))
    }

    public var callArguments: [Attribute]? {
        [
            .integer(heads), .integer(keyValueHeads), .float(scale), .integer(Statistic.allCases.firstIndex(of: statistic) ?? 0),
            .integer(hasRaters ? 1 : 0),
        ]
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, hasRaters ? 5...5 : 4...4)
        for (operand, what) in zip(operands, ["the query", "the key"]) {
            try expectRank(operand, 2, what)
            try expectFloat(operand, what)
        }
        let width = try expectFixed(operands[0].shape[1], "the query's width")
        guard 1...Self.mostHeads ~= heads, keyValueHeads > 0, heads % keyValueHeads == 0, width % heads == 0 else {
            throw TypeError(
                "a query of width \(width) has no \(heads) heads, at most \(Self.mostHeads), that share \(keyValueHeads) key heads evenly")
        }
        try expectType(
            operands[1], TensorType(.float32, [operands[0].shape[0], .fixed(width / heads * keyValueHeads)]), "the key")
        for (operand, what) in zip(operands.dropFirst(2), ["tokens", "slots", "raters"]) {
            try expectRows(operand, operands[0], "the list of \(what)")
        }
        return TensorType(.float32, [operands[0].shape[0]])
    }
}
