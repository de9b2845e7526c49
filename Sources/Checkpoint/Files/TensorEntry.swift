import Support

/// One weight of the model: where its bytes are and what they mean. No weight is read before it is asked for.
public struct TensorEntry: Sendable, Equatable {
    /// The name that is the same in every layout.
    public let canonicalName: String
    /// The name as the file spells it.
    public let sourceName: String
    public let dtype: ElementType
    /// Row-major. A 1x1 convolution has the shape [out, in] of the linear map that it is.
    public let shape: [Int]
    public let file: MappedFile
    /// Byte range in `file`; its length is `byteCount`. It starts at any byte, so the values may be unaligned.
    public let range: Range<UInt64>

    public var elementCount: Int { Int(range.upperBound - range.lowerBound) / dtype.blockBytes * dtype.blockElements }
    public var byteCount: Int { Int(range.upperBound - range.lowerBound) }

    /// The site for diagnostics about this tensor.
    public var site: Site { .tensor(sourceName, file: file.path) }

    public static func == (a: TensorEntry, b: TensorEntry) -> Bool {
        a.canonicalName == b.canonicalName && a.sourceName == b.sourceName && a.dtype == b.dtype && a.shape == b.shape
            && a.file === b.file && a.range == b.range
    }

    /// The stored bytes, little-endian, possibly unaligned; valid only inside `body`.
    public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        try file.withBytes(range, body)
    }

    /// Converts elements `elements` (flat indices) to 32-bit floats, exactly.
    public func readFloats(_ elements: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) {
        precondition(elements.lowerBound >= 0 && elements.upperBound <= elementCount && destination.count >= elements.count)
        let destination = UnsafeMutableBufferPointer(rebasing: destination[..<elements.count])
        file.withBytes(bytes(of: elements)) { bytes in
            if dtype.blockElements == 1 {
                widen(bytes, dtype, into: destination)
            } else {
                dequantizeBlocks(bytes, elements, into: destination)
            }
        }
    }

    /// The same; throws for a NaN or an infinity, naming the element. That of a quantised type has it from its block's scales.
    public func readFinite(_ elements: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>) throws(Diagnostic) {
        // Parts that are looked at while they are in the first cache, whole blocks of a quantised type.
        let part = 4096
        var first = elements.lowerBound
        while first < elements.upperBound {
            let end = min((first / part + 1) * part, elements.upperBound)
            let values = UnsafeMutableBufferPointer(rebasing: destination[first - elements.lowerBound..<end - elements.lowerBound])
            readFloats(first..<end, into: values)
            if let place = firstNotFinite(UnsafeBufferPointer(values)) {
                throw .error(
                    notFiniteName(values[place]) ?? "",
                    at: .element(elementPlace(first + place, in: shape), of: sourceName, file: file.path),
                    expected: "finite numbers")
            }
            first = end
        }
    }

    /// `bytes` are the blocks that hold `elements`, of which the first and the last may be needed in part.
    private func dequantizeBlocks(
        _ bytes: UnsafeRawBufferPointer, _ elements: Range<Int>, into destination: UnsafeMutableBufferPointer<Float>
    ) {
        guard let start = bytes.baseAddress, let out = destination.baseAddress else { return }
        let size = dtype.blockElements, first = elements.lowerBound / size
        withUnsafeTemporaryAllocation(of: Float.self, capacity: size) { part in
            var element = elements.lowerBound
            while element < elements.upperBound {
                let block = element / size
                let wanted = element..<min((block + 1) * size, elements.upperBound)
                let place = start + (block - first) * dtype.blockBytes
                if wanted.count == size {
                    dequantize(dtype, place, into: out + (element - elements.lowerBound))
                } else {
                    dequantize(dtype, place, into: part.baseAddress!)
                    (out + (element - elements.lowerBound)).update(from: part.baseAddress! + (element - block * size), count: wanted.count)
                }
                element = wanted.upperBound
            }
        }
    }

    private func bytes(of elements: Range<Int>) -> Range<UInt64> {
        let size = dtype.blockElements
        let first = elements.lowerBound / size
        let end = elements.isEmpty ? first : (elements.upperBound - 1) / size + 1
        return range.lowerBound + UInt64(first * dtype.blockBytes)..<range.lowerBound + UInt64(end * dtype.blockBytes)
    }

    /// All elements as 32-bit floats; for small tensors.
    public func floats() -> [Float] {
        [Float](unsafeUninitializedCapacity: elementCount) { buffer, count in
            readFloats(0..<elementCount, into: buffer)
            count = elementCount
        }
    }

    /// Whether both hold the same values, whatever their types; stops at the first that differs.
    func hasValues(of other: TensorEntry) -> Bool {
        guard elementCount == other.elementCount else { return false }
        if file === other.file, range == other.range, dtype == other.dtype { return true }
        let step = 1 << 20
        var values: [Float] = [], others: [Float] = []
        for start in stride(from: 0, to: elementCount, by: step) {
            let part = start..<min(start + step, elementCount)
            defer {
                release(part)
                other.release(part)
            }
            if dtype == other.dtype, file.hasBytes(bytes(of: part), of: other.file, other.bytes(of: part)) { continue }
            if values.isEmpty { (values, others) = ([Float](repeating: 0, count: step), [Float](repeating: 0, count: step)) }
            values.withUnsafeMutableBufferPointer { readFloats(part, into: $0) }
            others.withUnsafeMutableBufferPointer { other.readFloats(part, into: $0) }
            guard values[..<part.count] == others[..<part.count] else { return false }
        }
        return true
    }

    /// Gives the tensor's pages back to the system; the next access reads them again.
    public func release() { file.release(range) }

    /// The same for the pages of some elements.
    public func release(_ elements: Range<Int>) { file.release(bytes(of: elements)) }
}
