/// `rotary_scores %q, %k, tokens %tokens, slots %slots, raters %raters, positions %positions {heads = h, kv_heads = g, scale = s, best = b,
/// theta = t}` : f32[M, h*d], f32[M, g*d], i32[M], i32[M], i32[M], i32[M] -> f32[M]
/// The same with `factor = s, low = a, high = b, original = c` behind them, as `rotary` has them.
///
/// How much attention the raters pay to each vision row of a call of `step`, without what the rotary turn alone makes of their distance. P(h, r)[j]
/// is the softmax of head h as in `attention_scores`, divided by 2/sqrt(d) * the sum of cos(f_i * (position of r - position of j)) over the d/2
/// rotary frequencies f_i, which may be near 0 or below. Of a slot the b heads with the largest sum of P(h, r)[j] over raters and vision rows count,
/// the lower where two are equal. Element j of a vision row is the mean of P(h, r)[j] over those heads and the raters; 0 of other rows.
/// The rows of a slot in the call must be all that it holds.
/// C meaning: one row of scores at a time, twice; the divisor and sums over raters in float64.
public struct RotaryScores: OperationPayload {
    public static let mnemonic = "rotary_scores"
    /// Programs have room for the frequencies of as wide heads.
    public static let mostHeadSize = 1024
    public let heads: Int
    public let keyValueHeads: Int
    public let scale: Float
    public let best: Int
    public let theta: Float
    public let scaling: Rotary.Scaling?

    public init(heads: Int, keyValueHeads: Int, scale: Float, best: Int, theta: Float, scaling: Rotary.Scaling? = nil) {
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.scale = scale
        self.best = best
        self.theta = theta
        self.scaling = scaling
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            heads: try reader.integer("heads"), keyValueHeads: try reader.integer("kv_heads"), scale: try reader.float("scale"),
            best: try reader.integer("best"), theta: try reader.float("theta"), scaling: try Rotary.Scaling(&reader))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [
            ("heads", .integer(heads)), ("kv_heads", .integer(keyValueHeads)), ("scale", .float(scale)), ("best", .integer(best)),
            ("theta", .float(theta)),
        ] + (scaling?.attributes ?? [])
    }

    public func operandLabels(count: Int) -> [String?] { [nil, nil, "tokens", "slots", "raters", "positions"] }

    public var queryScale: Float? { scale }
    public func scalingQuery(by scale: Float) -> Op? {
        .rotaryScores(
            RotaryScores(heads: heads, keyValueHeads: keyValueHeads, scale: scale, best: best, theta: theta, scaling: scaling))
    }

    public var callArguments: [Attribute]? {
        [
            .integer(heads), .integer(keyValueHeads), .float(scale), .integer(best), .float(theta), .float(scaling?.factor ?? 1),
            .float(scaling?.low ?? 1), .float(scaling?.high ?? 2), .integer(scaling?.original ?? 0),
        ]
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 6...6)
        let attention = AttentionScores(heads: heads, keyValueHeads: keyValueHeads, scale: scale, hasRaters: true)
        let type = try attention.resultType(Array(operands.prefix(5)))
        try expectRows(operands[5], operands[0], "the list of positions")
        let size = try expectFixed(operands[0].shape[1], "the query's width") / heads
        guard size % 2 == 0, size <= Self.mostHeadSize else {
            throw TypeError("heads of \(size) have no pairs; expected an even size of at most \(Self.mostHeadSize)")
        }
        guard 1...heads ~= best else { throw TypeError("counts \(best) heads of \(heads)") }
        guard theta > 0 else { throw TypeError("a theta of \(theta) has no powers; expected one above 0") }
        try scaling?.check()
        return type
    }
}
