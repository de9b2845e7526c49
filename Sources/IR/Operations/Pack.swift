import Contract

/// The forms in which a product takes its weight.
public enum PanelType: String, Sendable, Hashable, CaseIterable {
    case bfloat16 = "bf16"
    case int8 = "q8"
    case int4 = "q4"

    public var dtype: DType {
        switch self {
        case .bfloat16: .bfloat16Panels
        case .int8: .int8Panels
        case .int4: .int4Panels
        }
    }

    /// As the packer and the kernels know it.
    public var layout: lmmc_packed_type {
        switch self {
        case .bfloat16: LMMC_BF16
        case .int8: LMMC_Q8
        case .int4: LMMC_Q4
        }
    }

    /// Magnitudes from here on are no weights of the type: bf16 rounds them to infinity, and the scales of blocks may be rounded up.
    private var limit: Float { self == .bfloat16 ? 0x1.ffp127 : 0x1p127 }

    /// Whether the type has a number near to `x`.
    public func holds(_ x: Float) -> Bool { abs(x) < limit }

    /// The numbers that it holds, for diagnostics.
    public var range: String { "finite numbers below \(limit)" }
}

/// `pack @w {type = q8}` : f32[N, K] -> q8p[N, K]; likewise bf16 -> bf16p and q4 -> q4p
///
/// Rounds a weight matrix and lays it out in panels of 32 rows, in the order in which a product reads it. Each row in blocks of 64 along K:
/// q8: w = scale * c with c in -127 ... 127; q4: w = scale * (8 q - z) with q in 0 ... 15 and z in 0 ... 127, scale and z chosen for the least
/// squared error of the block; scales are float16. bf16: the nearest, ties to even.
/// Only weights are packed, when they are written into the executable; the operation stands in definitions of weights.
public struct Pack: OperationPayload {
    public static let mnemonic = "pack"
    public let type: PanelType

    public init(_ type: PanelType) { self.type = type }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(try reader.symbol("type", of: PanelType.self)) }
    public var attributes: [(name: String, value: Attribute)] { [("type", .symbol(type.rawValue))] }

    public func optimizedFault(_ operands: [Operand]) -> (what: String?, expected: String)? {
        (nil, expected: "it in the definitions of weights only")
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        _ = try expectFixed(operands[0].shape[0], "the height")
        return TensorType(type.dtype, operands[0].shape)
    }
}
