import Checkpoint
import IR
import Plan
import Reference
import Support

/// Streams a plan's weights into a file, as little-endian 32-bit floats or packed in panels, on two threads, in bounded memory whatever
/// their size: sources are mapped, and their pages are given back as they are read.
struct WeightWriter: Sendable {
    let module: Module
    let plan: Plan
    let checkpoint: Checkpoint

    /// For the buffers of one thread.
    static let bufferBytes = 16 << 20
    static let threads = 2

    /// Writes every weight at its offset behind `base`. Gaps stay holes. `advance` hears of bytes written, from any thread.
    func write(to file: StreamedFile, at base: Int, advance: @escaping @Sendable (Int) -> Void) throws(Diagnostic) {
        let sources = try checkpoint.sourceEntries()
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
            if let (source, type) = packing(of: weight.name) {
                try writePanels(of: source, type, weight, evaluator, to: file, at: base + weight.offset, advance: advance)
                return
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

    /// The f32 weight that a weight in panels is packed from.
    private func packing(of name: String) -> (source: String, type: PanelType)? {
        guard case .folded(let operations) = module.weights[name]?.definition, operations.count == 1, case .pack(let pack) = operations[0].op,
            case .weight(let source) = operations[0].operands[0]
        else { return nil }
        return (source, pack.type)
    }

    /// Bytes of panels that are written at a time.
    private static let writeBytes = 4 << 20

    private func writePanels(
        of source: String, _ type: PanelType, _ weight: PlacedWeight, _ evaluator: WeightEvaluator, to file: StreamedFile, at base: Int,
        advance: (Int) -> Void
    ) throws(Diagnostic) {
        guard let columns = weight.type.fixedShape?[1], let panelBytes = BlockFormat.panelBytes(weight.type.dtype, columns: columns) else {
            throw .error("weight '@\(weight.name)' is \(weight.type)", expected: "a matrix in panels")
        }
        let panelCount = BlockFormat.panel * columns
        let rows = UnsafeMutablePointer<Float>.allocate(capacity: panelCount)
        let packed = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, Self.writeBytes / panelBytes) * panelBytes, alignment: 64)
        defer {
            rows.deallocate()
            packed.deallocate()
        }
        var (held, filled, written) = (0, 0, 0)
        func flush() throws(Diagnostic) {
            guard written + filled <= weight.byteCount else {
                throw .error("weight '@\(weight.name)' has more panels than its \(weight.byteCount) bytes hold")
            }
            try file.write(UnsafeRawBufferPointer(rebasing: packed[..<filled]), at: base + written)
            advance(filled)
            (written, filled) = (written + filled, 0)
        }
        func append(_ values: UnsafePointer<Float>, rows count: Int) throws(Diagnostic) {
            packPanel(type, count: count, columns: columns, rows: values, into: packed.baseAddress! + filled)
            filled += panelBytes
            if filled == packed.count { try flush() }
        }
        try evaluator.forEachBlock(of: source, maximumBytes: Self.bufferBytes) { (_, values) throws(Diagnostic) in
            var index = 0
            while index < values.count {
                if held == 0, values.count - index >= panelCount {
                    try append(values.baseAddress! + index, rows: BlockFormat.panel)
                    index += panelCount
                    continue
                }
                let count = min(panelCount - held, values.count - index)
                (rows + held).update(from: values.baseAddress! + index, count: count)
                (held, index) = (held + count, index + count)
                if held == panelCount {
                    try append(rows, rows: BlockFormat.panel)
                    held = 0
                }
            }
        }
        if held > 0 { try append(rows, rows: held / columns) }
        if filled > 0 { try flush() }
    }
}

extension Checkpoint {
    /// The checkpoint's tensors by the name that their file gives them, as the IR names its sources.
    func sourceEntries() throws(Diagnostic) -> [String: TensorEntry] {
        var entries: [String: TensorEntry] = [:]
        for entry in Array(tensors.values) + Array(calibration.values) {
            if let other = entries.updateValue(entry, forKey: entry.sourceName), other != entry, other.range != entry.range || other.file !== entry.file {
                throw .error(
                    "the tensor is also in \(quoted(other.file.path)), as another part of the model", at: entry.site, expected: "distinct names")
            }
        }
        return entries
    }
}
