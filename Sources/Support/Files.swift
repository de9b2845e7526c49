import Glibc

/// The bytes of a regular file, which must not be larger than `limit`.
public func readFile(_ path: String, limit: Int) throws(Diagnostic) -> [UInt8] {
    let descriptor = try openRegularFile(path)
    defer { close(descriptor.number) }
    guard descriptor.size <= UInt64(limit) else {
        throw .error(
            "the file has \(byteCountText(descriptor.size))", at: .file(path),
            expected: "at most \(byteCountText(UInt64(limit)))")
    }
    var failure: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: Int(descriptor.size)) { buffer, count in
        while count < buffer.count {
            let got = read(descriptor.number, buffer.baseAddress! + count, buffer.count - count)
            if got < 0, errno == EINTR { continue }
            if got < 0 { failure = errno }
            if got <= 0 { break }
            count += got
        }
    }
    guard failure == 0 else { throw .system("read", path: path, code: failure) }
    return bytes
}

/// Texts that stand in place of a file: how they begin, in lower case, what they are, and what helps.
private let standIns = [
    (
        "version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the file that it stands for",
        "the file itself: 'git lfs pull' fetches it"
    ),
    ("<!doctype html", "a page of HTML, which a download may leave", "the file itself"),
    ("<html", "a page of HTML, which a download may leave", "the file itself"),
    ("<?xml", "a page of XML, which a download may leave", "the file itself"),
]

/// Opens `path` for reading; anything but a regular file is an error, and so is a text that stands in place of one. The caller closes the
/// descriptor.
package func openRegularFile(_ path: String) throws(Diagnostic) -> (number: Int32, size: UInt64) {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
    let number = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard number >= 0 else { throw .system("open", path: path, code: errno) }
    var status = stat()
    guard fstat(number, &status) == 0 else {
        let code = errno
        close(number)
        throw .system("read", path: path, code: code)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
        close(number)
        let kind = status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "not a regular file"
        throw .error("\(quoted(path)) is \(kind)", expected: "a regular file")
    }
    let beginning = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 48) { buffer in
        String(decoding: buffer.prefix(max(0, pread(number, buffer.baseAddress, buffer.count, 0))), as: UTF8.self)
    }.lowercased()
    let text = beginning.drop { $0.isWhitespace || $0 == "\u{FEFF}" }
    if let standIn = standIns.first(where: { text.hasPrefix($0.0) }) {
        close(number)
        throw .error("the file is \(standIn.1)", at: .file(path), expected: standIn.2)
    }
    return (number, UInt64(status.st_size))
}

public enum FileKind: Sendable, Equatable {
    case regular, folder, other
}

/// What stands at `path`, through symbolic links; nil when nothing does.
public func fileKind(_ path: String) -> FileKind? {
    guard let status = fileStatus(path) else { return nil }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return .regular
    case S_IFDIR: return .folder
    default: return .other
    }
}

/// Whether there is nothing at `path`. False for what cannot be looked at or is a link to nowhere: opening it gives the reason.
public func isAbsent(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) != 0 && (errno == ENOENT || errno == ENOTDIR)
}

/// The names in a folder, sorted, without `.` and `..`.
public func folderContents(_ path: String) throws(Diagnostic) -> [String] {
    guard let folder = opendir(path) else { throw .system("open", path: path, code: errno) }
    defer { closedir(folder) }
    var names: [String] = []
    while true {
        errno = 0
        guard let entry = readdir(folder) else {
            guard errno == 0 else { throw .system("read", path: path, code: errno) }
            break
        }
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { pathText($0.prefix { $0 != 0 }) }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}
