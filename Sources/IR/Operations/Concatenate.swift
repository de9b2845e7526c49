/// `concatenate %a, %b, ... {axis = n}` : the operands one after another along `axis`; all other dimensions equal.
public struct Concatenate: OperationPayload {
    public static let mnemonic = "concatenate"
    public let axis: Int

    public init(axis: Int) { self.axis = axis }

    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(axis: try reader.integer("axis")) }

    public var attributes: [(name: String, value: Attribute)] { [("axis", .integer(axis))] }

    public var keepsRowOrder: Bool { axis > 0 }
    public func optimizedFault(_ operands: [Operand]) -> (what: String?, expected: String)? {
        axis > 0 ? ("along dimension \(axis)", expected: "rows only") : nil
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        guard let first = operands.first else { throw TypeError("takes at least 1 operand, not 0") }
        guard first.shape.indices.contains(axis) else { throw TypeError("axis \(axis) of \(first) does not exist") }
        var total: Dimension = 0
        for (index, operand) in operands.enumerated() {
            guard operand.rank == first.rank else { throw TypeError("operand \(index) is \(operand); expected \(first.rank) dimensions") }
            guard let sum = total.adding(operand.shape[axis]) else {
                throw TypeError("dimension \(axis) of the result does not fit 64 bits")
            }
            total = sum
            var expected = first
            expected.shape[axis] = operand.shape[axis]
            try expectType(operand, expected, "operand \(index)")
        }
        var result = first
        result.shape[axis] = total
        return result
    }
}
