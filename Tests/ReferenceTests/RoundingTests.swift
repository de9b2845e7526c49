import IR
import Support
import TestSupport
import Testing

@testable import Reference

/// What the formats of blocks stand for, against bounds that follow from their definitions.
@Suite struct RoundingTests {
    private func noise(_ name: String, _ shape: [Int]) -> Tensor { Tensor(shape: shape, SeededGenerator.noise(name, shape.reduce(1, *))) }

    /// The greatest magnitude of each block of 64 along the rows, per element.
    private func largest(_ tensor: Tensor) -> [Float] {
        let width = tensor.shape[1]
        return tensor.floats.indices.map { index in
            let (row, column) = (index / width, index % width)
            let start = column / 64 * 64
            return (start..<min(start + 64, width)).map { abs(tensor.floats[row * width + $0]) }.max()!
        }
    }

    @Test func bfloat16IsTheNearest() {
        // 1 + 2^-8 lies between two values: the even one is 1. One more bit decides for the upper one.
        #expect(bfloat16Value(1 + 0x1p-8) == 1)
        #expect(bfloat16Value(1 + 0x1p-8 + 0x1p-20) == 1 + 0x1p-7)
        #expect(bfloat16Value(1 + 0x3p-8) == 1 + 0x1p-6)
        #expect(bfloat16Value(-0.0).sign == .minus && bfloat16Value(.infinity) == .infinity && bfloat16Value(.nan).isNaN)
    }

    @Test(arguments: [1, 63, 64, 65, 200]) func rowsAreOffByHalfAStep(_ width: Int) {
        let x = noise("x", [3, width])
        let y = quantized(x, to: .int8)
        #expect(y.elements.dtype == .int8Rows && y.shape == x.shape)
        for ((x, y), top) in zip(zip(x.floats, y.floats), largest(x)) {
            // Half a step, and float32's rounding of scale * code.
            #expect(abs(x - y) <= top / 127 * 0.5 + top * 0x1p-23)
        }
        // A code of 127 stands for the greatest magnitude itself.
        #expect(zip(zip(x.floats, y.floats), largest(x)).allSatisfy { abs($0.0) != $1 || abs($0.0 - $0.1) <= $1 * 0x1p-23 })
    }

    @Test func zerosStayZeros() {
        #expect(quantized(Tensor(shape: [1, 70], [Float](repeating: 0, count: 70)), to: .int8).floats.allSatisfy { $0 == 0 })
    }

    @Test(arguments: [PanelType.bfloat16, .int8, .int4], [(1, 1), (32, 64), (33, 65), (70, 130)])
    func panelsAreWithinTheirStep(_ type: PanelType, _ shape: (Int, Int)) throws {
        let w = noise("w", [shape.0, shape.1])
        let packed = try pack(Pack(type), w)
        #expect(packed.elements.dtype == type.dtype && packed.shape == w.shape)
        for ((w, p), top) in zip(zip(w.floats, packed.floats), largest(w)) {
            // Half a step of the widest block that there can be, and half a float16 of a scale (2^-11).
            let step: Float
            switch type {
            case .bfloat16: step = abs(w) * 0x1p-8
            case .int8: step = top * (1 / 254 + 0x1p-11)
            // 15 steps from the least to the greatest; the least squares may trade the ends for the middle.
            case .int4: step = 2 * top / 15 * 1.5
            }
            #expect(abs(w - p) <= step, "\(type) \(shape)")
        }
    }

    /// Rounding knows no magnitudes: times a power of two before is times it after.
    @Test(arguments: [PanelType.bfloat16, .int8, .int4], [-100, -20, 20, 100])
    func panelsOfAnyMagnitude(_ type: PanelType, _ exponent: Int) throws {
        let w = noise("w", [33, 130]), power = Float(sign: .plus, exponent: exponent, significand: 1)
        let (packed, scaled) = (try pack(Pack(type), w), try pack(Pack(type), Tensor(shape: w.shape, w.floats.map { $0 * power })))
        #expect(scaled.floats == packed.floats.map { $0 * power })
    }

    @Test(arguments: [PanelType.bfloat16, .int8, .int4], [Float.nan, .infinity, -.infinity, .greatestFiniteMagnitude])
    func panelsHoldFiniteNumbers(_ type: PanelType, _ x: Float) {
        #expect(throws: Diagnostic.self) { try pack(Pack(type), Tensor(shape: [2, 3], [1, 2, 3, 4, x, 6])) }
        #expect(!type.holds(x) && type.holds(0x1.8p126))
    }
}
