import Checkpoint
import IR
import Support

extension Module {
    /// VisionZip: the class token and the patches to which it pays most attention in the block that makes the tap, in raster order, then sums
    /// of the others: every step-th of them and the mean of those whose keys in that block are nearest to it. LLaVA's tap is block L - 1's, the
    /// one that the public code fixes.
    func reducedByVisionZip(_ keys: TokenReduction.VisionZip, _ configuration: ModelConfiguration) throws(Diagnostic) -> Module {
        var rewriter = try VisionRewriter(self)
        let (tap, block) = try rewriter.tap(for: "visionzip", configuration)
        let attention = try rewriter.attention(ofBlock: block)
        let name = "\(VisionRewriter.block(block)).attention"
        try rewriter.rewriteVision { rewriter, operation throws(Diagnostic) in
            guard operation.name == name else { return nil }
            // The class token's is the only query.
            rewriter.pass(try rewriter.rows("visionzip.query", of: .value("\(name).query"), from: 0, 1), as: "visionzip.query")
            rewriter.pass(.value("\(name).key"), as: "visionzip.key")
            return nil
        }
        guard let rows = rewriter.type(of: tap)?.shape[0].fixedValue, keys.dominant > 0, keys.contextual > 0, keys.keep <= rows else {
            throw .error(
                "'visionzip' is to keep \(keys.dominant) dominant and \(keys.contextual) contextual rows",
                expected: "1 or more of both, and all together no more than there are")
        }
        return try rewriter.reduceTokens(of: tap) { rewriter throws(Diagnostic) in
            try rewriter.visionZip(tap, patches: rows - 1, keys, attention)
        }
    }
}

extension VisionRewriter {
    fileprivate mutating func visionZip(
        _ tap: Operand, patches: Int, _ keys: TokenReduction.VisionZip, _ attention: Attention
    ) throws(Diagnostic) -> ReducedTokens {
        let all = try append(
            "visionzip.attention", .rowAttention(RowAttention(heads: attention.heads, scale: attention.scale)),
            [.value("visionzip.query"), .value("visionzip.key")])
        // Patches are counted from 0 on; in front of them stands the class token.
        let scores = try rows("visionzip.scores", of: all, from: 1, patches)
        let x = try rows("visionzip.patches", of: tap, from: 1, patches)
        let patchKeys = try rows("visionzip.patch_keys", of: .value("visionzip.key"), from: 1, patches)

        var parts = [try rows("visionzip.class", of: tap, from: 0, 1)], lists: [Operand] = []
        let rest: Operand
        if keys.dominant > 1 {
            let dominant = try append("visionzip.dominant", .topRows(TopRows(rows: keys.dominant - 1, order: .index)), [scores])
            parts.append(try append("visionzip.dominant.rows", .gatherRows(GatherRows()), [x, dominant]))
            lists.append(dominant)
            rest = try append("visionzip.rest", .complementRows(ComplementRows(of: patches)), [dominant])
        } else {
            // The class token alone: all patches are left.
            rest = try append("visionzip.rest", .topRows(TopRows(rows: patches, order: .index)), [scores])
        }
        let restRows = try append("visionzip.rest.rows", .gatherRows(GatherRows()), [x, rest])
        let restKeys = try append("visionzip.rest.keys", .gatherRows(GatherRows()), [patchKeys, rest])
        let means = try append("visionzip.metric.means", .meanHeads(MeanHeads(heads: attention.heads)), [restKeys])
        let metric = try append("visionzip.metric", .unitRows(UnitRows(epsilon: 1e-12)), [means])

        let count = keys.contextual, step = max(1, (patches + 1 - keys.dominant) / count)
        let clusters = try append("visionzip.clusters", .clusterRows(ClusterRows(step: step, count: count)), [metric])
        let joined = try append("visionzip.joined", .segmentMeans(SegmentMeans(count: count)), [restRows, clusters])
        let centres = try everyRow(step, count, of: restRows, "visionzip.centres")
        parts.append(try append("visionzip.contextual", .add(Add()), [centres, joined]))
        lists.append(try everyRow(step, count, of: rest, "visionzip.contextual.patches"))
        return ReducedTokens(
            rows: try append("visionzip.rows", .concatenate(Concatenate(axis: 0)), parts),
            patches: lists.count > 1 ? try append("visionzip.selected", .concatenate(Concatenate(axis: 0)), lists) : lists[0])
    }

    /// The rows 0, step, ... of a table, or such entries of a list, `count` of them: the first of each `step` that are laid side by side.
    private mutating func everyRow(_ step: Int, _ count: Int, of operand: Operand, _ name: String) throws(Diagnostic) -> Operand {
        let width = type(of: operand)?.shape.dropFirst().first?.fixedValue
        let whole = try rows("\(name).whole", of: operand, from: 0, step * count)
        let table = try append("\(name).table", .reshape(Reshape(shape: [count, step * (width ?? 1)])), [whole])
        let first = try append(width == nil ? "\(name).first" : name, .slice(Slice(axis: 1, start: 0, count: width ?? 1)), [table])
        return width == nil ? try append(name, .reshape(Reshape(shape: [count])), [first]) : first
    }
}
