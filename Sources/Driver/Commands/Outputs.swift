import Foundation
import Support

/// Refuses an output that could not be made, before any work. A folder may be replaced when it is empty or lmmc made it.
func checkOutput(_ path: String, isFolder: Bool) throws(Diagnostic) {
    let trimmed = isFolder ? withoutTrailingSlashes(path) : path
    guard !trimmed.isEmpty else { throw .usage("the output has no name", at: .option("-o"), expected: "a path") }
    switch fileKind(trimmed) {
    case nil: break
    case .folder:
        guard isFolder else { throw .error("output \(quoted(path)) is a folder", expected: "the name of a file") }
        let contents = try folderContents(trimmed)
        guard contents.isEmpty || contents.contains(SourceFolder.markName) else {
            throw .error("output folder \(quoted(path)) is not empty", expected: "a new folder, or one that lmmc made")
        }
        if let foreign = try SourceFolder.foreignFile(in: trimmed) {
            throw .error(
                "output folder \(quoted(path)) holds \(quoted(foreign)), which lmmc did not write",
                expected: "a new folder, or one that lmmc made")
        }
    case .regular where !isFolder: break
    case .regular, .other:
        throw .error("output \(quoted(path)) is not a \(isFolder ? "folder" : "regular file")", expected: "another name")
    }
    let parent = parentFolder(trimmed)
    switch fileKind(parent) {
    case .folder: break
    case nil: throw .error("output folder \(quoted(parent)) does not exist", expected: "a folder that can be written")
    case .regular, .other: throw .error("output folder \(quoted(parent)) is not a folder", expected: "a folder that can be written")
    }
    guard access(parent, W_OK | X_OK) == 0 else {
        throw .error(
            "output folder \(quoted(parent)) cannot be written: \(systemErrorText(errno))", expected: "a folder that can be written")
    }
}

/// Refuses when the disk behind `path` has less than `bytes` free.
func checkFreeSpace(for path: String, bytes: Int) throws(Diagnostic) {
    let folder = parentFolder(path)
    guard let status = fileSystemStatus(folder) else { return }
    let free = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
    guard !free.overflow, free.partialValue < UInt64(bytes) else { return }
    throw .error(
        "output \(quoted(path)) takes up to \(byteCountText(UInt64(bytes))), and \(byteCountText(free.partialValue)) are free in \(quoted(folder))",
        expected: "a disk with more room")
}

/// Writes all of `text`, which may be lines, to standard output. A reader that has gone away is no error. Nothing of it drives a terminal;
/// JSON and IR text have escapes of their own, so that they pass as they are.
func writeStandardOutput(_ text: String) throws(Diagnostic) {
    let bytes = Array(escapingControlsInLines(text).utf8)
    var done = 0
    while done < bytes.count {
        let written = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress! + done, bytes.count - done) }
        if written < 0 && errno == EINTR { continue }
        if written < 0 && errno == EPIPE { return }
        guard written > 0 else { throw .system("write", path: "standard output", code: written < 0 ? errno : ENOSPC) }
        done += written
    }
}
