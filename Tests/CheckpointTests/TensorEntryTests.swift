import Support
import TestSupport
import Testing

@testable import Checkpoint

@Suite struct TensorEntryTests {
    private let folder = TemporaryFolder()

    /// An entry whose bytes begin at an odd offset.
    private func entry(_ dtype: ElementType, _ bytes: [UInt8]) throws -> TensorEntry {
        let file = try MappedFile(path: folder.write("\(dtype)", [0xAA, 0xAA, 0xAA] + bytes + [0xAA]))
        return TensorEntry(
            canonicalName: "a", sourceName: "b", dtype: dtype, shape: [bytes.count / dtype.blockBytes * dtype.blockElements], file: file,
            range: 3..<UInt64(3 + bytes.count))
    }

    private func bytes<T: FixedWidthInteger>(_ values: [T]) -> [UInt8] {
        values.flatMap { value in withUnsafeBytes(of: value.littleEndian) { Array($0) } }
    }

    @Test func sizes() throws {
        #expect(ElementType.floats.map(\.blockBytes) == [4, 2, 2])
        for type in StorageType.OtherType.allCases {
            let stored = try #require(StorageType(name: type.rawValue))
            #expect(stored == .other(type) && stored.name == type.rawValue && stored.elementType == nil)
            #expect([1, 2, 4, 8].contains(stored.size))
        }
        for type in ElementType.allCases {
            let stored = try #require(StorageType(name: type.rawValue))
            #expect(stored.elementType == type && stored.name == type.rawValue)
            #expect(stored.size == (ElementType.floats.contains(type) ? type.blockBytes : nil))
        }
        let half = try entry(.float16, [0, 0, 0, 0])
        #expect(half.elementCount == 2 && half.byteCount == 4)
        #expect(half.withBytes { $0.count } == 4)
    }

    @Test func float32() throws {
        let values: [Float] = [0, -0.0, 1.5, .infinity, .leastNonzeroMagnitude, -3.25e20]
        let entry = try entry(.float32, bytes(values.map(\.bitPattern)))
        #expect(entry.floats().map(\.bitPattern) == values.map(\.bitPattern))
    }

    @Test func bfloat16() throws {
        let entry = try entry(.bfloat16, bytes([0x3F80, 0xC040, 0x0001, 0x7F80, 0x8000] as [UInt16]))
        #expect(entry.floats().map(\.bitPattern) == [0x3F80_0000, 0xC040_0000, 0x0001_0000, 0x7F80_0000, 0x8000_0000])
    }

    @Test func everyFiniteFloat16() throws {
        let patterns = (UInt16.min ... .max).filter { $0 & 0x7C00 != 0x7C00 }
        let floats = try entry(.float16, bytes(patterns)).floats()
        for (pattern, value) in zip(patterns, floats) {
            let exponent = Int(pattern >> 10 & 31), mantissa = Float(pattern & 1023)
            // By the definition of the format, not by the conversion under test.
            var expected =
                exponent == 0 ? mantissa / 16_777_216 : (1 + mantissa / 1024) * Float(sign: .plus, exponent: exponent - 15, significand: 1)
            if pattern >> 15 == 1 { expected = -expected }
            #expect(value.bitPattern == expected.bitPattern)
            if value.bitPattern != expected.bitPattern { break }
        }
        #expect(try entry(.float16, [0x00, 0x7C]).floats() == [.infinity])
        #expect(try entry(.float16, [0x01, 0x7E]).floats()[0].isNaN)
    }

    /// All 65536 halves in parts of every kind of length: whole vectors, vectors and a rest, a rest alone, none.
    @Test(arguments: [ElementType.float16, .bfloat16]) func partsOfHalves(_ dtype: ElementType) throws {
        let patterns = Array(UInt16.min ... .max)
        let entry = try entry(dtype, bytes(patterns))
        for (first, count) in [(0, 65536), (1, 15), (3, 16), (5, 17), (31, 1000), (65535, 1), (7, 0)] {
            var floats = [Float](repeating: .nan, count: count)
            floats.withUnsafeMutableBufferPointer { entry.readFloats(first..<first + count, into: $0) }
            let wrong = floats.indices.filter { index in
                let half = patterns[first + index], value = floats[index]
                let expected = dtype == .float16 ? Float(Float16(bitPattern: half)) : Float(bitPattern: UInt32(half) << 16)
                return expected.isNaN ? !value.isNaN : value.bitPattern != expected.bitPattern
            }
            #expect(wrong.isEmpty, "\(wrong.count) of \(count) from \(first) on, the first is \(first + (wrong.first ?? 0))")
        }
    }

