import Checkpoint
import IR
import Support

extension Module {
    /// The most tokens of a question that `project` reads; of a longer one the first count.
    static let mostQuestionTokens = 256

    /// MMTok: the rows of `keep` patches that together are most like the question's words and the image's other patches.
    func reducedByMMTok(_ keys: TokenReduction.MMTok, _ configuration: ModelConfiguration) throws(Diagnostic) -> Module {
        var rewriter = try VisionRewriter(self)
        let tap = try rewriter.tap(for: "mmtok", configuration).tokens
        guard let vision = configuration.vision, let preprocessing = configuration.preprocessing,
            let words = function(.step)?.operations.lazy.compactMap({ Self.table(of: $0) }).first
        else { throw .error("\(quoted(configuration.name)) has no image or no words that 'mmtok' could compare") }
        rewriter.read(.question, TensorType(.int32, [rewriter.declare(EntryPoint.question, bound: Self.mostQuestionTokens)]))
        let bars = keys.barsPadding(padsImages: preprocessing.mode == .pad)
        if bars { rewriter.read(.bars, TensorType(.int32, fixed: [4])) }
        try rewriter.rewriteVision()
        guard let rows = rewriter.type(of: tap)?.shape[0].fixedValue, 1..<rows ~= keys.keep else {
            throw .error("'mmtok' is to keep \(keys.keep) patches", expected: "1 to as many as there are")
        }
        // All of them are no choice.
        if keys.keep == rows - 1 { return self }
        try rewriter.rewriteProject { _, _ throws(Diagnostic) in nil }

        let unit = Op.unitRows(UnitRows(epsilon: 1e-8))
        let patches = try rewriter.rows("mmtok.patches", of: tap, from: 1, rows - 1)
        let seen = try rewriter.append("mmtok.patches.unit", unit, [patches])
        let projected = try rewriter.append("mmtok.projected.unit", unit, [rewriter.projected])
        let embedded = try rewriter.append("mmtok.question", .embed(Embed(hasVision: false)), [.region(.question), words])
        let asked = try rewriter.append("mmtok.question.unit", unit, [embedded])
        let text = try rewriter.append(
            "mmtok.text", .softmaxSimilarity(SoftmaxSimilarity(temperature: Float(keys.textTemperature))), [asked, projected])
        let image = try rewriter.append(
            "mmtok.image", .softmaxSimilarity(SoftmaxSimilarity(temperature: Float(keys.visionTemperature))), [seen, seen])
        let cover = GreedyCover(keep: keys.keep, weight: Float(keys.alpha), patch: vision.patchSize, hasBars: bars)
        let list = try rewriter.append("mmtok.selected", .greedyCover(cover), [text, image] + (bars ? [.region(.bars)] : []))
        return try rewriter.finish(
            returning: try rewriter.append("mmtok.rows", .gatherRows(GatherRows()), [rewriter.projected, list]), selected: list)
    }

    /// The table of words that an operation reads.
    private static func table(of operation: Operation) -> Operand? {
        if case .embed = operation.op { operation.operands[1] } else { nil }
    }
}
