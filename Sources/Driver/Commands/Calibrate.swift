import Checkpoint
import Glibc
import IR
import ModelImport
import Passes
import Support
import Work

public struct CalibrateOptions: Sendable {
    public var model: ModelOptions
    /// A folder with `prompts.txt`, one a line, and images
    public var data: String
    public var output: String
    public var cc: String?
    public var verbosity: Verbosity

    public init(model: ModelOptions, data: String, output: String, cc: String? = nil, verbosity: Verbosity = .normal) {
        self.model = model
        self.data = data
        self.output = output
        self.cc = cc
        self.verbosity = verbosity
    }
}

extension Lmmc {
    /// `lmmc calibrate`: runs the model in bf16 on a folder of images and prompts and measures the channels that the decoder's norms see.
    public static func calibrate(_ options: CalibrateOptions) throws(Diagnostic) {
        guard options.model.calibration == nil else {
            throw .usage("a measurement reads no other", at: .option("--calibration"), expected: "it with 'lmmc compile'")
        }
        try checkOutput(options.output, isFolder: false)
        let questions = try CalibrationQuestion.read(options.data)
        var model = options.model
        model.precision = PrecisionPolicy(.bfloat16)
        model.sequences = 1
        model.target = "native"
        model.targetLevels = nil
        let progress = Progress(options.verbosity)
        let folder = try TemporaryFolder.forPrograms()
        defer { folder.discard() }
        let program = folder.file("model")
        let compilation = try Compilation(
            CompileOptions(model: model, output: program, cc: options.cc, verbosity: options.verbosity), progress)
        guard compilation.front.checkpoint.configuration.vision != nil || questions.allSatisfy({ $0.image == nil }) else {
            throw .error("the model takes no images, and there are some", at: .file(options.data), expected: "prompts only")
        }
        try compilation.makeExecutable()
        var statistics = try NormStatistics(importModel(compilation.front.checkpoint, context: compilation.front.context))
        try progress.stage("measure", detail: { (_: Void) in "\(questions.count) prompt(s), \(statistics.measured) norms" }) {
            () throws(Diagnostic) in
            for (index, question) in questions.enumerated() {
                let dump = folder.file("run\(index)")
                let arguments =
                    [program] + (question.image.map { ["--image", $0] } ?? []) + [
                        "--prompt", question.prompt, "--max-tokens", "1", "--dump-tensors", dump,
                    ]
                let asked = question.image ?? joinedPath(options.data, CalibrationQuestion.promptsName)
                _ = try runCompiled(arguments, in: folder, site: .file(asked))
                try statistics.add(folder: dump)
                removeFolder(dump)
            }
        }
        let bytes = statistics.safetensors
        try AtomicFile.write(path: options.output) { file throws(Diagnostic) in try file.write(bytes) }
    }
}

/// One run of the model.
struct CalibrationQuestion: Equatable {
    static let promptsName = "prompts.txt"
    var image: String?
    var prompt: String

    /// As many as there are images or prompts, whichever are more; the others are taken in turn.
    static func read(_ folder: String) throws(Diagnostic) -> [CalibrationQuestion] {
        guard fileKind(folder) == .folder else {
            throw .error("\(quoted(folder)) is not a folder", at: .option("--data"), expected: "a folder with '\(promptsName)' and images")
        }
        let path = joinedPath(folder, promptsName)
        guard !isAbsent(path) else { throw .error("no '\(promptsName)'", at: .file(folder), expected: "prompts, one on each line") }
        guard let text = String(validating: try readFile(path, limit: 1 << 26), as: UTF8.self) else {
            throw .error("the text is not UTF-8", at: .file(path), expected: "prompts, one on each line")
        }
        let prompts = text.split(whereSeparator: \.isNewline).map(String.init)
            .filter { !$0.allSatisfy(\.isWhitespace) }
        guard !prompts.isEmpty else { throw .error("no prompt", at: .file(path), expected: "prompts, one on each line") }
        let images = try folderContents(folder).sorted().filter { name in
            [".jpg", ".jpeg", ".png", ".webp"].contains { name.lowercased().hasSuffix($0) }
        }
        return (0..<max(prompts.count, images.count)).map { index in
            CalibrationQuestion(
                image: images.isEmpty ? nil : joinedPath(folder, images[index % images.count]), prompt: prompts[index % prompts.count])
        }
    }
}

/// Mean squares of the channels of what the decoder's norms read, each row first divided by the root of its own mean square.
struct NormStatistics {
    private struct Channels {
        /// The norm's input
        let value: String
        var sums: [Double]
        var rows = 0
    }
    /// By the norm's name.
    private var norms: [String: Channels] = [:]
    /// The least root mean square that a channel counts with, so that one that was not seen to move keeps some range. In the published models
    /// it is at most a hundredth of the rows' mean.
    private static let least = 0.01

    var measured: Int { norms.values.count { $0.rows > 0 } }

    init(_ module: Module) {
        for operation in module.function(.step)?.operations ?? [] {
            guard case .rmsNorm = operation.op, case .value(let value) = operation.operands[0], operation.operands.count == 2,
                let width = operation.type?.shape.last?.fixedValue
            else { continue }
            norms[operation.name] = Channels(value: value, sums: Array(repeating: 0, count: width))
        }
    }

    /// Adds one run's tensors. Not among them are an input that no product makes, the embedded tokens, and those of which prefill computes
    /// the wanted row alone: too few to measure by.
    mutating func add(folder: String) throws(Diagnostic) {
        for (name, known) in norms {
            var channels = known
            let path = joinedPath(folder, "\(channels.value).npy")
            guard !isAbsent(path) else { continue }
            let values = try NumPyFile(path).values
            let width = channels.sums.count
            guard !values.isEmpty, values.count % width == 0 else {
                throw .error("the tensor has \(values.count) elements", at: .file(path), expected: "rows of \(width)")
            }
            for first in stride(from: 0, to: values.count, by: width) {
                let row = values[first..<first + width]
                let square = row.reduce(0) { $0 + Double($1) * Double($1) } / Double(width)
                guard square > 0, square.isFinite else { continue }
                for (channel, value) in row.enumerated() { channels.sums[channel] += Double(value) * Double(value) / square }
                channels.rows += 1
            }
            norms[name] = channels
        }
    }

    /// The file that `Calibration` reads.
    var safetensors: [UInt8] {
        var members: [(String, JSONText)] = []
        var data: [UInt8] = []
        for (name, channels) in norms.sorted(by: { $0.key < $1.key }) where channels.rows > 0 {
            let begin = data.count
            for sum in channels.sums {
                let root = max((sum / Double(channels.rows)).squareRoot(), Self.least)
                withUnsafeBytes(of: Float(root).bitPattern.littleEndian) { data += $0 }
            }
            members.append(
                (
                    Calibration.prefix + name,
                    .object([
                        ("dtype", "F32"), ("shape", .array([.integer(channels.sums.count)])),
                        ("data_offsets", .array([.integer(begin), .integer(data.count)])),
                    ])
                ))
        }
        return safetensorsHeader(members) + data
    }
}
