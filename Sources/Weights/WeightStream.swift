import IR
import Reference
import Support

/// Fills ranges of elements of the tensors of a `WeightGraph`, with buffers of at most `capacity` elements each, or of one row
/// where a row alone is larger.
final class WeightStream {
    let capacity: Int
    private let read: WeightEvaluator.Read
    private var live = 0
    /// The most elements that buffers held at once, operands held whole not counted.
    private(set) var peak = 0

    init(capacity: Int, read: @escaping WeightEvaluator.Read) {
        self.capacity = capacity
        self.read = read
    }

    func withScratch(_ count: Int, _ body: (UnsafeMutablePointer<Float>) throws(Diagnostic) -> Void) throws(Diagnostic) {
        let buffer = UnsafeMutablePointer<Float>.allocate(capacity: count)
        // So that even a reader that writes too little gives a defined result.
        buffer.initialize(repeating: 0, count: count)
        live += count
        peak = max(peak, live)
        defer {
            live -= count
            buffer.deallocate()
        }
        try body(buffer)
    }

    /// All elements of a tensor, kept in it.
    func whole(_ node: WeightNode) throws(Diagnostic) -> [Float] {
        if let elements = node.elements { return elements }
        let elements: [Float]
        if case .reshape(let operand) = node.kind {
            elements = try whole(operand)
        } else if case .whole(let op, let operands) = node.kind {
            var tensors: [Tensor] = []
            for operand in operands { tensors.append(Tensor(shape: operand.shape, try whole(operand))) }
            elements = try evaluate(op, tensors).floats
        } else {
            var values = [Float](repeating: 0, count: node.count)
            try values.withUnsafeMutableBufferPointer { values throws(Diagnostic) in
                for start in stride(from: 0, to: node.count, by: capacity) {
                    try compute(node, start..<min(start + capacity, node.count), values.baseAddress! + start)
                }
            }
            elements = values
        }
        node.elements = elements
        live -= node.last?.range.count ?? 0
        node.last = nil
        for operand in node.operands { release(operand) }
        return elements
    }

    /// Lets go of what only an operand that is now whole has read.
    private func release(_ node: WeightNode) {
        guard node.readers == 1 else { return }
        node.elements = nil
        for operand in node.operands { release(operand) }
    }

    /// Writes the elements `range` of a tensor to `out`.
    func fill(_ node: WeightNode, _ range: Range<Int>, _ out: UnsafeMutablePointer<Float>) throws(Diagnostic) {
        if range.isEmpty { return }
        if let elements = node.elements {
            elements.withUnsafeBufferPointer { out.update(from: $0.baseAddress! + range.lowerBound, count: range.count) }
            return
        }
        if let last = node.last, last.range.contains(range) {
            let start = range.lowerBound - last.range.lowerBound
            last.elements.withUnsafeBufferPointer { out.update(from: $0.baseAddress! + start, count: range.count) }
            return
        }
        try compute(node, range, out)
        if node.remembers, node.elements == nil, range.count <= capacity {
            live += range.count - (node.last?.range.count ?? 0)
            peak = max(peak, live)
            node.last = (range, Array(UnsafeBufferPointer(start: out, count: range.count)))
        }
    }

    private func compute(_ node: WeightNode, _ range: Range<Int>, _ out: UnsafeMutablePointer<Float>) throws(Diagnostic) {
        let values = UnsafeMutableBufferPointer(start: out, count: range.count)
        switch node.kind {
        case .source(let source): try read(source, range, values)
        case .reshape(let operand): try fill(operand, range, out)
        case .map(let operand, let function):
            try fill(operand, range, out)
            for index in values.indices { values[index] = function(values[index]) }
        case .combine(let left, let right, let function):
            try fill(left, range, out)
            try withScratch(range.count) { scratch throws(Diagnostic) in
                try fill(right, range, scratch)
                combine(values, UnsafeBufferPointer(start: scratch, count: range.count), at: 0, function)
            }
        case .broadcast(let left, let right, let function):
            let repeated = try whole(right)
            try fill(left, range, out)
            repeated.withUnsafeBufferPointer { combine(values, $0, at: range.lowerBound, function) }
        case .slice(let operand, let axis, let start): try slice(operand, axis, start, node.shape[axis], range, out)
        case .concatenate(let operands, let axis): try concatenate(operands, axis, range, out)
        case .transpose(let operand, let permutation, let kept): try transpose(operand, permutation, kept, range, out)
        case .matmul(let op, let left, let weight, let bias, let addend):
            let columns = node.shape[1]
            let matrix = try whole(weight)
            let vector: [Float]?
            if let bias { vector = try whole(bias) } else { vector = nil }
            if let addend { try fill(addend, range, out) }
            try forRows(of: left, width: columns, depth: left.shape[1], range) { rows, local, offset throws(Diagnostic) in
                try matrix.withUnsafeBufferPointer { matrix throws(Diagnostic) in
                    try matmul(op, rows, matrix.baseAddress!, vector, depth: left.shape[1], columns: columns, local, out + offset)
                }
            }
        case .rows(let operand, let vectors, let function):
            let width = node.shape[node.shape.count - 1]
            var whole: [[Float]] = []
            for vector in vectors { whole.append(try self.whole(vector)) }
            try forRows(of: operand, width: width, depth: width, range) { rows, local, offset throws(Diagnostic) in
                for start in stride(from: 0, to: local.upperBound, by: width) {
                    function(UnsafeMutableBufferPointer(start: rows + start, count: width), whole)
                }
                (out + offset).update(from: rows + local.lowerBound, count: local.count)
            }
        case .whole:
            let elements = try whole(node)
            elements.withUnsafeBufferPointer { out.update(from: $0.baseAddress! + range.lowerBound, count: range.count) }
        }
    }

