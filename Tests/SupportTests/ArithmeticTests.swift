import Support
import Testing

@Suite struct ArithmeticTests {
    @Test func products() {
        #expect(checkedProduct([Int]()) == 1)
        #expect(checkedProduct(65_536, 65_536) == 1 << 32)
        #expect(checkedProduct(1 << 31, 1 << 31, 2) == nil)
        #expect(checkedProduct(Int.max, 1) == .max)
        #expect(checkedProduct(Int.max, 2) == nil)
        #expect(checkedProduct(Int.max, Int.max, 0) == 0)
        #expect(checkedProduct(0, Int.max, Int.max) == 0)
        #expect(checkedProduct(2, -1) == nil)
        #expect(checkedProduct(0, -1) == nil)
    }

    @Test func sums() {
        #expect(checkedSum([Int]()) == 0)
        #expect(checkedSum([1, 2, 3]) == 6)
        #expect(checkedSum([Int.max, 1]) == nil)
    }

    @Test func rounding() {
        #expect(roundedUp(0, to: 64) == 0)
        #expect(roundedUp(1, to: 64) == 64)
        #expect(roundedUp(64, to: 64) == 64)
        #expect(roundedUp(Int.max, to: 4096) == nil)
    }
}
