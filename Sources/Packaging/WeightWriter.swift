import Checkpoint
import IR
import Pack
import Plan
import Support
import Weights
import Work

/// Streams a plan's weights into a file, as little-endian 32-bit floats or packed in panels, on two threads, in bounded memory whatever
/// their size: sources are mapped, and their pages are given back as they are read.
public struct WeightWriter: Sendable {
    let module: Module
    let plan: Plan
    let checkpoint: Checkpoint

    public init(module: Module, plan: Plan, checkpoint: Checkpoint) {
        self.module = module
        self.plan = plan
        self.checkpoint = checkpoint
    }

    /// For the buffers of one thread.
    static let bufferBytes = 16 << 20
    static let threads = 2

    /// Writes every weight at its offset behind `base`. Gaps stay holes. `advance` hears of bytes written, `report` of weights that lose digits,
    /// from any thread. Throws for an element that is not finite, and for one that its weight's type does not hold.
    public func write(
        to file: StreamedFile, at base: Int, report: @escaping @Sendable (Diagnostic) -> Void, advance: @escaping @Sendable (Int) -> Void
    ) throws(Diagnostic) {
        let sources = try checkpoint.sourceEntries()
        let weights = plan.weights
        try inParallel(weights.count, jobs: Self.threads) { index throws(Diagnostic) in
            let weight = weights[index]
            let evaluator = WeightEvaluator(module) { (source, range, buffer) throws(Diagnostic) in
                guard let entry = sources[source.name] else {
                    throw .error("the checkpoint has no tensor \(quoted(source.name))", at: .operation("@\(weight.name)"))
                }
                try entry.readFinite(range, into: buffer)
                entry.release(range)
            }
            if let (source, type) = packing(of: weight.name) {
                let subnormal = try writePanels(of: source, type, weight, evaluator, to: file, at: base + weight.offset, advance: advance)
                if subnormal > 0 {
                    report(
                        .note(
                            "\(subnormal) of its blocks of \(BlockFormat.block) lie too far below their row's greatest weight for all digits",
                            at: .operation("@\(source)")
                        ).noting(origin(of: source)))
                }
                return
            }
            try evaluator.forEachBlock(of: weight.name, maximumBytes: Self.bufferBytes) { (first, values) throws(Diagnostic) in
                if let place = firstNotFinite(values) {
                    throw refusal(weight.name, values[place], at: first + place, expected: "finite numbers")
                }
                guard (first + values.count) * 4 <= weight.byteCount else {
                    throw .error("weight '@\(weight.name)' has more elements than its \(weight.byteCount) bytes hold")
                }
                try file.write(UnsafeRawBufferPointer(values), at: base + weight.offset + first * 4)
                advance(values.count * 4)
            }
        }
        let files = Dictionary(sources.values.map { ($0.file.path, $0.file) }) { first, _ in first }
        for (_, file) in files.sorted(by: { $0.key < $1.key }) { try file.requireWhole() }
    }

    /// The f32 weight that a weight in panels is packed from.
    private func packing(of name: String) -> (source: String, type: PanelType)? {
        guard case .folded(let operations) = module.weights[name]?.definition, operations.count == 1,
            case .pack(let pack) = operations[0].op,
            case .weight(let source) = operations[0].operands[0]
        else { return nil }
        return (source, pack.type)
    }

    /// The tensors that a weight is made of, for diagnostics.
    private func origin(of name: String) -> String {
        let names = module.sources(of: name).map(\.name)
        let shown = names.prefix(4).map(quoted).joined(separator: ", ")
        return "made of \(names.count == 1 ? "tensor" : "tensors") \(shown)\(names.count > 4 ? " and \(names.count - 4) more" : "")"
    }

    /// The diagnostic for the element `index` of a weight.
    private func refusal(_ name: String, _ x: Float, at index: Int, expected: String) -> Diagnostic {
        .error(
            "\(notFiniteName(x) ?? "\(x)") \(elementPlace(index, in: module.weights[name]?.type.fixedShape ?? []))",
            at: .operation("@\(name)"),
            expected: expected, notes: [origin(of: name)])
    }

    /// Bytes of panels that are written at a time.
    private static let writeBytes = 4 << 20

    /// Gives the number of blocks whose scales lose digits.
    private func writePanels(
        of source: String, _ type: PanelType, _ weight: PlacedWeight, _ evaluator: WeightEvaluator, to file: StreamedFile, at base: Int,
        advance: (Int) -> Void
    ) throws(Diagnostic) -> Int {
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
        var (panels, subnormal) = (0, 0)
        var exponents: [Int8] = []
        var panelExponents = [Int8](repeating: 0, count: BlockFormat.panel)
        func flush() throws(Diagnostic) {
            guard written + filled <= weight.byteCount else {
                throw .error("weight '@\(weight.name)' has more panels than its \(weight.byteCount) bytes hold")
            }
            try file.write(UnsafeRawBufferPointer(rebasing: packed[..<filled]), at: base + written)
            advance(filled)
            (written, filled) = (written + filled, 0)
        }
        func append(_ values: UnsafePointer<Float>, rows count: Int) throws(Diagnostic) {
            let lossy = lmmc_pack_panel(
                type.layout, Int64(count), Int64(columns), values, packed.baseAddress! + filled, &panelExponents)
            guard lossy >= 0 else {
                let index = (0..<count * columns).first { !type.holds(values[$0]) } ?? 0
                throw refusal(source, values[index], at: panels * panelCount + index, expected: type.range)
            }
            if type != .bfloat16 { exponents += panelExponents }
            (panels, subnormal) = (panels + 1, subnormal + Int(lossy))
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
        let rest = weight.byteCount - written
        guard rest == BlockFormat.exponentBytes(weight.type.dtype, panels: panels) else {
            throw .error("weight '@\(weight.name)' has \(panels) panels", expected: "as many as its \(weight.byteCount) bytes hold")
        }
        exponents += Array(repeating: 0, count: rest - exponents.count)
        try file.write(exponents, at: base + written)
        advance(rest)
        return subnormal
    }
}
