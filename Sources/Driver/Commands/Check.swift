import Checkpoint
import Foundation
import IR
import IRView
import Passes
import Reference
import Support
import Work

public struct CheckOptions: Sendable {
    public var model: ModelOptions
    public var binary: String
    /// Image and prompt of the question; without both, those that the binary has built in
    public var image: String?
    public var prompt: String?
    /// A folder that `--dump-tensors` of another binary wrote, in place of the reference evaluator
    public var golden: String?
    /// The last tensor to compute
    public var until: String?
    /// Relative l2 distance that is allowed, in place of the precision's
    public var tolerance: Double?
    public var json: Bool

    public init(
        model: ModelOptions, binary: String, image: String?, prompt: String?, golden: String?, until: String?, tolerance: Double?,
        json: Bool
    ) {
        self.model = model
        self.binary = binary
        self.image = image
        self.prompt = prompt
        self.golden = golden
        self.until = until
        self.tolerance = tolerance
        self.json = json
    }
}

extension Lmmc {
    /// `lmmc check`: how far the binary is from float32, tensor by tensor. Throws where one is farther than its precision explains.
    public static func check(_ options: CheckOptions) throws(Diagnostic) {
        if let tolerance = options.tolerance, !(tolerance > 0) {
            throw .usage("a tolerance of \(tolerance)", at: .option("--tolerance"), expected: "a number above 0")
        }
        var model = options.model
        model.sequences = 1  // the question that is asked
        let front = try FrontEnd.open(model).with(PrecisionPolicy(.float32))
        let check = try Check(front, options)
        try writeStandardOutput(options.json ? check.json.text(indent: 0) + "\n" : check.text)
        if let worst = check.gaps.filter({ !($0.relative <= check.tolerance) }).first {
            throw .error(
                "tensor \(quoted(worst.name)) is \(figure(worst.relative)) from the reference, and others may follow from it",
                at: .file(options.binary), expected: "at most \(figure(check.tolerance))")
        }
    }
}

/// How far a tensor of the binary is from the reference.
struct TensorGap {
    var name: String
    /// |binary - reference| / |reference|, l2 over all elements; infinite for another shape or a value that is no number
    var relative: Double
    var largest: Double
    /// Much farther than everything before it
    var jumps = false
}

/// A binary's intermediate tensors against the reference's, in the order in which they are made.
struct Check {
    private(set) var gaps: [TensorGap] = []
    let precision: Precision
    let tolerance: Double

    /// A gap is pointed at where it is so many times the largest before it: from one tensor to the next errors add up, they do not multiply.
    static let jump = 5.0

    /// The relative l2 distance that a program of each precision may have. bf16 and int8: the relative standard deviation that one rounding of
    /// both operands brings (LowerPrecisionTests), times 40, since random networks of small width amplify it up to 23 times (PrecisionTests).
    /// f32: sums are in another order. int4: most of the direction remains.
    static func tolerance(of precision: Precision) -> Double {
        switch precision {
        case .float32: 2e-5
        case .bfloat16: 40 * 1.1e-3
        case .int8: 40 * 5.7e-3
        case .int4: 0.8
        }
    }

    init(_ front: FrontEnd, _ options: CheckOptions) throws(Diagnostic) {
        let folder = try TemporaryFolder()
        defer { folder.discard() }
        // A name without a slash would be looked for in PATH.
        let binary = hasSlash(options.binary) ? options.binary : "./" + options.binary
        precision = try Self.precision(of: binary, folder)
        tolerance = options.tolerance ?? Self.tolerance(of: precision)
        let dump = folder.file("tensors")
        var command = [binary, "--dump-tensors", dump, "--max-tokens", "1"]
        if let image = options.image { command += ["--image", image] }
        if let prompt = options.prompt { command += ["--prompt", prompt] }
        // With an image alone the question is the binary's own.
        _ = try runCompiled(command, in: folder)

        let module = try front.run { _ throws(Diagnostic) in true }
        if let golden = options.golden {
            for name in [EntryPoint.Region.tokens, .image].map(\.rawValue) where fileKind(joinedPath(dump, name + ".npy")) == .regular {
                guard try NumPyFile(joinedPath(dump, name + ".npy")).values == NumPyFile(joinedPath(golden, name + ".npy")).values else {
                    throw .error("the golden run had other \(name)", at: .file(golden), expected: "the same prompt and image")
                }
            }
            for name in try module.productNames(until: options.until) {
                let other = joinedPath(golden, name + ".npy")
                if fileKind(other) == .regular { try compare(name, with: NumPyFile(other), in: dump) }
            }
        } else {
            try evaluate(module, front, dump, options)
        }
        guard !gaps.isEmpty else {
            throw .error(
                "the program and the model have no tensor in common", at: .file(options.binary), expected: "a program of this model")
        }
    }

