import Glibc
import IR
import Support

/// The rows of a call of `step` that stand together as one slot's, and those of them that are vision rows.
struct SlotRun {
    let rows: Range<Int>
    let vision: [Int]

    /// All of a call, in their order.
    static func all(tokens: [Int32], slots: [Int32]) -> [SlotRun] {
        var runs: [SlotRun] = []
        var start = 0
        while start < slots.count {
            let end = slots[start...].firstIndex { $0 != slots[start] } ?? slots.count
            runs.append(SlotRun(rows: start..<end, vision: (start..<end).filter { tokens[$0] < 0 }))
            start = end
        }
        return runs
    }
}

func attentionScores(_ op: AttentionScores, _ operands: [Tensor]) -> Tensor {
    let (queries, keys) = (operands[0].floats, operands[1].floats)
    let (tokens, slots) = (operands[2].integers, operands[3].integers)
    let raters = op.hasRaters ? operands[4].integers : nil
    let width = operands[0].shape[1], size = width / op.heads, keyWidth = operands[1].shape[1]
    var scores = [Float](repeating: 0, count: tokens.count)
    for run in SlotRun.all(tokens: tokens, slots: slots) where !run.vision.isEmpty {
        let rated = run.rows.filter { row in raters.map { $0[row] != 0 } ?? (row == run.rows.upperBound - 1) }
        var sums = [Double](repeating: 0, count: run.rows.count), most = sums
        for row in rated {
            let part = probabilities(row, run, op, queries, keys, size: size, width: width, keyWidth: keyWidth)
            for index in part.indices {
                sums[index] += part[index]
                most[index] = max(most[index], part[index])
            }
        }
        for row in run.vision {
            let index = row - run.rows.lowerBound
            switch op.statistic {
            case .mean: scores[row] = Float(rated.isEmpty ? 0 : sums[index] / Double(rated.count))
            case .sum: scores[row] = Float(sums[index])
            case .max: scores[row] = Float(most[index])
            }
        }
    }
    return Tensor(shape: [tokens.count], scores)
}

/// The mean over the heads of a row's attention to each row of its slot.
private func probabilities(
    _ row: Int, _ run: SlotRun, _ op: AttentionScores, _ queries: [Float], _ keys: [Float], size: Int, width: Int, keyWidth: Int
) -> [Double] {
    var mean = [Double](repeating: 0, count: run.rows.count)
    for head in 0..<op.heads {
        let key = head / (op.heads / op.keyValueHeads) * size
        let part = softmax(row, run, queries, keys, size: size, scale: op.scale, query: (head * size, width), key: (key, keyWidth))
        for (index, weight) in part.enumerated() { mean[index] += weight / Double(op.heads) }
    }
    return mean
}

/// A row's attention in one head to each row of its slot up to itself. `query` and `key`: the head's first column, and all columns.
func softmax(
    _ row: Int, _ run: SlotRun, _ queries: [Float], _ keys: [Float], size: Int, scale: Float, query: (Int, Int), key: (Int, Int)
) -> [Double] {
    let products = (run.rows.lowerBound...row).map { other in
        (0..<size).reduce(0.0) { $0 + Double(queries[row * query.1 + query.0 + $1]) * Double(keys[other * key.1 + key.0 + $1]) }
            * Double(scale)
    }
    let most = products.max() ?? 0
    let weights = products.map { exp($0 - most) }
    let sum = weights.reduce(0, +)
    return weights.map { $0 / sum }
}

/// Indices of the best `count` of `values`, the lower first where two are equal; NaN is below all.
func best(_ values: [Float], _ count: Int) -> [Int] {
    let order = values.indices.sorted { a, b in
        let (x, y) = (values[a].isNaN ? -Float.infinity : values[a], values[b].isNaN ? -Float.infinity : values[b])
        return x != y ? x > y : a < b
    }
    return Array(order.prefix(count))
}

func keepRows(_ op: KeepRows, _ operands: [Tensor]) -> Tensor {
    let (scores, tokens, slots) = (operands[0].floats, operands[1].integers, operands[2].integers)
    var kept: [Int32] = []
    for run in SlotRun.all(tokens: tokens, slots: slots) {
        let chosen = Set(best(run.vision.map { scores[$0] }, max(0, min(op.top, run.vision.count - op.drop))).map { run.vision[$0] })
        kept += run.rows.filter { tokens[$0] >= 0 || chosen.contains($0) || $0 == run.rows.upperBound - 1 }.map { Int32($0) }
    }
    return Tensor(shape: [kept.count], kept)
}

func findRows(_ operands: [Tensor]) -> Tensor {
    let (list, rows) = (operands[0].integers, operands[1].integers)
    return Tensor(
        shape: [rows.count],
        rows.map { row in Int32(list.filter { $0 <= row }.max().flatMap { nearest in list.firstIndex(of: nearest) } ?? 0) })
}

func visionIndices(_ op: VisionIndices, _ operands: [Tensor]) -> Tensor {
    let rows = operands.flatMap { list in
        let indices = list.integers.filter { $0 < 0 }.map { -1 - $0 }.prefix(op.bound)
        return indices + Array(repeating: -1, count: op.bound - indices.count)
    }
    return Tensor(shape: [operands.count, op.bound], rows)
}

func strideRows(_ op: StrideRows, _ operands: [Tensor]) -> Tensor {
    let (tokens, slots) = (operands[0].integers, operands[1].integers)
    let kept = tokens.indices.filter { row in
        let place = (-1 - Int(tokens[row])) % op.image
        let isMiddle = place % op.stride == (op.stride - 1) / 2 && place / op.stride < op.image / op.stride
        return tokens[row] >= 0 || isMiddle || row + 1 == tokens.count || slots[row + 1] != slots[row]
    }
    return Tensor(shape: [kept.count], kept.map { Int32($0) })
}

func strideMeans(_ op: StrideMeans, _ operands: [Tensor]) -> Tensor {
    let (x, tokens, list) = (operands[0].floats, operands[1].integers, operands[2].integers.map { Int($0) })
    let columns = operands[0].shape[1]
    let rows = list.map { row in
        let window = row - (op.stride - 1) / 2..<row - (op.stride - 1) / 2 + op.stride
        let isWhole =
            tokens.indices.contains(window.lowerBound) && tokens.indices.contains(window.upperBound - 1)
            && window.allSatisfy { tokens[$0] < 0 && Int(tokens[row]) - Int(tokens[$0]) == $0 - row }
        let summed = isWhole ? window : row..<row + 1
        return (0..<columns).map { column in Float(summed.reduce(0.0) { $0 + Double(x[$1 * columns + column]) } / Double(summed.count)) }
    }
    return Tensor(shape: [list.count, columns], rows.flatMap(\.self))
}
