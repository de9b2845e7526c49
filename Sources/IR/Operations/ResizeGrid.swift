/// `resize_grid %x {to = G}` : f32[S*S, C] -> f32[G*G, C]
///
/// A grid of S x S vectors, row by row, resized to G x G as PyTorch's bicubic `interpolate` does: half-pixel centres, a = -0.75, no antialiasing,
/// and at the edge the nearest vector of the grid. Position embeddings of another grid.
public struct ResizeGrid: OperationPayload {
    public static let mnemonic = "resize_grid"
    /// Edges of both grids are at most that.
    public static let mostEdge = 1024
    public let edge: Int

    public init(to edge: Int) { self.edge = edge }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(to: try reader.integer("to")) }
    public var attributes: [(name: String, value: Attribute)] { [("to", .integer(edge))] }
    public var callArguments: [Attribute]? { [.integer(edge)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        let rows = try expectFixed(operands[0].shape[0], "the number of rows")
        guard 1...Self.mostEdge ~= edge, let from = gridEdge(of: rows), from <= Self.mostEdge else {
            throw TypeError("resizes \(rows) rows to an edge of \(edge); expected squares of 1 to \(Self.mostEdge)")
        }
        return TensorType(.float32, [.fixed(edge * edge), operands[0].shape[1]])
    }
}
