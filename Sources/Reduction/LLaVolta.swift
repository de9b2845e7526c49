import Checkpoint
import IR
import Support

extension Module {
    /// LLaVolta: before block `layer` each `stride` consecutive vision rows of an image become their mean, at the position in their middle;
    /// a remainder is dropped.
    func reducedByLLaVolta(layer: Int, stride: Int, _ configuration: ModelConfiguration) throws(Diagnostic) -> Module {
        guard let vision = configuration.vision, let fusion = configuration.fusion else {
            throw .error("\(quoted(configuration.name)) has no vision rows")
        }
        let tokens = fusion.visionTokens(grid: vision.grid)
        var rewriter = try StepRewriter(self)
        return try rewriter.run(keeping: tokens / stride) { rewriter, name throws(Diagnostic) in
            guard name == "decoder.layer\(layer - 1).output" else { return }
            let rows = StrideRows(stride: stride, image: tokens, count: "K")
            let list = try rewriter.append(
                "llavolta.rows", .strideRows(rows), [rewriter.current(.tokens), rewriter.current(.slots)])
            let means = try rewriter.append(
                "llavolta.means", .strideMeans(StrideMeans(stride: stride)),
                [rewriter.current(.value(name)), rewriter.current(.tokens), list])
            rewriter.replace(.value(name), by: means)
            try rewriter.selectLists(list, "llavolta")
        }
    }
}
