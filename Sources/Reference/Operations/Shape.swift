import IR
import Support

/// An operation that only moves elements, whatever their type.
protocol Rearrangement {
    func callAsFunction<Element>(_ operands: [[Element]]) -> [Element]
}

/// `rearrangement` of tensors of one element type.
func apply(_ rearrangement: some Rearrangement, to operands: [Tensor], shape: [Int]) -> Tensor {
    switch operands[0].elements {
    case .float32: Tensor(shape: shape, rearrangement(operands.map(\.floats)))
    case .int32: Tensor(shape: shape, rearrangement(operands.map(\.integers)))
    case .uint8: Tensor(shape: shape, rearrangement(operands.map(\.bytes)))
    case .rounded(let dtype, _): Tensor(shape: shape, elements: .rounded(dtype, rearrangement(operands.map(\.floats))))
    }
}

private func product(_ shape: some Sequence<Int>) -> Int { shape.reduce(1, *) }

func concatenate(_ op: Concatenate, _ operands: [Tensor]) -> Tensor {
    struct Join: Rearrangement {
        /// Elements of each operand in one step of the outer dimensions
        let runs: [Int]
        let outer: Int

        func callAsFunction<Element>(_ operands: [[Element]]) -> [Element] {
            var result: [Element] = []
            result.reserveCapacity(outer * runs.reduce(0, +))
            for index in 0..<outer {
                for (operand, run) in zip(operands, runs) { result += operand[index * run..<(index + 1) * run] }
            }
            return result
        }
    }
    var shape = operands[0].shape
    shape[op.axis] = operands.reduce(0) { $0 + $1.shape[op.axis] }
    let join = Join(runs: operands.map { product($0.shape[op.axis...]) }, outer: product(shape[..<op.axis]))
    return apply(join, to: operands, shape: shape)
}

/// `count` runs of `length` elements, `step` apart.
private struct Runs: Rearrangement {
    let start, length, step, count: Int

    func callAsFunction<Element>(_ operands: [[Element]]) -> [Element] {
        var result: [Element] = []
        result.reserveCapacity(length * count)
        for index in 0..<count { result += operands[0][start + index * step..<start + index * step + length] }
        return result
    }
}

func slice(_ op: Slice, _ operand: Tensor) -> Tensor {
    var shape = operand.shape
    let count = op.count ?? shape[op.axis] - op.start
    shape[op.axis] = count
    let inner = product(shape[(op.axis + 1)...])
    let runs = Runs(
        start: op.start * inner, length: count * inner, step: operand.shape[op.axis] * inner, count: product(shape[..<op.axis]))
    return apply(runs, to: [operand], shape: shape)
}

func gatherRows(_ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    struct Pick: Rearrangement {
        let rows: [Int]
        let width: Int

        func callAsFunction<Element>(_ operands: [[Element]]) -> [Element] {
            rows.flatMap { operands[0][$0 * width..<($0 + 1) * width] }
        }
    }
    let (rows, inner) = (operands[1].integers.map { Int($0) }, Array(operands[0].shape.dropFirst()))
    if let row = rows.first(where: { !(0..<operands[0].shape[0] ~= $0) }) {
        throw .error("row \(row) of \(operands[0].type) does not exist")
    }
    return apply(Pick(rows: rows, width: product(inner)), to: [operands[0]], shape: [rows.count] + inner)
}

func transpose(_ op: Transpose, _ operand: Tensor) -> Tensor {
    struct Permute: Rearrangement {
        let shape, permutation: [Int]

        func callAsFunction<Element>(_ operands: [[Element]]) -> [Element] {
            let count = operands[0].count
            if count == 0 { return [] }
            return [Element](unsafeUninitializedCapacity: count) { result, written in
                operands[0].withUnsafeBufferPointer {
                    permute($0.baseAddress!, shape, permutation, 0..<count, into: result.baseAddress!)
                }
                written = count
            }
        }
    }
    let shape = op.permutation.map { operand.shape[$0] }
    return apply(Permute(shape: operand.shape, permutation: op.permutation), to: [operand], shape: shape)
}

/// Writes the elements `range` of the transposed tensor to `result`, from the whole operand of `shape`.
@inlinable  // In Weights it is compiled for floats.
public func permute<Element>(
    _ operand: UnsafePointer<Element>, _ shape: [Int], _ permutation: [Int], _ range: Range<Int>, into result: UnsafeMutablePointer<Element>
) {
    var strides = [Int](repeating: 1, count: shape.count)
    for axis in shape.indices.dropLast().reversed() { strides[axis] = strides[axis + 1] * shape[axis + 1] }
    let sizes = permutation.map { shape[$0] }
    let steps = permutation.map { strides[$0] }
    // The place of the first element, dimension by dimension, and its index in the operand
    var place = [Int](repeating: 0, count: shape.count)
    var (rest, source) = (range.lowerBound, 0)
    for axis in shape.indices.reversed() {
        place[axis] = rest % sizes[axis]
        rest /= sizes[axis]
        source += place[axis] * steps[axis]
    }
    let last = shape.count - 1
    var done = 0
    while done < range.count {
        let run = last < 0 ? 1 : min(sizes[last] - place[last], range.count - done)
        let step = last < 0 ? 1 : steps[last]
        for index in 0..<run { (result + done + index).initialize(to: operand[source + index * step]) }
        done += run
        if last < 0 { return }
        place[last] += run
        source += run * step
        // Carry into the outer dimensions.
        var axis = last
        while axis > 0, place[axis] == sizes[axis] {
            source += steps[axis - 1] - sizes[axis] * steps[axis]
            place[axis] = 0
            place[axis - 1] += 1
            axis -= 1
        }
    }
}

func embed(_ op: Embed, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    let (tokens, table) = (operands[0].integers, operands[1].floats)
    let (count, width) = (operands[1].shape[0], operands[1].shape[1])
    let vision = op.hasVision ? operands[2].floats : []
    let visionCount = op.hasVision ? operands[2].shape[0] : 0
    var result: [Float] = []
    result.reserveCapacity(tokens.count * width)
    for (index, token) in tokens.enumerated() {
        if token >= 0 {
            let row = Int(token)
            guard row < count else { throw .error("token \(token) at index \(index) is out of range", expected: "0 to \(count - 1)") }
            result += table[row * width..<(row + 1) * width]
        } else {
            let row = -1 - Int(token)
            guard row < visionCount else {
                throw .error(
                    "token \(token) at index \(index) is out of range",
                    expected: visionCount == 0 ? "no negative token without vision rows" : "at least \(-visionCount)")
            }
            result += vision[row * width..<(row + 1) * width]
        }
    }
    return Tensor(shape: [tokens.count, width], result)
}
