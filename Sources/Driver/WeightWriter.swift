import Checkpoint
import IR
import Plan
import Reference
import Support

/// Streams a plan's weights into a file as little-endian 32-bit floats, on two threads, in bounded memory whatever their
/// size: sources are mapped, and their pages are given back as they are read.
struct WeightWriter: Sendable {
    let module: Module
    let plan: Plan
    let checkpoint: Checkpoint

    /// For the buffers of one thread.
    static let bufferBytes = 16 << 20
    static let threads = 2

    /// Writes every weight at its offset behind `base`. Gaps stay holes. `advance` hears of bytes written, from any thread.
    func write(to file: StreamedFile, at base: Int, advance: @escaping @Sendable (Int) -> Void) throws(Diagnostic) {
        let sources = try sourceEntries()
        let weights = plan.weights
        try inParallel(weights.count, jobs: Self.threads) { index throws(Diagnostic) in
            let weight = weights[index]
            let evaluator = WeightEvaluator(module) { (source, range, buffer) throws(Diagnostic) in
                guard let entry = sources[source.name] else {
                    throw .error("the checkpoint has no tensor \(quoted(source.name))", at: .operation("@\(weight.name)"))
                }
                widen(entry, range, into: buffer)
            }
            try evaluator.forEachBlock(of: weight.name, maximumBytes: Self.bufferBytes) { (first, values) throws(Diagnostic) in
                guard (first + values.count) * 4 <= weight.byteCount else {
                    throw .error("weight '@\(weight.name)' has more elements than its \(weight.byteCount) bytes hold")
                }
                try file.write(UnsafeRawBufferPointer(values), at: base + weight.offset + first * 4)
                advance(values.count * 4)
            }
        }
    }

    /// The checkpoint's tensors by the name that their file gives them, as the IR names its sources.
    private func sourceEntries() throws(Diagnostic) -> [String: TensorEntry] {
        var entries: [String: TensorEntry] = [:]
        for entry in checkpoint.tensors.values {
            if let other = entries.updateValue(entry, forKey: entry.sourceName), other != entry, other.range != entry.range || other.file !== entry.file {
                throw .error(
                    "the tensor is also in \(quoted(other.file.path)), as another part of the model", at: entry.site, expected: "distinct names")
            }
        }
        return entries
    }
}

/// Elements `elements` of a stored tensor as 32-bit floats, exactly.
func widen(_ entry: TensorEntry, _ elements: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) {
    precondition(elements.lowerBound >= 0 && elements.upperBound <= entry.elementCount && destination.count >= elements.count)
    widen(
        entry.file, from: entry.range.lowerBound + UInt64(elements.lowerBound * entry.dtype.size), entry.dtype,
        into: UnsafeMutableBufferPointer(rebasing: destination[..<elements.count]))
}

/// `destination.count` elements that begin at byte `start` of a file; then lets go of the pages that were read.
/// Wide vectors, because the conversion should not be slower than the disk.
func widen(_ file: MappedFile, from start: UInt64, _ type: ElementType, into destination: UnsafeMutableBufferPointer<Float>) {
    let bytes = start..<start + UInt64(destination.count * type.size)
    file.withBytes(bytes) { source in
        switch type {
        case .float32: UnsafeMutableRawBufferPointer(destination).copyMemory(from: source)
        case .bfloat16: widenHalves(source, into: destination, widenedBFloat16)
        case .float16: widenHalves(source, into: destination, widenedFloat16)
        }
    }
    file.release(bytes)
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
