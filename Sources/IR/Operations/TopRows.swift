/// `top_rows %v {rows = k, order = score}` : f32[M] -> i32[k]
///
/// The places of the k greatest entries: by `score` from the greatest on, by `index` in ascending order. The lower place first where two
/// are equal. NaN is below all others.
public struct TopRows: OperationPayload {
    public static let mnemonic = "top_rows"
    public let rows: Int
    public let order: Order

    public enum Order: String, Sendable, Hashable, CaseIterable { case score, index }

    public init(rows: Int, order: Order) {
        self.rows = rows
        self.order = order
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(rows: try reader.integer("rows"), order: try reader.symbol("order", of: Order.self))
    }

    public var attributes: [(name: String, value: Attribute)] { [("rows", .integer(rows)), ("order", .symbol(order.rawValue))] }
    public var callArguments: [Attribute]? { [.integer(rows), .integer(order == .score ? 1 : 0)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 1, "the operand")
        try expectFloat(operands[0], "the operand")
        let count = try expectFixed(operands[0].shape[0], "the number of entries")
        guard 1...count ~= rows else { throw TypeError("takes \(rows) of \(count) entries; expected 1 to as many") }
        return TensorType(.int32, fixed: [rows])
    }
}
