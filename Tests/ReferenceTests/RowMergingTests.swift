import IR
import Support
import Testing

@testable import Reference

/// The operations by which rows of a tower merge, on numbers that a person can check.
@Suite struct RowMergingTests {
    private func list(_ values: Int32...) -> Tensor { Tensor(shape: [values.count], values) }
    private func floats(_ shape: [Int], _ values: Float...) -> Tensor { Tensor(shape: shape, values) }
    private func run(_ op: Op, _ operands: Tensor...) throws -> Tensor {
        let type = try #require(try op.payload.resultType(operands.map(\.type)))
        let result = try evaluate(op, operands)
        #expect(type == result.type)
        return result
    }
    private func match(_ merges: Int, _ x: Tensor) throws -> Tensor { try run(.matchRows(MatchRows(merges: merges)), x) }

    @Test func candidatesJoinTheirTargets() throws {
        // Candidates are the rows 2, 4 and 6, whose best products are 3 with row 3, 1 with row 1 and 2 with row 5.
        let x = floats([7, 3], 9, 9, 9, 1, 0, 0, 0, 3, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 2)
        // Row 0 stays although it is most like all of them.
        #expect(try match(1, x) == list(0, 3, 4, 4, 1, 5, 2))
        #expect(try match(2, x) == list(0, 2, 3, 3, 1, 4, 4))
        #expect(try match(3, x) == list(0, 1, 2, 2, 1, 3, 3))
    }

    @Test func lowerRowsComeFirst() throws {
        // All products are equal: rows 2 and 4 join the first target. Of an even number of rows the last is a target.
        let alike = floats([8, 1], 1, 1, 1, 1, 1, 1, 1, 1)
        #expect(try match(2, alike) == list(0, 2, 2, 3, 2, 4, 1, 5))
        // A NaN is below all products, and where all are, the first target is the best.
        let strange = floats([7, 1], 1, .nan, .nan, -1, 1, -2, 1)
        #expect(try match(2, strange) == list(0, 2, 1, 3, 3, 4, 3))
        #expect(try match(3, strange) == list(0, 1, 1, 2, 2, 3, 2))
    }

    /// Rows 0 to 6 become four: 2 and 4 join 3, 6 joins 1.
    @Test func placesOfRows() throws {
        let rows = list(0, 1, 2, 2, 2, 3, 1)
        #expect(try run(.rowPlaces(RowPlaces(count: 4)), rows) == list(-1, 0, 2, 4))
        let places = list(-1, 20, 30, 40, 50, 60, 70)
        #expect(try run(.rowPlaces(RowPlaces(count: 4, hasPlaces: true)), rows, places) == list(-1, 20, 40, 60))
        #expect(try run(.rowPlaces(RowPlaces(count: 4)), list(0, 2, 1, 3)) == list(-1, 1, 0, 2))
    }

    @Test func segments() throws {
        let rows = list(1, 0, 1, -1, 1)
        #expect(try run(.segmentSizes(SegmentSizes(count: 3)), rows) == floats([3], 1, 3, 0))
        let weights = floats([5], 1, 2, 3, 4, 0.5)
        #expect(try run(.segmentSizes(SegmentSizes(count: 3, hasWeights: true)), rows, weights) == floats([3], 2, 4.5, 0))
        let x = floats([5, 2], 4, 8, 5, 6, 2, 1, 100, 100, -2, 2)
        let means = try run(.segmentMeans(SegmentMeans(count: 3, hasWeights: true)), x, rows, weights)
        #expect(means == floats([3, 2], 5, 6, 2, 12 / 4.5, 0, 0))
        #expect(throws: Diagnostic.error("segment 1 of 1 does not exist")) { try evaluate(.segmentSizes(SegmentSizes(count: 1)), [rows]) }
    }

    @Test func logarithms() throws {
        let logarithms = try run(.log(Logarithm()), floats([4], 1, 3, 0, -1)).floats
        #expect(Array(logarithms[..<3]) == [0, 1.0986122886681098, -.infinity] && logarithms[3].isNaN)
    }
}
