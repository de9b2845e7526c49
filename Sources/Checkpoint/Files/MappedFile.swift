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
    private let ending: Int32
    private let device: dev_t
    private let inode: ino_t

    /// Maps the regular file at `path`. No descriptor stays open, so that a checkpoint may have more shards than a process may have files.
    public init(path: String) throws(Diagnostic) {
        guard isAbsent(path + ".aria2") else {
            // Its size is right and its bytes are zeros.
            throw .error(
                "the file's download is not finished", at: .file(path),
                expected: "a whole file, without \(quoted(path + ".aria2")) beside it")
        }
        let (descriptor, size) = try openRegularFile(path)
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system("read", path: path, code: errno) }
        var base: UnsafeRawPointer?
        var ending: Int32 = -1
        if size > 0 {
            guard let length = Int(exactly: size),
                let mapping = mmap(nil, length, PROT_READ, MAP_SHARED, descriptor, 0), mapping != MAP_FAILED
            else { throw .system("map", path: path, code: errno) }
            base = UnsafeRawPointer(mapping)
            ending = lmmc_endings_add_mapping(mapping, length, Self.shortened(path).rendered + "\n")
        }
        (self.path, self.size, self.base, self.ending) = (path, size, base, ending)
        (device, inode) = (status.st_dev, status.st_ino)
    }

    private static func shortened(_ path: String) -> Diagnostic {
        .error("the file was cut short while it was read, or its disk fails", at: .file(path))
    }

    /// Throws when the file has become shorter than it was when it was opened; another file that has taken its name says nothing of it.
    public func requireWhole() throws(Diagnostic) {
        guard let status = fileStatus(path), status.st_dev == device, status.st_ino == inode else { return }
        guard UInt64(status.st_size) >= size else { throw Self.shortened(path) }
    }

    deinit {
        lmmc_endings_drop_mapping(ending)
        if let base { munmap(UnsafeMutableRawPointer(mutating: base), Int(size)) }
    }

    /// The bytes of `range`, which must lie inside the file; the pointer is valid only inside `body`.
    public func withBytes<R, E: Error>(
        _ range: Range<UInt64>, _ body: (UnsafeRawBufferPointer) throws(E) -> R
    ) throws(E) -> R {
        precondition(range.upperBound <= size, "range outside of the file")
        guard let base, !range.isEmpty else { return try body(UnsafeRawBufferPointer(start: nil, count: 0)) }
        return try body(UnsafeRawBufferPointer(start: base + Int(range.lowerBound), count: range.count))
    }

    /// Whether `range` holds the same bytes as `otherRange` of `other`; both must lie inside their files.
    func hasBytes(_ range: Range<UInt64>, of other: MappedFile, _ otherRange: Range<UInt64>) -> Bool {
        withBytes(range) { own in
            other.withBytes(otherRange) {
                own.count == $0.count && (own.isEmpty || memcmp(own.baseAddress!, $0.baseAddress!, own.count) == 0)
            }
        }
    }

    /// Drops the pages of `range` from this process, so that streaming through a large file stays small; the next
    /// access reads them again.
    public func release(_ range: Range<UInt64>) {
        precondition(range.upperBound <= size, "range outside of the file")
        guard let base, !range.isEmpty else { return }
        // Whole pages, those shared with a neighbour included: they come back when touched.
        let page = UInt64(sysconf(Int32(_SC_PAGESIZE)))
        let start = range.lowerBound / page * page
        let end = min(size, (range.upperBound + page - 1) / page * page)
        madvise(UnsafeMutableRawPointer(mutating: base) + Int(start), Int(end - start), MADV_DONTNEED)
    }
}
