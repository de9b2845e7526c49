import Contract
import Plan
import Support

/// The tokens that every prompt begins with and room for their keys and values, as a part of the attachment (Runtime/contract/prefix_layout.h).
public struct FoldedPrefix: Sendable {
    public let tokens: [Int32]
    public let byteCount: Int
    /// Where the rows begin, from its start
    let rowsOffset: Int

    /// `slots`: that the rows are copied into.
    public init(_ tokens: [Int32], _ slots: SlotLayout) throws(Diagnostic) {
        rowsOffset = Int(lmmc_prefix_rows(UInt64(tokens.count)))
        guard let rowBytes = checkedSum(slots.caches.map(\.rowBytes)), let bytes = checkedProduct([rowBytes, tokens.count]),
            let end = checkedSum([rowsOffset, bytes])
        else { throw .error("the rows of a prompt's first tokens take more than 2^63 bytes") }
        (self.tokens, byteCount) = (tokens, end)
    }

    /// The header, whose arithmetic is not known yet, and the tokens.
    public var head: [UInt8] {
        var header = lmmc_prefix_header()
        header.count = Int32(tokens.count)
        return withUnsafeBytes(of: header, Array.init) + tokens.withUnsafeBytes(Array.init)
    }

    /// Puts what the program has computed, its file `computed`, where the prefix stands: at `offset`.
    public func fill(from computed: String, in file: StreamedFile, at offset: Int) throws(Diagnostic) {
        let arithmetic = Int(LMMC_PREFIX_ARITHMETIC), expected = arithmetic + byteCount - rowsOffset
        let bytes = try readFile(computed, limit: expected)
        guard bytes.count == expected else {
            throw .error("the program computed \(bytes.count) bytes of its prompts' first tokens", expected: "\(expected)")
        }
        try file.write(Array(bytes[..<arithmetic]), at: offset + MemoryLayout<lmmc_prefix_header>.size - arithmetic)
        try file.write(Array(bytes[arithmetic...]), at: offset + rowsOffset)
    }
}
