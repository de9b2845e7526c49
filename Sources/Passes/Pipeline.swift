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
    public static let passes: [Pass] = [
        deadCode, fuseGate, sinkLastRow, fuseEpilogue, averageFirst, foldLinear, orderWindows, splitConcatenation, foldEmbedding, foldNormalization,
        foldAttentionScale, foldNormScale, mergeMatmuls, commonSubexpressions, foldConstants,
    ]

    /// `option` is the one of the command line that names the pass.
    public static func pass(named name: String, option: String = "--passes") throws(Diagnostic) -> Pass {
        if let pass = passes.first(where: { $0.name == name }) { return pass }
        let names = passes.map(\.name)
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
