import Checkpoint
import IR
import Support

extension Module {
    /// MustDrop: behind the tower's first block windows of like patches become one row each. Of the rows the tower gives, those that its last block's
    /// class token sees most are the key set. In the decoder vision rows leave by two thresholds behind some blocks, but for the key set; and what the
    /// caches hold from the first of these blocks on are in the end the rows that are left behind the last.
    func reducedByMustDrop(_ keys: TokenReduction.MustDrop, _ configuration: ModelConfiguration) throws(Diagnostic) -> Module {
        try mergingLikeWindows(keys, configuration).droppingByThresholds(keys, configuration)
    }

    private func mergingLikeWindows(_ keys: TokenReduction.MustDrop, _ configuration: ModelConfiguration) throws(Diagnostic) -> Module {
        var rewriter = try VisionRewriter(self)
        let (tap, block) = try rewriter.tap(for: "mustdrop", configuration)
        let blocks = configuration.vision?.layerCount ?? 0, patches = configuration.vision.map { $0.grid * $0.grid } ?? 0
        guard block > 0, blocks > 1 else {
            throw .error("'mustdrop' merges patches behind the tower's first block", expected: "a tap there or later, of 2 blocks or more")
        }
        let first = "\(VisionRewriter.block(1)).output", last = "\(VisionRewriter.block(blocks)).attention"
        let attention = try rewriter.attention(ofBlock: blocks)
        // Only the norm, the keys and one row of the queries of the last block are computed.
        _ = try rewriter.towerOperation("\(last).query")
        try rewriter.rewriteVision { rewriter, operation throws(Diagnostic) in
            if operation.name == first { return try rewriter.mergeLikeWindows(of: try rewriter.copy(operation), patches: patches, keys) }
            guard operation.name == "\(last).query" else { return nil }
            let row = try rewriter.rows("mustdrop.query.norm", of: rewriter.current(operation.operands[0]), from: 0, 1)
            let query = try rewriter.append("mustdrop.query", operation.op, [row] + operation.operands.dropFirst())
            rewriter.pass(query, as: "mustdrop.query")
            rewriter.pass(.value("\(last).key"), as: "mustdrop.key")
            rewriter.pass(.value("mustdrop.windows"), as: "mustdrop.windows")
            return nil
        }
        let rest = Op.slice(Slice(axis: 0, start: 1))
        try rewriter.rewriteProject { rewriter, operation throws(Diagnostic) in
            guard case .slice = operation.op, operation.operands == [tap] else { return nil }
            return try rewriter.append(operation.name, rest, operation.operands)
        }
        let all = try rewriter.append(
            "mustdrop.attention", .rowAttention(RowAttention(heads: attention.heads, scale: attention.scale)),
            [.value("mustdrop.query"), .value("mustdrop.key")])
        let scores = try rewriter.append("mustdrop.scores", rest, [all])
        let protected = try rewriter.append("mustdrop.key_rows", .keyRows(KeyRows(share: keys.key)), [scores])
        let selected = try rewriter.append("mustdrop.selected", .padList(PadList(length: patches)), [.value("mustdrop.windows")])
        return try rewriter.finish(selected: selected, protected: protected)
    }

