/// The forms in which a product takes its left operand.
public enum RowType: String, Sendable, Hashable, CaseIterable {
    case bfloat16 = "bf16"
    case int8 = "q8"

    public var dtype: DType {
        switch self {
        case .bfloat16: .bfloat16
        case .int8: .int8Rows
        }
    }
}

extension AttributeReader {
    /// The attribute of operations that can quantise their result.
    mutating func rowType() throws(TypeError) -> RowType? { has("type") ? try symbol("type", of: RowType.self) : nil }
}

func rowAttribute(_ rows: RowType?) -> [(name: String, value: Attribute)] { rows.map { [("type", .symbol($0.rawValue))] } ?? [] }

/// The type of an f32 result that is quantised to `rows`.
func rowsType(_ type: TensorType, _ rows: RowType?) throws(TypeError) -> TensorType {
    guard let rows else { return type }
    try expectRank(type, 2, "the quantised result")
    _ = try expectFixed(type.shape[1], "the width of the quantised result")
    return TensorType(rows.dtype, type.shape)
}

/// `quantize %x {type = q8}` : f32[M, K] -> q8[M, K]
/// `quantize %x {type = bf16}` : f32[M, K] -> bf16[M, K]
///
/// q8: each block of 64 elements of a row by itself: scale = max |x| / 127, codes the nearest integers to x / scale (ties to even), so that
/// an element is off by at most half a scale. bf16: the nearest, ties to even.
/// C meaning: one row at a time, directly before the products that read it; the codes' sums per block are kept beside the scales.
public struct Quantize: OperationPayload {
    public static let mnemonic = "quantize"
    public let type: RowType

    public init(_ type: RowType) { self.type = type }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(try reader.symbol("type", of: RowType.self)) }
    public var attributes: [(name: String, value: Attribute)] { [("type", .symbol(type.rawValue))] }

    public var rowOperands: [Int]? { [0] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectFloat(operands[0], "the operand")
        return try rowsType(operands[0], type)
    }
}
