/// `normalize %image {mean = [...], std = [...]}` : u8[S, S, 3] -> f32[3, S, S]
///
/// (value / 255 - mean[c]) / std[c], from interleaved to planar: CLIP's preprocessing after the resize.
/// C meaning: one loop over pixels in float32, in this order of operations.
public struct Normalize: OperationPayload {
    public static let mnemonic = "normalize"
    public let mean: [Float]
    public let std: [Float]

    public init(mean: [Float], std: [Float]) {
        self.mean = mean
        self.std = std
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(mean: try reader.floats("mean"), std: try reader.floats("std"))
    }

    public var attributes: [(name: String, value: Attribute)] { [("mean", .floats(mean)), ("std", .floats(std))] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 3, "the image")
        let channels = try expectFixed(operands[0].shape[2], "the channel count")
        if operands[0].dtype != .uint8 { throw TypeError("the image is \(operands[0]); expected u8") }
        if mean.count != channels || std.count != channels {
            throw TypeError("\(mean.count) means and \(std.count) deviations for \(channels) channels")
        }
        return TensorType(.float32, [operands[0].shape[2], operands[0].shape[0], operands[0].shape[1]])
    }
}
