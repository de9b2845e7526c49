/// `window_attention %q, %k, %v {heads = h, scale = s, grid = [H, W], kernel = k}` :
/// f32[(H/k)*(W/k), C], f32[H*W, C], f32[H*W, C] -> f32[(H/k)*(W/k), C]
///
/// Attention of each query over the k * k tokens of its own k x k window of a grid: softmax(scale * q . k) . v for each head. Row i of the queries
/// is that of window i; windows have stride k and stand in raster order, and so do tokens.
/// C meaning: one call per query, with scores and sums in float32 whatever the products around it are rounded to.
public struct WindowAttention: OperationPayload {
    public static let mnemonic = "window_attention"
    public let heads: Int
    public let scale: Float
    /// The windows as `gather_windows` gathers them.
    public let windows: GatherWindows

    public init(heads: Int, scale: Float, height: Int, width: Int, kernel: Int) {
        self.heads = heads
        self.scale = scale
        windows = GatherWindows(height: height, width: width, kernel: kernel)
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        heads = try reader.integer("heads")
        scale = try reader.float("scale")
        windows = try GatherWindows(&reader)
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("heads", .integer(heads)), ("scale", .float(scale))] + windows.attributes
    }

    public var isProduct: Bool { true }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 3...3)
        try expectRank(operands[1], 2, "the key")
        try expectFloat(operands[1], "the key")
        guard let gathered = try windows.resultType([operands[1]]) else { return nil }
        try expectType(operands[0], TensorType(.float32, [gathered.shape[0], operands[1].shape[1]]), "the query")
        try expectType(operands[2], operands[1], "the value")
        let width = try expectFixed(operands[1].shape[1], "the width")
        guard heads > 0, width % heads == 0 else { throw TypeError("\(heads) heads do not share a width of \(width) evenly") }
        return operands[0]
    }
}
