private func normType(_ operands: [TensorType], vectors: [String], _ rows: RowType?) throws(TypeError) -> TensorType {
    // All of them or none
    let count = operands.count == 1 ? 1 : 1 + vectors.count
    try expectCount(operands, count...count)
    try expectFloat(operands[0], "the operand")
    guard let width = operands[0].shape.last else { throw TypeError("the operand has no dimensions") }
    for (vector, what) in zip(operands.dropFirst(), vectors) {
        try expectType(vector, TensorType(.float32, [width]), "the \(what)")
    }
    return try rowsType(operands[0], rows)
}

/// `layer_norm %x, @scale, @bias {epsilon = e}` : f32[..., C], f32[C], f32[C] -> f32[..., C]
/// `layer_norm %x {epsilon = e}`
///
/// (x - mean) / sqrt(variance + e) * scale + bias over the last dimension, the variance biased (1/C);
/// without scale and bias they are 1 and 0. With `type = q8` or `bf16` the result of a matrix is quantised as `quantize` does it.
public struct LayerNorm: OperationPayload {
    public static let mnemonic = "layer_norm"
    public let epsilon: Float
    /// Nil for f32.
    public let rows: RowType?

    public init(epsilon: Float, rows: RowType? = nil) {
        self.epsilon = epsilon
        self.rows = rows
    }
    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(epsilon: try reader.float("epsilon"), rows: try reader.rowType())
    }
    public var attributes: [(name: String, value: Attribute)] { [("epsilon", .float(epsilon))] + rowAttribute(rows) }
    public var rowOperands: [Int]? { [0] }
    public func quantizing(to rows: RowType) -> Op? { self.rows == nil ? .layerNorm(LayerNorm(epsilon: epsilon, rows: rows)) : nil }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try normType(operands, vectors: ["scale", "bias"], rows)
    }
}

/// `rms_norm %x, @scale {epsilon = e}` : f32[..., C], f32[C] -> f32[..., C]
/// `rms_norm %x {epsilon = e}`
///
/// x / sqrt(mean(x^2) + e) * scale over the last dimension; without scale it is 1. `type` as for `layer_norm`.
public struct RMSNorm: OperationPayload {
    public static let mnemonic = "rms_norm"
    public let epsilon: Float
    /// Nil for f32.
    public let rows: RowType?

    public init(epsilon: Float, rows: RowType? = nil) {
        self.epsilon = epsilon
        self.rows = rows
    }
    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(epsilon: try reader.float("epsilon"), rows: try reader.rowType())
    }
    public var attributes: [(name: String, value: Attribute)] { [("epsilon", .float(epsilon))] + rowAttribute(rows) }
    public var rowOperands: [Int]? { [0] }
    public func quantizing(to rows: RowType) -> Op? { self.rows == nil ? .rmsNorm(RMSNorm(epsilon: epsilon, rows: rows)) : nil }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try normType(operands, vectors: ["scale"], rows)
    }
}
