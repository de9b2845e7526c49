import ChatTemplate
import Checkpoint
import Glibc
import IR
import IRView
import ModelImport
import Passes
import Plan
import Reduction
import Support
import Work

/// From a checkpoint folder to the optimised module, stage by stage.
struct FrontEnd {
    let checkpoint: Checkpoint
    /// Positions of the KV cache of a slot.
    let context: Int
    /// Slots
    let sequences: Int
    var policy: PrecisionPolicy
    /// What leaves vision rows out, checked against the model
    var reduction: TokenReduction?
    /// As `--template` has it.
    let templateName: String
    let template: PromptTemplate

    static let defaultContext = 4096

    static func open(_ options: ModelOptions) throws(Diagnostic) -> FrontEnd {
        try options.validate()
        var checkpoint = try Checkpoint.open(
            path: options.model, visionTower: options.visionTower, projector: options.projector, adapter: options.adapter,
            calibration: options.calibration)
        let limit = checkpoint.configuration.decoder.maxPositionEmbeddings
        let context = options.context ?? min(limit, defaultContext)
        guard context <= limit else {
            throw .usage("context \(context) is larger than the model's", at: .option("--context"), expected: "1 to \(limit) positions")
        }
        var policy = options.precision
        policy.calibration = checkpoint.calibration.mapValues {
            SourceTensor(name: $0.sourceName, type: TensorType(.float32, fixed: $0.shape))
        }
        var (reduction, origin) = options.reduction.reduction(of: checkpoint)
        try reduction?.check(against: checkpoint.configuration, askedBy: origin) { checkpoint.tensors[$0] != nil }
        // The model compresses by itself, and is told how many tokens it has.
        if case .voco(let own) = reduction {
            checkpoint.configuration.compression?.count = own.tokens
            reduction = nil
        }
        let configuration = checkpoint.configuration
        let templateName =
            options.template ?? (configuration.compression == nil ? configuration.prompt.templateName : PromptTemplate.compressingName)
        var template = try template(templateName, of: checkpoint)
        if let system = options.system {
            guard template.system != nil else {
                throw .usage(
                    "template \(quoted(templateName)) takes no system text", at: .option("--system"), expected: "another template, or none")
            }
            template.systemText = system
        }
        return FrontEnd(
            checkpoint: checkpoint, context: context, sequences: options.sequences, policy: policy, reduction: reduction,
            templateName: templateName, template: template)
    }

    private static func template(_ name: String, of checkpoint: Checkpoint) throws(Diagnostic) -> PromptTemplate {
        if name == PromptTemplate.compressingName {
            guard let compression = checkpoint.configuration.compression else {
                throw .usage(
                    "template \(quoted(name)) wants a compression token, and \(quoted(checkpoint.configuration.name)) has none",
                    at: .option("--template"), expected: "a model with images and '\(CompressionConfiguration.text)' in its vocabulary")
            }
            return .compressing(String(repeating: CompressionConfiguration.text, count: compression.count))
        }
        if let found = PromptTemplate.builtIn.first(where: { $0.name == name }) { return found.template }
        guard let own = try checkpoint.chatTemplate() else {
            throw .usage(
                "\(quoted(checkpoint.configuration.name)) has no chat template", at: .option("--template"),
                expected: quotedList(PromptTemplate.builtIn.map(\.name)))
        }
        return try PromptTemplate(
            chatTemplate: own.text, file: own.file, tokens: own.tokens, hasImages: checkpoint.configuration.vision != nil)
    }

    /// The most rows of one call of `step`, and the length of the prompt that FLOPs are shown for.
    var chunk: Int {
        StepBounds(
            context: context, sequences: sequences, vocabulary: checkpoint.configuration.decoder.vocabularySize,
            wholePrompts: needsWholePrompts
        ).rows
    }

    /// A prompt with an image is one call of `step`.
    private var needsWholePrompts: Bool { (reduction?.needsWholePrompt ?? false) || checkpoint.configuration.fusion?.prefusion != nil }

    /// The stage behind `imported` of a model whose tokens are reduced.
    static let reducedStage = "reduced"

    /// Names of all stages in order, as `lmmc ir --stage` takes them.
    static func stageNames(_ policy: PrecisionPolicy, reduces: Bool = false) -> [String] {
        [Stage.imported.rawValue] + (reduces ? [reducedStage] : []) + Pipeline.passes(for: policy).map(\.name) + [Stage.optimized.rawValue]
    }

