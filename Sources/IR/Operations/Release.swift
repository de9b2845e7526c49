/// `release &lengths, %slots, %list` : i32[slots], i32[M] and i32[K]
///
/// Gives back the places of a block's caches that `reserve` gave to rows of a call which are not in `list`: each slot's length shrinks by the number of
/// its rows in the call that are not. Rows of one slot stand together, and `list` is in ascending order. No result.
public struct Release: OperationPayload {
    public static let mnemonic = "release"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var stateOperands: Set<Int> { [0] }
    public var updatedState: Int? { 0 }
    public var cutsCaches: Bool { true }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 3...3)
        try expectIndices(operands[0], "the lengths")
        try expectIndices(operands[1], "the list of slots")
        try expectIndices(operands[2], "the list of rows")
        return nil
    }
}
