import Glibc

/// `path` without links, when nobody but this user and root can change what stands there. Throws a warning that names the folder that
/// others own or can write, or else an error of the system.
///
/// Folders above it may be open to all when they are sticky, as /tmp is: what stands in them can then be moved by its owner alone.
public func trustedFolder(_ path: String) throws(Diagnostic) -> String {
    guard let full = resolvedPath(path) else { throw .system("open", path: path, code: errno) }
    var folder = full
    while true {
        try requireTrust(folder, allowSticky: true)
        if folder == "/" { break }
        folder = parentFolder(folder)
    }
    return full
}

/// The folder `name` in `parent`, which is trusted: this user's own, and closed to others. It is made where it is missing; a link in its
/// place is refused.
public func ownFolder(_ name: String, in parent: String) throws(Diagnostic) -> String {
    let path = joinedPath(parent, name)
    if mkdir(path, 0o700) == 0 {
        // Whatever the umask has left of it.
        chmod(path, 0o700)
    } else if errno != EEXIST {
        throw .system("create", path: path, code: errno)
    }
    try requireTrust(path, allowSticky: false)
    return path
}

/// Whether `path` is a regular file of this user's, and no link to one.
public func isOwnFile(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_uid == geteuid() && status.st_nlink == 1
}

private func requireTrust(_ path: String, allowSticky: Bool) throws(Diagnostic) {
    var status = stat()
    guard lstat(path, &status) == 0 else { throw .system("open", path: path, code: errno) }
    func refusal(_ reason: String) -> Diagnostic {
        .warning("\(quoted(path)) \(reason)", expected: "a folder that nobody else owns or can write")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw refusal("is not a folder") }
    guard status.st_uid == geteuid() || status.st_uid == 0 && allowSticky else { throw refusal("belongs to user \(status.st_uid)") }
    if allowSticky, status.st_mode & S_ISVTX != 0 { return }
    if let others = othersMayWrite(status) { throw refusal("can be written by \(others)") }
}

/// Who else can write what has this status; nil when nobody can. A group of the owner's name without other members is no one else.
private func othersMayWrite(_ status: stat) -> String? {
    if status.st_mode & S_IWOTH != 0 { return "everybody" }
    guard status.st_mode & S_IWGRP != 0 else { return nil }
    if let owner = getpwuid(status.st_uid)?.pointee, owner.pw_gid == status.st_gid {
        let name = String(cString: owner.pw_name)
        if let group = getgrgid(status.st_gid)?.pointee, String(cString: group.gr_name) == name, group.gr_mem[0] == nil { return nil }
    }
    return "its group"
}
