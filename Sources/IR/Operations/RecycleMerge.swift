/// `recycle_merge %x, density %density, slots %slots, rows %list` : f32[M, C], f32[M, 2], i32[M], i32[K] -> f32[K, C]
///
/// The rows of a `recycle_rows`: row i is row list[i] of x or, where that is a recycled row and so the centre of a cluster, the sum of the cluster's
/// rows, divided by their number + 1e-6. Each recycled row of the slot belongs to the nearest centre, the first in the list of two as near, and each
/// centre to itself.
/// C meaning: distances and sums in float32, slot by slot.
public struct RecycleMerge: OperationPayload {
    public static let mnemonic = "recycle_merge"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public func operandLabels(count: Int) -> [String?] { [nil, "density", "slots", "rows"] }
    public var callArguments: [Attribute]? { [] }
    public var passedOperand: Int? { 0 }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 4...4)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        _ = try expectFixed(operands[0].shape[1], "the width of the rows")
        try expectType(operands[1], TensorType(.float32, [operands[0].shape[0], .fixed(2)]), "the density")
        try expectRows(operands[2], operands[0], "the list of slots")
        try expectIndices(operands[3], "the list of rows")
        return TensorType(.float32, [operands[3].shape[0], operands[0].shape[1]])
    }
}