    /// Reads the rows of `depth` elements of `operand` that make the elements `range` of a result with rows of `width`, as many at a
    /// time as fit. `body` gets them, the elements of the result that they make, counted from the first of these rows, and where in
    /// `range` these begin.
    private func forRows(
        of operand: WeightNode, width: Int, depth: Int, _ range: Range<Int>,
        _ body: (UnsafeMutablePointer<Float>, Range<Int>, Int) throws(Diagnostic) -> Void
    ) throws(Diagnostic) {
        let rows = range.lowerBound / width..<(range.upperBound - 1) / width + 1
        let step = max(1, min(rows.count, capacity / depth))
        try withScratch(step * depth) { scratch throws(Diagnostic) in
            for first in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
                let end = min(first + step, rows.upperBound)
                try fill(operand, first * depth..<end * depth, scratch)
                let part = range.clamped(to: first * width..<end * width)
                let base = first * width
                try body(scratch, part.lowerBound - base..<part.upperBound - base, part.lowerBound - range.lowerBound)
            }
        }
    }

    /// Runs at least this long are read one by one; shorter ones together with what stands between them.
    private static let longRun = 256

    private func slice(
        _ operand: WeightNode, _ axis: Int, _ start: Int, _ count: Int, _ range: Range<Int>, _ out: UnsafeMutablePointer<Float>
    ) throws(Diagnostic) {
        let inner = operand.shape[(axis + 1)...].reduce(1, *)
        let (run, row) = (count * inner, operand.shape[axis] * inner)
        /// The index in the operand of an element of the result
        func place(_ index: Int) -> Int { index / run * row + start * inner + index % run }

        if run >= Self.longRun || row > capacity {
            var index = range.lowerBound
            while index < range.upperBound {
                let length = min(run - index % run, range.upperBound - index)
                try fill(operand, place(index)..<place(index) + length, out + index - range.lowerBound)
                index += length
            }
            return
        }
        // From the first to the last element of some runs, which is never more than the rows they stand in.
        let runs = range.lowerBound / run..<(range.upperBound - 1) / run + 1
        let step = min(runs.count, capacity / row)
        try withScratch(step * row) { scratch throws(Diagnostic) in
            for first in stride(from: runs.lowerBound, to: runs.upperBound, by: step) {
                let part = range.clamped(to: first * run..<min(first + step, runs.upperBound) * run)
                let base = place(part.lowerBound)
                try fill(operand, base..<place(part.upperBound - 1) + 1, scratch)
                for index in part { out[index - range.lowerBound] = scratch[place(index) - base] }
            }
        }
    }

    private func concatenate(
        _ operands: [WeightNode], _ axis: Int, _ range: Range<Int>, _ out: UnsafeMutablePointer<Float>
    ) throws(Diagnostic) {
        let runs = operands.map { $0.shape[axis...].reduce(1, *) }
        let row = runs.reduce(0, +)
        var offset = 0
        for (operand, run) in zip(operands, runs) {
            /// How many elements of the operand stand before an element of the result
            func before(_ index: Int) -> Int { index / row * run + min(max(index % row - offset, 0), run) }
            func place(_ element: Int) -> Int { element / run * row + offset + element % run }
            let part = before(range.lowerBound)..<before(range.upperBound)
            if !part.isEmpty, part.lowerBound / run == (part.upperBound - 1) / run {
                try fill(operand, part, out + place(part.lowerBound) - range.lowerBound)
            } else if !part.isEmpty {
                try withScratch(part.count) { scratch throws(Diagnostic) in
                    try fill(operand, part, scratch)
                    var element = part.lowerBound
                    while element < part.upperBound {
                        let length = min(run - element % run, part.upperBound - element)
                        (out + place(element) - range.lowerBound).update(from: scratch + element - part.lowerBound, count: length)
                        element += length
                    }
                }
            }
            offset += run
        }
    }

    private func transpose(
        _ operand: WeightNode, _ permutation: [Int], _ kept: Int, _ range: Range<Int>, _ out: UnsafeMutablePointer<Float>
    ) throws(Diagnostic) {
        // A row is what one place in the kept dimensions holds.
        let row = operand.shape[kept...].reduce(1, *)
        guard kept > 0, row <= capacity else {
            let elements = try whole(operand)
            elements.withUnsafeBufferPointer { permute($0.baseAddress!, operand.shape, permutation, range, into: out) }
            return
        }
        let shape = Array(operand.shape[kept...])
        let inner = permutation[kept...].map { $0 - kept }
        try forRows(of: operand, width: row, depth: row, range) { rows, local, offset throws(Diagnostic) in
            let count = (local.upperBound + row - 1) / row
            permute(rows, [count] + shape, [0] + inner.map { $0 + 1 }, local, into: out + offset)
        }
    }
}

extension Range<Int> {
    fileprivate func contains(_ other: Range<Int>) -> Bool { lowerBound <= other.lowerBound && other.upperBound <= upperBound }
}
