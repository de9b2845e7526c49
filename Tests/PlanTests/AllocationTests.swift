import Testing

@testable import Plan

@Suite struct AllocationTests {
    @Test(arguments: 0..<50) func liveBlocksDoNotOverlap(seed: Int) throws {
        var dice = Dice(seed)
        let requests = (0..<40).map { _ in
            let live = (0..<1 + dice.roll(3)).map { _ in
                let start = dice.roll(30)
                return start...start + dice.roll(6)
            }
            return Request(byteCount: 1 + dice.roll(2000), live: live)
        }
        let (offsets, total) = try #require(allocate(requests))
        for (i, a) in requests.enumerated() {
            #expect(offsets[i] % 64 == 0 && offsets[i] >= 0 && offsets[i] + a.byteCount <= total)
            for (j, b) in requests.enumerated() where j > i && a.overlaps(b) {
                #expect(offsets[i] + a.byteCount <= offsets[j] || offsets[j] + b.byteCount <= offsets[i])
            }
        }
        // No plan is below what is live at one time, and this one is not far above.
        var peak = 0
        for time in 0..<40 {
            let live = requests.filter { request in request.live.contains { $0.contains(time) } }
            peak = max(peak, live.reduce(0) { $0 + ($1.byteCount + 63) / 64 * 64 })
        }
        #expect(total >= peak && total <= 2 * peak)
    }

    @Test func takesTheSmallestGapThatFits() throws {
        // At time 1 there are gaps of 128 bytes at 896 and of 64 bytes at 1984.
        let requests = [
            Request(byteCount: 2048, live: [3...3]), Request(byteCount: 1024, live: [0...0]), Request(byteCount: 960, live: [0...1]),
            Request(byteCount: 896, live: [1...1]), Request(byteCount: 704, live: [1...1, 3...3]), Request(byteCount: 64, live: [1...1]),
        ]
        let (offsets, total) = try #require(allocate(requests))
        #expect(offsets == [0, 0, 1024, 0, 2048, 1984] && total == 2752)
    }

    @Test func blocksThatFollowEachOtherShareMemory() throws {
        let (offsets, total) = try #require(allocate((0..<9).map { Request(byteCount: 100, live: [$0...$0]) }))
        #expect(offsets.allSatisfy { $0 == 0 } && total == 128)
    }

    @Test func overflowIsSeen() {
        #expect(allocate([Request(byteCount: .max - 64, live: [0...0]), Request(byteCount: 128, live: [0...0])]) == nil)
        #expect(allocate([Request(byteCount: .max, live: [0...0])]) == nil)
    }
}
