/// `transpose %x {permutation = [p0, p1, ...]}` : dimension i of the result is dimension p_i of the operand.
public struct Transpose: OperationPayload {
    public static let mnemonic = "transpose"
    public let permutation: [Int]

    public init(permutation: [Int]) { self.permutation = permutation }

    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(permutation: try reader.integers("permutation")) }

    public var attributes: [(name: String, value: Attribute)] { [("permutation", .integers(permutation))] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        guard permutation.sorted() == Array(operands[0].shape.indices) else {
            throw TypeError("\(permutation) is no permutation of the dimensions of \(operands[0])")
        }
        return TensorType(operands[0].dtype, permutation.map { operands[0].shape[$0] })
    }
}
