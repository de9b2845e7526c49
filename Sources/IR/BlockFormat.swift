import Contract
import Support

/// The memory of the block formats, which Runtime/contract/packed_layout.h lays out.
public enum BlockFormat {
    /// Consecutive elements of a row that share a scale; every row is filled up to a multiple of it with zeros.
    public static let block = LMMC_BLOCK
    /// Rows of a weight matrix that stand together.
    public static let panel = LMMC_PANEL

    /// `columns` filled up to whole blocks; nil on overflow.
    public static func paddedColumns(_ columns: Int) -> Int? { roundedUp(columns, to: block) }

    /// A size that C computes without a look at overflow, from factors whose product stays far enough below 2^63.
    private static func size(_ factors: Int..., bytes: () -> Int64) -> Int? {
        // The largest format has 64 bytes per column of a panel; a block, and what fills up to 64 bytes, come on top.
        checkedProduct(factors.map { max($0, 1) } + [256]) == nil ? nil : Int(bytes())
    }

    /// Bytes from one row of `q8` to the next.
    public static func int8RowBytes(_ columns: Int) -> Int? { size(columns) { lmmc_q8_row_bytes(Int64(columns)) } }

    /// Bytes of a panel of rows of `columns` elements.
    public static func panelBytes(_ dtype: DType, columns: Int) -> Int? {
        dtype.panelType.flatMap { type in size(columns) { lmmc_panel_bytes(type.layout, Int64(columns)) } }
    }

    /// Bytes of the exponents of a matrix's rows, one a row and 32 a panel, which stand behind its panels.
    public static func exponentBytes(_ dtype: DType, panels: Int) -> Int? {
        dtype.panelType.flatMap { type in size(panels) { lmmc_exponent_bytes(type.layout, Int64(panels)) } }
    }

    /// Bytes from one row of `q8h` to the next.
    public static func int8HeadBytes(heads: Int, size: Int) -> Int? {
        self.size(heads, size) { lmmc_row_bytes_i8(Int64(heads), Int64(size)) }
    }

    /// The bytes of a tensor in a block format; nil where its dimensions do not fit the format, and on overflow.
    static func byteCount(_ type: TensorType, _ values: SymbolValues) -> Int? {
        if type.dtype == .int8Heads {
            guard type.rank == 4, let slots = type.shape[0].fixedValue, let context = type.shape[1].fixedValue,
                let heads = type.shape[2].fixedValue, let size = type.shape[3].fixedValue,
                let row = int8HeadBytes(heads: heads, size: size)
            else { return nil }
            return checkedProduct([slots, context, row])
        }
        guard type.rank == 2, let columns = type.shape[1].fixedValue, let rows = type.shape[0].value(values) else { return nil }
        if type.dtype == .int8Rows {
            guard let row = int8RowBytes(columns) else { return nil }
            return checkedProduct([rows, row])
        }
        guard let panels = roundedUp(rows, to: panel), let bytes = panelBytes(type.dtype, columns: columns) else { return nil }
        guard let all = checkedProduct([panels / panel, bytes]), let exponents = exponentBytes(type.dtype, panels: panels / panel) else {
            return nil
        }
        return checkedSum([all, exponents])
    }
}
