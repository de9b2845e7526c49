import Checkpoint
import Glibc
import IR
import IRText
import IRView
import Passes
import Plan
import Support
import Synth
import Work

/// What the value of `--format` asks for.
public enum IRFormat: String, Sendable, CaseIterable { case text, dot, json }

public struct IROptions: Sendable {
    /// A checkpoint folder, or nil with `preset`.
    public var model: ModelOptions?
    /// An architecture of `synth`, without weights.
    public var preset: PresetChoice?
    public var precision: PrecisionPolicy
    /// For a preset; a checkpoint's stands among its options
    public var reduction: ReductionChoice
    /// Exactly one of the next three
    public var stage: String?
    public var html: String?
    public var summary: Bool
    public var format: IRFormat
    public var collapseLayers: Bool
    public var passes: PassOptions

    public init(
        model: ModelOptions?, preset: PresetChoice? = nil, precision: PrecisionPolicy, reduction: ReductionChoice = .ofCheckpoint,
        stage: String? = nil, html: String? = nil,
        summary: Bool = false,
        format: IRFormat = .text, collapseLayers: Bool = false, passes: PassOptions = PassOptions()
    ) {
        self.model = model
        self.preset = preset
        self.precision = precision
        self.reduction = reduction
        self.stage = stage
        self.html = html
        self.summary = summary
        self.format = format
        self.collapseLayers = collapseLayers
        self.passes = passes
    }
}

extension Lmmc {
    /// `lmmc ir`: the IR after a stage on standard output (`list` names the stages), all stages as a page, or a table of them.
    public static func ir(_ options: IROptions) throws(Diagnostic) {
        try checkFormat(options.format, collapseLayers: options.collapseLayers)
        let modes = [options.stage != nil, options.html != nil, options.summary].count { $0 }
        guard modes == 1 else {
            throw .usage(
                modes == 0 ? "nothing to show is named" : "more than one thing to show is named",
                expected: "'--stage NAME', '--html FILE' or '--summary'")
        }
        if options.stage == nil, options.format != .text || options.collapseLayers {
            let option = options.collapseLayers ? "--collapse-layers" : "--format"
            throw .usage("there is no stage to print", at: .option(option), expected: "'--stage NAME' beside it")
        }
        let policy = options.precision
        // A checkpoint may have a reducer of its own.
        let names = FrontEnd.stageNames(policy, reduces: true)
        if options.stage == "list" {
            let reduces = if case .chosen(_?) = options.reduction { true } else { false }
            return try writeStandardOutput(FrontEnd.stageNames(policy, reduces: reduces).map { $0 + "\n" }.joined())
        }
        let stage = options.stage == "final" ? Stage.optimized.rawValue : options.stage
        if let stage {
            guard names.contains(stage) else {
                throw .usage(
                    "unknown stage \(quoted(stage))\(nearestHint(to: stage, among: names))", at: .option("--stage"),
                    expected: quotedList(names))
            }
            guard !options.passes.disabled.contains(stage) else {
                throw .usage("pass \(quoted(stage)) is disabled", at: .option("--stage"), expected: "a stage that is reached")
            }
        }
        _ = try options.passes.chosen(from: Pipeline.passes(for: policy))
        if let html = options.html { try checkOutput(html, isFolder: false) }
        try withFrontEnd(
            options.model, options.preset, precision: options.precision, reduction: options.reduction
        ) { front throws(Diagnostic) in
            if let stage {
                guard stage != FrontEnd.reducedStage || front.reduction != nil else {
                    throw .usage(
                        "stage \(quoted(stage)) is not reached", at: .option("--stage"),
                        expected: "a reducer, by the option '\(TokenReduction.option)' or the checkpoint")
                }
                let module = try front.run(options.passes) { record throws(Diagnostic) in record.name != stage }
                try writeStandardOutput(
                    text(of: module, format: options.format, collapseLayers: options.collapseLayers, sequence: front.chunk))
                return
            }
            let records = try front.records(options.passes)
            if let html = options.html {
                let text = page(
                    records, model: front.checkpoint.configuration.name, context: front.context, sequence: front.chunk)
                try AtomicFile.write(path: html) { file throws(Diagnostic) in try file.write(text) }
            } else {
                try writeStandardOutput(summaryTable(records, sequence: front.chunk))
            }
        }
    }

