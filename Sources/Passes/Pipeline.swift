import IR
import Support

/// One rewrite of a module. `run` returns how many times it fired; running it again on its result fires zero times.
public struct Pass: Sendable {
    public let name: String
    /// Why the pipeline has it, in one sentence.
    public let reason: String
    public let run: @Sendable (inout Module) throws(Diagnostic) -> Int

    init(_ name: String, reason: String, run: @escaping @Sendable (inout Module) throws(Diagnostic) -> Int) {
        self.name = name
        self.reason = reason
        self.run = run
    }
}

/// The passes between import and plan, in the order in which `compile` runs them.
public enum Pipeline {
    /// Up to the f32 graph.
    public static let passes: [Pass] = [
        deadCode, fuseGate, sinkGatherRows, fuseEpilogue, averageFirst, foldLinear, orderWindows, splitConcatenation, foldEmbedding,
        foldNormalization,
        foldAttentionScale, foldNormScale, mergeMatmuls, commonSubexpressions, foldConstants,
    ]

    /// All that `compile` runs for a precision.
    public static func passes(for policy: PrecisionPolicy) -> [Pass] {
        guard !policy.isFloat32 else { return passes }
        let passes = policy.roundsRows ? passes(splitting: splitNormScale(policy.calibration)) : passes
        return passes.map { $0.name == mergeMatmuls.name ? mergeMatmuls(policy) : $0 } + [lower(policy), fuseQuantize]
    }

    /// The split comes before the fold that would take all of a scale.
    private static func passes(splitting split: Pass) -> [Pass] { passes.flatMap { $0.name == foldNormScale.name ? [split, $0] : [$0] } }

    /// All that a command line may name.
    public static let named: [Pass] =
        passes(splitting: splitNormScale) + Precision.allCases.filter { $0 != .float32 }.map { lower(PrecisionPolicy($0)) } + [fuseQuantize]

    /// `option` is the one of the command line that names the pass.
    public static func pass(named name: String, option: String = "--passes") throws(Diagnostic) -> Pass {
        if let pass = named.first(where: { $0.name == name }) { return pass }
        let names = named.map(\.name)
        throw .usage(
            "unknown pass '\(name)'\(nearestHint(to: name, among: names))", at: .option(option), expected: names.joined(separator: ", "))
    }

    /// Runs `passes` and verifies after each, in every build; a broken rule's diagnostic names the pass. `verifyEach` false leaves that out.
    /// `observe` sees every pass with its rewrites and the module after it.
    public static func run(
        _ passes: [Pass] = passes, on module: inout Module, verifyEach: Bool = true,
        observe: (Pass, Int, Module) throws(Diagnostic) -> Void = { _, _, _ throws(Diagnostic) in }
    ) throws(Diagnostic) {
        for pass in passes {
            let rewrites = try pass.run(&module)
            if verifyEach { try module.verify(after: pass.name) }
            try observe(pass, rewrites, module)
        }
    }
}
