import FoldProduct
import IR
import TestSupport
import Testing

@testable import Reference

@Suite struct ProductTests {
    /// Every element is the sum of exact products in order, to the bit, at sizes around the tiles and blocks, with any number of threads.
    @Test(arguments: [(1, 1, 1), (8, 16, 3), (7, 17, 257), (97, 193, 5), (100, 33, 512), (3, 400, 300)])
    func equalsTheSumInOrder(rows: Int, columns: Int, depth: Int) {
        let left = SeededGenerator.noise("left", rows * depth)
        let weight = SeededGenerator.noise("weight", columns * depth)
        var expected: [Double] = []
        for row in 0..<rows {
            for column in 0..<columns {
                var sum = 0.0
                for k in 0..<depth { sum += Double(left[row * depth + k]) * Double(weight[column * depth + k]) }
                expected.append(sum)
            }
        }
        for threads: Int32 in [1, 3] {
            var sums = [Double](repeating: .nan, count: rows * columns)
            #expect(lmmc_fold_product(left, rows, weight, columns, depth, &sums, threads) == 0)
            #expect(sums == expected, "\(threads) threads")
        }
    }

    /// Any cut of a result gives the same elements, epilogue included.
    @Test func partsEqualTheWhole() throws {
        let (rows, columns, depth) = (5, 6, 7)
        let op = Matmul(hasBias: true, hasAddend: true, activation: .gelu)
        let operands = [("x", [rows, depth]), ("w", [columns, depth]), ("b", [columns]), ("a", [rows, columns])].map { name, shape in
            Tensor(shape: shape, SeededGenerator.noise(name, shape.reduce(1, *)))
        }
        let whole = try matmul(op, operands).floats
        let values = operands.map(\.floats)
        for start in 0..<whole.count {
            for end in start + 1...whole.count {
                var part = Array(values[3][start..<end])
                try matmul(op, values[0], values[1], values[2], depth: depth, columns: columns, start..<end, &part)
                #expect(part == Array(whole[start..<end]), "\(start)..<\(end)")
            }
        }
    }
}
