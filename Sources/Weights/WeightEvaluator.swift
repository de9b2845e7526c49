import IR
import Support

/// Evaluates weights block by block in bounded memory, so that a checkpoint of any size streams into an executable.
///
/// Bit-equal to `Evaluator`. What is local to rows of the weight (reading a source, reshape, slice, concatenate, elementwise
/// operations, norms, transposes that keep the leading dimensions, the left side of a matmul) is computed for one block at a time;
/// a vector or tensor that repeats, the weight of a matmul and the operand of a transpose that moves dimension 0 are held whole.
public struct WeightEvaluator {
    /// Writes the elements `range`, row-major and widened to float32, of a checkpoint tensor to a buffer of as many.
    public typealias Read = (SourceTensor, Range<Int>, UnsafeMutableBufferPointer<Float>) throws(Diagnostic) -> Void

    private let module: Module
    private let read: Read

    /// `module` must verify.
    public init(_ module: Module, read: @escaping Read) {
        self.module = module
        self.read = read
    }

    /// Calls `body` with consecutive blocks of a weight's elements and the index of each block's first, from 0 to the end.
    ///
    /// Buffers take about `maximumBytes` in all, operands that are held whole come on top of it. A block is a whole number of rows
    /// where a row fits. Throws what `read` and `body` throw, and for a weight that is missing or not f32.
    public func forEachBlock(
        of weight: String, maximumBytes: Int, _ body: (Int, UnsafeBufferPointer<Float>) throws(Diagnostic) -> Void
    ) throws(Diagnostic) {
        _ = try stream(weight, maximumBytes: maximumBytes, body)
    }

    /// All elements of a weight.
    public func elements(of weight: String, maximumBytes: Int = 1 << 24) throws(Diagnostic) -> [Float] {
        var elements: [Float] = []
        elements.reserveCapacity(module.weights[weight]?.type.elementCount() ?? 0)
        try forEachBlock(of: weight, maximumBytes: maximumBytes) { _, block throws(Diagnostic) in elements += block }
        return elements
    }

    /// `forEachBlock`; the result tells tests how much memory it took.
    func stream(
        _ weight: String, maximumBytes: Int, _ body: (Int, UnsafeBufferPointer<Float>) throws(Diagnostic) -> Void
    ) throws(Diagnostic) -> WeightStream {
        var graph = WeightGraph(module)
        let root = try graph.weight(weight)
        let shared = graph.nodes.count { $0.remembers }
        let capacity = max(1, maximumBytes / MemoryLayout<Float>.stride / (1 + root.depth + shared))
        let stream = WeightStream(capacity: capacity, read: read)
        var block = capacity
        // Whole rows where one fits, or whole rows of the rest.
        for axis in 1..<max(2, root.shape.count) {
            let row = root.shape.dropFirst(axis).reduce(1, *)
            if row <= capacity {
                block = capacity / row * row
                break
            }
        }
        block = min(block, root.count)
        try stream.withScratch(block) { buffer throws(Diagnostic) in
            var start = 0
            while start < root.count {
                let range = start..<min(start + block, root.count)
                try stream.fill(root, range, buffer)
                try body(start, UnsafeBufferPointer(start: buffer, count: range.count))
                start = range.upperBound
            }
        }
        return stream
    }
}