    /// The front end of a checkpoint or of a preset, whose folder without weights lives as long as `body` runs.
    static func withFrontEnd(
        _ model: ModelOptions?, _ preset: PresetChoice?, precision: PrecisionPolicy, reduction: ReductionChoice,
        _ body: (FrontEnd) throws(Diagnostic) -> Void
    ) throws(Diagnostic) {
        switch (model, preset) {
        case (let model?, nil): try body(try FrontEnd.open(model))
        case (nil, let choice?):
            let preset = try SynthPreset.find(choice)
            let folder = try TemporaryFolder()
            defer { folder.discard() }
            let path = folder.file(preset.name)
            try makeFolders(path)
            try preset.writeWithoutWeights(to: path)
            try body(
                try FrontEnd.open(
                    ModelOptions(
                        model: path, context: choice.context, sequences: choice.sequences, reduction: reduction, precision: precision)))
        case (nil, nil): throw .usage("the checkpoint is missing", expected: "a folder or a GGUF file, or the option '--preset'")
        case (_?, _?): throw .usage("both a checkpoint folder and a preset are named", at: .option("--preset"), expected: "one of them")
        }
    }

    private static func checkFormat(_ format: IRFormat, collapseLayers: Bool) throws(Diagnostic) {
        if collapseLayers, format == .json {
            throw .usage("JSON holds every operation", at: .option("--collapse-layers"), expected: "'text' or 'dot' as format")
        }
    }

    private static func text(of module: Module, format: IRFormat, collapseLayers: Bool, sequence: Int) -> String {
        switch format {
        case .text: collapseLayers ? module.collapsedDescription : module.description
        case .dot: module.dot(collapseLayers: collapseLayers)
        case .json: module.json(sequence: sequence)
        }
    }

    /// `lmmc opt FILE.ir --passes a,b,c`: exactly those passes over IR text; `list` names them, `-` is standard input.
    public static func opt(
        file: String?, passes: String, options: PassOptions = PassOptions(), format: IRFormat = .text, collapseLayers: Bool = false
    ) throws(Diagnostic) {
        try checkFormat(format, collapseLayers: collapseLayers)
        if passes == "list" {
            let width = Pipeline.named.map(\.name.count).max() ?? 0
            return try writeStandardOutput(Pipeline.named.map { "\(padded($0.name, width))  \($0.reason)\n" }.joined())
        }
        guard let file else { throw .usage("the file of IR text is missing", expected: "'lmmc opt FILE.ir --passes NAME,...'") }
        let names = passes.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmingPrefix(while: \.isWhitespace) }
        var chosen: [Pass] = []
        for name in names where !(names.count == 1 && name.isEmpty) { chosen.append(try Pipeline.pass(named: String(name))) }
        _ = try options.chosen(from: chosen)
        let bytes = file == "-" ? try readStandardInput(limit: textLimit) : try readFile(file, limit: textLimit)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .error("the text is not UTF-8", at: .file(file), expected: "IR text")
        }
        var module = try parseModule(text, file: file == "-" ? "standard input" : file)
        try options.run(chosen, on: &module)
        let sequence = module.symbols.first { $0.name == EntryPoint.Count.rows.rawValue }?.bound ?? 1
        try writeStandardOutput(Self.text(of: module, format: format, collapseLayers: collapseLayers, sequence: sequence))
    }
}

private let textLimit = 1 << 30

private func readStandardInput(limit: Int) throws(Diagnostic) -> [UInt8] {
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let got = read(STDIN_FILENO, &block, block.count)
        if got < 0 && errno == EINTR { continue }
        guard got >= 0 else { throw .system("read", path: "standard input", code: errno) }
        guard got > 0 else { return bytes }
        bytes += block[..<got]
        guard bytes.count <= limit else {
            throw .error("the text is too long", at: .file("standard input"), expected: "at most \(byteCountText(UInt64(limit)))")
        }
    }
}
