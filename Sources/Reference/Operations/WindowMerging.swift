import IR
import Support

// Windows of patches that become one row, and rows that thresholds drop.

func similarWindows(_ op: SimilarWindows, _ operand: Tensor) -> Tensor {
    let (rows, columns) = (operand.floats, operand.shape[1])
    let windows = windows(of: operand.shape[0], op.window)
    let similarities = windows.map { cells in
        var sum = 0.0
        for a in cells {
            for b in cells where a != b {
                sum += (0..<columns).reduce(0.0) { $0 + Double(rows[a * columns + $1]) * Double(rows[b * columns + $1]) }
            }
        }
        return Float(sum / Double(cells.count * (cells.count - 1)))
    }
    let merged = best(similarities, windows.count).filter { similarities[$0] >= op.similarity }
    let gone = Set(merged.flatMap { windows[$0] })
    let list = merged.map { windows[$0][0] } + (0..<operand.shape[0]).filter { !gone.contains($0) }
    return Tensor(shape: [list.count], list.map { Int32($0) })
}

/// The patches of each window of a square grid, both in raster order.
private func windows(of patches: Int, _ window: Int) -> [[Int]] {
    let side = gridEdge(of: patches) ?? 1
    return stride(from: 0, to: side, by: window).flatMap { top in
        stride(from: 0, to: side, by: window).map { left in cells(from: top * side + left, side, window) }
    }
}

private func cells(from first: Int, _ side: Int, _ window: Int) -> [Int] {
    (0..<window).flatMap { y in (0..<window).map { first + y * side + $0 } }
}

func windowMeans(_ op: WindowMeans, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    let (x, list) = (operands[0].floats, operands[1].integers.map { Int($0) })
    let (patches, columns) = (operands[0].shape[0], operands[0].shape[1])
    let side = gridEdge(of: patches) ?? 1
    let merged = (patches - list.count) / (op.window * op.window - 1)
    var means: [Float] = []
    for (index, first) in list.enumerated() {
        let cells = index < merged ? cells(from: first, side, op.window) : [first]
        guard cells.allSatisfy({ 0..<patches ~= $0 }) else { throw .error("row \(first) of \(patches) does not exist") }
        means += (0..<columns).map { column in Float(cells.reduce(0.0) { $0 + Double(x[$1 * columns + column]) } / Double(cells.count)) }
    }
    return Tensor(shape: [list.count, columns], means)
}

func keyRows(_ op: KeyRows, _ operand: Tensor) -> Tensor {
    let kept = Set(best(operand.floats, op.rows(of: operand.shape[0])))
    return Tensor(shape: operand.shape, operand.floats.indices.map { kept.contains($0) ? 1 : 0 as Int32 })
}

func postRows(_ operands: [Tensor]) -> Tensor {
    let (tokens, slots) = (operands[0].integers, operands[1].integers)
    var marks = [Int32](repeating: 0, count: tokens.count)
    for run in SlotRun.all(tokens: tokens, slots: slots) {
        guard let last = run.vision.last else { continue }
        for row in last + 1..<run.rows.upperBound { marks[row] = 1 }
    }
    return Tensor(shape: operands[0].shape, marks)
}

func thresholdRows(_ op: ThresholdRows, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    let (sums, most) = (operands[0].floats, operands[1].floats)
    let (tokens, slots, protected) = (operands[2].integers, operands[3].integers, operands[4].integers)
    var kept: [Int32] = []
    for run in SlotRun.all(tokens: tokens, slots: slots) {
        let least = Double(op.global) * run.vision.reduce(0.0) { $0 + Double(sums[$1]) }
        for row in run.rows {
            let place = -1 - Int(tokens[row])
            guard place < protected.count else { throw .error("row \(place) of \(protected.count) does not exist") }
            let leaves = place >= 0 && Double(sums[row]) < least && most[row] < op.individual && protected[place] == 0
            if !leaves || row == run.rows.upperBound - 1 { kept.append(Int32(row)) }
        }
    }
    return Tensor(shape: [kept.count], kept)
}

/// The first row of each slot in a call, how many rows it has there, and those of them that stay, counted from the first.
private func slotRows(_ slots: [Int32], _ list: [Int32]) -> [(slot: Int, count: Int, kept: [Int])] {
    SlotRun.all(tokens: slots, slots: slots).map { run in
        (Int(slots[run.rows.lowerBound]), run.rows.count, list.map { Int($0) }.filter(run.rows.contains).map { $0 - run.rows.lowerBound })
    }
}

/// Operands: a cache [slots, C, ...], i32 [slots], the slots of a call's rows and those of them that stay; the cache with these in the first places.
func cacheKeep(_ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    struct Move: Rearrangement {
        let moves: [(from: Int, to: Int)]
        let width: Int

        func callAsFunction<Element>(_ operands: [[Element]]) -> [Element] {
            var result = operands[0]
            for (from, to) in moves {
                result.replaceSubrange(to * width..<(to + 1) * width, with: operands[0][from * width..<(from + 1) * width])
            }
            return result
        }
    }
    let (lengths, capacity) = (operands[1].integers, operands[0].shape[1])
    var moves: [(Int, Int)] = []
    for (slot, count, kept) in slotRows(operands[2].integers, operands[3].integers) {
        guard lengths.indices.contains(slot), count...capacity ~= Int(lengths[slot]) else {
            throw .error("slot \(slot) does not hold the \(count) rows of a call")
        }
        let first = slot * capacity + Int(lengths[slot]) - count
        for (place, row) in kept.enumerated() { moves.append((first + row, first + place)) }
    }
    return apply(Move(moves: moves, width: operands[0].shape[2...].reduce(1, *)), to: [operands[0]], shape: operands[0].shape)
}

/// Operands: i32 [slots], the slots of a call's rows and those of them that stay; the lengths without the others.
func release(_ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    var lengths = operands[0].integers
    for (slot, count, kept) in slotRows(operands[1].integers, operands[2].integers) {
        guard lengths.indices.contains(slot), Int(lengths[slot]) >= count else {
            throw .error("slot \(slot) does not hold the \(count) rows of a call")
        }
        lengths[slot] -= Int32(count - kept.count)
    }
    return Tensor(shape: operands[0].shape, lengths)
}
