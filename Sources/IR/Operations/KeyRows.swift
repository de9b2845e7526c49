/// `key_rows %scores {part = p, of = q}` : f32[V] -> i32[V]
///
/// 1 for the p/q of the entries with the best scores, rounded up to a whole number of them in double precision, and 0 for the others. The lower entry first where two are
/// equal. NaN is below all others.
public struct KeyRows: OperationPayload {
    public static let mnemonic = "key_rows"
    /// `of` is at most this.
    public static let finest = 1_000_000_000
    public let part: Int
    public let of: Int

    public init(part: Int, of: Int) {
        self.part = part
        self.of = of
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(part: try reader.integer("part"), of: try reader.integer("of"))
    }

    /// How many of so many entries.
    public func rows(of count: Int) -> Int { Int((Double(part) / Double(of) * Double(count)).rounded(.up)) }

    public var attributes: [(name: String, value: Attribute)] { [("part", .integer(part)), ("of", .integer(of))] }
    public var callArguments: [Attribute]? { [.integer(part), .integer(of)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 1, "the list of scores")
        try expectFloat(operands[0], "the list of scores")
        guard 1...Self.finest ~= of, 0...of ~= part else {
            throw TypeError("marks \(part) of \(of); expected 0 to all of 1 to \(Self.finest)")
        }
        return TensorType(.int32, operands[0].shape)
    }
}