    /// Runs import and passes; `observe` sees every stage that is reached. Ends early when `observe` returns false.
    func run(_ options: PassOptions = PassOptions(), observe: (StageRecord) throws(Diagnostic) -> Bool) throws(Diagnostic) -> Module {
        let began = monotonicSeconds()
        var module = try importModel(
            checkpoint, context: context, sequences: sequences, wholePrompts: needsWholePrompts)
        let seconds = monotonicSeconds() - began
        guard try observe(StageRecord(name: Stage.imported.rawValue, milliseconds: seconds * 1000, module: module)) else { return module }
        if let reduction {
            let began = monotonicSeconds()
            try reduceTokens(&module, reduction, checkpoint.configuration)
            let milliseconds = (monotonicSeconds() - began) * 1000
            let record = StageRecord(name: Self.reducedStage, reason: "\(reduction)", milliseconds: milliseconds, module: module)
            guard try observe(record) else { return module }
        }
        var goesOn = true
        var policy = policy
        policy.names = try names(module, policy)
        try options.run(Pipeline.passes(for: policy), on: &module) { (run, module) throws(Diagnostic) in
            goesOn = try observe(
                StageRecord(
                    name: run.pass.name, reason: run.pass.reason, rewrites: run.rewrites, milliseconds: run.seconds * 1000, module: module))
            return goesOn
        }
        guard goesOn else { return module }
        try refuseUnfitPatterns(policy, module)
        // With a pass left out, operations may remain that the stage forbids.
        if options.disabled.isEmpty { module.stage = .optimized }
        try module.verify(after: Stage.optimized.rawValue)
        _ = try observe(StageRecord(name: Stage.optimized.rawValue, module: module))
        return module
    }

    /// The names by which `--precision-for` may mean the weights of the imported module that are read: as `lmmc ir` has them, as `lmmc inspect`
    /// has them, and as the file spells them. Empty without such options.
    func names(_ imported: Module, _ policy: PrecisionPolicy) throws(Diagnostic) -> [String: [String]] {
        guard !policy.overrides.isEmpty else { return [:] }
        var live = imported
        try Pipeline.run([Pipeline.pass(named: "dead-code")], on: &live, verifyEach: false)
        var canonical: [String: [String]] = [:]
        for (name, entry) in checkpoint.tensors where !name.hasPrefix(ModelConfiguration.adapterPrefix) {
            canonical[entry.sourceName, default: []].append(name)
        }
        var names: [String: [String]] = [:]
        for weight in live.productWeights {
            names[weight] =
                [weight] + live.sources(of: weight).flatMap { source in canonical[source.name].map { $0.sorted() + [source.name] } ?? [] }
        }
        return names
    }

    /// Refuses a pattern that fits no weight, as a mistyped one does. Weights that merging and folding make count too.
    private func refuseUnfitPatterns(_ policy: PrecisionPolicy, _ module: Module) throws(Diagnostic) {
        let known = policy.names.values.flatMap(\.self).sorted()
        guard let pattern = policy.unfitPattern(among: known + module.productWeights) else { return }
        // A pattern that begins with a star is compared with the ends of names behind a star.
        let ends = known.flatMap { name in name.indices.filter { name[$0] == "." }.map { "*" + name[$0...] } }
        let near = nearestHint(to: pattern, among: pattern.hasPrefix("*") ? Set(ends).sorted() : known)
        throw .usage(
            "no weight of a product is called \(quoted(pattern))\(near)", at: .option("--precision-for"),
            expected: "a name that 'lmmc inspect' or 'lmmc ir' shows, or the file's own")
    }

    /// Which weights of products each override means, for `--verbose`: by their names in the imported and in the optimised module.
    func overrideSummary(imported: Module, optimized module: Module) throws(Diagnostic) -> [String] {
        let names = try names(imported, policy)
        return policy.overrides.map { override in
            let only = PrecisionPolicy(policy.base, overrides: [override])
            let fitting =
                names.keys.sorted().filter { only.unfitPattern(among: names[$0]!) == nil }
                + module.productWeights.filter { names[$0] == nil && only.unfitPattern(among: [$0]) == nil }
            let shown = fitting.prefix(3).map { "@" + $0 }.joined(separator: ", ")
            return
                "\(override.precision.rawValue) for \(quoted(override.pattern)): \(shown)\(fitting.count > 3 ? " and \(fitting.count - 3) more" : "")"
        }
    }

    /// Every stage, with the memory that its plan takes.
    func records(_ options: PassOptions) throws(Diagnostic) -> [StageRecord] {
        var records: [StageRecord] = []
        _ = try run(options) { record throws(Diagnostic) in
            var record = record
            // Nothing but the stage's name differs from the last pass.
            record.memory =
                record.name == Stage.optimized.rawValue ? records.last?.memory : try makePlan(record.module).memory
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
