import Glibc
import IR
import Testing

@testable import Reference

/// SparseVLM's operations on rows that a person can check.
@Suite struct RecyclingTests {
    private func list(_ values: Int32...) -> Tensor { Tensor(shape: [values.count], values) }
    private func list(_ values: some Sequence<Int>) -> Tensor { Tensor(shape: [Array(values).count], values.map { Int32($0) }) }
    private func floats(_ shape: [Int], _ values: [Float]) -> Tensor { Tensor(shape: shape, values) }

    @Test func wordsThatAreLikeTheImageRate() throws {
        // The image's row is 2: shares of the words 0, 1 and 3 are 1, e^2 and e^6 over their sum.
        let x = floats([5, 1], [9, 2, 0, 1, 3])
        let tokens = list(5, -1, 6, 7, 8), slots = list(0, 0, 0, 0, 0)
        #expect(try evaluate(.raterRows(RaterRows()), [x, tokens, slots]) == list(0, 0, 0, 0, 1))
        // Equal shares are not above their mean, nor is that of one word: all rate.
        #expect(try evaluate(.raterRows(RaterRows()), [floats([5, 1], [9, 2, 3, 3, 3]), tokens, slots]) == list(0, 0, 1, 1, 1))
        #expect(try evaluate(.raterRows(RaterRows()), [x, list(5, 6, 7, -1, 8), slots]) == list(0, 0, 0, 0, 1))
        // Nobody without an image, or with nothing behind it.
        #expect(try evaluate(.raterRows(RaterRows()), [x, list(5, 5, 5, 5, 5), slots]) == list(0, 0, 0, 0, 0))
        #expect(try evaluate(.raterRows(RaterRows()), [x, list(5, 6, 7, 8, -1), slots]) == list(0, 0, 0, 0, 0))
        #expect(try evaluate(.raterRows(RaterRows()), [x, tokens, list(0, 0, 1, 1, 1)]) == list(0, 0, 0, 0, 0))
    }

    @Test func scoresAreDividedByTheRotaryKernel() throws {
        // Two heads of one pair; theta^0 = 1, so rows of ones pay 2/sqrt(2) cos(p - q). Keys are equal: row 3 pays a quarter to each row.
        let zeros = floats([4, 4], [Float](repeating: 0, count: 16))
        let tokens = list(5, -1, -2, 6), slots = list(0, 0, 0, 0), raters = list(0, 0, 0, 1), positions = list(0, 1, 3, 4)
        let op = RotaryScores(heads: 2, keyValueHeads: 2, scale: 1, best: 1, theta: 10)
        let scores = try evaluate(.rotaryScores(op), [zeros, zeros, tokens, slots, raters, positions]).floats
        func expected(_ distance: Double) -> Float { Float(0.25 / (2.0.squareRoot() * cos(distance))) }
        #expect(scores == [0, expected(3), expected(1), 0])
        // The first head pays all to row 2, at distance 1, the second all to row 1, where the kernel is negative: the first is better.
        let keys = floats([4, 4], [0, 0, 0, 0, 0, 0, 99, 0, 99, 0, 0, 0, 0, 0, 0, 0])
        let ones = floats([4, 4], [Float](repeating: 1, count: 16))
        let best = try evaluate(.rotaryScores(op), [ones, keys, tokens, slots, raters, positions]).floats
        #expect(best[1].magnitude < 1e-30 && best[2] == Float(1 / (2.0.squareRoot() * cos(1.0))))
    }

    @Test func ranksCount() throws {
        // Raters 4, 5 and 6 over three vision rows; the third is the sum of the others.
        let tokens = list(5, -1, -2, -3, 6, 7, 8), slots = list(0, 0, 0, 0, 0, 0, 0)
        func counts(_ scale: Float, _ bias: Float, _ rows: [Float]) throws -> Int32 {
            let matrix = floats([7, 3], [Float](repeating: 0, count: 12) + rows)
            let counts = try evaluate(
                .rankCounts(RankCounts(scale: scale, bias: bias)), [matrix, tokens, slots, list(0, 0, 0, 0, 1, 1, 1)])
            #expect(counts == Tensor(shape: [7], [Int32](repeating: counts.integers[0], count: 7)))
            return counts.integers[0]
        }
        #expect(try counts(0.8, 0, [1, 0, 2, 0, 1, 1, 1, 1, 3]) == 1)
        #expect(try counts(1, 0, [1, 0, 2, 0, 1, 1, 1, 1, 3]) == 2)
        #expect(try counts(9, 6, [1, 0, 2, 0, 1, 1, 1, 1, 3]) == 2)
        // A whole rank keeps all rows.
        #expect(try counts(0.8, 0, [1, 0, 2, 0, 1, 1, 1, 1, 4]) == 3)
        #expect(try counts(0.4, 0.7, [0, 0, 0, 0, 0, 0, 0, 0, 0]) == 0)
        // Below 3 * 2^-23 of the greatest singular value is nothing.
        #expect(try counts(1, 0, [1, 0, 0, 0, 3e-7, 0, 0, 0, 0]) == 1)
        #expect(try counts(1, 0, [1, 0, 0, 0, 4e-7, 0, 0, 0, 0]) == 2)
        let paid = try evaluate(
            .raterAttention(RaterAttention(heads: 1, keyValueHeads: 1, scale: 1, columns: 2)),
            [
                floats([4, 1], [0, 0, 0, 0]), floats([4, 1], [0, 0, 0, 0]), list(5, -1, 6, -2), list(0, 0, 0, 0), list(0, 0, 1, 1),
            ])
        #expect(paid == floats([4, 2], [0, 0, 0, 0, 1.0 / 3, 0, 0.25, 0.25]))
    }

