/// The floats of one block of a quantised type, with the roundings of the format's definition: a product, then a sum, in 32 bits.
/// `block` has `blockBytes`, `out` room for `blockElements`.
func dequantize(_ type: ElementType, _ block: UnsafeRawPointer, into out: UnsafeMutablePointer<Float>) {
    func half(_ offset: Int) -> Float {
        Float(Float16(bitPattern: block.loadUnaligned(fromByteOffset: offset, as: UInt16.self).littleEndian))
    }
    func byte(_ offset: Int) -> UInt8 { block.load(fromByteOffset: offset, as: UInt8.self) }
    func signed(_ offset: Int) -> Int8 { block.load(fromByteOffset: offset, as: Int8.self) }
    /// Low nibbles are the first half of a block of 32, high ones the second.
    func nibble(_ start: Int, _ index: Int) -> UInt8 { index < 16 ? byte(start + index) & 15 : byte(start + index - 16) >> 4 }
    /// The fifth bits of 32 elements.
    func bits(_ offset: Int) -> UInt32 { block.loadUnaligned(fromByteOffset: offset, as: UInt32.self).littleEndian }

    switch type {
    case .float32, .float16, .bfloat16: preconditionFailure("\(type) has no blocks")
    case .q8_0:
        let scale = half(0)
        for index in 0..<32 { out[index] = Float(signed(2 + index)) * scale }
    case .q4_0:
        let scale = half(0)
        for index in 0..<32 { out[index] = scale * Float(Int(nibble(2, index)) - 8) }
    case .q4_1:
        let scale = half(0), minimum = half(2)
        for index in 0..<32 { out[index] = scale * Float(nibble(4, index)) + minimum }
    case .q5_0:
        let scale = half(0), high = bits(2)
        for index in 0..<32 {
            let code = Int(nibble(6, index)) | Int(high >> UInt32(index) & 1) << 4
            out[index] = scale * Float(code - 16)
        }
    case .q5_1:
        let scale = half(0), minimum = half(2), high = bits(4)
        for index in 0..<32 {
            let code = Int(nibble(8, index)) | Int(high >> UInt32(index) & 1) << 4
            out[index] = scale * Float(code) + minimum
        }
    case .q4_K, .q5_K:
        let scale = half(0), minimum = half(2)
        let hasHighBits = type == .q5_K
        let codes = hasHighBits ? 48 : 16
        for part in 0..<8 {
            // 6-bit scales and minima, of which the upper four parts have their top bits beside the lower four.
            let (low, high): (UInt8, UInt8)
            if part < 4 {
                (low, high) = (byte(4 + part) & 63, byte(8 + part) & 63)
            } else {
                (low, high) = (byte(8 + part) & 15 | byte(part) >> 2 & 48, byte(8 + part) >> 4 | byte(4 + part) >> 2 & 48)
            }
            let step = scale * Float(low), offset = minimum * Float(high)
            for index in 0..<32 {
                let pair = byte(codes + part / 2 * 32 + index)
                var code = part % 2 == 0 ? pair & 15 : pair >> 4
                if hasHighBits { code |= (byte(16 + index) >> UInt8(part) & 1) << 4 }
                out[part * 32 + index] = step * Float(code) - offset
            }
        }
    case .q6_K:
        let scale = half(208)
        for part in 0..<8 {
            let half = part / 4, quarter = part % 4
            for index in 0..<32 {
                let pair = byte(64 * half + 32 * (quarter % 2) + index)
                let low = quarter < 2 ? pair & 15 : pair >> 4
                let high = byte(128 + 32 * half + index) >> UInt8(2 * quarter) & 3
                let element = part * 32 + index
                out[element] = scale * Float(signed(192 + element / 16)) * Float(Int(low | high << 4) - 32)
            }
        }
    }
}
