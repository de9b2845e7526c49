/// `embed %tokens, @table, vision %rows` : i32[M], f32[V, C], f32[R, C] -> f32[M, C]
///
/// Row i is row tokens[i] of the table or, where the token is negative, row -1 - tokens[i] of `vision`:
/// the splice of an image's tokens into the prompt. Without `vision` no token may be negative. A table in panels (bf16p, q8p, q4p) gives
/// its rounded rows, so that a tied head and the table are one weight.
public struct Embed: OperationPayload {
    public static let mnemonic = "embed"
    public let hasVision: Bool

    public init(hasVision: Bool) { self.hasVision = hasVision }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(hasVision: reader.labels.contains("vision"))
    }

    public var attributes: [(name: String, value: Attribute)] { [] }

    public func operandLabels(count: Int) -> [String?] { [nil, nil] + (hasVision ? ["vision"] : []) }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, hasVision ? 3...3 : 2...2)
        try expectRank(operands[0], 1, "the token list")
        if operands[0].dtype != .int32 { throw TypeError("the tokens are \(operands[0]); expected i32") }
        try expectRank(operands[1], 2, "the table")
        if !operands[1].dtype.isPanels { try expectFloat(operands[1], "the table") }
        if hasVision {
            try expectRank(operands[2], 2, "the vision operand")
            try expectType(operands[2], TensorType(.float32, [operands[2].shape[0], operands[1].shape[1]]), "the vision operand")
        }
        return TensorType(.float32, [operands[0].shape[0], operands[1].shape[1]])
    }
}
