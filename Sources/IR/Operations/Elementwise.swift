import Glibc

/// Same type on both sides, or a second operand whose shape is a suffix of the first's and is repeated over its leading dimensions.
private func broadcastType(_ operands: [TensorType]) throws(TypeError) -> TensorType {
    try expectCount(operands, 2...2)
    try expectFloat(operands[0], "the left operand")
    try expectFloat(operands[1], "the right operand")
    guard operands[0].shape.suffix(operands[1].rank) == operands[1].shape[...] else {
        throw TypeError("\(operands[1]) does not repeat over \(operands[0])")
    }
    return operands[0]
}

/// That of the one operand.
private func operandType(_ operands: [TensorType]) throws(TypeError) -> TensorType {
    try expectCount(operands, 1...1)
    try expectFloat(operands[0], "the operand")
    return operands[0]
}

/// `add %a, %b` : a + b elementwise; the shape of b is a's or a suffix of it, then repeated over the leading dimensions.
public struct Add: OperationPayload {
    public static let mnemonic = "add"
    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var rowOperands: [Int]? { [0, 1] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? { try broadcastType(operands) }
}

/// `multiply %a, %b` : a * b elementwise; the shape of b is a's or a suffix of it, then repeated over the leading dimensions.
public struct Multiply: OperationPayload {
    public static let mnemonic = "multiply"
    public init() {}
    public init(_ reader: inout AttributeReader) throws(TypeError) {}
    public var attributes: [(name: String, value: Attribute)] { [] }
    public var rowOperands: [Int]? { [0, 1] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? { try broadcastType(operands) }
}

/// `scale %x {factor = f}` : x * f.
public struct Scale: OperationPayload {
    public static let mnemonic = "scale"
    public let factor: Float

    public init(factor: Float) { self.factor = factor }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(factor: try reader.float("factor")) }
    public var attributes: [(name: String, value: Attribute)] { [("factor", .float(factor))] }

    public var rowOperands: [Int]? { [0] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? { try operandType(operands) }
}

/// `power @x {exponent = p}` : |x|^p of every element, 0 for 0 whatever p. It stands in definitions of weights.
public struct Power: OperationPayload {
    public static let mnemonic = "power"
    public let exponent: Float

    public init(exponent: Float) { self.exponent = exponent }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(exponent: try reader.float("exponent")) }
    public var attributes: [(name: String, value: Attribute)] { [("exponent", .float(exponent))] }

    public var rowOperands: [Int]? { [0] }

    public func optimizedFault(_ operands: [Operand]) -> (what: String?, expected: String)? {
        (nil, expected: "it in the definitions of weights only")
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? { try operandType(operands) }

    /// For float32 elements, rounded once.
    public func value(_ x: Float) -> Float { x == 0 ? 0 : Float(pow(Double(x.magnitude), Double(exponent))) }
}

/// `activation %x {function = gelu}` : the named function of every element.
public struct Activation: OperationPayload {
    public static let mnemonic = "activation"
    public let function: ActivationFunction

    public init(_ function: ActivationFunction) { self.function = function }
    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(try reader.symbol("function", of: ActivationFunction.self))
    }
    public var attributes: [(name: String, value: Attribute)] { [("function", .symbol(function.rawValue))] }

    public var rowOperands: [Int]? { [0] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? { try operandType(operands) }
}

/// `gate %a, %b {function = silu}` : function(a) * b elementwise; SwiGLU's product of gate and up. `type` as for `layer_norm`.
public struct Gate: OperationPayload {
    public static let mnemonic = "gate"
    public let function: ActivationFunction
    /// Nil for f32.
    public let rows: RowType?

    public init(_ function: ActivationFunction, rows: RowType? = nil) {
        self.function = function
        self.rows = rows
    }
    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(try reader.symbol("function", of: ActivationFunction.self), rows: try reader.rowType())
    }
    public var attributes: [(name: String, value: Attribute)] { [("function", .symbol(function.rawValue))] + rowAttribute(rows) }

    public var rowOperands: [Int]? { [0, 1] }
    public func quantizing(to rows: RowType) -> Op? { self.rows == nil ? .gate(Gate(function, rows: rows)) : nil }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        try expectFloat(operands[0], "the gate")
        try expectType(operands[1], operands[0], "the gated operand")
        return try rowsType(operands[0], rows)
    }
}
