/// The element type of a tensor, written as in the IR text.
public enum DType: String, Sendable, Hashable, CaseIterable {
    case float32 = "f32"
    case float16 = "f16"
    case bfloat16 = "bf16"
    case int32 = "i32"
    case uint8 = "u8"
    /// Rows of signed 8-bit codes in blocks along the row, each with a float scale and the sum of its codes: activations
    case int8Rows = "q8"
    /// Rows of a cache, [C, heads, head size]: signed 8-bit codes with a float scale per head
    case int8Heads = "q8h"
    /// A weight matrix in panels of 32 rows, in the order in which a product reads it: bf16
    case bfloat16Panels = "bf16p"
    /// The same in 8 bits, with a float16 scale per row and block and a power of two per row
    case int8Panels = "q8p"
    /// The same in 4 bits, with a float16 scale and an 8-bit offset per row and block and a power of two per row
    case int4Panels = "q4p"

    /// Bytes from one element to the next; 1 for the formats of blocks, whose bytes `TensorType.byteCount` knows.
    public var byteCount: Int {
        switch self {
        case .float32, .int32: 4
        case .float16, .bfloat16: 2
        case .uint8, .int8Rows, .int8Heads, .bfloat16Panels, .int8Panels, .int4Panels: 1
        }
    }

    /// A weight as products by it stream it.
    public var isPanels: Bool { panelType != nil }

    /// The form of a weight in panels; nil of other types.
    public var panelType: PanelType? {
        switch self {
        case .bfloat16Panels: .bfloat16
        case .int8Panels: .int8
        case .int4Panels: .int4
        case .float32, .float16, .bfloat16, .int32, .uint8, .int8Rows, .int8Heads: nil
        }
    }
}

/// The type of a tensor: element type and row-major shape.
public struct TensorType: Hashable, Sendable, CustomStringConvertible {
    public var dtype: DType
    public var shape: [Dimension]

    public init(_ dtype: DType, _ shape: [Dimension]) {
        self.dtype = dtype
        self.shape = shape
    }

    public init(_ dtype: DType, fixed shape: [Int]) {
        self.init(dtype, shape.map(Dimension.fixed))
    }

    public var description: String {
        "\(dtype.rawValue)[\(shape.map(\.description).joined(separator: ", "))]"
    }

    public var rank: Int { shape.count }

    public var isStatic: Bool { shape.allSatisfy { $0.fixedValue != nil } }

    /// The shape as numbers; nil when it holds a symbol.
    public var fixedShape: [Int]? {
        let counts = shape.compactMap(\.fixedValue)
        return counts.count == shape.count ? counts : nil
    }

    /// The symbols that the shape is affine in.
    public var symbols: Set<Symbol> { Set(shape.flatMap(\.symbols)) }

    /// Elements; nil when the product overflows 64 bits.
    public func elementCount(_ values: SymbolValues = .bounds) -> Int? {
        var product = 1
        for dimension in shape {
            guard let count = dimension.value(values) else { return nil }
            let (next, overflow) = product.multipliedReportingOverflow(by: count)
            if overflow { return nil }
            product = next
        }
        return product
    }

    /// Bytes; nil when the product overflows 64 bits.
    public func byteCount(_ values: SymbolValues = .bounds) -> Int? {
        if dtype == .int8Rows || dtype == .int8Heads || dtype.isPanels { return BlockFormat.byteCount(self, values) }
        guard let count = elementCount(values) else { return nil }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: dtype.byteCount)
        return overflow ? nil : bytes
    }

    /// All dimensions but the last.
    public var rows: ArraySlice<Dimension> { shape.dropLast() }
}
