import ChatTemplate
import Checkpoint
import Glibc
import IR
import IRView
import ModelImport
import Passes
import Plan
import Support

/// From a checkpoint folder to the optimised module, stage by stage.
struct FrontEnd {
    let checkpoint: Checkpoint
    /// Positions of the KV cache.
    let context: Int
    var policy: PrecisionPolicy
    /// As `--template` has it.
    let templateName: String
    let template: PromptTemplate

    static let defaultContext = 4096

    static func open(_ options: ModelOptions) throws(Diagnostic) -> FrontEnd {
        try options.validate()
        let checkpoint = try Checkpoint.open(
            path: options.model, visionTower: options.visionTower, projector: options.projector, adapter: options.adapter,
            calibration: options.calibration)
        let limit = checkpoint.configuration.decoder.maxPositionEmbeddings
        let context = options.context ?? min(limit, defaultContext)
        guard context <= limit else {
            throw .usage("context \(context) is larger than the model's", at: .option("--context"), expected: "1 to \(limit) positions")
        }
        var policy = options.precision
        policy.calibration = checkpoint.calibration.mapValues { SourceTensor(name: $0.sourceName, type: TensorType(.float32, fixed: $0.shape)) }
        let templateName = options.template ?? checkpoint.configuration.prompt.templateName
        return FrontEnd(
            checkpoint: checkpoint, context: context, policy: policy, templateName: templateName,
            template: try template(templateName, of: checkpoint))
    }

    private static func template(_ name: String, of checkpoint: Checkpoint) throws(Diagnostic) -> PromptTemplate {
        if let found = PromptTemplate.builtIn.first(where: { $0.name == name }) { return found.template }
        guard let own = try checkpoint.chatTemplate() else {
            throw .usage(
                "\(quoted(checkpoint.configuration.name)) has no chat template", at: .option("--template"),
                expected: quotedList(PromptTemplate.builtIn.map(\.name)))
        }
        return try PromptTemplate(
            chatTemplate: own.text, file: own.file, tokens: own.tokens, hasImages: checkpoint.configuration.vision != nil)
    }

    static let maximumChunk = 1024

    /// Longest sequence of one prefill call.
    var chunk: Int { min(context, Self.maximumChunk) }

    /// Names of all stages in order, as `lmmc ir --stage` takes them.
    static func stageNames(_ policy: PrecisionPolicy) -> [String] { ["imported"] + Pipeline.passes(for: policy).map(\.name) + ["optimized"] }

    /// Runs import and passes; `observe` sees every stage that is reached. Ends early when `observe` returns false.
    func run(_ options: PassOptions = PassOptions(), observe: (StageRecord) throws(Diagnostic) -> Bool) throws(Diagnostic) -> Module {
        let began = monotonicSeconds()
        var module = try importModel(checkpoint, context: context)
        let seconds = monotonicSeconds() - began
        guard try observe(StageRecord(name: "imported", milliseconds: seconds * 1000, module: module)) else { return module }
        var goesOn = true
        try options.run(Pipeline.passes(for: policy), on: &module) { (run, module) throws(Diagnostic) in
            goesOn = try observe(
                StageRecord(
                    name: run.pass.name, reason: run.pass.reason, rewrites: run.rewrites, milliseconds: run.seconds * 1000, module: module))
            return goesOn
        }
        guard goesOn else { return module }
        // What a pass that is left out would have removed may break the rules of the stage.
        if options.disabled.isEmpty { module.stage = .optimized }
        try module.verify(after: "optimized")
        _ = try observe(StageRecord(name: "optimized", module: module))
        return module
    }

    /// Every stage with what its plan takes.
    func records(_ options: PassOptions) throws(Diagnostic) -> [StageRecord] {
        var records: [StageRecord] = []
        _ = try run(options) { record throws(Diagnostic) in
            var record = record
            // Nothing but the stage's name differs from the last pass.
            record.memory = record.name == "optimized" ? records.last?.memory : try makePlan(record.module, chunk: chunk).memory
            records.append(record)
            return true
        }
        return records
    }
}

/// Numbered files of IR text in a folder, one per stage.
struct StageDump {
    let folder: String
    private var count = 0

    init(folder: String) throws(Diagnostic) {
        self.folder = folder
        try makeFolders(folder)
    }

    mutating func write(_ stage: String, _ module: Module) throws(Diagnostic) {
        let number = count < 10 ? "0\(count)" : "\(count)"
        count += 1
        let text = module.description
        try AtomicFile.write(path: joinedPath(folder, "\(number)-\(stage).ir")) { file throws(Diagnostic) in try file.write(text) }
    }
}

/// Writes all of `text`, which may be lines, to standard output. A reader that has gone away is no error. Nothing of it drives a terminal;
/// JSON and IR text have escapes of their own, so that they pass as they are.
func writeStandardOutput(_ text: String) throws(Diagnostic) {
    let bytes = Array(escapingControlsInLines(text).utf8)
    var done = 0
    while done < bytes.count {
        let written = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress! + done, bytes.count - done) }
        if written < 0 && errno == EINTR { continue }
        if written < 0 && errno == EPIPE { return }
        guard written > 0 else { throw .system("write", path: "standard output", code: written < 0 ? errno : ENOSPC) }
        done += written
    }
}
