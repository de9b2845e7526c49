import Glibc
import IR
import Support

// Patches that are chosen to stand for an image and a question.

func softmaxSimilarity(_ op: SoftmaxSimilarity, _ operands: [Tensor]) -> Tensor {
    let (a, b) = (operands[0], operands[1])
    let (rows, others, columns) = (a.shape[0], b.shape[0], a.shape[1])
    let (x, y) = (a.floats, b.floats)
    var shares: [Float] = []
    for i in 0..<rows {
        let products = (0..<others).map { j in
            (0..<columns).reduce(0.0) { $0 + Double(x[i * columns + $1]) * Double(y[j * columns + $1]) } / Double(op.temperature)
        }
        let most = products.max() ?? 0
        let weights = products.map { exp($0 - most) }
        let sum = weights.reduce(0, +)
        shares += weights.map { Float($0 / sum / Double(rows)) }
    }
    return Tensor(shape: [rows, others], shares)
}

func greedyCover(_ op: GreedyCover, _ operands: [Tensor]) -> Tensor {
    let columns = operands[0].shape[1]
    let values = operands[0].floats + operands[1].floats.map { $0 * op.weight }
    var best = [Float](repeating: 0, count: values.count / columns)
    var open = Set(0..<columns)
    if op.hasBars {
        let bars = operands[2].integers.map { Int($0) / op.patch }
        let side = Int(Double(columns).squareRoot().rounded(.up))
        open = open.filter { column in
            let (y, x) = (column / side, column % side)
            return y >= bars[0] && y < side - bars[1] && x >= bars[2] && x < side - bars[3]
        }
    }
    var chosen: [Int] = []
    while chosen.count < op.keep {
        let gains = open.sorted().map { column in
            (column, Float(best.indices.reduce(0.0) { $0 + Double(max(0, values[$1 * columns + column] - best[$1])) }))
        }
        guard let most = gains.map(\.1).max(), let column = gains.first(where: { $0.1 == most })?.0 else { break }
        open.remove(column)
        chosen.append(column)
        for row in best.indices { best[row] = max(best[row], values[row * columns + column]) }
    }
    let list = Array(repeating: 0, count: op.keep - chosen.count) + chosen.sorted()
    return Tensor(shape: [op.keep], list.map { Int32($0) })
}
