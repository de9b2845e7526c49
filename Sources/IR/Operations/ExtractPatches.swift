/// `extract_patches %pixels {patch = p, window = k}` : f32[C, S, S] -> f32[G*G, C*p*p], G = S / p
///
/// Row r holds one p x p patch, columns in the order (c, dy, dx), so that a convolution with kernel and stride p is a matmul.
/// With `window` 1 the rows are in raster order; otherwise the patches of one k x k window stand together, (dy, dx) inside it and
/// the windows in raster order, which makes a later window gather a reshape. Pixels past G*p on the right and bottom are left out, as the convolution does.
public struct ExtractPatches: OperationPayload {
    public static let mnemonic = "extract_patches"
    public let patch: Int
    public let window: Int

    public init(patch: Int, window: Int = 1) {
        self.patch = patch
        self.window = window
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        let patch = try reader.integer("patch")
        self.init(patch: patch, window: reader.has("window") ? try reader.integer("window") : 1)
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("patch", .integer(patch))] + (window == 1 ? [] : [("window", .integer(window))])
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 3, "the image")
        try expectFloat(operands[0], "the image")
        let channels = try expectFixed(operands[0].shape[0], "the channel count")
        let height = try expectFixed(operands[0].shape[1], "the height")
        let width = try expectFixed(operands[0].shape[2], "the width")
        guard patch > 0, height >= patch, width >= patch else { throw TypeError("a patch of \(patch) does not fit \(operands[0])") }
        let (rows, columns) = (height / patch, width / patch)
        guard window > 0, rows % window == 0, columns % window == 0 else {
            throw TypeError("a window of \(window) does not divide the \(rows) x \(columns) grid")
        }
        return TensorType(.float32, fixed: [rows * columns, channels * patch * patch])
    }

    /// The (row, column) on the grid of the patch in each result row.
    public func order(rows: Int, columns: Int) -> [(row: Int, column: Int)] {
        var order: [(row: Int, column: Int)] = []
        order.reserveCapacity(rows * columns)
        for top in stride(from: 0, to: rows, by: window) {
            for left in stride(from: 0, to: columns, by: window) {
                for dy in 0..<window {
                    for dx in 0..<window { order.append((top + dy, left + dx)) }
                }
            }
        }
        return order
    }
}
