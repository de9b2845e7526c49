/// `pad_list %list {length = B}` : i32[K] -> i32[B]
///
/// The list, and -1 behind its last entry: what has been chosen, for people to look at. K is at most B.
public struct PadList: OperationPayload {
    public static let mnemonic = "pad_list"
    public let length: Int

    public init(length: Int) { self.length = length }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(length: try reader.integer("length")) }
    public var attributes: [(name: String, value: Attribute)] { [("length", .integer(length))] }
    public var callArguments: [Attribute]? { [.integer(length)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectIndices(operands[0], "the list")
        guard let most = operands[0].shape[0].bound, length > 0, most <= length else {
            throw TypeError("the list has \(operands[0].shape[0]) entries; expected at most \(length)")
        }
        return TensorType(.int32, fixed: [length])
    }
}
