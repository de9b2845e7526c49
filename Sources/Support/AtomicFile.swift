import Endings
import Glibc

/// A file that appears whole, by rename, or not at all.
///
/// The bytes go to a hidden file beside the target; `commit` flushes it to the disk and renames it. It is removed
/// when the value is discarded or destroyed before that, and when a signal ends the process.
/// Not for use from several threads at once.
public final class AtomicFile {
    public let path: String
    /// Where the bytes are until `commit`; another program may write here too.
    public let temporaryPath: String
    public private(set) var descriptor: Int32
    private var slot: Int32?
    private var isPending = true

    /// An `executable` file gets its execute bits; the umask applies.
    public init(path: String, executable: Bool = false) throws(Diagnostic) {
        switch fileKind(path) {
        case nil, .regular: break
        case .folder: throw .error("output \(quoted(path)) is a folder", expected: "the name of a file")
        // Renaming over a device would replace the device.
        case .other: throw .error("output \(quoted(path)) is not a regular file", expected: "the name of a file")
        }
        let parts = splitPath(path)
        let folder = parts.map { $0.folder + "/" } ?? "", name = parts?.name ?? path
        guard !name.isEmpty else { throw .error("output \(quoted(path)) has no file name", expected: "the name of a file") }
        InterruptCleanup.install()
        for _ in 0..<100 {
            let mark = String(UInt64.random(in: 0...UInt64.max), radix: 36)
            // The mark alone keeps the name within the limit, however long the target's name is.
            let temporary = "\(folder).\(pathBytes(name).count < 200 ? name : "output").\(mark).tmp"
            let (number, code, slot) = InterruptCleanup.create(temporary, mode: executable ? 0o777 : 0o666)
            if number >= 0 {
                (self.path, temporaryPath, descriptor, self.slot) = (path, temporary, number, slot)
                return
            }
            if code != EEXIST { throw .system("create", path: path, code: code) }
        }
        throw .system("create", path: path, code: EEXIST)
    }

    deinit { discard() }

    /// Appends `bytes`.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(Diagnostic) {
        precondition(descriptor >= 0, "write after commit or discard")
        var rest = bytes
        while !rest.isEmpty {
            let written = Glibc.write(descriptor, rest.baseAddress, rest.count)
            if written < 0 {
                if errno == EINTR { continue }
                throw .system("write", path: path, code: errno)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// Appends `bytes`.
    public func write(_ bytes: [UInt8]) throws(Diagnostic) {
        try bytes.withUnsafeBytes { bytes in Result { () throws(Diagnostic) in try write(bytes) } }.get()
    }

    /// Appends the UTF-8 bytes of `text`.
    public func write(_ text: String) throws(Diagnostic) { try write(Array(text.utf8)) }

    /// Makes the file appear under `path`, replacing what was there.
    public func commit() throws(Diagnostic) {
        precondition(descriptor >= 0, "commit after commit or discard")
        guard fsync(descriptor) == 0 else { throw failing("write", errno) }
        let number = descriptor
        descriptor = -1
        guard close(number) == 0 else { throw failing("write", errno) }
        guard rename(temporaryPath, path) == 0 else { throw failing("create", errno) }
        forget()
        // The rename itself must survive a crash too; a folder that cannot be synced is no reason to fail.
        let folder = open(parentFolder(path), O_RDONLY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }

    /// Removes what was written; nothing happens after `commit`.
    public func discard() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        if isPending { unlink(temporaryPath) }
        forget()
    }

    /// Writes a whole file through `body`; any error leaves no file behind.
    public static func write(
        path: String, executable: Bool = false, _ body: (AtomicFile) throws(Diagnostic) -> Void
    ) throws(Diagnostic) {
        let file = try AtomicFile(path: path, executable: executable)
        defer { file.discard() }
        try body(file)
        try file.commit()
    }

    /// Removes all that a signal would remove, files that are not committed among it, for a process that now ends: from here on no file can
    /// be made, committed or discarded, and who tries waits for the end. Not for a signal handler.
    public static func endAll() { InterruptCleanup.endAll() }

    private func failing(_ action: String, _ code: Int32) -> Diagnostic {
        discard()
        return .system(action, path: path, code: code)
    }

    private func forget() {
        if let slot { InterruptCleanup.unregister(slot) }
        slot = nil
        isPending = false
    }
}

/// Registers the files that must go when a signal ends the process.
private enum InterruptCleanup {
    // `nonisolated(unsafe)`: it never changes after its first use.
    nonisolated(unsafe) static let lock: UnsafeMutablePointer<pthread_mutex_t> = {
        let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        pthread_mutex_init(lock, nil)
        return lock
    }()

    private static let handlers: Void = lmmc_endings_install()

    static func install() { _ = handlers }

    static func endAll() {
        pthread_mutex_lock(lock)
        lmmc_endings_clean()
    }

    /// Creates a file and registers it in one step; `code` is the `errno` of a failure. When the table is full, the file is only removed
    /// in the ordinary ways.
    static func create(_ path: String, mode: mode_t) -> (descriptor: Int32, code: Int32, slot: Int32) {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        // Before the file exists, because a handler may come between.
        let slot = withPath(path) { lmmc_endings_add_file($0) }
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        let code = errno
        if descriptor < 0 { lmmc_endings_drop_path(slot) }
        return (descriptor, code, slot)
    }

    static func unregister(_ slot: Int32) {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        lmmc_endings_drop_path(slot)
    }
}
