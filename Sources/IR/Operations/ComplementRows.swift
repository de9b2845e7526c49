/// `complement_rows %list {of = N}` : i32[K] -> i32[N - K]
///
/// The numbers below N that a list does not hold, in ascending order. Entries of the list are below N. Where it holds numbers more than once,
/// the lowest that it does not hold are left out too, so that N - K stay.
public struct ComplementRows: OperationPayload {
    public static let mnemonic = "complement_rows"
    public let total: Int

    public init(of total: Int) { self.total = total }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(of: try reader.integer("of")) }
    public var attributes: [(name: String, value: Attribute)] { [("of", .integer(total))] }
    public var callArguments: [Attribute]? { [.integer(total)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectIndices(operands[0], "the list")
        let count = operands[0].shape[0]
        guard let bound = count.bound, count.fixedValue == nil ? bound <= total : bound < total,
            let rest = count.multiplied(by: -1)?.adding(.fixed(total))
        else { throw TypeError("the list has \(count) entries; expected fewer than \(total)") }
        return TensorType(.int32, [rest])
    }
}
