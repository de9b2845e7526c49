import IR

extension Affine {
    /// More than one, or so for some call.
    public var isMany: Bool { fixedValue ?? 2 > 1 }

    /// Offsets lie inside buffers, whose bytes were checked when they were made.
    static func + (a: Affine, b: Affine) -> Affine {
        guard let sum = a.adding(b) else { preconditionFailure("an offset of \(a) and \(b)") }
        return sum
    }

    static func * (a: Affine, count: Int) -> Affine {
        guard let product = a.multiplied(by: count) else { preconditionFailure("an offset of \(count) times \(a)") }
        return product
    }
}

/// A tensor seen as rows of consecutive elements.
public struct RowLayout: Hashable, Sendable {
    public var rows: Affine
    public var columns: Int
    /// Elements from one row to the next.
    public var stride: Int

    /// Fails where the last dimension is not consecutive, or the others do not follow one stride.
    public init?(shape: [Dimension], strides: [Int]) {
        guard let last = shape.last else {
            self.init(rows: 1, columns: 1, stride: 1)
            return
        }
        guard let columns = last.fixedValue, columns == 1 || strides[strides.count - 1] == 1 else { return nil }
        var rows: Affine = 1
        var stride: Int?
        for (dimension, step) in zip(shape, strides).dropLast().reversed() where dimension != .fixed(1) {
            // The rows so far must be a fixed count that this dimension steps over.
            guard let count = rows.fixedValue, stride.map({ step == $0 * count }) ?? true, let product = dimension.multiplied(by: count)
            else { return nil }
            rows = product
            stride = stride ?? step
        }
        self.init(rows: rows, columns: columns, stride: stride ?? columns)
    }

    init(rows: Affine, columns: Int, stride: Int) {
        self.rows = rows
        self.columns = columns
        self.stride = stride
    }

    public var isContiguous: Bool { stride == columns || !rows.isMany }
}

/// Element strides of a row-major tensor that has room for the bounds of its dimensions.
func rowMajorStrides(_ shape: [Dimension]) -> [Int] {
    var strides = Array(repeating: 1, count: shape.count)
    for index in shape.indices.dropLast().reversed() {
        strides[index] = strides[index + 1] * (shape[index + 1].bound ?? 1)
    }
    return strides
}

extension Buffer {
    public var rowLayout: RowLayout? { RowLayout(shape: type.shape, strides: strides) }
}
