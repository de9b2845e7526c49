import Glibc
import IR
import Support

func rotary(_ op: Rotary, _ operand: Tensor, position: Int) -> Tensor {
    let (rows, width, half) = (operand.shape[0], operand.shape[1], op.headSize / 2)
    let frequencies = op.inverseFrequencies
    let values = operand.floats
    var result = values
    for row in 0..<rows {
        for pair in 0..<half {
            let angle = Double(position + row) * Double(frequencies[pair])
            let (sine, cosine) = (sin(angle), cos(angle))
            for head in stride(from: row * width, to: (row + 1) * width, by: op.headSize) {
                let (a, b) = (Double(values[head + pair]), Double(values[head + pair + half]))
                result[head + pair] = Float(a * cosine - b * sine)
                result[head + pair + half] = Float(b * cosine + a * sine)
            }
        }
    }
    return Tensor(shape: operand.shape, result)
}

private func checkRoom(_ rows: Int, in capacity: Int, position: Int) throws(Diagnostic) {
    if position > capacity - rows {
        throw .error(
            "a cache of \(capacity) rows has no room for \(rows) at position \(position)",
            expected: "a position of at most \(capacity - rows)")
    }
}

/// The cache with the rows of operand 1 from row `position` on.
func cacheStore(_ operands: [Tensor], position: Int) throws(Diagnostic) -> Tensor {
    struct Overwrite: Rearrangement {
        let start: Int

        func callAsFunction<Element>(_ operands: [[Element]]) -> [Element] {
            var result = operands[0]
            result.replaceSubrange(start..<start + operands[1].count, with: operands[1])
            return result
        }
    }
    let (capacity, width) = (operands[0].shape[0], operands[1].shape[1])
    try checkRoom(operands[1].shape[0], in: capacity, position: position)
    var stored = operands
    if case .rounded(let dtype, _) = operands[0].elements, dtype != operands[1].elements.dtype {
        var rows = operands[1].floats
        if dtype == .int8Heads { roundBlocks(&rows, width: width, block: operands[0].shape[2]) } else { rows = rows.map(bfloat16Value) }
        stored[1] = Tensor(shape: operands[1].shape, elements: .rounded(dtype, rows))
    }
    return apply(Overwrite(start: position * width), to: stored, shape: operands[0].shape)
}

func attention(_ op: Attention, _ operands: [Tensor], position: Int, overStates: Bool) throws(Diagnostic) -> Tensor {
    let (rows, width, keyWidth) = (operands[0].shape[0], operands[0].shape[1], operands[1].shape.dropFirst().reduce(1, *))
    let capacity = operands[1].shape[0]
    if overStates { try checkRoom(rows, in: capacity, position: position) }
    let size = width / op.heads
    let group = op.heads / op.keyValueHeads
    /// The softmax's weights stay as they are: their rounding is far below that of the operands, of which many are averaged.
    let rounded = operands.map { op.products == .bfloat16 ? $0.floats.map(bfloat16Value) : $0.floats }
    let (queries, keys, values) = (rounded[0], rounded[1], rounded[2])
    var result = [Float](repeating: 0, count: rows * width)
    queries.withUnsafeBufferPointer { queries in
        keys.withUnsafeBufferPointer { keys in
            for row in 0..<rows {
                let visible = overStates ? position + row + 1 : capacity
                for head in 0..<op.heads {
                    let column = head / group * size
                    var weights = [Double](repeating: 0, count: visible)
                    let query = queries.baseAddress! + row * width + head * size
                    for key in 0..<visible {
                        weights[key] = Double(op.scale) * dot(query, keys.baseAddress! + key * keyWidth + column, size)
                    }
                    let maximum = weights.max()!
                    var (sum, output) = (0.0, [Double](repeating: 0, count: size))
                    for key in 0..<visible {
                        let weight = exp(weights[key] - maximum)
                        sum += weight
                        for index in 0..<size { output[index] += weight * Double(values[key * keyWidth + column + index]) }
                    }
                    for index in 0..<size { result[row * width + head * size + index] = Float(output[index] / sum) }
                }
            }
        }
    }
    return Tensor(shape: [rows, width], result)
}
