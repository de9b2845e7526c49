/// `rater_attention %q, %k, tokens %tokens, slots %slots, raters %raters {heads = h, kv_heads = g, scale = s, columns = V}` : f32[M, h*d], f32[M, g*d],
/// i32[M], i32[M], i32[M] -> f32[M, V]
///
/// What each rater of a call of `step` pays to each vision row of its slot. Rows of one slot stand together, and those of the call are all that it
/// holds. Element (r, c) of a row r that is not 0 in `raters` is the mean over the heads of softmax(scale * q_r . k_i), over the rows i of the
/// slot up to r, at the slot's vision row c, counted from 0; 0 where there is none up to r, and in all other rows.
/// C meaning: as `attention_scores`.
public struct RaterAttention: OperationPayload {
    public static let mnemonic = "rater_attention"
    public let heads: Int
    public let keyValueHeads: Int
    public let scale: Float
    public let columns: Int

    public init(heads: Int, keyValueHeads: Int, scale: Float, columns: Int) {
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.scale = scale
        self.columns = columns
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            heads: try reader.integer("heads"), keyValueHeads: try reader.integer("kv_heads"), scale: try reader.float("scale"),
            columns: try reader.integer("columns"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("heads", .integer(heads)), ("kv_heads", .integer(keyValueHeads)), ("scale", .float(scale)), ("columns", .integer(columns))]
    }

    public func operandLabels(count: Int) -> [String?] { [nil, nil, "tokens", "slots", "raters"] }
    public var queryScale: Float? { scale }
    public func scalingQuery(by scale: Float) -> Op? {
        .raterAttention(RaterAttention(heads: heads, keyValueHeads: keyValueHeads, scale: scale, columns: columns))
    }

    public var callArguments: [Attribute]? { attributes.map(\.value) }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 5...5)
        _ = try AttentionScores(heads: heads, keyValueHeads: keyValueHeads, scale: scale, hasRaters: true).resultType(operands)
        guard columns > 0 else { throw TypeError("\(columns) columns; expected 1 or more") }
        return TensorType(.float32, [operands[0].shape[0], .fixed(columns)])
    }
}
