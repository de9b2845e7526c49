import Checkpoint
import IR
import Support

extension Module {
    /// ToMe: between the attention and the MLP of each block up to the tap the rows whose keys are most alike become their mean. A row counts
    /// for as many patches as it is the mean of, in later means and as a key of later attentions. The class token in row 0 stays alone.
    func reducedByToMe(_ tome: TokenReduction.ToMe, _ configuration: ModelConfiguration) throws(Diagnostic) -> Module {
        guard let vision = configuration.vision, let fusion = configuration.fusion, Set(fusion.taps).count == 1, fusion.kernel == 1,
            fusion.tokensPerWindow == 1, fusion.qformer == nil, !fusion.keepsClassToken
        else {
            throw .error(
                "\(quoted(configuration.name)) does not give each patch behind one block a vision token of its own, which 'tome' merges")
        }
        let merges = tome.merges(blocks: fusion.lastTap, patches: vision.grid * vision.grid)
        var rewriter = try VisionRewriter(self)
        let last = merges.lastIndex { $0 > 0 }
        var rows = vision.positionCount
        /// How many patches each row is the mean of, and the logarithm; nil where it is one.
        var sizes: Operand?, bias: Operand?
        /// The patch that each row stands for in what a program shows of the reduction: the one that others joined.
        var places: Operand?
        try rewriter.rewriteVision { rewriter, operation throws(Diagnostic) in
            if let bias, case .attention(let attention) = operation.op {
                return try rewriter.append(
                    operation.name, .attention(attention.with(hasBias: true)), operation.operands.map(rewriter.current) + [bias])
            }
            guard let block = merges.indices.first(where: { operation.name == "\(VisionRewriter.block($0 + 1)).attention.residual" }),
                merges[block] > 0
            else { return nil }
            let name = VisionRewriter.block(block + 1)
            let x = try rewriter.copy(operation)
            rows -= merges[block]
            let segments = try rewriter.match(merges[block], "\(name).merge", byKeysOfBlock: block + 1)
            let weights = [sizes].compactMap(\.self)
            sizes = try rewriter.append(
                "\(name).merge.sizes", .segmentSizes(SegmentSizes(count: rows, hasWeights: !weights.isEmpty)), [segments] + weights)
            bias = try rewriter.append("\(name).merge.bias", .log(Logarithm()), [sizes!])
            places = try rewriter.append(
                "\(name).merge.places", .rowPlaces(RowPlaces(count: rows, hasPlaces: places != nil)),
                [segments] + [places].compactMap(\.self))
            if let places, block == last { rewriter.pass(places, as: "places") }
            return try rewriter.append(
                "\(name).merge", .segmentMeans(SegmentMeans(count: rows, hasWeights: !weights.isEmpty)), [x, segments] + weights)
        }
        try rewriter.rewriteProject { rewriter, operation throws(Diagnostic) in
            // All rows but the class token
            guard case .slice(let slice) = operation.op, slice.axis == 0 else { return nil }
            return try rewriter.rows(operation.name, of: rewriter.current(operation.operands[0]), from: slice.start, rows - slice.start)
        }
        guard last != nil else { return try rewriter.finish() }
        return try rewriter.finish(selected: try rewriter.rows("tome.selected", of: .value("places"), from: 1, rows - 1))
    }
}

extension VisionRewriter {
    /// The new row of each row where `merges` of them join others, those whose keys, averaged over the heads, are most alike.
    fileprivate mutating func match(_ merges: Int, _ name: String, byKeysOfBlock block: Int) throws(Diagnostic) -> Operand {
        let attention = try attention(ofBlock: block)
        let keys = try append(
            "\(name).keys", .meanHeads(MeanHeads(heads: attention.keyValueHeads)),
            [current(.value("\(Self.block(block)).attention.key"))])
        let metric = try append("\(name).metric", .unitRows(UnitRows(epsilon: 1e-8)), [keys])
        return try append("\(name).rows", .matchRows(MatchRows(merges: merges)), [metric])
    }
}
