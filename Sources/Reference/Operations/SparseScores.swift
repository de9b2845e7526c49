import Glibc
import IR

func raterRows(_ operands: [Tensor]) -> Tensor {
    let (x, columns) = (operands[0].floats, operands[0].shape[1])
    let (tokens, slots) = (operands[1].integers, operands[2].integers)
    func product(_ a: Int, _ b: Int) -> Double {
        (0..<columns).reduce(0) { $0 + Double(x[a * columns + $1]) * Double(x[b * columns + $1]) }
    }
    var raters = [Int32](repeating: 0, count: tokens.count)
    for run in SlotRun.all(tokens: tokens, slots: slots) {
        guard let last = run.vision.last else { continue }
        let words = Array(last + 1..<run.rows.upperBound)
        var shares = [Double](repeating: 0, count: words.count)
        for row in run.vision {
            let products = words.map { product(row, $0) }
            let weights = products.map { exp($0 - (products.max() ?? 0)) }
            let sum = weights.reduce(0, +)
            for index in shares.indices { shares[index] += weights[index] / sum / Double(run.vision.count) }
        }
        let mean = Float(shares.reduce(0) { $0 + Double(Float($1)) / Double(words.count) })
        let above = words.indices.filter { Float(shares[$0]) > mean }
        for index in above.isEmpty ? Array(words.indices) : above { raters[words[index]] = 1 }
    }
    return Tensor(shape: [tokens.count], raters)
}

func rotaryScores(_ op: RotaryScores, _ operands: [Tensor]) -> Tensor {
    let (queries, keys) = (operands[0].floats, operands[1].floats)
    let (tokens, slots) = (operands[2].integers, operands[3].integers)
    let (raters, positions) = (operands[4].integers, operands[5].integers)
    let size = operands[0].shape[1] / op.heads
    let frequencies = exactFrequencies(size: size, theta: Double(op.theta), op.scaling)
    var scores = [Float](repeating: 0, count: tokens.count)
    for run in SlotRun.all(tokens: tokens, slots: slots) where !run.vision.isEmpty {
        let rated = run.rows.filter { raters[$0] != 0 }
        /// By head: the sum over the raters of each vision row
        let sums = (0..<op.heads).map { head in
            var sums = [Double](repeating: 0, count: run.vision.count)
            let key = head / (op.heads / op.keyValueHeads) * size
            for row in rated {
                let part = softmax(
                    row, run, queries, keys, size: size, scale: op.scale, query: (head * size, operands[0].shape[1]),
                    key: (key, operands[1].shape[1]))
                for (index, other) in run.vision.enumerated() where other <= row {
                    let difference = Double(positions[row]) - Double(positions[other])
                    let divisor = 2 / Double(size).squareRoot() * frequencies.reduce(0) { $0 + cos($1 * difference) }
                    sums[index] += part[other - run.rows.lowerBound] / divisor
                }
            }
            return sums
        }
        let chosen = best(sums.map { Float($0.reduce(0, +)) }, op.best)
        for (index, row) in run.vision.enumerated() where !rated.isEmpty {
            scores[row] = Float(chosen.reduce(0) { $0 + sums[$1][index] } / Double(rated.count * op.best))
        }
    }
    return Tensor(shape: [tokens.count], scores)
}

/// Those of `rotary`, but for their rounding.
private func exactFrequencies(size: Int, theta: Double, _ scaling: Rotary.Scaling?) -> [Double] {
    (0..<size / 2).map { pair in
        let frequency = pow(theta, -Double(2 * pair) / Double(size))
        guard let scaling else { return frequency }
        let turns = Double(scaling.original) * frequency / (2 * Double.pi)
        let (low, high) = (Double(scaling.low), Double(scaling.high))
        let smooth = turns < low ? 0 : turns > high ? 1 : (turns - low) / (high - low)
        return (1 - smooth) * (frequency / Double(scaling.factor)) + smooth * frequency
    }
}

func raterAttention(_ op: RaterAttention, _ operands: [Tensor]) -> Tensor {
    let (queries, keys) = (operands[0].floats, operands[1].floats)
    let (tokens, slots, raters) = (operands[2].integers, operands[3].integers, operands[4].integers)
    let size = operands[0].shape[1] / op.heads
    var matrix = [Float](repeating: 0, count: tokens.count * op.columns)
    for run in SlotRun.all(tokens: tokens, slots: slots) {
        for row in run.rows where raters[row] != 0 {
            var sums = [Double](repeating: 0, count: run.rows.count)
            for head in 0..<op.heads {
                let key = head / (op.heads / op.keyValueHeads) * size
                let part = softmax(
                    row, run, queries, keys, size: size, scale: op.scale, query: (head * size, operands[0].shape[1]),
                    key: (key, operands[1].shape[1]))
                for (index, weight) in part.enumerated() { sums[index] += weight / Double(op.heads) }
            }
            for (column, other) in run.vision.prefix(op.columns).enumerated() {
                matrix[row * op.columns + column] = Float(sums[other - run.rows.lowerBound])
            }
        }
    }
    return Tensor(shape: [tokens.count, op.columns], matrix)
}

func rankCounts(_ op: RankCounts, _ operands: [Tensor]) -> Tensor {
    let (matrix, columns) = (operands[0].floats, operands[0].shape[1])
    let (tokens, slots, raters) = (operands[1].integers, operands[2].integers, operands[3].integers)
    var counts = [Int32](repeating: 0, count: tokens.count)
    for run in SlotRun.all(tokens: tokens, slots: slots) {
        let width = min(columns, run.vision.count)
        let rows = run.rows.filter { raters[$0] != 0 }.prefix(RankCounts.mostRaters)
            .map { row in (0..<width).map { Double(matrix[row * columns + $0]) } }
        let values = singularValues(rows)
        let least = Double(max(rows.count, width)) * 0x1p-23 * (values.max() ?? 0)
        let count = op.count(rank: values.count { $0 > least }, of: run.vision.count)
        for row in run.rows { counts[row] = Int32(count) }
    }
    return Tensor(shape: [tokens.count], counts)
}

/// By rotations that make the rows orthogonal.
private func singularValues(_ matrix: [[Double]]) -> [Double] {
    var rows = matrix
    func product(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    for _ in 0..<60 {
        var turned = false
        for p in rows.indices {
            for q in rows.indices where q > p {
                let (a, b, c) = (product(rows[p], rows[p]), product(rows[q], rows[q]), product(rows[p], rows[q]))
                if abs(c) <= 1e-15 * (a * b).squareRoot() || abs(c) < 1e-300 { continue }
                turned = true
                let tau = (b - a) / (2 * c)
                let tangent = (tau >= 0 ? 1 : -1) / (abs(tau) + (1 + tau * tau).squareRoot())
                let cosine = 1 / (1 + tangent * tangent).squareRoot(), sine = cosine * tangent
                let (x, y) = (rows[p], rows[q])
                for column in x.indices {
                    rows[p][column] = cosine * x[column] - sine * y[column]
                    rows[q][column] = sine * x[column] + cosine * y[column]
                }
            }
        }
        if !turned { break }
    }
    return rows.map { product($0, $0).squareRoot() }
}
