/// `extract_patches %pixels {patch = p, window = k}` : f32[C, S, S] -> f32[G*G, C*p*p], G = S / p
/// `extract_patches %image {patch = p, window = k, center = [...]}` : u8[S, S, C] -> the same, each value less `center[c]`
///
/// Row r holds one p x p patch, columns in the order (c, dy, dx), so that a convolution with kernel and stride p is a matmul.
/// With `window` 1 the rows are in raster order; otherwise the patches of one k x k window stand together, (dy, dx) inside it and
/// the windows in raster order, which makes a later window gather a reshape. Pixels past G*p on the right and bottom are left out, as the convolution does.
public struct ExtractPatches: OperationPayload {
    public static let mnemonic = "extract_patches"
    public let patch: Int
    public let window: Int
    /// For an image of bytes: what is subtracted from each channel, empty for nothing.
    public let center: [Float]

    public init(patch: Int, window: Int = 1, center: [Float] = []) {
        self.patch = patch
        self.window = window
        self.center = center
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        let patch = try reader.integer("patch")
        self.init(
            patch: patch, window: reader.has("window") ? try reader.integer("window") : 1,
            center: reader.has("center") ? try reader.floats("center") : [])
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("patch", .integer(patch))] + (window == 1 ? [] : [("window", .integer(window))])
            + (center.isEmpty ? [] : [("center", .floats(center))])
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 3, "the image")
        // Bytes are interleaved as a decoder gives them, floats are planar.
        let isBytes = operands[0].dtype == .uint8
        if !isBytes, operands[0].dtype != .float32 { throw TypeError("the image is \(operands[0]); expected f32 or u8") }
        let channels = try expectFixed(operands[0].shape[isBytes ? 2 : 0], "the channel count")
        let height = try expectFixed(operands[0].shape[isBytes ? 0 : 1], "the height")
        let width = try expectFixed(operands[0].shape[isBytes ? 1 : 2], "the width")
        if !center.isEmpty, !isBytes { throw TypeError("a center is for an image of bytes, not \(operands[0])") }
        if !center.isEmpty, center.count != channels { throw TypeError("\(center.count) centers for \(channels) channels") }
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
