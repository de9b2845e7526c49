import Contract
import Support
import Synchronization

/// The sums of an attachment's blocks (Runtime/contract/checksum.h), gathered while its parts are written in any order from several threads.
public final class AttachmentSums: Sendable {
    private let blocks: Mutex<[UInt64]>
    /// Bytes that the sums are of; the sums follow them.
    public let byteCount: Int

    /// Bytes of the sums of `byteCount` bytes.
    public static func size(of byteCount: Int) -> Int { Int(lmmc_sum_count(UInt64(byteCount))) * 8 }

    public init(of byteCount: Int) {
        self.byteCount = byteCount
        blocks = Mutex(Array(repeating: 0, count: Int(lmmc_sum_count(UInt64(byteCount))) - 1))
    }

    /// Hears of bytes at `offset`, a multiple of 4; so is their number, but at the end of what the next bytes of the attachment are no part of.
    public func add(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        precondition(offset % 4 == 0 && offset + bytes.count <= byteCount, "parts are of whole words of the attachment")
        let size = LMMC_SUM_BLOCK
        var (sums, at) = ([UInt64](), 0)
        while at < bytes.count {
            let count = min(size - (offset + at) % size, bytes.count - at)
            sums.append(lmmc_sum_of(bytes.baseAddress! + at, UInt64(count), UInt64(offset + at)))
            at += count
        }
        blocks.withLock { blocks in
            for (index, sum) in sums.enumerated() { blocks[offset / size + index] &+= sum }
        }
    }

    /// The sums as they stand in the attachment, that of themselves last.
    public var values: [UInt64] {
        let sums = blocks.withLock { $0 }
        let own = sums.withUnsafeBytes { lmmc_sum_of($0.baseAddress, UInt64($0.count), UInt64(byteCount)) }
        return sums + [own]
    }
}
