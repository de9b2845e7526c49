import Glibc
import IR

/// The rows of a slot that are merged.
private struct Recycled {
    let rows: [Int]
    let x: [Float]
    let columns: Int

    func distance(_ a: Int, _ b: Int) -> Double {
        let squares = (0..<columns).reduce(0.0) { sum, column in
            let difference = Double(x[a * columns + column]) - Double(x[b * columns + column])
            return sum + difference * difference
        }
        return (squares / Double(columns)).squareRoot()
    }
}

/// Whether score a of row i is better than score b of row j; NaN is below all.
private func isBetter(_ a: Float, _ i: Int, _ b: Float, _ j: Int) -> Bool {
    let (x, y) = (a.isNaN ? -Float.infinity : a, b.isNaN ? -Float.infinity : b)
    return x != y ? x > y : i < j
}

func recycleDensity(_ op: RecycleDensity, _ operands: [Tensor]) -> Tensor {
    let (x, scores) = (operands[0].floats, operands[1].floats)
    let (tokens, slots) = (operands[2].integers, operands[3].integers)
    var density = [Float](repeating: -1, count: 2 * tokens.count)
    for run in SlotRun.all(tokens: tokens, slots: slots) {
        let most = op.recycling.kept(of: run.vision.count) ?? Int(operands[4].integers[run.rows.lowerBound])
        let kept = Set(best(run.vision.map { scores[$0] }, most).map { run.vision[$0] })
        let dropped = run.vision.filter { !kept.contains($0) && $0 != run.rows.upperBound - 1 }
        for row in dropped { (density[2 * row], density[2 * row + 1]) = (-2, -2) }
        let count = op.recycling.recycled(dropped: dropped.count)
        let recycled = Recycled(
            rows: best(dropped.map { scores[$0] }, count).map { dropped[$0] }, x: x, columns: operands[0].shape[1])
        let clusters = op.recycling.clusters(recycled: count)
        let means = recycled.rows.map { row in
            let nearest = recycled.rows.map { recycled.distance(row, $0) }.sorted().prefix(clusters)
            return Float(nearest.reduce(0) { $0 + $1 * $1 } / Double(clusters))
        }
        // Rows stand in falling order of their scores.
        for (i, row) in recycled.rows.enumerated() {
            let denser = recycled.rows.indices.filter { means[$0] < means[i] || means[$0] == means[i] && $0 < i }
            let delta =
                denser.map { recycled.distance(row, recycled.rows[$0]) }.min()
                ?? recycled.rows.flatMap { a in recycled.rows.map { recycled.distance(a, $0) } }.max() ?? 0
            (density[2 * row], density[2 * row + 1]) = (means[i], Float(exp(-Double(means[i])) * delta))
        }
    }
    return Tensor(shape: [tokens.count, 2], density)
}

func recycleRows(_ op: RecycleRows, _ operands: [Tensor]) -> Tensor {
    let (density, scores) = (operands[0].floats, operands[1].floats)
    let (tokens, slots) = (operands[2].integers, operands[3].integers)
    var list: [Int] = []
    for run in SlotRun.all(tokens: tokens, slots: slots) {
        let first = run.vision.first ?? run.rows.upperBound
        let recycled = run.rows.filter { density[2 * $0] >= 0 }
        let centres = recycled.sorted { a, b in
            let (x, y) = (density[2 * a + 1], density[2 * b + 1])
            return x != y ? x > y : isBetter(scores[a], a, scores[b], b)
        }
        list += run.rows.filter { $0 < first } + run.vision.filter { density[2 * $0] == -1 }
        list += centres.prefix(op.recycling.clusters(recycled: recycled.count))
        list += run.rows.filter { $0 > first && tokens[$0] >= 0 }
    }
    return Tensor(shape: [list.count], list.map { Int32($0) })
}

func recycleMerge(_ operands: [Tensor]) -> Tensor {
    let (x, density, slots) = (operands[0].floats, operands[1].floats, operands[2].integers)
    let (list, columns) = (operands[3].integers.map { Int($0) }, operands[0].shape[1])
    let isCentre = list.map { density[2 * $0] >= 0 }
    var merged = list.flatMap { row in x[row * columns..<(row + 1) * columns] }
    for slot in Set(list.indices.filter { isCentre[$0] }.map { slots[list[$0]] }) {
        let recycled = Recycled(
            rows: slots.indices.filter { slots[$0] == slot && density[2 * $0] >= 0 }, x: x, columns: columns)
        let centres = list.indices.filter { isCentre[$0] && slots[list[$0]] == slot }
        var members = centres.map { _ in [Int]() }
        for row in recycled.rows {
            let distances = centres.map { list[$0] == row ? -1 : recycled.distance(row, list[$0]) }
            members[distances.firstIndex(of: distances.min()!)!].append(row)
        }
        for (centre, rows) in zip(centres, members) {
            for column in 0..<columns {
                let sum = rows.reduce(0.0) { $0 + Double(x[$1 * columns + column]) }
                merged[centre * columns + column] = Float(sum / (Double(rows.count) + 1e-6))
            }
        }
    }
    return Tensor(shape: [list.count, columns], merged)
}
