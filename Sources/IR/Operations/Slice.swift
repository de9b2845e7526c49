/// `slice %x {axis = n, start = s, count = c}` : `c` consecutive entries of dimension `n`, which must be a number, from entry `s` on.
/// C meaning: a view where the rows stay strided, no copy, as far as the reader of it takes a row stride.
public struct Slice: OperationPayload {
    public static let mnemonic = "slice"
    public let axis: Int
    public let start: Int
    public let count: Int

    public init(axis: Int, start: Int, count: Int) {
        self.axis = axis
        self.start = start
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(axis: try reader.integer("axis"), start: try reader.integer("start"), count: try reader.integer("count"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("axis", .integer(axis)), ("start", .integer(start)), ("count", .integer(count))]
    }

    public var keepsRowOrder: Bool { axis > 0 }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        guard operands[0].shape.indices.contains(axis) else { throw TypeError("axis \(axis) of \(operands[0]) does not exist") }
        let size = try expectFixed(operands[0].shape[axis], "dimension \(axis)")
        guard start >= 0, count > 0, start <= size - count else {
            throw TypeError("entries \(start) to \(start &+ count) of dimension \(axis) of \(operands[0]) do not exist")
        }
        var result = operands[0]
        result.shape[axis] = .fixed(count)
        return result
    }
}
