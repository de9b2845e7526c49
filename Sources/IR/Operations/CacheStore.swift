/// `cache_store &cache, %x` : f32[C, W], bf16[C, W] or q8h[C, g, W / g] <- f32[M, W], at the position P
///
/// Writes row i of x, rounded to the cache's type, into row P + i of the cache. No result; the caller guarantees P + M <= C.
public struct CacheStore: OperationPayload {
    public static let mnemonic = "cache_store"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var stateOperands: Set<Int> { [0] }
    public func usesPosition(states: Bool) -> Bool { true }

    public var hasEffect: Bool { true }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        let width = try cacheWidth(operands[0], "the cache")
        try expectRank(operands[1], 2, "the stored operand")
        // Rounding formats take f32; any other is stored as it is.
        let rounds = operands[0].dtype == .bfloat16 || operands[0].dtype == .int8Heads
        try expectType(operands[1], TensorType(rounds ? .float32 : operands[0].dtype, [operands[1].shape[0], width]), "the stored operand")
        return nil
    }
}

/// The width of the rows that a cache takes.
func cacheWidth(_ cache: TensorType, _ what: String) throws(TypeError) -> Dimension {
    guard cache.dtype == .int8Heads else {
        try expectRank(cache, 2, what)
        return cache.shape[1]
    }
    try expectRank(cache, 3, what)
    let (heads, size) = (
        try expectFixed(cache.shape[1], "the heads of \(what)"), try expectFixed(cache.shape[2], "the head size of \(what)")
    )
    let (width, overflow) = heads.multipliedReportingOverflow(by: size)
    if overflow { throw TypeError("the rows of \(what) do not fit 64 bits") }
    return .fixed(width)
}
