/// The floats of an unquantised type that little-endian `source` holds, exactly; at least `destination.count` of them, at any alignment.
/// Wide vectors, because the conversion should not be slower than the disk.
func widen(_ source: UnsafeRawBufferPointer, _ type: ElementType, into destination: UnsafeMutableBufferPointer<Float>) {
    let source = UnsafeRawBufferPointer(rebasing: source[..<(destination.count * type.blockBytes)])
    switch type {
    case .float32: UnsafeMutableRawBufferPointer(destination).copyMemory(from: source)
    case .bfloat16: widenHalves(source, into: destination, widenedBFloat16)
    case .float16: widenHalves(source, into: destination, widenedFloat16)
    case .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q4_K, .q5_K, .q6_K: preconditionFailure("\(type) is quantised")
    }
}

private typealias Lanes = SIMD16<UInt32>

@inline(__always)
private func widenHalves(
    _ source: UnsafeRawBufferPointer, into destination: UnsafeMutableBufferPointer<Float>, _ convert: (Lanes) -> Lanes
) {
    guard let input = source.baseAddress, let output = destination.baseAddress else { return }
    let count = source.count / 2
    let raw = UnsafeMutableRawPointer(output)
    var index = 0
    while index + Lanes.scalarCount <= count {
        let halves = input.loadUnaligned(fromByteOffset: index * 2, as: SIMD16<UInt16>.self)
        raw.storeBytes(of: convert(Lanes(truncatingIfNeeded: halves)), toByteOffset: index * 4, as: Lanes.self)
        index += Lanes.scalarCount
    }
    while index < count {
        let half = UInt32(input.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self))
        output[index] = Float(bitPattern: convert(Lanes(repeating: half))[0])
        index += 1
    }
}

@inline(__always)
private func widenedBFloat16(_ halves: Lanes) -> Lanes { halves &<< 16 }

@inline(__always)
private func widenedFloat16(_ halves: Lanes) -> Lanes {
    let sign = (halves & 0x8000) &<< 16
    let magnitude = halves & 0x7FFF
    // Read as a float, the shifted bits are the value times 2^-112, subnormal or not.
    let scaled = unsafeBitCast(magnitude &<< 13, to: SIMD16<Float>.self) * Float(sign: .plus, exponent: 112, significand: 1)
    let special = (magnitude &<< 13) | 0x7F80_0000
    return unsafeBitCast(scaled, to: Lanes.self).replacing(with: special, where: magnitude .>= 0x7C00) | sign
}