    /// One slot of 24 vision rows, of which one stays; of the 23 others int(6.9) + 1 = 7 are recycled to one cluster.
    @Test func oneClusterIsTheMean() throws {
        let tokens = list([9] + (1...24).map { -$0 } + [8]), slots = list(Array(repeating: 0, count: 26))
        let scores = floats([26], [0] + (0..<24).map { Float(100 - $0) } + [0])
        let x = floats([26, 1], (0..<26).map { Float($0 * $0) })
        let density = try evaluate(.recycleDensity(RecycleDensity(Recycling(top: 1))), [x, scores, tokens, slots])
        #expect(
            density.floats[0...3] == [-1, -1, -1, -1]
                && density.floats[18...] == ([-2, -2] + [Float](repeating: -2, count: 30) + [-1, -1])[...])
        // c = 1: the nearest row is the row itself, so all are as dense, and the best score decides.
        #expect(stride(from: 4, to: 18, by: 2).allSatisfy { density.floats[$0] == 0 })
        #expect(density.floats[5] == 64 - 4 && density.floats[7] == 9 - 4 && density.floats[9] == 16 - 9)
        let rows = try evaluate(.recycleRows(RecycleRows(Recycling(top: 1), count: "K")), [density, scores, tokens, slots])
        #expect(rows == list(0, 1, 2, 25))
        let merged = try evaluate(.recycleMerge(RecycleMerge()), [x, density, slots, rows])
        let sum = (2...8).reduce(0.0) { $0 + Double($1 * $1) }
        #expect(merged == floats([4, 1], [0, 1, Float(sum / (7 + 1e-6)), 625]))
    }

    /// Forty rows of which 13 are recycled to two clusters: rows near 0 and rows near 10.
    @Test func clustersStandByTheirDensity() throws {
        let tokens = list([9] + (1...41).map { -$0 } + [8]), slots = list(Array(repeating: 0, count: 43))
        let scores = floats([43], [0] + (0..<41).map { Float(100 - $0) } + [0])
        // Vision rows 1 ... 13 behind the kept one: the rows at 10 lie closer together.
        let values: [Float] = [0, 0.5, 0.25, 10, 10.125, 10.0625, 10, 0.125, 0.75, 10, 10, 1, 10]
        let x = floats([43, 1], [7, 7] + values + [Float](repeating: 3, count: 27) + [7])
        let density = try evaluate(.recycleDensity(RecycleDensity(Recycling(top: 1))), [x, scores, tokens, slots])
        let rows = try evaluate(.recycleRows(RecycleRows(Recycling(top: 1), count: "K")), [density, scores, tokens, slots])
        // The densest row is the first at 10 by score, row 5; next is the one near 0 that is densest there, far from all denser rows.
        #expect(rows.integers.count == 5 && rows.integers[0...2] == [0, 1, 5] && rows.integers[4] == 42)
        #expect([2, 4, 9].contains(rows.integers[3]))
        let merged = try evaluate(.recycleMerge(RecycleMerge()), [x, density, slots, rows]).floats
        let far = values.filter { $0 > 5 }, near = values.filter { $0 < 5 }
        #expect(merged[2] == Float(Double(far.reduce(0, +)) / (Double(far.count) + 1e-6)))
        #expect(merged[3] == Float(Double(near.reduce(0, +)) / (Double(near.count) + 1e-6)))
        // With counts: three rows stay, and a slot that keeps all merges none.
        let three = try evaluate(
            .recycleDensity(RecycleDensity(Recycling(top: nil))), [x, scores, tokens, slots, list(Array(repeating: 3, count: 43))])
        #expect(three.floats[2...7] == [-1, -1, -1, -1, -1, -1] && three.floats[8] >= 0)
        let all = try evaluate(
            .recycleDensity(RecycleDensity(Recycling(top: nil))), [x, scores, tokens, slots, list(Array(repeating: 41, count: 43))])
        #expect(all.floats.allSatisfy { $0 == -1 })
    }
}
