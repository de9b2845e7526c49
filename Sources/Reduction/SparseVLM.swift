import Checkpoint
import IR
import Support

extension Module {
    /// SparseVLM: the words that look at the image rate its rows by their attention in some blocks, and behind each of these fewer rows go on. Version
    /// 1.5 merges a part of those that leave, and counts positions anew in each block; 2.0 takes the rotary turn out of the attention of the heads that
    /// look at the image most.
    func reducedBySparseVLM(_ sparse: TokenReduction.SparseVLM, _ configuration: ModelConfiguration) throws(Diagnostic) -> Module {
        guard let vision = configuration.vision, let fusion = configuration.fusion else {
            throw .error("\(quoted(configuration.name)) has no vision rows")
        }
        var points: [Int: SparsePoint] = [:]
        for (index, layer) in sparse.layers.enumerated() {
            points[layer] = SparsePoint(layer: layer, keep: index < sparse.keep.count ? sparse.keep[index] : nil)
        }
        let tokens = fusion.visionTokens(grid: vision.grid)
        var (rows, most) = (tokens, 1)
        for layer in sparse.layers {
            rows = points[layer]?.rowsKept(sparse.version, of: rows) ?? rows
            most = max(most, rows)
        }
        var rewriter = try StepRewriter(self)
        var raters: Operand?
        var scores: Operand?
        var counts: Operand?
        return try rewriter.run(keeping: most) { rewriter, name throws(Diagnostic) in
            if name == "decoder.tokens" {
                raters = try rewriter.append(
                    "sparsevlm.raters", .raterRows(RaterRows()),
                    [rewriter.current(.value(name)), rewriter.current(.tokens), rewriter.current(.slots)])
            }
            guard let layer = Operation.decoderLayer(name), let point = points[layer], let list = raters else { return }
            if name == "\(point.block).attention" {
                scores =
                    sparse.version == .v20
                    ? try rewriter.rotaryScores(of: point.block, "sparsevlm.scores\(layer)", best: 14, raters: list)
                    : try rewriter.scores(of: point.block, "sparsevlm.scores\(layer)", raters: list)
            }
            if name == "\(point.block).attention", let rule = sparse.rank {
                counts = try rewriter.rankCounts(of: point, rule, columns: tokens, raters: list)
            }
            guard name == "\(point.block).output", let scores else { return }
            let kept =
                sparse.version == .v20
                ? try rewriter.drop(point, scores, .value(name)) : try rewriter.recycle(point, scores, counts, .value(name))
            raters = try rewriter.append("sparsevlm.raters\(layer)", .gatherRows(GatherRows()), [list, kept])
        }
    }
}

/// A place where rows leave.
private struct SparsePoint {
    let layer: Int
    /// Nil where a matrix's rank says how many.
    let keep: Int?

    var block: String { "decoder.layer\(layer)" }
    var count: String { "K\(layer)" }
    var recycling: Recycling { Recycling(top: keep) }

    /// As the operations say it.
    func rowsKept(_ version: TokenReduction.SparseVLM.Version, of rows: Int) -> Int? {
        version == .v20 ? drops.visionRowsKept(of: rows) : RecycleRows(recycling, count: count).visionRowsKept(of: rows)
    }

    var drops: KeepRows { KeepRows(top: keep ?? 0, drop: 1, count: count) }
}

extension StepRewriter {
    /// The same without what the rotary turn makes of distances, of the `best` heads.
    fileprivate mutating func rotaryScores(of block: String, _ name: String, best: Int, raters: Operand) throws(Diagnostic) -> Operand {
        guard let attention = attention(of: block), let rotary = rotary(of: block) else {
            throw .error("'\(block)' has no attention", at: .operation(block))
        }
        let scores = RotaryScores(
            heads: attention.heads, keyValueHeads: attention.keyValueHeads, scale: attention.scale, best: min(best, attention.heads),
            theta: rotary.theta, scaling: rotary.scaling)
        return try append(
            name, .rotaryScores(scores),
            [
                current(.value("\(block).attention.query.rotary")), current(.value("\(block).attention.key.rotary")), current(.tokens),
                current(.slots), raters, current(.positions),
            ])
    }

    /// How many rows a matrix's rank leaves at a point.
    fileprivate mutating func rankCounts(
        of point: SparsePoint, _ rule: TokenReduction.SparseVLM.RankRule, columns: Int, raters: Operand
    ) throws(Diagnostic) -> Operand {
        guard let attention = attention(of: point.block) else {
            throw .error("'\(point.block)' has no attention", at: .operation(point.block))
        }
        let (tokens, slots) = (current(.tokens), current(.slots))
        let matrix = try append(
            "sparsevlm.attention\(point.layer)",
            .raterAttention(
                RaterAttention(
                    heads: attention.heads, keyValueHeads: attention.keyValueHeads, scale: attention.scale, columns: columns)),
            [
                current(.value("\(point.block).attention.query.rotary")), current(.value("\(point.block).attention.key.rotary")), tokens,
                slots,
                raters,
            ])
        return try append(
            "sparsevlm.counts\(point.layer)", .rankCounts(RankCounts(scale: Float(rule.scale), bias: Float(rule.bias))),
            [matrix, tokens, slots, raters])
    }

    private func rotary(of block: String) -> Rotary? {
        for operation in builder.function.operations where operation.name == "\(block).attention.query.rotary" {
            if case .rotary(let rotary) = operation.op { return rotary }
        }
        return nil
    }

    /// Drops the rows of `value` with the worst scores; the list of those that stay.
    fileprivate mutating func drop(_ point: SparsePoint, _ scores: Operand, _ value: Operand) throws(Diagnostic) -> Operand {
        let list = try append("sparsevlm.rows\(point.layer)", .keepRows(point.drops), [scores, current(.tokens), current(.slots)])
        try select(list, of: [value], "sparsevlm", "\(point.layer)")
        return list
    }

    /// The same, with some of them merged.
    fileprivate mutating func recycle(
        _ point: SparsePoint, _ scores: Operand, _ counts: Operand?, _ value: Operand
    ) throws(Diagnostic) -> Operand {
        let (x, tokens, slots) = (current(value), current(.tokens), current(.slots))
        let density = try append(
            "sparsevlm.density\(point.layer)", .recycleDensity(RecycleDensity(point.recycling)),
            [x, scores, tokens, slots] + [counts].compactMap(\.self))
        let list = try append(
            "sparsevlm.rows\(point.layer)", .recycleRows(RecycleRows(point.recycling, count: point.count)),
            [density, scores, tokens, slots])
        let merged = try append("sparsevlm.output\(point.layer)", .recycleMerge(RecycleMerge()), [x, density, slots, list])
        replace(value, by: merged)
        try selectLists(list, "sparsevlm", "\(point.layer)")
        renumbers = true
        return list
    }
}

extension Operation {
    /// The number of the decoder's block that something stands in.
    static func decoderLayer(_ name: String) -> Int? {
        guard let layer = ModelLayer(of: name), layer.stem == "decoder.layer" else { return nil }
        return layer.index
    }
}
