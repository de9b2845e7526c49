/// `slice %x {axis = n, start = s, count = c}` : `c` consecutive entries of dimension `n`, which always has so many, from entry `s` on. Without `count`
/// it is all of them, also of a dimension that is counted.
/// C meaning: a view where the rows stay strided, no copy, as far as the reader of it takes a row stride.
public struct Slice: OperationPayload {
    public static let mnemonic = "slice"
    public let axis: Int
    public let start: Int
    /// nil: to the end
    public let count: Int?

    public init(axis: Int, start: Int, count: Int? = nil) {
        self.axis = axis
        self.start = start
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            axis: try reader.integer("axis"), start: try reader.integer("start"),
            count: reader.has("count") ? try reader.integer("count") : nil)
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("axis", .integer(axis)), ("start", .integer(start))] + (count.map { [("count", .integer($0))] } ?? [])
    }

    public var keepsRowOrder: Bool { axis > 0 }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        guard operands[0].shape.indices.contains(axis) else { throw TypeError("axis \(axis) of \(operands[0]) does not exist") }
        let size = operands[0].shape[axis]
        guard let least = size.least else { throw TypeError("dimension \(axis) of \(operands[0]) does not fit 64 bits") }
        var result = operands[0]
        if let count {
            guard start >= 0, count > 0, start <= least - count else {
                throw TypeError("entries \(start) to \(start &+ count) of dimension \(axis) of \(operands[0]) do not exist")
            }
            result.shape[axis] = .fixed(count)
        } else {
            guard start >= 0, start < least + (size.fixedValue == nil ? 1 : 0), let rest = size.adding(.fixed(-start)) else {
                throw TypeError("entries from \(start) on of dimension \(axis) of \(operands[0]) do not exist")
            }
            result.shape[axis] = rest
        }
        return result
    }
}
