/// `matmul %x, @w, bias @b, addend %y {activation = gelu}` : f32[M, K], f32[N, K], f32[N], f32[M, N] -> f32[M, N]
///
/// activation(x . transpose(w) + bias + addend), the last three optional. Weights are [out, in] as PyTorch stores them.
/// C meaning: OpenBLAS where M is more than one row, a matrix-vector kernel for one; bias, addend and activation in the epilogue.
public struct Matmul: OperationPayload {
    public static let mnemonic = "matmul"
    public var hasBias: Bool
    public var hasAddend: Bool
    public var activation: ActivationFunction?

    public init(hasBias: Bool = false, hasAddend: Bool = false, activation: ActivationFunction? = nil) {
        self.hasBias = hasBias
        self.hasAddend = hasAddend
        self.activation = activation
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            hasBias: reader.labels.contains("bias"), hasAddend: reader.labels.contains("addend"),
            activation: reader.has("activation") ? try reader.symbol("activation", of: ActivationFunction.self) : nil)
    }

    public var attributes: [(name: String, value: Attribute)] {
        activation.map { [("activation", .symbol($0.rawValue))] } ?? []
    }

    public func operandLabels(count: Int) -> [String?] {
        [nil, nil] + (hasBias ? ["bias"] : []) + (hasAddend ? ["addend"] : [])
    }

    public var biasIndex: Int? { hasBias ? 2 : nil }
    public var addendIndex: Int? { hasAddend ? (hasBias ? 3 : 2) : nil }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        let count = 2 + (hasBias ? 1 : 0) + (hasAddend ? 1 : 0)
        try expectCount(operands, count...count)
        try expectRank(operands[0], 2, "the left operand")
        try expectFloat(operands[0], "the left operand")
        try expectRank(operands[1], 2, "the weight")
        try expectFloat(operands[1], "the weight")
        guard operands[0].shape[1] == operands[1].shape[1] else {
            throw TypeError("\(operands[0]) and weight \(operands[1]) differ in K")
        }
        let result = TensorType(.float32, [operands[0].shape[0], operands[1].shape[0]])
        if let index = biasIndex { try expectType(operands[index], TensorType(.float32, [operands[1].shape[0]]), "the bias") }
        if let index = addendIndex { try expectType(operands[index], result, "the addend") }
        return result
    }
}
