import Glibc
import IR
import Support
import Testing

@testable import Reference

/// Operations of reducers before the decoder, on numbers that a person can check.
@Suite struct PatchReductionTests {
    private func list(_ values: [Int32]) -> Tensor { Tensor(shape: [values.count], values) }
    private func floats(_ shape: [Int], _ values: [Float]) -> Tensor { Tensor(shape: shape, values) }
    private func run(_ op: Op, _ operands: Tensor...) throws -> Tensor {
        let type = try #require(try op.payload.resultType(operands.map(\.type)))
        let result = try evaluate(op, operands)
        #expect(type.dtype == result.type.dtype && type.rank == result.type.rank)
        return result
    }

    @Test func oneRowsAttentionIsSummedOverItsHeads() throws {
        // Two heads of one column: the keys are the scores, and the second head's are all alike.
        let keys = floats([3, 2], [0, 5, 1, 5, 2, 5])
        let sum = 1 + exp(0.5) + exp(1)
        let scores = try run(.rowAttention(RowAttention(heads: 2, scale: 0.5)), floats([1, 2], [1, 1]), keys)
        #expect(scores == floats([3], [1, exp(0.5), exp(1)].map { Float($0 / sum + 1.0 / 3) }))
    }

    @Test func bestPlaces() throws {
        let values = floats([6], [0.1, 0.5, .nan, 0.5, 0.3, 0.2])
        func top(_ rows: Int, _ order: TopRows.Order) throws -> Tensor { try run(.topRows(TopRows(rows: rows, order: order)), values) }
        #expect(try top(3, .score) == list([1, 3, 4]))
        #expect(try top(3, .index) == list([1, 3, 4]))
        #expect(try top(1, .score) == list([1]))
        #expect(try top(6, .score) == list([1, 3, 4, 5, 0, 2]))
        #expect(try top(5, .index) == list([0, 1, 3, 4, 5]))
    }

    @Test func whatAListDoesNotHold() throws {
        let op = Op.complementRows(ComplementRows(of: 6))
        #expect(try run(op, list([4, 0, 3])) == list([1, 2, 5]))
        // 3 stands twice, so that 0 is left out, the lowest that the list does not hold.
        #expect(try run(op, list([3, 5, 3])) == list([1, 2, 4]))
        #expect(try run(op, list([])) == list([0, 1, 2, 3, 4, 5]))
        #expect(throws: Diagnostic.error("row 6 of 6 does not exist")) { try evaluate(op, [list([6])]) }
        #expect(try run(.appendSamples(AppendSamples(start: 1, step: 3, rows: 2)), list([4, 0])) == list([4, 0, 1, 4]))
        #expect(try run(.padList(PadList(length: 3)), list([4, 0])) == list([4, 0, -1]))
    }

    @Test func metricOfRows() throws {
        #expect(try run(.meanHeads(MeanHeads(heads: 2)), floats([2, 4], [1, 2, 5, 4, 0, 8, 2, 0])) == floats([2, 2], [3, 3, 1, 4]))
        let unit = Op.unitRows(UnitRows(epsilon: 2))
        #expect(try run(unit, floats([3, 2], [3, 4, 0, 1, 0, 0])) == floats([3, 2], [0.6, 0.8, 0, 0.5, 0, 0]))
    }

    @Test func rowsJoinTheirCentres() throws {
        // Centres are the rows 0 and 2; row 4 is as near to both, and the row behind the last centre is none.
        let x = floats([5, 2], [1, 0, 0.6, 0.8, 0, 1, 0.8, 0.6, 0.5, 0.5])
        let clusters = try run(.clusterRows(ClusterRows(step: 2, count: 2)), x)
        #expect(clusters == list([-1, 1, -1, 0, 0]))
        let joined = try run(.segmentMeans(SegmentMeans(count: 3)), floats([5, 1], [9, 2, 9, 3, 5]), clusters)
        #expect(joined == floats([3, 1], [4, 2, 0]))
        #expect(throws: Diagnostic.error("segment 1 of 1 does not exist")) {
            try evaluate(.segmentMeans(SegmentMeans(count: 1)), [floats([1, 1], [2]), list([1])])
        }
    }

    /// Quartiles of 0 ... 11 and two greater ones lie at 3.25 and 9.75: above 19.5 is an outlier.
    @Test(arguments: [(19.5, [13]), (20, [13, 12])] as [(Float, [Int32])]) func outliers(_ value: Float, _ expected: [Int32]) throws {
        let values = floats([14], (0..<12).map { Float($0) } + [value, 30])
        #expect(try run(.outlierRows(OutlierRows(factor: 1.5, count: "O")), values) == list(expected))
    }

    @Test func outliersWithSamples() throws {
        func sampled(_ values: [Float]) throws -> Tensor {
            try run(.outlierRows(OutlierRows(factor: 1.5, isSampled: true, count: "O")), floats([values.count], values))
        }
        // 2 of 16 are an eighth: every 8/3, so every second. The last is never taken, nor what stands there already.
        var values = [Float](repeating: 0, count: 16)
        (values[4], values[9]) = (1, 2)
        #expect(try sampled(values) == list([9, 4, 0, 2, 6, 8, 10, 12, 14]))
        #expect(try sampled([Float](repeating: 1, count: 16)) == list([]))
        // 4 of 16: every one.
        for index in [3, 5, 7] { values[index] = 1 }
        values[4] = 0
        #expect(try sampled(values) == list([9, 3, 5, 7, 0, 1, 2, 4, 6, 8, 10, 11, 12, 13, 14]))
        // 49 * (1/49) is a little less than 1 in double precision: the outlier is lost, and every 16th is taken.
        var many = [Float](repeating: 0, count: 49)
        many[20] = 1
        #expect(try sampled(many) == list([0, 16, 32]))
    }

    @Test func neighboursAreAdded() throws {
        let x = floats([5, 1], [1, 10, 100, 1000, 10000]), weights = floats([5], [0.5, 0.25, 1, 2, 4])
        let keys = floats([5, 2], [1, 0, 0.8, 0.6, 0.6, 0.8, 0, 1, -1, 0])
        func merged(_ kept: [Int32], _ rest: [Int32], _ neighbours: Int) throws -> [Float] {
            try run(.mergeNeighbours(MergeNeighbours(neighbours: neighbours)), x, keys, weights, list(kept), list(rest)).floats
        }
        // What the rows add is 0.5, 2.5, 100, 2000 and 40000. To row 0 the rows 1 and 2 are nearest, to row 3 the rows 2 and 1, kept or not.
        #expect(try merged([0, 3], [1, 2, 4], 2) == [103.5, 1102.5, 40102.5] as [Float])
        #expect(try merged([2], [0, 1, 3, 4], 9) == [42103, 42003] as [Float])
        #expect(try merged([], [0, 1, 2, 3, 4], 1) == [42103] as [Float])
        // Row 1 is its twin's nearest; row 0 is left out of everything.
        #expect(try merged([1, 1], [2, 3, 4], 1) == [12.5, 12.5, 42100] as [Float])
    }
}
