/// `attention %q, %k, %v {heads = h, kv_heads = g, scale = s}` : f32[M, h*d], f32[N, g*d], f32[N, g*d] -> f32[M, h*d]
/// `attention %q, %k, %v, bias %bias {...}` : f32[M, h*d], f32[N, g*d], f32[N, g*d], f32[N] -> f32[M, h*d]
/// `attention %q, &k, &v, slots %slots, places %places {...}` : f32[M, h*d], caches f32[slots, C, g*d], bf16[slots, C, g*d] or
/// q8h[slots, C, g, d], i32[M], i32[M] -> f32[M, h*d]
///
/// softmax(scale * q . k + bias) . v for each head; query head i reads key head i / (h/g). Over values every row sees every row
/// (a vision tower), and each key may have a bias: log n makes it count as n equal keys. Over caches row i sees the rows 0 ... places[i] of
/// slot slots[i] (a causal decoder): the order in the cache decides, whatever the rows' positions.
/// With `products = bf16` queries, keys, values and the softmax's weights are rounded to bf16 where they are multiplied.
/// C meaning: one streaming pass over the keys per query tile with a running maximum; no score matrix is stored.
public struct Attention: OperationPayload {
    public static let mnemonic = "attention"
    public let heads: Int
    public let keyValueHeads: Int
    public let scale: Float
    /// What both products round their operands to; sums are float32 always.
    public let products: Products
    /// Over caches
    public let isCached: Bool
    /// Over values
    public let hasBias: Bool

    public enum Products: String, Sendable, Hashable, CaseIterable {
        case float32 = "f32"
        case bfloat16 = "bf16"
    }

    public init(heads: Int, keyValueHeads: Int, scale: Float, products: Products = .float32, isCached: Bool = false, hasBias: Bool = false)
    {
        self.heads = heads
        self.keyValueHeads = keyValueHeads
        self.scale = scale
        self.products = products
        self.isCached = isCached
        self.hasBias = hasBias
    }

    /// The same with another scale, other products, or a bias for each key.
    public func with(scale: Float? = nil, products: Products? = nil, hasBias: Bool? = nil) -> Attention {
        Attention(
            heads: heads, keyValueHeads: keyValueHeads, scale: scale ?? self.scale, products: products ?? self.products,
            isCached: isCached, hasBias: hasBias ?? self.hasBias)
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            heads: try reader.integer("heads"), keyValueHeads: try reader.integer("kv_heads"), scale: try reader.float("scale"),
            products: reader.has("products") ? try reader.symbol("products", of: Products.self) : .float32,
            isCached: reader.labels.contains("slots"), hasBias: reader.labels.contains("bias"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("heads", .integer(heads)), ("kv_heads", .integer(keyValueHeads)), ("scale", .float(scale))]
            + (products == .float32 ? [] : [("products", .symbol(products.rawValue))])
    }

    public func operandLabels(count: Int) -> [String?] {
        [nil, nil, nil] + (hasBias ? ["bias"] : []) + (isCached ? ["slots", "places"] : [])
    }

    public var stateOperands: Set<Int> { isCached ? [1, 2] : [] }
    public var isProduct: Bool { true }
    public var queryScale: Float? { scale }
    public func scalingQuery(by scale: Float) -> Op? { .attention(with(scale: scale)) }
    /// Over values every row sees every row.
    public var keepsRowOrder: Bool { !isCached }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        guard !isCached || !hasBias else { throw TypeError("keys in a cache have no bias") }
        let count = isCached ? 5 : hasBias ? 4 : 3
        try expectCount(operands, count...count)
        try expectRank(operands[0], 2, "the query")
        try expectFloat(operands[0], "the query")
        let keys: Dimension
        if isCached {
            keys = try cacheWidth(operands[1], "the key")
            _ = try cacheWidth(operands[2], "the value")
            try expectRows(operands[3], operands[0], "the list of slots")
            try expectRows(operands[4], operands[0], "the list of places")
        } else {
            try expectRank(operands[1], 2, "the key")
            keys = operands[1].shape[1]
        }
        for (operand, what) in zip(operands[1...2], ["key", "value"]) where !isCached || ![.bfloat16, .int8Heads].contains(operand.dtype) {
            try expectFloat(operand, "the \(what)")
        }
        try expectType(operands[2], operands[1], "the value")
        if hasBias { try expectType(operands[3], TensorType(.float32, [operands[1].shape[0]]), "the bias") }
        let width = try expectFixed(operands[0].shape[1], "the query's width")
        let keyWidth = try expectFixed(keys, "the key's width")
        if operands[1].dtype == .int8Heads, operands[1].shape[2] != .fixed(keyValueHeads) {
            throw TypeError("a cache of \(operands[1].shape[2]) heads does not hold \(keyValueHeads) key heads")
        }
        guard heads > 0, keyValueHeads > 0, heads % keyValueHeads == 0 else {
            throw TypeError("\(heads) heads do not share \(keyValueHeads) key heads evenly")
        }
        guard width % heads == 0, keyWidth == width / heads * keyValueHeads else {
            throw TypeError("a query of width \(width) with \(heads) heads does not fit keys of width \(keyWidth) with \(keyValueHeads)")
        }
        return operands[0]
    }
}
