/// `prefusion_rows %tokens, slots %slots {count = P}` : i32[M], i32[M] -> i32[P]
///
/// The rows of a call of `step` that LLaVA-Mini's prefusion runs on, in its order: of each slot that has vision rows (those with negative
/// tokens) first these, then its rows of text whose token is above 0, both as they stand. A slot without vision rows has none of its rows
/// there. Rows of one slot stand together. P, at most M, is known when it has run; it is 0 where there is nothing but text.
public struct PrefusionRows: OperationPayload {
    public static let mnemonic = "prefusion_rows"
    public let count: String

    public init(count: String) { self.count = count }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(count: try reader.word("count")) }
    public var attributes: [(name: String, value: Attribute)] { [("count", .symbol(count))] }
    public func operandLabels(count: Int) -> [String?] { [nil, "slots"] }
    public var definedCount: String? { count }
    public var callArguments: [Attribute]? { [] }
    public var leavesText: Bool { true }
    public func visionRowsKept(of count: Int) -> Int? { count }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        try expectIndices(operands[0], "the list of tokens")
        try expectRows(operands[1], operands[0], "the list of slots")
        return TensorType(.int32, [try countedDimension(count, most: operands[0].shape[0])])
    }
}
