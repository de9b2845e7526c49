import FoldProduct
import Glibc
import IR
import Support

extension ActivationFunction {
    public func value(_ x: Double) -> Double {
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

public func combine(
    _ values: UnsafeMutableBufferPointer<Float>, _ repeated: UnsafeBufferPointer<Float>, at offset: Int, _ function: (Float, Float) -> Float
) {
    // A step may have no row whose logits are wanted.
    if values.isEmpty { return }
    var place = offset % repeated.count
    for index in 0..<values.count {
        values[index] = function(values[index], repeated[place])
        place += 1
        if place == repeated.count { place = 0 }
    }
}

func matmul(_ op: Matmul, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    let (rows, depth, columns) = (operands[0].shape[0], operands[0].shape[1], operands[1].shape[0])
    let (left, weight) = (operands[0].floats, operands[1].floats)
    let bias = op.biasIndex.map { operands[$0].floats }
    var result = op.addendIndex.map { operands[$0].floats } ?? [Float](repeating: 0, count: rows * columns)
    try left.withUnsafeBufferPointer { left throws(Diagnostic) in
        try weight.withUnsafeBufferPointer { weight throws(Diagnostic) in
            try result.withUnsafeMutableBufferPointer { result throws(Diagnostic) in
                try matmul(
                    op, left.baseAddress!, weight.baseAddress!, bias, depth: depth, columns: columns, 0..<rows * columns,
                    result.baseAddress!)
            }
        }
    }
    return Tensor(shape: [rows, columns], result)
}

/// The elements `range` of a matmul's result, counted from the row at `left`; `result` holds the addend before, if there is one.
///
/// The sums are `lmmc_fold_product`'s, the same for every cut of the rows and columns, and rounded once, after the epilogue.
public func matmul(
    _ op: Matmul, _ left: UnsafePointer<Float>, _ weight: UnsafePointer<Float>, _ bias: [Float]?, depth: Int, columns: Int,
    _ range: Range<Int>, _ result: UnsafeMutablePointer<Float>
) throws(Diagnostic) {
    // Whole rows, as many as make a few MiB of sums, or what the range has of its first and its last row.
    let most = max(1, (1 << 19) / columns)
    var start = range.lowerBound
    while start < range.upperBound {
        let (row, column) = (start / columns, start % columns)
        let wholeRows = column == 0 ? min(most, (range.upperBound - start) / columns) : 0
        let rows = max(1, wholeRows)
        let width = wholeRows > 0 ? columns : min(columns - column, range.upperBound - start)
        let sums = try products(left + row * depth, rows: rows, weight + column * depth, columns: width, depth: depth)
        for index in sums.indices {
            var value = sums[index]
            if let bias { value += Double(bias[column + index % width]) }
            let place = result + (start - range.lowerBound + index)
            if op.hasAddend { value += Double(place.pointee) }
            place.pointee = Float(op.activation?.value(value) ?? value)
        }
        start += rows * width
    }
}

/// left . transpose(weight) with float64 sums, on every core where that is worth a thread.
private func products(
    _ left: UnsafePointer<Float>, rows: Int, _ weight: UnsafePointer<Float>, columns: Int, depth: Int
) throws(Diagnostic) -> [Double] {
    let threads = Double(rows) * Double(columns) * Double(depth) < 1e8 ? 1 : max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
    var isDone = false
    let sums = [Double](unsafeUninitializedCapacity: rows * columns) { sums, count in
        isDone = lmmc_fold_product(left, rows, weight, columns, depth, sums.baseAddress!, Int32(clamping: threads)) == 0
        count = rows * columns
    }
    guard isDone else { throw .error("out of memory for the blocks of a product of \(rows) x \(columns) x \(depth)") }
    return sums
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
public func layerNorm(_ op: LayerNorm, _ row: UnsafeMutableBufferPointer<Float>, _ vectors: [[Float]]) {
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
public func rmsNorm(_ op: RMSNorm, _ row: UnsafeMutableBufferPointer<Float>, _ vectors: [[Float]]) {
    var squares = 0.0
    for value in row { squares += Double(value) * Double(value) }
    let factor = 1 / (squares / Double(row.count) + Double(op.epsilon)).squareRoot()
    for index in row.indices {
        let value = Double(row[index]) * factor
        row[index] = Float(vectors.isEmpty ? value : value * Double(vectors[0][index]))
    }
}
