import Plan
import Support

/// The sizes of an attachment: the weights at the plan's offsets, then the tokenizer, the tree of its tokens, the first tokens of
/// prompts with room for their rows, and the sums of all these.
public struct AttachmentLayout: Sendable {
    public var weightBytes: Int
    public var tokenizerOffset: Int
    public var tokenizerBytes: Int
    public var treeOffset: Int
    public var treeBytes: Int
    public var prefixOffset: Int
    /// Nil where nothing is folded
    public var prefix: FoldedPrefix?
    public var sumsOffset: Int
    public var totalBytes: Int

    public init(plan: Plan, tokenizer: [UInt8], tree: [UInt8], prefix: FoldedPrefix? = nil) throws(Diagnostic) {
        guard let offset = roundedUp(plan.weightBytes, to: 64), let tokenizerEnd = checkedSum([offset, tokenizer.count]),
            let treeOffset = roundedUp(tokenizerEnd, to: 64), let treeEnd = checkedSum([treeOffset, tree.count]),
            let prefixOffset = roundedUp(treeEnd, to: 64), let end = checkedSum([prefixOffset, prefix?.byteCount ?? 0]),
            let sums = roundedUp(end, to: 64),
            let total = checkedSum([sums, AttachmentSums.size(of: sums)])
        else { throw .error("the weights take more than 2^63 bytes") }
        (weightBytes, tokenizerOffset, tokenizerBytes) = (plan.weightBytes, offset, tokenizer.count)
        (self.treeOffset, treeBytes) = (treeOffset, tree.count)
        (self.prefixOffset, self.prefix) = (prefixOffset, prefix)
        (sumsOffset, totalBytes) = (sums, total)
    }
}
