import Glibc
import IR

func splitRows(_ op: SplitRows, _ operands: [Tensor]) -> Tensor {
    let (tokens, slots) = (operands[0].integers, operands[1].integers)
    let rows = tokens.indices.filter { row in
        let isVision = tokens[row] < 0 && row + 1 < slots.count && slots[row + 1] == slots[row]
        return isVision == (op.kind == .vision)
    }
    return Tensor(shape: [rows.count], rows.map { Int32($0) })
}

func maskHeads(_ op: MaskHeads, _ operands: [Tensor]) -> Tensor {
    let width = operands[0].shape[1], size = width / op.mask.count
    return Tensor(shape: operands[0].shape, operands[0].floats.enumerated().map { op.mask[$0 % width / size] ? $1 : 0 })
}

func patchAttention(_ op: PatchAttention, _ operands: [Tensor]) -> Tensor {
    let (queries, patches, text) = (operands[0].floats, operands[1...2].map(\.floats), operands[5...6].map(\.floats))
    let (rows, slots, textRows, textSlots) = (
        operands[3].integers, operands[4].integers, operands[7].integers, operands[8].integers
    )
    let width = operands[0].shape[1], keyWidth = operands[1].shape[1], size = width / op.mask.count
    let reach = (op.window - 1) / 2, patchCount = op.side * op.side
    var result = [Float](repeating: 0, count: queries.count)
    for row in rows.indices {
        let start = slots.firstIndex(of: slots[row]) ?? row
        let own = (row - start) % patchCount, first = row - own
        /// The table and the row of the keys and values that it sees.
        var seen = textRows.indices.filter { textSlots[$0] == slots[row] && textRows[$0] < rows[row] }.map { (text, $0) }
        for patch in 0..<patchCount where first + patch < rows.count && slots[first + patch] == slots[row] {
            let (down, across) = (patch / op.side - own / op.side, patch % op.side - own % op.side)
            if abs(down) <= reach && abs(across) <= reach { seen.append((patches, first + patch)) }
        }
        for head in op.mask.indices where op.mask[head] {
            let (query, key) = (row * width + head * size, head / (op.mask.count / op.keyValueHeads) * size)
            let products = seen.map { table, other in
                (0..<size).reduce(0.0) { $0 + Double(queries[query + $1]) * Double(table[0][other * keyWidth + key + $1]) }
                    * Double(op.scale)
            }
            let most = products.max() ?? 0
            let weights = products.map { exp($0 - most) }
            let sum = weights.reduce(0, +)
            for column in 0..<size {
                let mixed = zip(weights, seen).reduce(0.0) { $0 + $1.0 * Double($1.1.0[1][$1.1.1 * keyWidth + key + column]) }
                result[query + column] = Float(mixed / sum)
            }
        }
    }
    return Tensor(shape: operands[0].shape, result)
}
