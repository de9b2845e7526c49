/// `cache_store &cache, %x, %slots, %places` : f32[slots, C, W], bf16[slots, C, W] or q8h[slots, C, g, W / g] <- f32[M, W], i32[M], i32[M]
///
/// Writes row i of x, rounded to the cache's type, into row places[i] of slot slots[i]. No result; slots and places are those of a
/// `reserve`, so that no two rows share one.
public struct CacheStore: OperationPayload {
    public static let mnemonic = "cache_store"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var stateOperands: Set<Int> { [0] }
    public var updatedState: Int? { 0 }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 4...4)
        let width = try cacheWidth(operands[0], "the cache")
        try expectRank(operands[1], 2, "the stored operand")
        // Rounding formats take f32; any other is stored as it is.
        let rounds = operands[0].dtype == .bfloat16 || operands[0].dtype == .int8Heads
        try expectType(operands[1], TensorType(rounds ? .float32 : operands[0].dtype, [operands[1].shape[0], width]), "the stored operand")
        try expectRows(operands[2], operands[1], "the list of slots")
        try expectRows(operands[3], operands[1], "the list of places")
        return nil
    }
}

/// The width of the rows of a cache, which stand in slots.
func cacheWidth(_ cache: TensorType, _ what: String) throws(TypeError) -> Dimension {
    guard cache.dtype == .int8Heads else {
        try expectRank(cache, 3, what)
        return cache.shape[2]
    }
    try expectRank(cache, 4, what)
    let (heads, size) = (
        try expectFixed(cache.shape[2], "the heads of \(what)"), try expectFixed(cache.shape[3], "the head size of \(what)")
    )
    let (width, overflow) = heads.multipliedReportingOverflow(by: size)
    if overflow { throw TypeError("the rows of \(what) do not fit 64 bits") }
    return .fixed(width)
}
