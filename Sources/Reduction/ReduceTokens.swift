import Checkpoint
import IR
import Support

/// Rewrites an imported module so that fewer vision rows go through its decoder, as a reducer without training defines it.
///
/// What is added is plain operations, which passes, dumps and costs treat as any others; what they leave behind is dead code for a pass to
/// remove. Throws where the method does not fit the model (`TokenReduction` refuses that earlier) or is none that rewrites a module.
public func reduceTokens(
    _ module: inout Module, _ reduction: TokenReduction, _ configuration: ModelConfiguration
) throws(Diagnostic) {
    switch reduction {
    case .fastv(let fastv): module = try module.reducedByFastV(layer: fastv.layer, keep: fastv.keep)
    case .llavolta(let llavolta): module = try module.reducedByLLaVolta(layer: llavolta.layer, stride: llavolta.stride, configuration)
    case .prumerge(let prumerge): module = try module.reducedByPruMerge(prumerge, configuration)
    case .visionzip(let visionzip): module = try module.reducedByVisionZip(visionzip, configuration)
    case .tome(let tome): module = try module.reducedByToMe(tome, configuration)
    case .mmtok(let mmtok): module = try module.reducedByMMTok(mmtok, configuration)
    case .sparsevlm(let sparse): module = try module.reducedBySparseVLM(sparse, configuration)
    case .yopo(let yopo): module = try module.reducedByYOPO(yopo, configuration)
    case .mustdrop(let mustdrop): module = try module.reducedByMustDrop(mustdrop, configuration)
    case .cdpruner, .voco:
        throw .error("\(quoted(reduction.name)) is no rewrite of a module")
    }
}
