import IR
import Support

extension Module {
    /// FastV: the attention that a prompt's last row pays to the vision rows in block `layer` - 1, the mean over its heads, ranks them; the
    /// best `keep` go on to block `layer`, the others leave the residual stream. Positions stay.
    func reducedByFastV(layer: Int, keep: Int) throws(Diagnostic) -> Module {
        let block = "decoder.layer\(layer - 1)"
        var rewriter = try StepRewriter(self)
        var list: Operand?
        return try rewriter.run(keeping: keep) { rewriter, name throws(Diagnostic) in
            // As soon as the block has its keys: what follows in it runs on the rows that stay.
            if name == "\(block).attention" {
                let scores = try rewriter.scores(of: block, "fastv.scores")
                list = try rewriter.append(
                    "fastv.rows", .keepRows(KeepRows(top: keep, count: "K")), [scores, rewriter.current(.tokens), rewriter.current(.slots)])
            }
            if name == "\(block).output", let list { try rewriter.select(list, of: [.value(name)], "fastv") }
        }
    }
}

extension StepRewriter {
    /// The attention of raters to the vision rows in a block, the last row of each slot where no others are given.
    mutating func scores(
        of block: String, _ name: String, statistic: AttentionScores.Statistic = .mean, raters: Operand? = nil
    ) throws(Diagnostic) -> Operand {
        guard let attention = attention(of: block) else { throw .error("'\(block)' has no attention", at: .operation(block)) }
        let scores = AttentionScores(
            heads: attention.heads, keyValueHeads: attention.keyValueHeads, scale: attention.scale, statistic: statistic,
            hasRaters: raters != nil)
        return try append(
            name, .attentionScores(scores),
            [
                current(.value("\(block).attention.query.rotary")), current(.value("\(block).attention.key.rotary")), current(.tokens),
                current(.slots),
            ] + [raters].compactMap(\.self))
    }

    func attention(of block: String) -> Attention? {
        for operation in builder.function.operations where operation.name == "\(block).attention" {
            if case .attention(let attention) = operation.op { return attention }
        }
        return nil
    }
}
