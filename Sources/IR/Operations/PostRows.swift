/// `post_rows %tokens, slots %slots` : i32[M], i32[M] -> i32[M]
///
/// Which rows of a call of `step` stand behind an image: 1 for a row of text behind the last vision row (those have negative tokens) of its slot, 0 for
/// any other, and for all rows of a slot without vision rows. Rows of one slot stand together.
public struct PostRows: OperationPayload {
    public static let mnemonic = "post_rows"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public func operandLabels(count: Int) -> [String?] { [nil, "slots"] }
    public var callArguments: [Attribute]? { [] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        try expectIndices(operands[0], "the list of tokens")
        try expectType(operands[1], operands[0], "the list of slots")
        return operands[0]
    }
}
