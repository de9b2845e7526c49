/// `row_places %rows {count = n}` : i32[M] -> i32[n]
/// `row_places %rows, places %places {count = n}` : i32[M], i32[M] -> i32[n]
///
/// Where the rows stand that a `match_rows` has made of others, `rows` being its result: row j stands where the target or the candidate stood that
/// the others joined, which is the row of odd index among those that became row j, or else the only one. Row i of M stood at places[i], or
/// without such a list at i - 1: patch i - 1, and in front of them the class token.
public struct RowPlaces: OperationPayload {
    public static let mnemonic = "row_places"
    public let count: Int
    public let hasPlaces: Bool

    public init(count: Int, hasPlaces: Bool = false) {
        self.count = count
        self.hasPlaces = hasPlaces
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(count: try reader.integer("count"), hasPlaces: reader.labels.contains("places"))
    }

    public var attributes: [(name: String, value: Attribute)] { [("count", .integer(count))] }
    public func operandLabels(count: Int) -> [String?] { [nil] + (hasPlaces ? ["places"] : []) }
    public var callArguments: [Attribute]? { [.integer(hasPlaces ? 1 : 0)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        let operandCount = hasPlaces ? 2 : 1
        try expectCount(operands, operandCount...operandCount)
        guard count > 0 else { throw TypeError("places of \(count) rows; expected 1 or more") }
        try expectIndices(operands[0], "the list of rows")
        if hasPlaces { try expectType(operands[1], operands[0], "the list of places") }
        return TensorType(.int32, fixed: [count])
    }
}
