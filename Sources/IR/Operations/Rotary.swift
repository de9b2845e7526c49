import Glibc

/// `rotary %x, %positions {head_size = d, theta = t}` : f32[M, H*d], i32[M] -> f32[M, H*d]
/// `rotary %x, %positions {head_size = d, theta = t, factor = s, low = a, high = b, original = c}`
///
/// Rotary embedding in the half-split layout of transformers: row i stands at positions[i]; in each head the pair
/// (x[j], x[j + d/2]) turns by the angle positions[i] * `inverseFrequencies[j]`, which is t^(-2j/d), or that rescaled as Llama 3.1 does.
public struct Rotary: OperationPayload {
    /// Llama 3.1's `rope_scaling` "llama3": wavelengths above `original / low` are stretched by `factor`, those below
    /// `original / high` stay, and between the two the frequency goes over linearly in `original / wavelength`.
    public struct Scaling: Hashable, Sendable {
        public let factor, low, high: Float
        public let original: Int

        public init(factor: Float, low: Float, high: Float, original: Int) {
            self.factor = factor
            self.low = low
            self.high = high
            self.original = original
        }

        /// Nil where the text has none.
        init?(_ reader: inout AttributeReader) throws(TypeError) {
            guard reader.has("factor") else { return nil }
            self.init(
                factor: try reader.float("factor"), low: try reader.float("low"), high: try reader.float("high"),
                original: try reader.integer("original"))
        }

        var attributes: [(name: String, value: Attribute)] {
            [("factor", .float(factor)), ("low", .float(low)), ("high", .float(high)), ("original", .integer(original))]
        }

        func check() throws(TypeError) {
            if high <= low || low <= 0 || factor <= 0 || original <= 0 {
                throw TypeError("a scaling from \(low) to \(high) by \(factor) over \(original) positions is none")
            }
        }
    }

    public static let mnemonic = "rotary"
    public let headSize: Int
    public let theta: Float
    public let scaling: Scaling?

    public init(headSize: Int, theta: Float, scaling: Scaling? = nil) {
        self.headSize = headSize
        self.theta = theta
        self.scaling = scaling
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        headSize = try reader.integer("head_size")
        theta = try reader.float("theta")
        scaling = try Scaling(&reader)
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("head_size", .integer(headSize)), ("theta", .float(theta))] + (scaling?.attributes ?? [])
    }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 2...2)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        try expectRows(operands[1], operands[0], "the list of positions")
        let width = try expectFixed(operands[0].shape[1], "the width")
        guard headSize > 0, headSize % 2 == 0, width % headSize == 0 else {
            throw TypeError("heads of \(headSize) do not divide a width of \(width) into pairs")
        }
        guard theta > 0 else { throw TypeError("a theta of \(theta) has no powers; expected one above 0") }
        try scaling?.check()
        return operands[0]
    }

    /// Radians per position of each pair, in float32 as transformers rounds them: d/2 values.
    public var inverseFrequencies: [Float] {
        (0..<headSize / 2).map { pair in
            // transformers: 1 / theta ** (arange(0, d, 2).float() / d), every step rounded to float32
            let exponent = Float(2 * pair) / Float(headSize)
            let frequency = 1 / Float(pow(Double(theta), Double(exponent)))
            guard let scaling else { return frequency }
            let wavelength = 2 * Float.pi / frequency
            let original = Float(scaling.original)
            if wavelength > original / scaling.low { return frequency / scaling.factor }
            if wavelength < original / scaling.high { return frequency }
            let smooth = (original / wavelength - scaling.low) / (scaling.high - scaling.low)
            return (1 - smooth) * (frequency / scaling.factor) + smooth * frequency
        }
    }
}
