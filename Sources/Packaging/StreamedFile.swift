import Glibc
import Support
import Synchronization
import Work

/// A large file that is written in pieces, from several threads, without filling memory: what was written is flushed and
/// dropped from the page cache every so often, since dirty pages count as a process's memory in a container.
public final class StreamedFile: Sendable {
    private let descriptor: Int32
    /// Named in errors.
    private let path: String
    /// Where the attachment begins that the bytes are of, and its sums
    private let base: Int
    private let sums: AttachmentSums?
    private struct State {
        var sinceFlush = 0
        var low = Int.max, high = 0
    }
    private let state = Mutex(State())

    /// Bytes between flushes.
    static let flushInterval = 128 << 20

    public init(_ descriptor: Int32, path: String, base: Int = 0, sums: AttachmentSums? = nil) {
        self.descriptor = descriptor
        self.path = path
        self.base = base
        self.sums = sums
    }

    public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Diagnostic) {
        try writeAll(descriptor, bytes, at: offset, path: path)
        if let sums, offset - base < sums.byteCount { sums.add(bytes, at: offset - base) }
        let due: Range<Int>? = state.withLock { state in
            state.sinceFlush += bytes.count
            (state.low, state.high) = (min(state.low, offset), max(state.high, offset + bytes.count))
            guard state.sinceFlush >= Self.flushInterval else { return nil }
            defer { state = State() }
            return state.low..<state.high
        }
        guard let due else { return }
        guard fdatasync(descriptor) == 0 else { throw .system("write", path: path, code: errno) }
        posix_fadvise(descriptor, due.lowerBound, due.count, POSIX_FADV_DONTNEED)
    }

    public func write<Element>(_ values: [Element], at offset: Int) throws(Diagnostic) {
        try values.withUnsafeBytes { bytes in Result { () throws(Diagnostic) in try write(bytes, at: offset) } }.get()
    }
}
