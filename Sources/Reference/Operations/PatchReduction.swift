import Glibc
import IR
import Support

// What reducers do with the patches of an image, before the decoder.

private func dot(_ a: ArraySlice<Float>, _ b: ArraySlice<Float>) -> Double { zip(a, b).reduce(0.0) { $0 + Double($1.0) * Double($1.1) } }

extension Tensor {
    /// A row of an f32 matrix.
    fileprivate func row(_ index: Int) -> ArraySlice<Float> { floats[index * shape[1]..<(index + 1) * shape[1]] }
}

func rowAttention(_ op: RowAttention, _ operands: [Tensor]) -> Tensor {
    let (query, keys) = (operands[0].floats, operands[1])
    let size = operands[0].shape[1] / op.heads
    var sums = [Double](repeating: 0, count: keys.shape[0])
    for head in 0..<op.heads {
        let columns = head * size..<(head + 1) * size
        let products = sums.indices.map { row in
            let key = keys.row(row)
            return dot(query[columns], key[(key.startIndex + columns.lowerBound)...].prefix(size)) * Double(op.scale)
        }
        let most = products.max() ?? 0
        let weights = products.map { exp($0 - most) }
        let sum = weights.reduce(0, +)
        for (row, weight) in weights.enumerated() { sums[row] += weight / sum }
    }
    return Tensor(shape: [sums.count], sums.map { Float($0) })
}

func topRows(_ op: TopRows, _ operands: [Tensor]) -> Tensor {
    let rows = best(operands[0].floats, op.rows)
    return list(op.order == .score ? rows : rows.sorted())
}

private func list(_ rows: [Int]) -> Tensor { Tensor(shape: [rows.count], rows.map { Int32($0) }) }

func complementRows(_ op: ComplementRows, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    let held = try rows(of: operands[0], below: op.total)
    let others = (0..<op.total).filter { !held.contains($0) }
    return list(Array(others.suffix(op.total - held.count)))
}

/// The entries of a list of rows.
private func rows(of list: Tensor, below count: Int) throws(Diagnostic) -> [Int] {
    let rows = list.integers.map { Int($0) }
    if let row = rows.first(where: { !(0..<count ~= $0) }) { throw .error("row \(row) of \(count) does not exist") }
    return rows
}

func meanHeads(_ op: MeanHeads, _ operands: [Tensor]) -> Tensor {
    let (rows, size) = (operands[0].shape[0], operands[0].shape[1] / op.heads)
    let means = (0..<rows).flatMap { index in
        let row = operands[0].row(index)
        return (0..<size).map { column in
            Float((0..<op.heads).reduce(0.0) { $0 + Double(row[row.startIndex + $1 * size + column]) } / Double(op.heads))
        }
    }
    return Tensor(shape: [rows, size], means)
}

func unitRows(_ op: UnitRows, _ operands: [Tensor]) -> Tensor {
    let values = (0..<operands[0].shape[0]).flatMap { index in
        let row = operands[0].row(index)
        let norm = max(Float(dot(row, row).squareRoot()), op.epsilon)
        return row.map { $0 / norm }
    }
    return Tensor(shape: operands[0].shape, values)
}

func clusterRows(_ op: ClusterRows, _ operands: [Tensor]) -> Tensor {
    let x = operands[0]
    let clusters = (0..<x.shape[0]).map { index in
        if index % op.step == 0, index / op.step < op.count { return -1 }
        return best((0..<op.count).map { Float(dot(x.row(index), x.row($0 * op.step))) }, 1)[0]
    }
    return list(clusters)
}

func segmentMeans(_ op: SegmentMeans, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    let columns = operands[0].shape[1], weights = op.hasWeights ? operands[2].floats : nil
    var sums = [Double](repeating: 0, count: op.count * columns)
    var totals = [Double](repeating: 0, count: op.count)
    for (index, segment) in operands[1].integers.map({ Int($0) }).enumerated() where segment >= 0 {
        guard segment < op.count else { throw .error("segment \(segment) of \(op.count) does not exist") }
        let weight = Double(weights?[index] ?? 1)
        totals[segment] += weight
        for (column, value) in operands[0].row(index).enumerated() { sums[segment * columns + column] += weight * Double(value) }
    }
    let means = sums.enumerated().map { totals[$0 / columns] == 0 ? 0 : Float($1 / totals[$0 / columns]) }
    return Tensor(shape: [op.count, columns], means)
}

func outlierRows(_ op: OutlierRows, _ operands: [Tensor]) -> Tensor {
    let values = operands[0].floats
    let ascending = best(values, values.count).reversed().map { Double(values[$0]) }
    func quartile(_ index: Int) -> Double {
        let place = Double(index) / 4 * Double(values.count - 1), low = Int(place)
        let above = ascending[min(low + 1, values.count - 1)]
        return ascending[low] + (above - ascending[low]) * (place - Double(low))
    }
    let bound = quartile(3) + Double(op.factor) * (quartile(3) - quartile(1))
    let outliers = values.count { Double($0) > bound }
    if outliers == 0 { return list([]) }
    let share = Double(outliers) / Double(values.count)
    var rows = best(values, Int(Double(values.count) * share))
    if op.isSampled {
        let held = Set(rows)
        rows += stride(from: 0, to: values.count - 1, by: max(1, Int(1 / share) / 3)).filter { !held.contains($0) }
    }
    return list(rows)
}

func appendSamples(_ op: AppendSamples, _ operands: [Tensor]) -> Tensor {
    let entries = operands[0].integers + (0..<op.rows).map { Int32(op.start + $0 * op.step) }
    return Tensor(shape: [entries.count], entries)
}

func mergeNeighbours(_ op: MergeNeighbours, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    let (x, keys, weights) = (operands[0], operands[1], operands[2].floats)
    let kept = try rows(of: operands[3], below: x.shape[0]), rest = try rows(of: operands[4], below: x.shape[0])
    func sum(_ rows: [Int], from first: [Double]) -> [Float] {
        rows.reduce(into: first) { sums, row in
            for (column, value) in x.row(row).enumerated() { sums[column] += Double(weights[row]) * Double(value) }
        }.map { Float($0) }
    }
    var merged: [Float] = []
    for (place, row) in kept.enumerated() {
        let others = (Array(kept[..<place]) + kept[(place + 1)...] + rest).sorted()
        let nearest = best(others.map { Float(dot(keys.row(row), keys.row($0))) }, op.neighbours).map { others[$0] }
        merged += sum(nearest, from: x.row(row).map { Double($0) })
    }
    merged += sum(rest, from: [Double](repeating: 0, count: x.shape[1]))
    return Tensor(shape: [kept.count + 1, x.shape[1]], merged)
}

func padList(_ op: PadList, _ operands: [Tensor]) -> Tensor {
    let entries = operands[0].integers
    return Tensor(shape: [op.length], entries + [Int32](repeating: -1, count: op.length - entries.count))
}
