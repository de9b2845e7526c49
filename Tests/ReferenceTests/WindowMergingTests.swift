import IR
import Support
import Testing

@testable import Reference

/// Windows of patches that become one row, rows that leave by thresholds and what is left in caches, on numbers that a person can check.
@Suite struct WindowMergingTests {
    private func list(_ values: Int32...) -> Tensor { Tensor(shape: [values.count], values) }
    private func floats(_ shape: [Int], _ values: Float...) -> Tensor { Tensor(shape: shape, values) }
    private func run(_ op: Op, _ operands: Tensor...) throws -> Tensor {
        _ = try op.payload.resultType(operands.map(\.type))
        return try evaluate(op, operands)
    }

    /// 4 x 4 patches in windows of 2 x 2, each of one value.
    private let grid = Tensor(shape: [16, 1], [1, 1, 3, 3, 1, 1, 3, 3, 0.5, 0.5, 2, 2, 0.5, 0.5, 2, 2] as [Float])

    @Test func likeWindowsMerge() throws {
        func list(_ similarity: Float, _ window: Int = 2, of x: Tensor? = nil) throws -> [Int32] {
            try run(.similarWindows(SimilarWindows(window: window, similarity: similarity, count: "V")), x ?? grid).integers
        }
        #expect(try list(4) == [2, 10, 0, 1, 4, 5, 8, 9, 12, 13])
        #expect(try list(0) == [2, 10, 0, 8])
        #expect(try list(9.5) == Array(0..<16))
        let equal = Tensor(shape: [16, 1], [Float](repeating: 1, count: 16))
        #expect(try list(1, of: equal) == [0, 2, 8, 10])
        #expect(try list(1, 4, of: equal) == [0])
        var strange = equal.floats
        strange[2] = .nan
        #expect(try list(1, of: Tensor(shape: [16, 1], strange)) == [0, 8, 10, 2, 3, 6, 7])
        // A row does not count as its own neighbour.
        #expect(try list(0, of: floats([4, 2], 1, 0, -1, 0, 0, 1, 0, -1)) == [0, 1, 2, 3])
    }

