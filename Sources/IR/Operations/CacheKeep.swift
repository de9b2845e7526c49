/// `cache_keep &cache, &lengths, %slots, %list` : f32[slots, C, W], bf16[slots, C, W] or q8h[slots, C, g, W / g], i32[slots], i32[M] and i32[K]
///
/// Only those of `list` stay of the rows that a call has stored in a cache: they move up, in their order, to the places of the first. `slots` has the slot
/// of each row of the call, which stand together and are the last that the cache holds of their slot, `lengths` how many it holds, and `list` the
/// rows of the call that stay, in ascending order. No result. What is behind the rows that stay is for `release` to give back, whose place is behind the
/// last `cache_keep` of a block. Of a call of one row, which stays, nothing moves.
public struct CacheKeep: OperationPayload {
    public static let mnemonic = "cache_keep"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var stateOperands: Set<Int> { [0, 1] }
    public var updatedState: Int? { 0 }
    public var cutsCaches: Bool { true }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 4...4)
        _ = try cacheWidth(operands[0], "the cache")
        try expectType(operands[1], TensorType(.int32, [operands[0].shape[0]]), "the lengths")
        try expectIndices(operands[2], "the list of slots")
        try expectIndices(operands[3], "the list of rows")
        return nil
    }
}
