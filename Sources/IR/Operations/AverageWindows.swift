/// `average_windows %tokens {grid = [H, W], kernel = k}` : f32[H*W, C] -> f32[(H/k)*(W/k), C]
///
/// The mean of the tokens of each k x k window with stride k, tokens and windows in raster order (model.md, avgpool).
public struct AverageWindows: OperationPayload {
    public static let mnemonic = "average_windows"
    /// The windows as `gather_windows` gathers them.
    public let windows: GatherWindows

    public init(height: Int, width: Int, kernel: Int) {
        windows = GatherWindows(height: height, width: width, kernel: kernel)
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) { windows = try GatherWindows(&reader) }

    public var attributes: [(name: String, value: Attribute)] { windows.attributes }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        guard let gathered = try windows.resultType(operands) else { return nil }
        return TensorType(.float32, [gathered.shape[0], operands[0].shape[1]])
    }
}