    @Test func meansStandFirst() throws {
        let means = Op.windowMeans(WindowMeans(window: 2))
        var x = grid.floats
        x[15] = 6
        #expect(
            try run(means, Tensor(shape: [16, 1], x), list(2, 10, 0, 1, 4, 5, 8, 9, 12, 13)).floats == [
                3, 3, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5,
            ])
        #expect(try run(means, grid, Tensor(shape: [16], (0..<16).map { Int32($0) })) == grid)
        #expect(throws: Diagnostic.error("row 14 of 16 does not exist")) { try run(means, grid, list(14)) }
    }

    @Test func aShareIsMarked() throws {
        let scores = floats([7], 1, 5, .nan, 5, 2, -1, 0)
        func marks(_ part: Int, _ of: Int) throws -> [Int32] { try run(.keyRows(KeyRows(part: part, of: of)), scores).integers }
        #expect(try marks(2, 7) == [0, 1, 0, 1, 0, 0, 0])
        #expect(try marks(1, 7) == [0, 1, 0, 0, 0, 0, 0])
        #expect(try marks(30, 100) == [0, 1, 0, 1, 1, 0, 0])
        #expect(try marks(1, 1) == [1, 1, 1, 1, 1, 1, 1])
        #expect(try marks(0, 1) == [0, 0, 0, 0, 0, 0, 0])
        // The published share of 576 and of 512 rows
        #expect(KeyRows(part: 8, of: 100).rows(of: 576) == 47 && KeyRows(part: 8, of: 100).rows(of: 512) == 41)
        #expect(KeyRows(part: 8, of: 100).rows(of: 25) == 2)
    }

    private let tokens = Tensor(shape: [13], [5, -1, -2, -3, 6, 7, -3, 8, 9, 9, 3, -1, -2] as [Int32])
    private let slots = Tensor(shape: [13], [4, 4, 4, 4, 4, 2, 2, 2, 0, 0, 1, 1, 1] as [Int32])

    @Test func textBehindTheImageRates() throws {
        #expect(try run(.postRows(PostRows()), tokens, slots) == list(0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0))
    }

    @Test func rowsLeaveByBothThresholds() throws {
        let sums = floats([13], 0, 1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1),
            most = floats([13], 0, 0.5, 0.5, 0.9, 0, 0, 0.1, 0, 9, 9, 0, 0.1, 0.1)
        func dropped(_ global: Float, _ individual: Float, _ sums: Tensor, protected: Tensor? = nil) throws -> [Int32] {
            let op = Op.thresholdRows(ThresholdRows(global: global, individual: individual, count: "K"))
            let kept = try run(op, sums, most, tokens, slots, protected ?? list(0, 0, 0)).integers
            return (0..<13).filter { !kept.contains($0) }
        }
        #expect(try dropped(0.3, 0.8, sums) == [1])
        #expect(try dropped(0.3, 1, sums) == [1, 3])
        #expect(try dropped(0.25, 1, sums) == [])
        // What the next token follows stays.
        #expect(try dropped(2, 2, sums) == [1, 2, 3, 6, 11])
        #expect(try dropped(2, 2, sums, protected: list(0, 0, 1)) == [1, 2, 11])
        var strange = sums.floats
        strange[1] = .nan
        #expect(try dropped(2, 2, Tensor(shape: [13], strange)) == [6, 11])
        #expect(throws: Diagnostic.error("row 2 of 2 does not exist")) { try dropped(2, 2, sums, protected: list(0, 0)) }
    }

    @Test func cachesKeepWhatIsLeft() throws {
        // Slot 0 holds three rows before the call's two, slot 2 its three.
        let cache = Tensor(shape: [3, 5, 2], (0..<30).map { Float($0) })
        let lengths = list(5, 4, 3), slots = list(2, 2, 2, 0, 0), rows = list(0, 2, 4)
        let kept = try outcome(of: .cacheKeep(CacheKeep()), [cache, lengths, slots, rows])
        var expected = cache.floats
        expected.replaceSubrange(22..<24, with: [24, 25])
        expected.replaceSubrange(6..<8, with: [8, 9])
        #expect(kept.state == Tensor(shape: [3, 5, 2], expected) && kept.result == nil)
        #expect(try outcome(of: .release(Release()), [lengths, slots, rows]).state == list(4, 4, 2))
        let all = list(0, 1, 2, 3, 4)
        #expect(try outcome(of: .cacheKeep(CacheKeep()), [cache, lengths, slots, all]).state == cache)
        #expect(try outcome(of: .release(Release()), [lengths, slots, all]).state == lengths)
        #expect(throws: Diagnostic.error("slot 2 does not hold the 3 rows of a call")) {
            try outcome(of: .cacheKeep(CacheKeep()), [cache, list(5, 4, 2), slots, rows])
        }
        #expect(throws: Diagnostic.error("slot 0 does not hold the 2 rows of a call")) {
            try outcome(of: .release(Release()), [list(1, 4, 3), slots, rows])
        }
    }

    /// Keeping twice is keeping once what is left of both, as caches of blocks before a point need it of the points behind.
    @Test(arguments: 0..<8) func selectionsCompose(seed: Int) throws {
        var generator = SeededNumbers(seed: UInt64(seed))
        let cache = Tensor(shape: [2, 9, 1], (0..<18).map { Float($0) })
        func keep(_ cache: Tensor, _ lengths: Tensor, _ slots: Tensor, _ rows: Tensor) throws -> (cache: Tensor, lengths: Tensor) {
            (
                try #require(try outcome(of: .cacheKeep(CacheKeep()), [cache, lengths, slots, rows]).state),
                try #require(try outcome(of: .release(Release()), [lengths, slots, rows]).state)
            )
        }
        let slots = list(0, 0, 0, 0, 0, 1, 1, 1, 1), lengths = list(7, 9)
        let first = Tensor(shape: [6], generator.choice(6, of: 9)), second = Tensor(shape: [3], generator.choice(3, of: 6))
        let later = try evaluate(.gatherRows(GatherRows()), [slots, first])
        let once = try keep(cache, lengths, slots, first)
        let twice = try keep(once.cache, once.lengths, later, second)
        let composed = try keep(cache, lengths, slots, try evaluate(.gatherRows(GatherRows()), [first, second]))
        #expect(twice.lengths == composed.lengths)
        for slot in 0..<2 {
            let held = slot * 9..<slot * 9 + Int(twice.lengths.integers[slot])
            #expect(twice.cache.floats[held] == composed.cache.floats[held], "slot \(slot)")
        }
    }
}

private struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    /// So many numbers below `most` in ascending order.
    mutating func choice(_ count: Int, of most: Int) -> [Int32] {
        Array((0..<Int32(most)).shuffled(using: &self).prefix(count)).sorted()
    }
}
