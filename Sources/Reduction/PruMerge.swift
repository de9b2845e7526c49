import Checkpoint
import IR
import Support

extension Module {
    /// PruMerge: the patches to which the class token pays most attention in block L, one head over the full width, each with its nearest
    /// others added, and a last row of what is not kept. How many are kept the outliers say, or a ratio. PruMerge+ keeps samples of the grid too.
    ///
    /// Only the norm, the keys and one row of the queries of block L are computed. Rows are those of the tap, which is the block's input.
    func reducedByPruMerge(_ keys: TokenReduction.PruMerge, _ configuration: ModelConfiguration) throws(Diagnostic) -> Module {
        let method = TokenReduction.prumerge(keys).name
        var rewriter = try VisionRewriter(self)
        let tap = try rewriter.tap(for: method, configuration).tokens
        let name = "\(VisionRewriter.block(configuration.vision?.layerCount ?? 0)).attention"
        // A tower may end at its tap.
        _ = try rewriter.towerOperation("\(name).query")
        try rewriter.rewriteVision { rewriter, operation throws(Diagnostic) in
            guard operation.name == "\(name).query" else { return nil }
            let row = try rewriter.rows("prumerge.query.norm", of: operation.operands[0], from: 0, 1)
            let query = try rewriter.append("prumerge.query", operation.op, [row] + operation.operands.dropFirst())
            rewriter.pass(query, as: "prumerge.query")
            rewriter.pass(.value("\(name).key"), as: "prumerge.key")
            return nil
        }
        guard let rows = rewriter.type(of: tap)?.shape[0].fixedValue else { throw .error("'project' reads no rows of a tower") }
        let neighbours = 1...MergeNeighbours.mostNeighbours
        guard neighbours ~= keys.neighbours else {
            throw .error(
                "\(quoted(method)) is to merge \(keys.neighbours) neighbours",
                expected: "\(neighbours.lowerBound) to \(neighbours.upperBound)")
        }
        return try rewriter.reduceTokens(of: tap) { rewriter throws(Diagnostic) in
            try rewriter.pruMerge(tap, patches: rows - 1, keys)
        }
    }
}

extension VisionRewriter {
    fileprivate mutating func pruMerge(_ tap: Operand, patches: Int, _ keys: TokenReduction.PruMerge) throws(Diagnostic) -> ReducedTokens {
        guard let width = type(of: .value("prumerge.query"))?.shape[1].fixedValue else { throw .error("the tower's queries have no width") }
        let all = try append(
            "prumerge.attention", .rowAttention(RowAttention(heads: 1, scale: 1 / Float(width).squareRoot())),
            [.value("prumerge.query"), .value("prumerge.key")])
        // Patches are counted from 0 on; in front of them stands the class token.
        let weights = try rows("prumerge.weights", of: all, from: 1, patches)
        let x = try rows("prumerge.patches", of: tap, from: 1, patches)
        let patchKeys = try rows("prumerge.patch_keys", of: .value("prumerge.key"), from: 1, patches)
        let unit = try append("prumerge.unit_keys", .unitRows(UnitRows(epsilon: 1e-12)), [patchKeys])

        let kept = try keptPatches(keys, weights, patches)
        let rest = try append("prumerge.rest", .complementRows(ComplementRows(of: patches)), [kept])
        let merged = try append(
            "prumerge.rows", .mergeNeighbours(MergeNeighbours(neighbours: keys.neighbours)), [x, unit, weights, kept, rest])
        guard let count = type(of: kept)?.shape[0], let bound = count.bound else { throw .error("the kept patches have no number") }
        let padded = count.fixedValue == nil ? try append("prumerge.selected", .padList(PadList(length: bound)), [kept]) : kept
        return ReducedTokens(rows: merged, patches: padded)
    }

    private mutating func keptPatches(_ keys: TokenReduction.PruMerge, _ weights: Operand, _ patches: Int) throws(Diagnostic) -> Operand {
        guard let ratio = keys.ratio else {
            let outliers = OutlierRows(factor: 1.5, isSampled: keys.samplesGrid, count: "O")
            return try append("prumerge.kept", .outlierRows(outliers), [weights])
        }
        let method = TokenReduction.prumerge(keys).name
        guard keys.samplesGrid else {
            let count = Int(Double(patches) * ratio)
            guard 1..<patches ~= count else {
                throw .error(
                    "\(quoted(method)) is to keep \(count) of \(patches) patches", expected: "a ratio that keeps 1 or more, not all")
            }
            return try append("prumerge.kept", .topRows(TopRows(rows: count, order: .score)), [weights])
        }
        let step = Int((1 / ratio).rounded())
        guard step >= 3, 1 / Double(step) == ratio, patches % step == 0 else {
            throw .error(
                "\(quoted(method)) is to keep a share of \(ratio) of \(patches) patches",
                expected: "1/m with m from 3 on that divides \(patches)")
        }
        let count = patches / step
        let best = try append("prumerge.best", .topRows(TopRows(rows: count, order: .score)), [weights])
        let samples = AppendSamples(start: step / 2, step: step, rows: count)
        return try append("prumerge.kept", .appendSamples(samples), [best])
    }
}
