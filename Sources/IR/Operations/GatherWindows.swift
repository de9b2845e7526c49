/// `gather_windows %tokens {grid = [H, W], kernel = k}` : f32[H*W, C] -> f32[(H/k)*(W/k), C*k*k]
///
/// The vector of each k x k window with stride k, windows in raster order, columns channel-major: (c*k + dy)*k + dx,
/// which is how a Conv2d weight [out, C, k, k] flattens (model.md, STF).
public struct GatherWindows: OperationPayload {
    public static let mnemonic = "gather_windows"
    public let height: Int
    public let width: Int
    public let kernel: Int

    public init(height: Int, width: Int, kernel: Int) {
        self.height = height
        self.width = width
        self.kernel = kernel
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        let grid = try reader.integers("grid")
        guard grid.count == 2 else { throw TypeError("attribute 'grid' has \(grid.count) numbers; expected height and width") }
        self.init(height: grid[0], width: grid[1], kernel: try reader.integer("kernel"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("grid", .integers([height, width])), ("kernel", .integer(kernel))]
    }

    public func optimizedFault(_ operands: [Operand]) -> (what: String?, expected: String)? { (nil, expected: "patches in window order") }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        let tokens = try expectFixed(operands[0].shape[0], "the token count")
        let channels = try expectFixed(operands[0].shape[1], "the channel count")
        guard height > 0, width > 0, tokens % height == 0, tokens / height == width else {
            throw TypeError("\(tokens) tokens do not make a \(height) x \(width) grid")
        }
        guard kernel > 0, height % kernel == 0, width % kernel == 0 else {
            throw TypeError("a window of \(kernel) does not divide the \(height) x \(width) grid")
        }
        return TensorType(.float32, fixed: [tokens / (kernel * kernel), channels * kernel * kernel])
    }
}
