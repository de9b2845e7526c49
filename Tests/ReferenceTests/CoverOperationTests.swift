import Glibc
import IR
import Support
import Testing

@testable import Reference

/// Operations of reducers that choose patches by the question, on numbers that a person can check.
@Suite struct CoverOperationTests {
    private func floats(_ shape: [Int], _ values: [Float]) -> Tensor { Tensor(shape: shape, values) }

    private func cover(_ keep: Int, _ a: Tensor, _ b: Tensor, weight: Float = 1, patch: Int = 1, bars: [Int32]? = nil) throws -> [Int32] {
        let op = Op.greedyCover(GreedyCover(keep: keep, weight: weight, patch: patch, hasBars: bars != nil))
        let operands = [a, b] + (bars.map { [Tensor(shape: [4], $0)] } ?? [])
        #expect(try op.payload.resultType(operands.map(\.type)) == TensorType(.int32, fixed: [keep]))
        return try evaluate(op, operands).integers
    }

    @Test func rowsShareTheirSoftmax() throws {
        let shares = try evaluate(
            .softmaxSimilarity(SoftmaxSimilarity(temperature: 0.5)), [floats([2, 2], [1, 0, 0, 2]), floats([3, 2], [1, 0, 0, 1, 1, 1])])
        // The scores are 2, 0, 2 and 0, 4, 4.
        let (two, four): (Double, Double) = (exp(2.0), exp(4.0))
        let first = 2 * (2 * two + 1), second = 2 * (1 + 2 * four)
        let expected: [Double] = [two / first, 1 / first, two / first, 1 / second, four / second, four / second]
        #expect(shares.shape == [2, 3])
        #expect(zip(shares.floats, expected).allSatisfy { abs(Double($0) - $1) < 1e-7 })
    }

    @Test func whatAddsMostIsTaken() throws {
        // Column 0 is best by itself; 2 adds more to it than 1 does, whose rows it covers.
        let a = floats([3, 4], [5, 4, 0, 0, 5, 4, 0, 0, 0, 0, 3, 1]), none = floats([1, 4], [0, 0, 0, 0])
        #expect(try cover(1, a, none) == [0])
        #expect(try cover(2, a, none) == [0, 2])
        // Nothing more is covered: the lowest that is left.
        #expect(try cover(3, a, none) == [0, 1, 2])
        // The weight of the second matrix decides.
        let b = floats([1, 4], [0, 0, 0, 8])
        #expect(try cover(1, a, b) == [0])
        #expect(try cover(1, a, b, weight: 2) == [3])
        // The lower of equal ones.
        #expect(try cover(2, floats([1, 4], [1, 2, 2, 2]), none) == [0, 1])
        // Values below 0 are no worse than none.
        #expect(try cover(1, floats([2, 4], [-9, 0, 1, 0, 2, 0, 0, 0]), none) == [0])
    }

    @Test func noPatchWithinABarIsTaken() throws {
        let a = floats([1, 16], (0..<16).map { Float(16 - $0) }), none = floats([1, 16], Array(repeating: 0, count: 16))
        func chosen(_ keep: Int, _ bars: [Int32]) throws -> [Int32] { try cover(keep, a, none, patch: 10, bars: bars) }
        #expect(try chosen(1, [9, 9, 9, 9]) == [0])
        #expect(try chosen(1, [10, 0, 0, 0]) == [4])
        #expect(try chosen(1, [19, 0, 29, 0]) == [6])
        #expect(try chosen(16, [0, 20, 0, 0]) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7])
        #expect(try chosen(3, [10, 10, 10, 10]) == [5, 6, 9])
        // Patch 0 stands for each that cannot be taken.
        #expect(try chosen(3, [0, 30, 30, 0]) == [0, 0, 3])
        #expect(try chosen(2, [40, 0, 0, 0]) == [0, 0])
    }
}
