import Plan
import Support

/// The sizes of an attachment: the weights at the plan's offsets, then the tokenizer, then the sums of both.
public struct AttachmentLayout: Sendable {
    public var weightBytes: Int
    public var tokenizerOffset: Int
    public var tokenizerBytes: Int
    public var sumsOffset: Int
    public var totalBytes: Int

    public init(plan: Plan, tokenizer: [UInt8]) throws(Diagnostic) {
        guard let offset = roundedUp(plan.weightBytes, to: 64), let end = checkedSum([offset, tokenizer.count]),
            let sums = roundedUp(end, to: 64),
            let total = checkedSum([sums, AttachmentSums.size(of: sums)])
        else { throw .error("the weights take more than 2^63 bytes") }
        (weightBytes, tokenizerOffset, tokenizerBytes) = (plan.weightBytes, offset, tokenizer.count)
        (sumsOffset, totalBytes) = (sums, total)
    }
}