    private func droppingByThresholds(_ keys: TokenReduction.MustDrop, _ configuration: ModelConfiguration) throws(Diagnostic) -> Module {
        let rows = function(.step)?.parameters.first { $0.name == EntryPoint.Region.visionRows.rawValue }
        guard let rows, let vision = configuration.vision, let fusion = configuration.fusion else {
            throw .error("\(quoted(configuration.name)) has no vision rows")
        }
        var rewriter = try StepRewriter(self, reading: [Parameter(.protectedRows, type: TensorType(.int32, [rows.type.shape[0]]))])
        let points = TokenReduction.MustDrop.layers.filter { $0 < configuration.decoder.layerCount }
        guard let first = points.first, let last = points.last else {
            throw .error("'mustdrop' drops rows behind block \(TokenReduction.MustDrop.layers[0])", expected: "a decoder that has one")
        }
        var raters: Operand?
        var scores: [Operand] = []
        // Which rows each point leaves of those that the point before has left
        var lists: [(layer: Int, rows: Operand)] = []
        return try rewriter.run(keeping: fusion.visionTokens(grid: vision.grid)) { rewriter, name throws(Diagnostic) in
            if name == "decoder.tokens" {
                raters = try rewriter.append(
                    "mustdrop.raters", .postRows(PostRows()), [rewriter.current(.tokens), rewriter.current(.slots)])
            }
            guard let layer = Operation.decoderLayer(name), let post = raters else { return }
            // A prompt's rows are where their positions say until some leave. Tokens behind it are where the caches say, which will be cut from here on.
            if layer == first { rewriter.renumbers = true }
            guard points.contains(layer) else { return }
            let block = "decoder.layer\(layer)"
            if name == "\(block).attention" {
                scores = [
                    try rewriter.scores(of: block, "mustdrop.sums\(layer)", statistic: .sum, raters: post),
                    try rewriter.scores(of: block, "mustdrop.most\(layer)", statistic: .max, raters: post),
                ]
            }
            guard name == "\(block).output" else { return }
            let threshold = ThresholdRows(global: Float(keys.global), individual: Float(keys.individual), count: "K\(layer)")
            let list = try rewriter.append(
                "mustdrop.rows\(layer)", .thresholdRows(threshold),
                scores + [rewriter.current(.tokens), rewriter.current(.slots), .region(.protectedRows)])
            try rewriter.select(list, of: [.value(name)], "mustdrop", "\(layer)")
            raters = try rewriter.append("mustdrop.raters\(layer)", .gatherRows(GatherRows()), [post, list])
            lists.append((layer, list))
            if layer == last { try rewriter.cutCaches(from: first, lists, "mustdrop") }
        }
    }
}

extension VisionRewriter {
    /// The class token, the windows of like patches as their means, and the patches of all others.
    fileprivate mutating func mergeLikeWindows(
        of x: Operand, patches count: Int, _ keys: TokenReduction.MustDrop
    ) throws(Diagnostic) -> Operand {
        let classRow = try rows("mustdrop.class", of: x, from: 0, 1)
        let patches = try rows("mustdrop.patches", of: x, from: 1, count)
        let unit = try append("mustdrop.unit", .unitRows(UnitRows(epsilon: 1e-12)), [patches])
        let windows = try append(
            "mustdrop.windows",
            .similarWindows(SimilarWindows(window: keys.window, similarity: Float(keys.similarity), count: "V")), [unit])
        let means = try append("mustdrop.means", .windowMeans(WindowMeans(window: keys.window)), [patches, windows])
        return try append("mustdrop.merged", .concatenate(Concatenate(axis: 0)), [classRow, means])
    }
}

extension StepRewriter {
    /// Leaves in the caches from block `first` on, up to the last point, the rows that the last point leaves. A point names the block behind which
    /// it drops rows, and lists those that stay of what the point before has left.
    fileprivate mutating func cutCaches(
        from first: Int, _ points: [(layer: Int, rows: Operand)], _ name: String
    ) throws(Diagnostic) {
        var kept: [Operand] = []
        for point in points.reversed() {
            let later = try kept.first.map { later throws(Diagnostic) in
                try append("\(name).kept\(point.layer)", .gatherRows(GatherRows()), [point.rows, later])
            }
            kept.insert(later ?? point.rows, at: 0)
        }
        var block = first
        for (point, list) in zip(points, kept) {
            while block <= point.layer {
                try cutCaches(of: block, list, name)
                block += 1
            }
        }
    }

    /// Leaves in a block's caches only these of the rows that the call has brought.
    private mutating func cutCaches(of block: Int, _ list: Operand, _ name: String) throws(Diagnostic) {
        let operations = builder.function.operations.filter { $0.layer?.name == "decoder.layer\(block)" }
        for operation in operations {
            guard case .reserve = operation.op else { continue }
            let (lengths, slots) = (operation.operands[0], operation.operands[1])
            for (store, cache) in zip(operations.filter { if case .cacheStore = $0.op { true } else { false } }, ["key", "value"]) {
                try append("\(name).\(cache)_cache\(block)", .cacheKeep(CacheKeep()), [store.operands[0], lengths, slots, list])
            }
            try append("\(name).lengths\(block)", .release(Release()), [lengths, slots, list])
        }
    }
}

extension KeyRows {
    /// A share in decimals, as people write it.
    fileprivate init(share: Double) {
        var of = 1
        while of < Self.finest, (share * Double(of)).rounded() / Double(of) != share { of *= 10 }
        self.init(part: share > 0 ? max(1, Int((share * Double(of)).rounded())) : 0, of: of)
    }
}
