import Glibc
import IR
import Testing

@testable import Reference

/// YOPO's operations on rows that a person can check, and against plain attention where a window is the whole grid.
@Suite struct PatchRowsTests {
    private func list(_ values: Int32...) -> Tensor { Tensor(shape: [values.count], values) }
    private func floats(_ shape: [Int], _ values: [Float]) -> Tensor { Tensor(shape: shape, values) }

    @Test func rowsAreSplitByTheirKind() throws {
        let tokens = list(5, -1, -2, 6, 7, -1, -2), slots = list(0, 0, 0, 0, 1, 1, 1)
        func rows(_ kind: SplitRows.Kind) throws -> Tensor {
            try evaluate(.splitRows(SplitRows(kind, count: "K")), [tokens, slots])
        }
        // What the next token follows is text.
        #expect(try rows(.text) == list(0, 3, 4, 6) && rows(.vision) == list(1, 2, 5))
    }

    @Test func headsAreMasked() throws {
        let x = floats([2, 4], [1, 2, 3, 4, .nan, 6, 7, .infinity])
        #expect(try evaluate(.maskHeads(MaskHeads(mask: [false, true])), [x]) == floats([2, 4], [0, 0, 3, 4, 0, 0, 7, .infinity]))
    }

    /// `rows` of vision and `text` rows of one slot, values the number of the row of the call that each is, keys and queries 0.
    private func seen(_ rows: [Int32], _ text: [Int32], window: Int, side: Int) throws -> [Float] {
        let zeros = { (count: Int) in floats([count, 1], Array(repeating: 0, count: count)) }
        let slots = { (count: Int) in Tensor(shape: [count], [Int32](repeating: 3, count: count)) }
        let op = PatchAttention(mask: [true], keyValueHeads: 1, scale: 1, window: window, side: side)
        return try evaluate(
            .patchAttention(op),
            [
                zeros(rows.count), zeros(rows.count), floats([rows.count, 1], rows.map { Float($0) }),
                Tensor(shape: [rows.count], rows), slots(rows.count), zeros(text.count), floats([text.count, 1], text.map { Float($0) }),
                Tensor(shape: [text.count], text), slots(text.count),
            ]
        ).floats
    }

    @Test func aPatchSeesItsWindowAndTheTextInFront() throws {
        // A grid of 3 x 3 at rows 1 to 9 behind row 0 and in front of row 10: means of the rows that each sees.
        func mean(_ rows: Float...) -> Float { Float(rows.reduce(0.0) { $0 + Double($1) } / Double(rows.count)) }
        let grid = [Int32](1...9)
        let found = try seen(grid, [0, 10], window: 3, side: 3)
        #expect(found[0] == mean(0, 1, 2, 4, 5) && found[1] == mean(0, 1, 2, 3, 4, 5, 6))
        #expect(found[4] == mean(0, 1, 2, 3, 4, 5, 6, 7, 8, 9) && found[8] == mean(0, 5, 6, 8, 9))
        #expect(try seen(grid, [0, 10], window: 1, side: 3) == grid.map { mean(0, Float($0)) })
        // The last patch is text here, and two grids do not see each other.
        #expect(try seen([0, 1, 2], [3], window: 5, side: 2) == [1, 1, 1])
        #expect(try seen([0, 1, 2, 3, 4, 5, 6, 7], [], window: 5, side: 2) == [1.5, 1.5, 1.5, 1.5, 5.5, 5.5, 5.5, 5.5])
        // Another slot's rows are not seen.
        let op = PatchAttention(mask: [true], keyValueHeads: 1, scale: 1, window: 9, side: 2)
        let zeros = floats([4, 1], [0, 0, 0, 0])
        let alone = try evaluate(
            .patchAttention(op),
            [
                zeros, zeros, floats([4, 1], [1, 2, 3, 4]), list(1, 2, 4, 5), list(0, 0, 1, 1), floats([2, 1], [0, 0]),
                floats([2, 1], [9, 6]),
                list(0, 3), list(0, 1),
            ])
        #expect(alone.floats == [4, 4, Float(13.0 / 3), Float(13.0 / 3)])
    }

    /// With a window that holds the grid, patches see each other both ways and the text in front: attention over these rows, in heads that
    /// are not masked.
    @Test func aWholeWindowIsPlainAttention() throws {
        let (side, heads, size) = (3, 4, 2)
        func values(_ seed: Int, _ rows: Int, _ columns: Int) -> Tensor {
            floats([rows, columns], (0..<rows * columns).map { Float(sin(Double($0 * $0 + 7 * seed))) })
        }
        let mask = [true, false, true, true], count = side * side
        let query = values(1, count, heads * size)
        let (key, value) = (values(2, count, 2 * size), values(3, count, 2 * size))
        let (textKey, textValue) = (values(4, 3, 2 * size), values(5, 3, 2 * size))
        let rows = Tensor(shape: [count], (0..<count).map { Int32($0 + 2) }),
            slots = Tensor(shape: [count], [Int32](repeating: 0, count: count))
        let op = PatchAttention(mask: mask, keyValueHeads: 2, scale: 0.7, window: 2 * side - 1, side: side)
        let found = try evaluate(
            .patchAttention(op), [query, key, value, rows, slots, textKey, textValue, list(0, 1, 11), list(0, 0, 0)])
        func joined(_ text: Tensor, _ patches: Tensor) -> Tensor {
            floats([2 + count, 2 * size], Array(text.floats.prefix(2 * 2 * size)) + patches.floats)
        }
        let plain = try evaluate(
            .attention(Attention(heads: heads, keyValueHeads: 2, scale: 0.7)), [query, joined(textKey, key), joined(textValue, value)])
        let expected = try evaluate(.maskHeads(MaskHeads(mask: mask)), [plain])
        #expect(zip(found.floats, expected.floats).allSatisfy { abs($0 - $1) <= 1e-6 })
        #expect(found.floats[2] == 0 && found.floats[4] != 0)
    }
}
