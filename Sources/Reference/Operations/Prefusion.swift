import IR
import Support

func prefusionRows(_ operands: [Tensor]) -> Tensor {
    let (tokens, slots) = (operands[0].integers, operands[1].integers)
    var rows: [Int32] = []
    for run in SlotRun.all(tokens: tokens, slots: slots) where !run.vision.isEmpty {
        rows += (run.vision + run.rows.filter { tokens[$0] > 0 }).map { Int32($0) }
    }
    return Tensor(shape: [rows.count], rows)
}

func trimRows(_ op: TrimRows, _ operands: [Tensor]) -> Tensor {
    let tokens = operands[0].integers
    let rows = tokens.indices.filter { tokens[$0] >= 0 || (-1 - Int(tokens[$0])) % op.image >= op.first }
    return Tensor(shape: [rows.count], rows.map { Int32($0) })
}

func replaceRows(_ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    var rows = operands[0].floats
    let (others, columns) = (operands[1].floats, operands[0].shape[1])
    for (index, place) in operands[2].integers.enumerated() {
        guard 0..<operands[0].shape[0] ~= Int(place) else {
            throw .error("row \(place) of \(operands[0].shape[0])", expected: "a row of the operand")
        }
        for column in 0..<columns { rows[Int(place) * columns + column] = others[index * columns + column] }
    }
    return Tensor(shape: operands[0].shape, rows)
}

func resizeGrid(_ op: ResizeGrid, _ operands: [Tensor]) -> Tensor {
    let (x, columns) = (operands[0].floats, operands[0].shape[1])
    let edge = gridEdge(of: operands[0].shape[0]) ?? 1
    let taps = (0..<op.edge).map { bicubicTaps($0, from: edge, to: op.edge) }
    var result: [Float] = []
    result.reserveCapacity(op.edge * op.edge * columns)
    for row in taps {
        for column in taps {
            for channel in 0..<columns {
                var sum = 0.0
                for (y, weight) in row {
                    for (x0, other) in column { sum += weight * other * Double(x[(y * edge + x0) * columns + channel]) }
                }
                result.append(Float(sum))
            }
        }
    }
    return Tensor(shape: [op.edge * op.edge, columns], result)
}

/// Where place `index` of `to` reads a line of `from`, and how much of each.
private func bicubicTaps(_ index: Int, from: Int, to: Int) -> [(Int, Double)] {
    let place = (Double(index) + 0.5) * Double(from) / Double(to) - 0.5, start = place.rounded(.down)
    return (-1...2).map { tap in
        let (distance, a) = (abs(place - start - Double(tap)), -0.75)
        let weight =
            distance <= 1
            ? ((a + 2) * distance - (a + 3)) * distance * distance + 1
            : ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        return (min(max(Int(start) + tap, 0), from - 1), weight)
    }
}
