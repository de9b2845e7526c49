/// `reshape %x {shape = [a, b, ...]}` : the same elements in row-major order under another static shape. No copy.
public struct Reshape: OperationPayload {
    public static let mnemonic = "reshape"
    public let shape: [Int]

    public init(shape: [Int]) { self.shape = shape }

    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(shape: try reader.integers("shape")) }

    public var attributes: [(name: String, value: Attribute)] { [("shape", .integers(shape))] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        guard operands[0].isStatic else { throw TypeError("the operand is \(operands[0]); expected a static shape") }
        let result = TensorType(operands[0].dtype, fixed: shape)
        guard shape.allSatisfy({ $0 > 0 }), let count = result.elementCount(), count == operands[0].elementCount() else {
            throw TypeError("\(operands[0]) does not have the elements of \(result)")
        }
        return result
    }
}
