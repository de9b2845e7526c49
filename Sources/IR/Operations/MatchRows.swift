/// `match_rows %x {merges = r}` : f32[M, d] -> i32[M]
///
/// Which of the M rows become which where r pairs of similar rows merge: entry i is the new row of row i, of M - r. Rows of even index are
/// candidates, those of odd index targets. Each candidate has the target whose product with it is greatest, the first where several are; the r
/// candidates with the greatest products, the lower row first where two are equal, join their targets. Row 0, a class token, joins none.
/// The new order: first the candidates that stay, then the targets, both as they were. NaN is below all products.
public struct MatchRows: OperationPayload {
    public static let mnemonic = "match_rows"
    public let merges: Int

    public init(merges: Int) { self.merges = merges }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(merges: try reader.integer("merges")) }
    public var attributes: [(name: String, value: Attribute)] { [("merges", .integer(merges))] }
    public var callArguments: [Attribute]? { [.integer(merges)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        _ = try expectFixed(operands[0].shape[1], "the width of the rows")
        let rows = try expectFixed(operands[0].shape[0], "the number of rows")
        guard merges > 0, merges <= (rows - 1) / 2 else {
            throw TypeError("merges \(merges) of \(rows) rows; expected 1 to \((rows - 1) / 2), the candidates behind row 0")
        }
        return TensorType(.int32, fixed: [rows])
    }
}
