import Glibc
import Support
import Synchronization

/// A private folder that disappears with the value, and when a signal ends lmmc.
public final class TemporaryFolder: Sendable {
    public let path: String
    private let place: Int32
    private let isGone = Mutex(false)

    private static var usualParent: String { environmentVariable("TMPDIR").flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp" }

    /// A folder for programs that are run from it: where the usual place is mounted noexec, the first other one that is not; the usual one
    /// all the same when there is none.
    public static func forPrograms(prefix: String = "lmmc-") throws(Diagnostic) -> TemporaryFolder {
        if isMountedWithoutPrograms(usualParent) {
            let home = environmentVariable("HOME") ?? ""
            for place in ["/var/tmp", home, "."] where fileKind(place) == .folder && !isMountedWithoutPrograms(place) {
                if let folder = try? TemporaryFolder(in: place, prefix: "." + prefix) { return folder }
            }
        }
        return try TemporaryFolder(prefix: prefix)
    }

    /// A folder beside other temporary files (`TMPDIR`, else /tmp), or inside `parent`.
    public init(in parent: String? = nil, prefix: String = "lmmc-") throws(Diagnostic) {
        let parent = parent ?? Self.usualParent
        (path, place) = try Interrupts.registerFolder { () throws(Diagnostic) in
            guard let path = makeTemporaryFolder(joinedPath(parent, "\(prefix)XXXXXX")) else {
                throw .system("create a temporary folder in", path: parent, code: errno, expected: "a folder that can be written")
            }
            return path
        }
    }

    public func file(_ name: String) -> String { joinedPath(path, name) }

    /// Gives the folder, complete, its final name. An empty folder at `target` is replaced.
    public func rename(to target: String) throws(Diagnostic) {
        // mkdtemp made it private; as an output it follows the umask like any other folder.
        let mask = umask(0)
        umask(mask)
        chmod(path, 0o777 & ~mask)
        guard Support.rename(path, target) == 0 else { throw .system("create", path: target, code: errno) }
        isGone.withLock { $0 = true }
        Interrupts.unregister(folderAt: place)
    }

    /// Removes the folder with all that is in it; nothing happens after `rename` or a second time.
    /// Not left to deinit alone: a thread that is just ending may hold the last reference.
    public func discard() {
        let isDue = isGone.withLock { isGone in
            defer { isGone = true }
            return !isGone
        }
        guard isDue else { return }
        removeFolder(path)
        Interrupts.unregister(folderAt: place)
    }

    deinit { discard() }
}

/// Whether `path` is on a file system that is mounted noexec, so that no program in it can be run.
public func isMountedWithoutPrograms(_ path: String) -> Bool {
    let noexec: UInt = 8  // ST_NOEXEC, which glibc declares under _GNU_SOURCE only
    return fileSystemStatus(path).map { $0.f_flag & noexec != 0 } ?? false
}

/// Writes a whole file inside a temporary folder.
public func writeFile(_ path: String, _ bytes: UnsafeRawBufferPointer, mode: mode_t = 0o666) throws(Diagnostic) {
    let number = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
    guard number >= 0 else { throw .system("create", path: path, code: errno) }
    defer { close(number) }
    try writeAll(number, bytes, at: 0, path: path)
}

public func writeFile(_ path: String, _ bytes: [UInt8], mode: mode_t = 0o666) throws(Diagnostic) {
    try bytes.withUnsafeBytes { bytes in Result { () throws(Diagnostic) in try writeFile(path, bytes, mode: mode) } }.get()
}

public func writeFile(_ path: String, _ text: String, mode: mode_t = 0o666) throws(Diagnostic) {
    try writeFile(path, Array(text.utf8), mode: mode)
}

/// Writes all of `bytes` at `offset`; `path` is only named in errors.
public func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int, path: String) throws(Diagnostic) {
    var done = 0
    while done < bytes.count {
        let written = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, offset + done)
        if written < 0 && errno == EINTR { continue }
        guard written > 0 else { throw .system("write", path: path, code: written < 0 ? errno : ENOSPC) }
        done += written
    }
}

/// Makes the folder `path` and those above it, where they are missing.
public func makeFolders(_ path: String, mode: mode_t = 0o777) throws(Diagnostic) {
    guard fileKind(path) != .folder, !path.isEmpty else { return }
    try makeFolders(above: path, mode: mode)
    guard mkdir(path, mode) == 0 || errno == EEXIST && fileKind(path) == .folder else {
        throw .system("create", path: path, code: errno, expected: "a folder that can be made")
    }
}

public func makeFolders(above path: String, mode: mode_t = 0o777) throws(Diagnostic) {
    guard let (folder, _) = splitPath(path) else { return }
    try makeFolders(folder, mode: mode)
}
