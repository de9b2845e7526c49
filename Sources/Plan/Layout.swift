import IR

/// A count: `factor`, or `factor` times T.
public struct Extent: Hashable, Sendable {
    public var factor: Int
    public var hasSequence: Bool

    /// More than one for some T.
    public var isMany: Bool { hasSequence || factor > 1 }
}

/// A tensor seen as rows of consecutive elements.
public struct RowLayout: Hashable, Sendable {
    public var rows: Extent
    public var columns: Int
    /// Elements from one row to the next.
    public var stride: Int

    /// Fails where the last dimension is not consecutive, or the others do not follow one stride.
    public init?(shape: [Dimension], strides: [Int]) {
        guard let last = shape.last else {
            self.init(rows: Extent(factor: 1, hasSequence: false), columns: 1, stride: 1)
            return
        }
        guard let columns = last.fixedValue, columns == 1 || strides[strides.count - 1] == 1 else { return nil }
        var rows = Extent(factor: 1, hasSequence: false)
        var stride: Int?
        for (dimension, step) in zip(shape, strides).dropLast().reversed() where dimension != .fixed(1) {
            if let stride {
                // The rows so far must be a fixed count that this dimension steps over.
                guard !rows.hasSequence, step == stride * rows.factor else { return nil }
            } else {
                stride = step
            }
            switch dimension {
            case .fixed(let count): rows.factor *= count
            case .sequence: rows.hasSequence = true
            }
        }
        self.init(rows: rows, columns: columns, stride: stride ?? columns)
    }

    init(rows: Extent, columns: Int, stride: Int) {
        self.rows = rows
        self.columns = columns
        self.stride = stride
    }

    public var isContiguous: Bool { stride == columns || !rows.isMany }
}

/// Element strides of a row-major tensor; T counts as `sequence`.
func rowMajorStrides(_ shape: [Dimension], sequence: Int) -> [Int] {
    var strides = Array(repeating: 1, count: shape.count)
    for index in shape.indices.dropLast().reversed() {
        strides[index] = strides[index + 1] * (shape[index + 1].fixedValue ?? sequence)
    }
    return strides
}

extension Buffer {
    public var rowLayout: RowLayout? { RowLayout(shape: type.shape, strides: strides) }
}