    /// What the element at the place of the first that is not finite is called, and its place, over several parts.
    @Test(arguments: ElementType.floats, [0, 1, 255, 256, 4095, 4096, 9000, 9999])
    func elementsThatAreNotFinite(_ dtype: ElementType, _ place: Int) throws {
        for (wide, half, brain, name) in [(Float.nan, 0x7E01, 0xFFC0, "a NaN"), (-.infinity, 0xFC00, 0x7F80, "an infinity")]
            as [(Float, UInt16, UInt16, String)]
        {
            var tensor: TensorEntry
            switch dtype {
            case .float32: tensor = try entry(dtype, bytes((0..<10_000).map { ($0 == place ? wide : Float($0)).bitPattern }))
            case .float16: tensor = try entry(dtype, bytes((0..<10_000).map { $0 == place ? half : UInt16($0) }))
            default: tensor = try entry(dtype, bytes((0..<10_000).map { $0 == place ? brain : UInt16($0) }))
            }
            #expect(
                refusal(tensor, 0..<10_000)
                    == .error(name, at: .element("(element \(place))", of: "b", file: tensor.file.path), expected: "finite numbers"))
            #expect(refusal(tensor, 0..<place) == nil && refusal(tensor, place + 1..<10_000) == nil)
            tensor = TensorEntry(
                canonicalName: "a", sourceName: "b", dtype: dtype, shape: [100, 100], file: tensor.file, range: tensor.range)
            #expect(
                refusal(tensor, place..<place + 1)?.site
                    == .element("(row \(place / 100), column \(place % 100))", of: "b", file: tensor.file.path))
        }
    }

    /// A scale, or a minimum, of a block that is a NaN or infinite makes elements that are; their first is named.
    @Test(arguments: [
        (ElementType.q8_0, 0), (.q4_0, 0), (.q4_1, 0), (.q4_1, 2), (.q5_0, 0), (.q5_1, 0), (.q5_1, 2), (.q4_K, 0), (.q4_K, 2), (.q5_K, 0),
        (.q5_K, 2), (.q6_K, 208),
    ])
    func scalesThatAreNotFinite(_ dtype: ElementType, _ place: Int) throws {
        for scale in [0x7C00, 0xFC00, 0x7E00, 0xFFFF] as [UInt16] {
            // The second of three blocks of small finite numbers gets this scale.
            var data = [UInt8](repeating: 0x11, count: 3 * dtype.blockBytes)
            #expect(refusal(try entry(dtype, data), 0..<3 * dtype.blockElements) == nil)
            (data[dtype.blockBytes + place], data[dtype.blockBytes + place + 1]) = (UInt8(scale & 255), UInt8(scale >> 8))
            let tensor = try entry(dtype, data)
            let found = try #require(refusal(tensor, 0..<3 * dtype.blockElements))
            #expect(found.site == .element("(element \(dtype.blockElements))", of: "b", file: tensor.file.path), "\(dtype)")
        }
    }

    private func refusal(_ tensor: TensorEntry, _ range: Range<Int>) -> Diagnostic? {
        var floats = [Float](repeating: 0, count: range.count)
        do throws(Diagnostic) {
            try floats.withUnsafeMutableBufferPointer { buffer throws(Diagnostic) in try tensor.readFinite(range, into: buffer) }
            return nil
        } catch { return error }
    }

    @Test func partsOfATensor() throws {
        let entry = try entry(.bfloat16, bytes([0x3F80, 0x4000, 0x4040, 0x4080] as [UInt16]))
        var part = [Float](repeating: 9, count: 3)
        part.withUnsafeMutableBufferPointer { entry.readFloats(1..<3, into: $0) }
        #expect(part == [2, 3, 9])
        entry.release()
        #expect(entry.floats() == [1, 2, 3, 4])
    }
}
