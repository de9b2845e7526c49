import Glibc
import IR
import Support

/// Operands: rows f32[M, h * d] and their positions i32[M].
func rotary(_ op: Rotary, _ operands: [Tensor]) -> Tensor {
    let (rows, width, half) = (operands[0].shape[0], operands[0].shape[1], op.headSize / 2)
    let frequencies = op.inverseFrequencies
    let (values, positions) = (operands[0].floats, operands[1].integers)
    var result = values
    for row in 0..<rows {
        for pair in 0..<half {
            let angle = Double(positions[row]) * Double(frequencies[pair])
            let (sine, cosine) = (sin(angle), cos(angle))
            for head in stride(from: row * width, to: (row + 1) * width, by: op.headSize) {
                let (a, b) = (Double(values[head + pair]), Double(values[head + pair + half]))
                result[head + pair] = Float(a * cosine - b * sine)
                result[head + pair + half] = Float(b * cosine + a * sine)
            }
        }
    }
    return Tensor(shape: operands[0].shape, result)
}

private func checkSlots(_ slots: [Int32], below count: Int) throws(Diagnostic) {
    if let slot = slots.first(where: { !(0..<count ~= Int($0)) }) {
        throw .error("slot \(slot) does not exist", expected: "0 to \(count - 1)")
    }
}

/// Operands: lengths i32[slots] and slots i32[M]; the places of the rows, and the lengths behind them.
func reserve(_ operands: [Tensor]) throws(Diagnostic) -> (places: Tensor, lengths: Tensor) {
    var (lengths, places) = (operands[0].integers, [Int32]())
    let slots = operands[1].integers
    try checkSlots(slots, below: lengths.count)
    for slot in slots {
        places.append(lengths[Int(slot)])
        lengths[Int(slot)] += 1
    }
    return (Tensor(shape: operands[1].shape, places), Tensor(shape: operands[0].shape, lengths))
}

/// Operands: a cache [slots, C, W] or [slots, C, g, d], rows [M, W], their slots and places; the cache with the rows in it.
func cacheStore(_ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    struct Overwrite: Rearrangement {
        let rows: [Int]
        let width: Int

        func callAsFunction<Element>(_ operands: [[Element]]) -> [Element] {
            var result = operands[0]
            for (index, row) in rows.enumerated() {
                result.replaceSubrange(row * width..<(row + 1) * width, with: operands[1][index * width..<(index + 1) * width])
            }
            return result
        }
    }
    let (capacity, width) = (operands[0].shape[1], operands[1].shape[1])
    let (slots, places) = (operands[2].integers, operands[3].integers)
    try checkSlots(slots, below: operands[0].shape[0])
    if let place = places.first(where: { !(0..<capacity ~= Int($0)) }) {
        throw .error("a cache of \(capacity) rows has no room for a row at place \(place)", expected: "0 to \(capacity - 1)")
    }
    var stored = Array(operands[..<2])
    if case .rounded(let dtype, _) = operands[0].elements, dtype != operands[1].elements.dtype {
        var rows = operands[1].floats
        if dtype == .int8Heads { roundBlocks(&rows, width: width, block: operands[0].shape[3]) } else { rows = rows.map(bfloat16Value) }
        stored[1] = Tensor(shape: operands[1].shape, elements: .rounded(dtype, rows))
    }
    let rows = zip(slots, places).map { Int($0) * capacity + Int($1) }
    return apply(Overwrite(rows: rows, width: width), to: stored, shape: operands[0].shape)
}

/// Over values: every row sees all keys.
func attention(_ op: Attention, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    guard operands[1].shape[0] > 0 else { throw .error("attention over no keys", expected: "at least one") }
    return attention(op, operands) { _ in 0..<operands[1].shape[0] }
}

/// Over caches: row i sees the rows 0 ... places[i] of its slot.
func cachedAttention(_ op: Attention, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    let (slots, places, capacity) = (operands[3].integers, operands[4].integers, operands[1].shape[1])
    try checkSlots(slots, below: operands[1].shape[0])
    if let place = places.first(where: { !(0..<capacity ~= Int($0)) }) {
        throw .error("a cache of \(capacity) rows has no row at place \(place)", expected: "0 to \(capacity - 1)")
    }
    return attention(op, operands) { row in
        let first = Int(slots[row]) * capacity
        return first..<first + Int(places[row]) + 1
    }
}

/// Over values: row i sees the keys of window i.
func windowAttention(_ op: WindowAttention, _ operands: [Tensor]) -> Tensor {
    let windows = op.windows
    return attention(Attention(heads: op.heads, keyValueHeads: op.heads, scale: op.scale), operands) { row in
        let across = windows.width / windows.kernel
        let first = (row / across * windows.width + row % across) * windows.kernel
        return (0..<windows.kernel * windows.kernel).map { first + $0 / windows.kernel * windows.width + $0 % windows.kernel }
    }
}

/// `visible`: which rows of keys and values a row sees, where those are matrices of all rows.
private func attention<Seen: Collection<Int>>(_ op: Attention, _ operands: [Tensor], visible: (Int) -> Seen) -> Tensor {
    let (rows, width) = (operands[0].shape[0], operands[0].shape[1])
    let size = width / op.heads
    let (group, keyWidth) = (op.heads / op.keyValueHeads, size * op.keyValueHeads)
    /// The softmax's weights stay as they are: their rounding is far below that of the operands, of which many are averaged.
    let rounded = operands[..<3].map { op.products == .bfloat16 ? $0.floats.map(bfloat16Value) : $0.floats }
    let (queries, keys, values) = (rounded[0], rounded[1], rounded[2])
    let bias = op.hasBias ? operands[3].floats : nil
    var result = [Float](repeating: 0, count: rows * width)
    queries.withUnsafeBufferPointer { queries in
        keys.withUnsafeBufferPointer { keys in
            for row in 0..<rows {
                let seen = visible(row)
                for head in 0..<op.heads {
                    let column = head / group * size
                    var weights = [Double](repeating: 0, count: seen.count)
                    let query = queries.baseAddress! + row * width + head * size
                    for (index, key) in seen.enumerated() {
                        weights[index] =
                            Double(op.scale) * dot(query, keys.baseAddress! + key * keyWidth + column, size) + Double(bias?[key] ?? 0)
                    }
                    let maximum = weights.max()!
                    var (sum, output) = (0.0, [Double](repeating: 0, count: size))
                    for (index, key) in seen.enumerated() {
                        let weight = exp(weights[index] - maximum)
                        sum += weight
                        for element in 0..<size { output[element] += weight * Double(values[key * keyWidth + column + element]) }
                    }
                    for element in 0..<size { result[row * width + head * size + element] = Float(output[element] / sum) }
                }
            }
        }
    }
    return Tensor(shape: [rows, width], result)
}
