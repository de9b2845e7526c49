/// `cache_store &cache, %x` : f32[C, W] or bf16[C, W] <- f32[M, W], at the position P
///
/// Writes row i of x, rounded to the cache's type, into row P + i of the cache. No result; the caller guarantees P + M <= C.
public struct CacheStore: OperationPayload {
    public static let mnemonic = "cache_store"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var stateOperands: Set<Int> { [0] }
    public func usesPosition(states: Bool) -> Bool { true }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        try expectRank(operands[0], 2, "the cache")
        try expectRank(operands[1], 2, "the stored operand")
        if operands[0].dtype != .bfloat16 { try expectFloat(operands[0], "the cache") }
        try expectType(operands[1], TensorType(.float32, [operands[1].shape[0], operands[0].shape[1]]), "the stored operand")
        return nil
    }
}