    // MARK: - the binary

    private static func precision(of binary: String, _ folder: TemporaryFolder) throws(Diagnostic) -> Precision {
        let text = try runCompiled([binary, "--info"], in: folder)
        guard case .object(let info) = try JSONValue.parse(Array(text.utf8), file: binary), case .string(let name)? = info["precision"],
            let precision = Precision(rawValue: name)
        else {
            throw .error("the program does not tell its precision", at: .file(binary), expected: "a program that lmmc made")
        }
        return precision
    }

    private mutating func compare(_ name: String, with reference: NumPyFile, in dump: String) throws(Diagnostic) {
        let path = joinedPath(dump, name + ".npy")
        // A tensor that lowering renames or removes is not in the program.
        guard fileKind(path) == .regular else { return }
        let found = try NumPyFile(path)
        var gap = TensorGap(name: name, relative: .infinity, largest: .infinity)
        if found.values.count == reference.values.count {
            var (difference, norm, largest) = (0.0, 0.0, 0.0)
            for (a, b) in zip(found.values, reference.values) {
                let distance = Double(a) - Double(b)
                difference += distance * distance
                norm += Double(b) * Double(b)
                largest = distance.isNaN ? .infinity : max(largest, abs(distance))
            }
            let relative = difference == 0 ? 0 : (difference / norm).squareRoot()
            (gap.relative, gap.largest) = (relative.isNaN ? .infinity : relative, largest)
        }
        let before = max(gaps.map(\.relative).max() ?? 0, tolerance / 40)
        gap.jumps = gap.relative > Self.jump * before
        gaps.append(gap)
    }

    // MARK: - the reference

