/// `average_windows %tokens {grid = [H, W], kernel = k, margin = m}` : f32[H*W, C] -> f32[(H/k)*(W/k), C]
///
/// The mean of the tokens of each k x k window with stride k, tokens and windows in raster order (model.md, avgpool). With a margin the mean of
/// the inner ones, those that stand at least m tokens from the window's edges: a bilinear resize by 1/k with half-pixel centres has
/// m = (k - 1) / 2, rounded down.
public struct AverageWindows: OperationPayload {
    public static let mnemonic = "average_windows"
    /// The windows as `gather_windows` gathers them.
    public let windows: GatherWindows
    /// Tokens along each edge of a window that do not count
    public let margin: Int

    public init(height: Int, width: Int, kernel: Int, margin: Int = 0) {
        windows = GatherWindows(height: height, width: width, kernel: kernel)
        self.margin = margin
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        windows = try GatherWindows(&reader)
        margin = reader.has("margin") ? try reader.integer("margin") : 0
    }

    /// Tokens along an edge of what the mean is taken of
    public var innerEdge: Int { windows.kernel - 2 * margin }

    public var attributes: [(name: String, value: Attribute)] {
        windows.attributes + (margin == 0 ? [] : [("margin", .integer(margin))])
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        guard let gathered = try windows.resultType(operands) else { return nil }
        guard 0...(windows.kernel - 1) / 2 ~= margin else {
            throw TypeError("a margin of \(margin) leaves nothing of a window of \(windows.kernel)")
        }
        return TensorType(.float32, [gathered.shape[0], operands[0].shape[1]])
    }
}
