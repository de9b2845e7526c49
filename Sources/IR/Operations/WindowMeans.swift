/// `window_means %x, %list {window = w}` : f32[G*G, C] and i32[V] -> f32[V, C]
///
/// The rows that `similar_windows` names: as many of its first entries are windows as V falls short of the G*G patches by w*w - 1 each, and those
/// become the mean of their patches, summed in double precision. The others are the patches themselves.
public struct WindowMeans: OperationPayload {
    public static let mnemonic = "window_means"
    public let window: Int

    public init(window: Int) { self.window = window }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(window: try reader.integer("window")) }
    public var attributes: [(name: String, value: Attribute)] { [("window", .integer(window))] }
    public var callArguments: [Attribute]? { [.integer(window)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        _ = try expectFixed(operands[0].shape[1], "the width of the rows")
        try expectWindows(window, of: operands[0].shape[0])
        try expectIndices(operands[1], "the list")
        return TensorType(.float32, [operands[1].shape[0], operands[0].shape[1]])
    }
}
