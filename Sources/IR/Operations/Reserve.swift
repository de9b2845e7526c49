/// `reserve &lengths, %slots` : i32[slots] and i32[M] -> i32[M]
///
/// The places that the rows of a call take in a cache: row i gets place lengths[slots[i]] + the number of earlier rows of the call with the
/// same slot, and then each slot's length grows by its rows. A block has lengths of its own, since blocks may keep different rows.
/// The caller guarantees that every place is below the cache's number of rows.
public struct Reserve: OperationPayload {
    public static let mnemonic = "reserve"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var stateOperands: Set<Int> { [0] }
    public var updatedState: Int? { 0 }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        try expectIndices(operands[0], "the lengths")
        try expectIndices(operands[1], "the list of slots")
        return operands[1]
    }
}
