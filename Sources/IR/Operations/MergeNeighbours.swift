/// `merge_neighbours %x, %keys, weights %a, kept %kept, rest %rest {neighbours = n}` : f32[N, C], f32[N, D], f32[N], i32[K], i32[N - K] ->
/// f32[K + 1, C]
///
/// Row i of the result is x[kept[i]] + sum of a[j] x[j] over the n entries j of `kept`, but for entry i, and of `rest` whose keys have the greatest
/// products with the key of kept[i], which of unit rows are the cosines; the lower j first where two are equal, and all where there are no n.
/// NaN is below all others. The last row is the sum of a[j] x[j] over `rest`. Nothing is divided: x[kept[i]] has the weight 1.
/// No entry is N or more. What stands in `kept` twice is the other's neighbour as any is.
/// C meaning: products in float32, sums of rows in double precision.
public struct MergeNeighbours: OperationPayload {
    public static let mnemonic = "merge_neighbours"
    /// Programs have room for as many.
    public static let mostNeighbours = 1024
    public let neighbours: Int

    public init(neighbours: Int) { self.neighbours = neighbours }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(neighbours: try reader.integer("neighbours")) }
    public var attributes: [(name: String, value: Attribute)] { [("neighbours", .integer(neighbours))] }
    public func operandLabels(count: Int) -> [String?] { [nil, nil, "weights", "kept", "rest"] }
    public var callArguments: [Attribute]? { [.integer(neighbours)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 5...5)
        for (operand, what) in zip(operands, ["the operand", "the matrix of keys"]) {
            try expectRank(operand, 2, what)
            try expectFloat(operand, what)
            _ = try expectFixed(operand.shape[1], "the width of \(what)")
        }
        let rows = operands[0].shape[0]
        try expectType(operands[1], TensorType(.float32, [rows, operands[1].shape[1]]), "the matrix of keys")
        try expectType(operands[2], TensorType(.float32, [rows]), "the list of weights")
        for (operand, what) in zip(operands[3...], ["kept rows", "other rows"]) { try expectIndices(operand, "the list of \(what)") }
        guard 1...Self.mostNeighbours ~= neighbours else {
            throw TypeError("merges \(neighbours) neighbours; expected 1 to \(Self.mostNeighbours)")
        }
        guard operands[3].shape[0].adding(operands[4].shape[0]) == rows, let merged = operands[3].shape[0].adding(1) else {
            throw TypeError("keeps \(operands[3].shape[0]) rows beside \(operands[4].shape[0]) others; expected \(rows) in all")
        }
        return TensorType(.float32, [merged, operands[0].shape[1]])
    }
}
