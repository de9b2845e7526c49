import ChatTemplate
import Checkpoint
import Glibc
import IR
import Passes
import Support
import Toolchain

public enum Lmmc {
    public static let version = lmmcVersion
}

/// The choice that the value of an option names. `suggesting`: the message for an unknown value names the nearest that there is.
public func choice<Choice: RawRepresentable & CaseIterable>(
    _ value: some StringProtocol, option: String, suggesting: Bool = false
) throws(Diagnostic) -> Choice where Choice.RawValue == String {
    let value = String(value)
    if let choice = Choice(rawValue: value) { return choice }
    let names = Choice.allCases.map(\.rawValue)
    throw .usage(
        "unknown value \(quoted(value))\(suggesting ? nearestHint(to: value, among: names) : "")", at: .option(option),
        expected: quotedList(names))
}

/// The same for an option that may be absent.
public func choice<Choice: RawRepresentable & CaseIterable>(
    _ value: String?, option: String, suggesting: Bool = false
) throws(Diagnostic) -> Choice? where Choice.RawValue == String {
    guard let value else { return nil }
    return try choice(value, option: option, suggesting: suggesting) as Choice
}

/// What reduces the vision rows of a model.
public enum ReductionChoice: Sendable {
    /// What the checkpoint's own key says
    case ofCheckpoint
    /// What the option says, which comes before the key: nil turns that off
    case chosen(TokenReduction?)

    /// The choice that the values of `--reduce` make.
    public init(_ texts: [String]) throws(Diagnostic) {
        guard texts.count < 2 else {
            throw .usage(
                "two reducers, \(quotedList(texts.prefix(2), conjunction: "and"))", at: .option(TokenReduction.option),
                expected: "one of them")
        }
        self = try texts.first.map { text throws(Diagnostic) in .chosen(try TokenReduction.parse(text)) } ?? .ofCheckpoint
    }

    /// The method and who asks for it, for a checkpoint.
    func reduction(of checkpoint: Checkpoint) -> (method: TokenReduction?, origin: TokenReduction.Origin) {
        switch self {
        case .ofCheckpoint: (checkpoint.configuration.reduction, .configuration(path: checkpoint.path))
        case .chosen(let reduction): (reduction?.completed(by: checkpoint.configuration.reduction), .option)
        }
    }
}

/// What `compile`, `inspect` and `ir` have in common.
public struct ModelOptions: Sendable {
    public typealias PrecisionPolicy = Passes.PrecisionPolicy

    public var model: String
    /// Nil: min(max_position_embeddings, 4096)
    public var context: Int?
    /// Sequences that a program can hold at once, each with that context
    public var sequences: Int
    public var visionTower: String?
    /// A file whose projector stands for the checkpoint's
    public var projector: String?
    /// A folder with a LoRA adapter
    public var adapter: String?
    /// A file of `lmmc calibrate`
    public var calibration: String?
    public var reduction: ReductionChoice
    public var template: String?
    /// In the place of the template's system text
    public var system: String?
    public var precision: PrecisionPolicy
    public var target: String
    /// Nil: every level of the target
    public var targetLevels: [String]?

    /// For a program that answers several questions at once, as batches and conversations do
    public static let defaultSequences = 8

    public init(
        model: String, context: Int? = nil, sequences: Int = 1, visionTower: String? = nil, projector: String? = nil,
        adapter: String? = nil,
        calibration: String? = nil, reduction: ReductionChoice = .ofCheckpoint, template: String? = nil, system: String? = nil,
        precision: PrecisionPolicy = PrecisionPolicy(defaultPrecision),
        target: String = ModelOptions.defaultTarget,
        targetLevels: [String]? = nil
    ) {
        self.model = model
        self.context = context
        self.sequences = sequences
        self.visionTower = visionTower
        self.projector = projector
        self.adapter = adapter
        self.calibration = calibration
        self.reduction = reduction
        (self.template, self.system) = (template, system)
        self.precision = precision
        self.target = target
        self.targetLevels = targetLevels
    }

    public static var defaultTarget: String { Target.defaultName }

    static let sequenceCounts = 1...1024

    public static let defaultPrecision = Precision.int8

    /// Refuses values that no model could make right.
    func validate() throws(Diagnostic) {
        _ = try Target.named(target, levels: targetLevels)
        if let template { try check(template, option: "--template", among: PromptTemplate.builtIn.map(\.name) + [PromptTemplate.own]) }
        if let context, context < 1 {
            throw .usage("context \(context) is too small", at: .option("--context"), expected: "at least 1 position")
        }
        guard Self.sequenceCounts.contains(sequences) else {
            throw .usage(
                "\(sequences) sequences", at: .option("--sequences"),
                expected: "\(Self.sequenceCounts.lowerBound) to \(Self.sequenceCounts.upperBound)")
        }
        switch fileKind(model) {
        // The bytes of a file tell what it is.
        case .folder, .regular: break
        case nil: throw .error("model \(quoted(model)) does not exist", expected: "a checkpoint folder with 'config.json', or a GGUF file")
        case .other:
            throw .error("model \(quoted(model)) is not a folder", expected: "a checkpoint folder with 'config.json', or a GGUF file")
        }
    }

    /// The policy that `--precision` and the `PATTERN=TYPE`s of `--precision-for` name.
    public static func policy(_ precision: String?, cache: String?, overrides: [String]) throws(Diagnostic) -> PrecisionPolicy {
        let base = try choice(precision, option: "--precision", suggesting: true) ?? defaultPrecision
        var policy = PrecisionPolicy(base, cache: try choice(cache, option: "--kv"))
        for text in overrides {
            guard let equals = text.lastIndex(of: "="), equals != text.startIndex else {
                throw .usage(
                    "unknown value \(quoted(text))", at: .option("--precision-for"), expected: "PATTERN=TYPE, as '*.mlp.down.*=int8'")
            }
            let precision: Precision = try choice(text[text.index(after: equals)...], option: "--precision-for", suggesting: true)
            policy.overrides.append(.init(pattern: String(text[..<equals]), precision: precision))
        }
        return policy
    }

    private func check(_ value: String, option: String, among choices: [String]) throws(Diagnostic) {
        guard !choices.contains(value) else { return }
        throw .usage("unknown value \(quoted(value))", at: .option(option), expected: quotedList(choices))
    }
}
