import Endings
import Glibc
import Support

/// A read-only memory-mapped file. The mapping lives as long as the value.
///
/// When another process shortens the file while it is mapped, reading what is gone ends this one with a line that names the file (Endings);
/// `requireWhole` notices what was cut within a page, which reads as zeros.
public final class MappedFile: Sendable {
    public let path: String
    /// Size in bytes when the file was opened.
    public let size: UInt64
    // The mapping is read-only and never moves, so it may be shared between threads.
    private nonisolated(unsafe) let base: UnsafeRawPointer?
    private let descriptor: Int32
    private let ending: Int32

    /// Maps the regular file at `path`.
    public init(path: String) throws(Diagnostic) {
        let (descriptor, size) = try openRegularFile(path)
        var base: UnsafeRawPointer?
        var ending: Int32 = -1
        if size > 0 {
            guard let length = Int(exactly: size),
                let mapping = mmap(nil, length, PROT_READ, MAP_SHARED, descriptor, 0), mapping != MAP_FAILED
            else {
                let code = errno
                close(descriptor)
                throw .system("map", path: path, code: code)
            }
            base = UnsafeRawPointer(mapping)
            ending = lmmc_endings_add_mapping(mapping, length, Self.shortened(path).rendered + "\n")
        }
        (self.path, self.size, self.base, self.descriptor, self.ending) = (path, size, base, descriptor, ending)
    }

    private static func shortened(_ path: String) -> Diagnostic {
        .error("the file was cut short while it was read, or its disk fails", at: .file(path))
    }

    /// Throws when the file has become shorter than it was when it was opened.
    public func requireWhole() throws(Diagnostic) {
        var status = stat()
        guard fstat(descriptor, &status) != 0 || UInt64(status.st_size) >= size else { throw Self.shortened(path) }
    }

    deinit {
        lmmc_endings_drop_mapping(ending)
        if let base { munmap(UnsafeMutableRawPointer(mutating: base), Int(size)) }
        close(descriptor)
    }

    /// The bytes of `range`, which must lie inside the file; the pointer is valid only inside `body`.
    public func withBytes<R, E: Error>(
        _ range: Range<UInt64>, _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        precondition(range.upperBound <= size, "range outside of the file")
        guard let base, !range.isEmpty else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        return try body(UnsafeRawBufferPointer(start: base + Int(range.lowerBound), count: range.count))
    }

    /// Drops the pages of `range` from this process, so that streaming through a large file stays small; the next
    /// access reads them again. With `fromCache` the system's page cache lets go of them too, which bounds the memory
    /// of a container but makes a second pass read the disk.
    public func release(_ range: Range<UInt64>, fromCache: Bool = false) {
        precondition(range.upperBound <= size, "range outside of the file")
        guard let base, !range.isEmpty else { return }
        // Whole pages, those shared with a neighbour included: they come back when touched.
        let page = UInt64(sysconf(Int32(_SC_PAGESIZE)))
        let start = range.lowerBound / page * page
        let end = min(size, (range.upperBound + page - 1) / page * page)
        madvise(UnsafeMutableRawPointer(mutating: base) + Int(start), Int(end - start), MADV_DONTNEED)
        if fromCache { posix_fadvise(descriptor, Int(start), Int(end - start), POSIX_FADV_DONTNEED) }
    }
}
