import ChatTemplate
import Glibc
import Passes
import Support
import Toolchain

public enum Lmmc {
    public static let version = lmmcVersion
}

/// What `compile`, `inspect` and `ir` have in common.
public struct ModelOptions: Sendable {
    public typealias PrecisionPolicy = Passes.PrecisionPolicy

    public var model: String
    /// Nil: min(max_position_embeddings, 4096)
    public var context: Int?
    public var visionTower: String?
    /// A file whose projector stands for the checkpoint's
    public var projector: String?
    /// A folder with a LoRA adapter
    public var adapter: String?
    /// A file of `lmmc calibrate`
    public var calibration: String?
    public var template: String?
    public var precision: PrecisionPolicy
    public var target: String
    /// Nil: every level of the target
    public var targetLevels: [String]?

    public init(
        model: String, context: Int? = nil, visionTower: String? = nil, projector: String? = nil, adapter: String? = nil,
        calibration: String? = nil, template: String? = nil, precision: PrecisionPolicy = PrecisionPolicy(defaultPrecision),
        target: String = ModelOptions.defaultTarget,
        targetLevels: [String]? = nil
    ) {
        self.model = model
        self.context = context
        self.visionTower = visionTower
        self.projector = projector
        self.adapter = adapter
        self.calibration = calibration
        self.template = template
        self.precision = precision
        self.target = target
        self.targetLevels = targetLevels
    }

    public static var defaultTarget: String { Target.defaultName }

    public static let defaultPrecision = Precision.int8

    /// Refuses values that no model could make right.
    func validate() throws(Diagnostic) {
        _ = try Target.named(target, levels: targetLevels)
        if let template { try check(template, option: "--template", among: PromptTemplate.builtIn.map(\.name) + [PromptTemplate.own]) }
        if let context, context < 1 {
            throw .usage("context \(context) is too small", at: .option("--context"), expected: "at least 1 position")
        }
        switch fileKind(model) {
        // What a file is, its bytes tell.
        case .folder, .regular: break
        case nil: throw .error("model \(quoted(model)) does not exist", expected: "a checkpoint folder with 'config.json', or a GGUF file")
        case .other:
            throw .error("model \(quoted(model)) is not a folder", expected: "a checkpoint folder with 'config.json', or a GGUF file")
        }
    }

    /// The policy that `--precision` and the `PATTERN=TYPE`s of `--precision-for` name.
    public static func policy(_ precision: String?, cache: String?, overrides: [String]) throws(Diagnostic) -> PrecisionPolicy {
        func named(_ name: String, _ option: String) throws(Diagnostic) -> Precision {
            if let precision = Precision(rawValue: name) { return precision }
            let names = Precision.allCases.map(\.rawValue)
            throw .usage(
                "unknown value \(quoted(name))\(nearestHint(to: name, among: names))", at: .option(option), expected: quotedList(names))
        }
        let base = try precision.map { name throws(Diagnostic) in try named(name, "--precision") } ?? defaultPrecision
        var policy = PrecisionPolicy(base)
        if let cache {
            guard let type = PrecisionPolicy.CacheType(rawValue: cache) else {
                throw .usage(
                    "unknown value \(quoted(cache))", at: .option("--kv"),
                    expected: quotedList(PrecisionPolicy.CacheType.allCases.map(\.rawValue)))
            }
            policy.cache = type
        }
        for text in overrides {
            guard let equals = text.lastIndex(of: "="), equals != text.startIndex else {
                throw .usage(
                    "unknown value \(quoted(text))", at: .option("--precision-for"), expected: "PATTERN=TYPE, as '*.mlp.down.*=int8'")
            }
            policy.overrides.append(
                .init(pattern: String(text[..<equals]), precision: try named(String(text[text.index(after: equals)...]), "--precision-for"))
            )
        }
        return policy
    }

    private func check(_ value: String, option: String, among choices: [String]) throws(Diagnostic) {
        guard !choices.contains(value) else { return }
        throw .usage("unknown value \(quoted(value))", at: .option(option), expected: quotedList(choices))
    }
}