    private mutating func evaluate(_ module: Module, _ front: FrontEnd, _ dump: String, _ options: CheckOptions) throws(Diagnostic) {
        let sources = try front.checkpoint.sourceEntries()
        let module = try module.truncated(after: options.until)
        var evaluator = Evaluator(module) { source throws(Diagnostic) in
            guard let entry = sources[source.name] else { throw .error("the checkpoint has no tensor \(quoted(source.name))") }
            return entry.floats()
        }
        let seen = Seen()
        evaluator.observer = { _, name, tensor in
            if case .float32(let values) = tensor.elements, fileKind(joinedPath(dump, name + ".npy")) == .regular {
                seen.tensors.append((name, values))
            }
        }
        func drain() throws(Diagnostic) -> [(String, [Float])] {
            defer { seen.tensors = [] }
            return seen.tensors
        }
        var (rows, protectedRows): ([Float], [Int32]) = ([], [])
        let image = joinedPath(dump, EntryPoint.Region.image.rawValue + ".npy")
        if fileKind(image) == .regular, let vision = module.function(.vision) {
            let shape = vision.parameters[0].type.fixedShape ?? []
            let pixels = try NumPyFile(image).integers(of: UInt8.self)
            guard pixels.count == shape.reduce(1, *) else {
                throw .error("the program's image is not the model's", at: .file(options.binary), expected: "\(vision.parameters[0].type)")
            }
            let taps = try evaluator.call(vision.name, [Tensor(shape: shape, pixels)])
            if let project = module.function(.project) {
                // A reducer reads the question.
                let regions = try project.parameters.dropFirst(taps.count).map { parameter throws(Diagnostic) in
                    let list = try NumPyFile(joinedPath(dump, parameter.name + ".npy")).integers(of: Int32.self)
                    return Tensor(shape: [list.count], list)
                }
                let results = try evaluator.call(project.name, taps + regions)
                rows = results[0].float32 ?? []
                if results.count > 2, case .int32(let list) = results[2].elements { protectedRows = list }
            }
            for (name, values) in try drain() { try compare(name, with: NumPyFile(values: values), in: dump) }
        }
        guard let step = module.function(.step) else { return }
        let tokens = try NumPyFile(joinedPath(dump, EntryPoint.Region.tokens.rawValue + ".npy")).integers(of: Int32.self)
        guard 1...front.context ~= tokens.count else {
            throw .error(
                "the program's prompt has \(tokens.count) tokens", at: .file(options.binary), expected: "1 to \(front.context), the context"
            )
        }
        var visionRows: Tensor?
        if let shape = step.parameters.first(where: { $0.name == EntryPoint.Region.visionRows.rawValue })?.type.fixedShape {
            let count = shape.reduce(1, *)
            guard rows.count <= count else { throw .error("an image does not fit the context of \(shape[0])", at: .option("--context")) }
            visionRows = Tensor(shape: shape, rows + Array(repeating: 0, count: count - rows.count))
        }
        _ = try evaluator.step(StepRow.rows(tokens), visionRows: visionRows, protectedRows: protectedRows)
        for (name, values) in try drain() { try compare(name, with: NumPyFile(values: values), in: dump) }
    }

    private final class Seen {
        var tensors: [(String, [Float])] = []
    }

    // MARK: - the report

    var text: String {
        let rows = gaps.map { gap in
            [
                gap.name, figure(gap.relative), figure(gap.largest),
                !(gap.relative <= tolerance) ? "beyond \(figure(tolerance))" : gap.jumps ? "jumps" : "",
            ]
        }
        return markdownTable(["tensor, in order (\(precision.rawValue) against f32)", "relative l2", "largest", "note"], rows)
    }

    var json: JSONText {
        .object([
            ("precision", .string(precision.rawValue)), ("tolerance", .number(tolerance)),
            (
                "tensors",
                .array(
                    gaps.map { gap in
                        .object([
                            // JSON knows no infinity.
                            ("name", .string(gap.name)), ("relative", .number(min(gap.relative, 1e300))),
                            ("largest", .number(min(gap.largest, 1e300))),
                            ("jumps", .bool(gap.jumps)), ("within", .bool(gap.relative <= tolerance)),
                        ])
                    })
            ),
        ])
    }
}

/// Three significant digits: `0.0123`, `4.56e-07`.
func figure(_ value: Double) -> String {
    guard value.isFinite, value > 0 else { return value == 0 ? "0" : "inf" }
    return String(format: "%.2e", value)
}

extension Module {
    /// Results of products and attentions, in order.
    fileprivate func productNames(until last: String?) throws(Diagnostic) -> [String] {
        let module = try truncated(after: last)
        return EntryPoint.ofQuestion.compactMap(module.function).flatMap(\.operations).filter(\.op.payload.isProduct).map(\.name)
    }

    /// The module up to the operation of this name.
    fileprivate func truncated(after last: String?) throws(Diagnostic) -> Module {
        guard let last else { return self }
        var module = self
        for (index, function) in functions.enumerated() where EntryPoint.ofQuestion.map(\.rawValue).contains(function.name) {
            guard let end = function.operations.firstIndex(where: { $0.name == last && $0.type != nil }) else { continue }
            module.functions = Array(functions[...index])
            module.functions[index].operations = Array(function.operations[...end])
            module.functions[index].results = [.value(last)]
            module.stage = .imported  // the rules of the last stage hold for whole models
            return module
        }
        throw .usage(
            "there is no tensor \(quoted(last))", at: .option("--until"), expected: "a name of 'lmmc ir --stage optimized --precision f32'")
    }
}
