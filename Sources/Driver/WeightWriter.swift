import Checkpoint
import IR
import Plan
import Reference
import Support

/// Streams a plan's weights into a file as little-endian 32-bit floats, on two threads, in bounded memory whatever their
/// size: sources are mapped, and their pages are given back as they are read.
struct WeightWriter: Sendable {
    let module: Module
    let plan: Plan
    let checkpoint: Checkpoint

    /// For the buffers of one thread.
    static let bufferBytes = 16 << 20
    static let threads = 2

    /// Writes every weight at its offset behind `base`. Gaps stay holes. `advance` hears of bytes written, from any thread.
    func write(to file: StreamedFile, at base: Int, advance: @escaping @Sendable (Int) -> Void) throws(Diagnostic) {
        let sources = try sourceEntries()
        let weights = plan.weights
        try inParallel(weights.count, jobs: Self.threads) { index throws(Diagnostic) in
            let weight = weights[index]
            let evaluator = WeightEvaluator(module) { (source, range, buffer) throws(Diagnostic) in
                guard let entry = sources[source.name] else {
                    throw .error("the checkpoint has no tensor \(quoted(source.name))", at: .operation("@\(weight.name)"))
                }
                entry.readFloats(range, into: buffer)
                entry.release(range)
            }
            try evaluator.forEachBlock(of: weight.name, maximumBytes: Self.bufferBytes) { (first, values) throws(Diagnostic) in
                guard (first + values.count) * 4 <= weight.byteCount else {
                    throw .error("weight '@\(weight.name)' has more elements than its \(weight.byteCount) bytes hold")
                }
                try file.write(UnsafeRawBufferPointer(values), at: base + weight.offset + first * 4)
                advance(values.count * 4)
            }
        }
    }

    /// The checkpoint's tensors by the name that their file gives them, as the IR names its sources.
    private func sourceEntries() throws(Diagnostic) -> [String: TensorEntry] {
        var entries: [String: TensorEntry] = [:]
        for entry in checkpoint.tensors.values {
            if let other = entries.updateValue(entry, forKey: entry.sourceName), other != entry, other.range != entry.range || other.file !== entry.file {
                throw .error(
                    "the tensor is also in \(quoted(other.file.path)), as another part of the model", at: entry.site, expected: "distinct names")
            }
        }
        return entries
    }
}
