import Plan
import Support

/// The sizes of an attachment: the weights at the plan's offsets, then the tokenizer, the tree of its tokens, and the sums of all these.
public struct AttachmentLayout: Sendable {
    public var weightBytes: Int
    public var tokenizerOffset: Int
    public var tokenizerBytes: Int
    public var treeOffset: Int
    public var treeBytes: Int
    public var sumsOffset: Int
    public var totalBytes: Int

    public init(plan: Plan, tokenizer: [UInt8], tree: [UInt8]) throws(Diagnostic) {
        guard let offset = roundedUp(plan.weightBytes, to: 64), let tokenizerEnd = checkedSum([offset, tokenizer.count]),
            let treeOffset = roundedUp(tokenizerEnd, to: 64), let end = checkedSum([treeOffset, tree.count]),
            let sums = roundedUp(end, to: 64),
            let total = checkedSum([sums, AttachmentSums.size(of: sums)])
        else { throw .error("the weights take more than 2^63 bytes") }
        (weightBytes, tokenizerOffset, tokenizerBytes) = (plan.weightBytes, offset, tokenizer.count)
        (self.treeOffset, treeBytes) = (treeOffset, tree.count)
        (sumsOffset, totalBytes) = (sums, total)
    }
}
