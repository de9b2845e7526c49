/// `vision_indices %tokens, ... {bound = B}` : lists i32[M] -> i32[lists, B]
///
/// For each list of tokens the vision rows that stand in it, -1 - token of the negative ones, in their order; -1 behind the last. What a
/// reducer has kept, for people to look at.
public struct VisionIndices: OperationPayload {
    public static let mnemonic = "vision_indices"
    public let lists: Int
    public let bound: Int

    public init(lists: Int, bound: Int) {
        self.lists = lists
        self.bound = bound
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(lists: reader.labels.count, bound: try reader.integer("bound"))
    }

    public var attributes: [(name: String, value: Attribute)] { [("bound", .integer(bound))] }
    public var callArguments: [Attribute]? { [.integer(lists), .integer(bound)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, lists...lists)
        guard lists > 0, bound > 0 else { throw TypeError("\(lists) lists of \(bound) rows; expected 1 or more of 1 or more") }
        for operand in operands { try expectIndices(operand, "a list of tokens") }
        return TensorType(.int32, fixed: [lists, bound])
    }
}
