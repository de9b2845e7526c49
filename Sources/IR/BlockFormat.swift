import Support

/// The memory of the block formats, as `Sources/Weights/Pack/include/pack.h` and `Runtime/kernels/product/packed.h` lay them out.
public enum BlockFormat {
    /// Consecutive elements of a row that share a scale; every row is filled up to a multiple of it with zeros.
    public static let block = 64
    /// Rows of a weight matrix that stand together.
    public static let panel = 32

    /// `columns` filled up to whole blocks; nil on overflow.
    public static func paddedColumns(_ columns: Int) -> Int? { roundedUp(columns, to: block) }

    /// Bytes from one row of `q8` to the next: the codes, then a float32 scale and an int32 sum per block, up to a multiple of 64.
    public static func int8RowBytes(_ columns: Int) -> Int? {
        guard let padded = paddedColumns(columns), let bytes = checkedSum([padded, padded / block * 8]) else { return nil }
        return roundedUp(bytes, to: 64)
    }

    /// Bytes of a block of one panel: codes, scales and offsets of 32 rows.
    private static func blockBytes(_ dtype: DType) -> Int? {
        switch dtype {
        case .bfloat16Panels: panel * block * 2
        case .int8Panels: panel * (block + 2)
        case .int4Panels: panel * (block / 2 + 2 + 1)
        case .float32, .float16, .bfloat16, .int32, .uint8, .int8Rows, .int8Heads: nil
        }
    }

    /// Bytes of a panel of rows of `columns` elements.
    public static func panelBytes(_ dtype: DType, columns: Int) -> Int? {
        guard let bytes = blockBytes(dtype), let padded = paddedColumns(columns), let total = checkedProduct([padded / block, bytes]) else {
            return nil
        }
        return roundedUp(total, to: 64)
    }

    /// Bytes of the exponents of a matrix's rows, one a row and 32 a panel, which stand behind its panels.
    public static func exponentBytes(_ dtype: DType, panels: Int) -> Int? {
        dtype == .bfloat16Panels ? 0 : checkedProduct([panels, panel]).flatMap { roundedUp($0, to: 64) }
    }

    /// Bytes from one row of `q8h` to the next: the codes of all heads, then their float32 scales, up to a multiple of 64.
    public static func int8HeadBytes(heads: Int, size: Int) -> Int? {
        guard let codes = checkedProduct(heads, size), let scales = checkedProduct(heads, 4), let bytes = checkedSum([codes, scales]) else {
            return nil
        }
        return roundedUp(bytes, to: 64)
    }

    /// The bytes of a tensor in a block format; nil where its dimensions do not fit the format, and on overflow.
    static func byteCount(_ type: TensorType, sequence: Int) -> Int? {
        if type.dtype == .int8Heads {
            guard type.rank == 3, let heads = type.shape[1].fixedValue, let size = type.shape[2].fixedValue,
                let row = int8HeadBytes(heads: heads, size: size)
            else { return nil }
            return checkedProduct(type.shape[0].fixedValue ?? sequence, row)
        }
        guard type.rank == 2, let columns = type.shape[1].fixedValue else { return nil }
        let rows = type.shape[0].fixedValue ?? sequence
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
