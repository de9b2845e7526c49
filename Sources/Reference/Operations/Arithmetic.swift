import Glibc
import IR

extension ActivationFunction {
    func value(_ x: Double) -> Double {
        switch self {
        // erfc, since 1 + erf loses every digit for large negative x
        case .gelu: 0.5 * x * erfc(-x / 2.0.squareRoot())
        case .quickGELU: x / (1 + exp(-1.702 * x))
        case .silu: x / (1 + exp(-x))
        }
    }
}

func mapped(_ operand: Tensor, _ function: (Float) -> Float) -> Tensor {
    Tensor(shape: operand.shape, operand.floats.map(function))
}

/// The right operand repeats over the leading dimensions of the left.
func elementwise(_ operands: [Tensor], _ function: (Float, Float) -> Float) -> Tensor {
    let (left, right) = (operands[0].floats, operands[1].floats)
    var result = left
    combine(&result, right, at: 0, function)
    return Tensor(shape: operands[0].shape, result)
}

/// `values[i] = function(values[i], repeated[(offset + i) % repeated.count])`
private func combine(_ values: inout [Float], _ repeated: [Float], at offset: Int, _ function: (Float, Float) -> Float) {
    values.withUnsafeMutableBufferPointer { values in
        repeated.withUnsafeBufferPointer { combine(values, $0, at: offset, function) }
    }
}

func combine(
    _ values: UnsafeMutableBufferPointer<Float>, _ repeated: UnsafeBufferPointer<Float>, at offset: Int, _ function: (Float, Float) -> Float
) {
    var place = offset % repeated.count
    for index in 0..<values.count {
        values[index] = function(values[index], repeated[place])
        place += 1
        if place == repeated.count { place = 0 }
    }
}

func matmul(_ op: Matmul, _ operands: [Tensor]) -> Tensor {
    let (rows, depth, columns) = (operands[0].shape[0], operands[0].shape[1], operands[1].shape[0])
    let (left, weight) = (operands[0].floats, operands[1].floats)
    let bias = op.biasIndex.map { operands[$0].floats }
    var result = op.addendIndex.map { operands[$0].floats } ?? [Float](repeating: 0, count: rows * columns)
    left.withUnsafeBufferPointer { left in
        weight.withUnsafeBufferPointer { weight in
            result.withUnsafeMutableBufferPointer { result in
                matmul(
                    op, left.baseAddress!, weight.baseAddress!, bias, depth: depth, columns: columns, 0..<rows * columns,
                    result.baseAddress!)
            }
        }
    }
    return Tensor(shape: [rows, columns], result)
}

/// The elements `range` of a matmul's result, counted from the row at `left`; `result` holds the addend before, if there is one.
func matmul(
    _ op: Matmul, _ left: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ bias: [Float]?, depth: Int, columns: Int,
    _ range: Range<Int>, _ result: UnsafeMutablePointer<Float>
) {
    // A few rows at a time, so that they stay in the cache while the weight passes by.
    let tile = max(1, (1 << 15) / depth)
    let rows = range.lowerBound / columns..<(range.upperBound - 1) / columns + 1
    for first in stride(from: rows.lowerBound, to: rows.upperBound, by: tile) {
        let end = min(first + tile, rows.upperBound)
        for column in 0..<columns {
            for row in first..<end {
                let index = row * columns + column
                if index < range.lowerBound || index >= range.upperBound { continue }
                var value = dot(left + row * depth, weight + column * depth, depth)
                if let bias { value += Double(bias[column]) }
                let place = result + (index - range.lowerBound)
                if op.hasAddend { value += Double(place.pointee) }
                place.pointee = Float(op.activation?.value(value) ?? value)
            }
        }
    }
}

/// Four partial sums, so that additions need not wait for each other.
func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Double {
    var (s0, s1, s2, s3) = (0.0, 0.0, 0.0, 0.0)
    var index = 0
    while index + 4 <= count {
        s0 += Double(a[index]) * Double(b[index])
        s1 += Double(a[index + 1]) * Double(b[index + 1])
        s2 += Double(a[index + 2]) * Double(b[index + 2])
        s3 += Double(a[index + 3]) * Double(b[index + 3])
        index += 4
    }
    while index < count {
        s0 += Double(a[index]) * Double(b[index])
        index += 1
    }
    return (s0 + s1) + (s2 + s3)
}

func layerNorm(_ op: LayerNorm, _ operands: [Tensor]) -> Tensor {
    let vectors = operands.dropFirst().map(\.floats)
    return mappedRows(operands[0]) { layerNorm(op, $0, vectors) }
}

func rmsNorm(_ op: RMSNorm, _ operands: [Tensor]) -> Tensor {
    let vectors = operands.dropFirst().map(\.floats)
    return mappedRows(operands[0]) { rmsNorm(op, $0, vectors) }
}

/// `body` of each row along the last dimension, in place.
private func mappedRows(_ operand: Tensor, _ body: (UnsafeMutableBufferPointer<Float>) -> Void) -> Tensor {
    let width = operand.shape[operand.shape.count - 1]
    var values = operand.floats
    values.withUnsafeMutableBufferPointer { values in
        for start in stride(from: 0, to: values.count, by: width) { body(.init(rebasing: values[start..<start + width])) }
    }
    return Tensor(shape: operand.shape, values)
}

/// `vectors`: scale and bias, or nothing
func layerNorm(_ op: LayerNorm, _ row: UnsafeMutableBufferPointer<Float>, _ vectors: [[Float]]) {
    let count = Double(row.count)
    var mean = 0.0
    for value in row { mean += Double(value) }
    mean /= count
    var variance = 0.0
    for value in row { variance += (Double(value) - mean) * (Double(value) - mean) }
    let factor = 1 / (variance / count + Double(op.epsilon)).squareRoot()
    for index in row.indices {
        var value = (Double(row[index]) - mean) * factor
        if !vectors.isEmpty { value = value * Double(vectors[0][index]) + Double(vectors[1][index]) }
        row[index] = Float(value)
    }
}

/// `vectors`: the scale, or nothing
func rmsNorm(_ op: RMSNorm, _ row: UnsafeMutableBufferPointer<Float>, _ vectors: [[Float]]) {
    var squares = 0.0
    for value in row { squares += Double(value) * Double(value) }
    let factor = 1 / (squares / Double(row.count) + Double(op.epsilon)).squareRoot()
    for index in row.indices {
        let value = Double(row[index]) * factor
        row[index] = Float(vectors.isEmpty ? value : value * Double(vectors[0][index]))
    }
}
