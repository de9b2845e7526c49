import Widen

/// The index of the first NaN or infinity.
public func firstNotFinite(_ values: UnsafeBufferPointer<Float>) -> Int? {
    guard let start = values.baseAddress else { return nil }
    let index = lmmc_first_not_finite(values.count, start)
    return index < values.count ? index : nil
}

/// The floats of an unquantised type that little-endian `source` holds, exactly; at least `destination.count` of them, at any alignment.
func widen(_ source: UnsafeRawBufferPointer, _ type: ElementType, into destination: UnsafeMutableBufferPointer<Float>) {
    let source = UnsafeRawBufferPointer(rebasing: source[..<(destination.count * type.blockBytes)])
    guard let input = source.baseAddress, let output = destination.baseAddress else { return }
    switch type {
    case .float32: UnsafeMutableRawBufferPointer(destination).copyMemory(from: source)
    case .bfloat16: lmmc_widen_bf16(destination.count, input, output)
    case .float16: lmmc_widen_f16(destination.count, input, output)
    case .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q4_K, .q5_K, .q6_K: preconditionFailure("\(type) is quantised")
    }
}
