/// `find_rows %list, %rows` : i32[K], i32[S] -> i32[S]
///
/// Where each of `rows` stands in a list: the wanted rows of a call behind a selection. A row that is not in the list is found at the place of
/// the greatest one below it, or at 0; the first place counts where a row is there twice.
public struct FindRows: OperationPayload {
    public static let mnemonic = "find_rows"

    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var callArguments: [Attribute]? { [] }
    public var passedOperand: Int? { 1 }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        try expectIndices(operands[0], "the list")
        try expectIndices(operands[1], "the rows to find")
        return operands[1]
    }
}
