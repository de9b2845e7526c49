/// `matmul %x, @w, bias @b, addend %y {activation = gelu}` : f32[M, K], f32[N, K], f32[N], f32[M, N] -> f32[M, N]
/// `matmul %x.q8, @w.q8, ...` : q8[M, K], q8p[N, K] or q4p[N, K], ... -> f32[M, N]; likewise bf16[M, K], bf16p[N, K]
///
/// activation(x . transpose(w) + bias + addend), the last three optional. Weights are [out, in] as PyTorch stores them.
/// C meaning: in f32, OpenBLAS where M is more than a few rows, a matrix-vector kernel for fewer. By a weight in panels, our kernels: integer
/// products of q8 are summed exactly per block and scaled by both scales into a float32 sum; bf16 products are summed in float32.
/// Bias, addend and activation are the epilogue, in float32.
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

    public var isProduct: Bool { true }
    public var rowOperands: [Int]? { [0] + (addendIndex.map { [$0] } ?? []) }
    public func optimizedFault(_ operands: [Operand]) -> (what: String?, expected: String)? {
        operands[1].isWeight ? nil : ("by '\(operands[1])'", expected: "a weight")
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        let count = 2 + (hasBias ? 1 : 0) + (hasAddend ? 1 : 0)
        try expectCount(operands, count...count)
        try expectRank(operands[0], 2, "the left operand")
        try expectRank(operands[1], 2, "the weight")
        try expectLeft(operands[0], for: operands[1])
        guard operands[0].shape[1] == operands[1].shape[1] else {
            throw TypeError("\(operands[0]) and weight \(operands[1]) differ in K")
        }
        let result = TensorType(.float32, [operands[0].shape[0], operands[1].shape[0]])
        if let index = biasIndex { try expectType(operands[index], TensorType(.float32, [operands[1].shape[0]]), "the bias") }
        if let index = addendIndex { try expectType(operands[index], result, "the addend") }
        return result
    }

    private func expectLeft(_ left: TensorType, for weight: TensorType) throws(TypeError) {
        let expected: DType
        switch weight.dtype {
        case .float32: expected = .float32
        case .bfloat16Panels: expected = .bfloat16
        case .int8Panels, .int4Panels: expected = .int8Rows
        case .float16, .bfloat16, .int32, .uint8, .int8Rows, .int8Heads:
            throw TypeError("the weight is \(weight); expected f32 or panels")
        }
        if left.dtype != expected {
            throw TypeError("the left operand is \(left); expected \(expected.rawValue) for a weight in \(weight.dtype.rawValue)")
        }
    }
}
