import Glibc

// The system calls that take a path, for one that a String spells (PathText.swift). They are named as in C, so that a call with a String comes
// here and not to Swift's bridging, which would pass the String's UTF-8; but for those that share their name with a type, of which Swift
// sometimes chooses C's all the same. `errno` is the call's. What is not here is to be added here: Tests/SupportTests/PathCallTests.swift looks
// into the object files for calls that go past.

@discardableResult
public func open(_ path: String, _ flags: Int32) -> Int32 { withPath(path) { open($0, flags) } }

@discardableResult
public func open(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 { withPath(path) { open($0, flags, mode) } }

public func fopen(_ path: String, _ mode: String) -> UnsafeMutablePointer<FILE>? {
    withPath(path) { path in withPath(mode) { fopen(path, $0) } }
}

public func opendir(_ path: String) -> OpaquePointer? { withPath(path) { opendir($0) } }

/// `stat`, through links; nil on failure.
public func fileStatus(_ path: String) -> stat? {
    var status = stat()
    return withPath(path) { stat($0, &status) } == 0 ? status : nil
}

/// `statvfs`; nil on failure.
public func fileSystemStatus(_ path: String) -> statvfs? {
    var status = statvfs()
    return withPath(path) { statvfs($0, &status) } == 0 ? status : nil
}

@discardableResult
public func lstat(_ path: String, _ status: inout stat) -> Int32 { withPath(path) { lstat($0, &status) } }

@discardableResult
public func access(_ path: String, _ mode: Int32) -> Int32 { withPath(path) { access($0, mode) } }

@discardableResult
public func unlink(_ path: String) -> Int32 { withPath(path) { unlink($0) } }

@discardableResult
public func rmdir(_ path: String) -> Int32 { withPath(path) { rmdir($0) } }

@discardableResult
public func mkdir(_ path: String, _ mode: mode_t) -> Int32 { withPath(path) { mkdir($0, mode) } }

@discardableResult
public func chmod(_ path: String, _ mode: mode_t) -> Int32 { withPath(path) { chmod($0, mode) } }

/// `utimes` with the time that it is now.
@discardableResult
public func touch(_ path: String) -> Int32 { withPath(path) { utimes($0, nil) } }

@discardableResult
public func truncate(_ path: String, _ length: off_t) -> Int32 { withPath(path) { truncate($0, length) } }

@discardableResult
public func rename(_ path: String, _ new: String) -> Int32 { withPath(path) { path in withPath(new) { rename(path, $0) } } }

@discardableResult
public func symlink(_ target: String, _ path: String) -> Int32 { withPath(target) { target in withPath(path) { symlink(target, $0) } } }

/// C's `strdup` of the path's bytes, which the caller frees.
public func strdup(_ path: String) -> UnsafeMutablePointer<CChar>? { withPath(path) { strdup($0) } }

/// `realpath`: absolute and without `.`, `..` and links; nil where `path` does not exist.
public func resolvedPath(_ path: String) -> String? {
    let resolved = withPath(path) { realpath($0, nil) }
    defer { free(resolved) }
    return resolved.map { pathText(cString: $0) }
}

/// `mkdtemp`: makes a folder of mode 0700 whose name is `template` with other letters in place of its last six X; nil on failure.
public func makeTemporaryFolder(_ template: String) -> String? {
    var bytes = pathBytes(template).map { CChar(bitPattern: $0) } + [0]
    return mkdtemp(&bytes) == nil ? nil : bytes.withUnsafeBufferPointer { pathText(cString: $0.baseAddress!) }
}

@discardableResult
public func posix_spawn_file_actions_addopen(
    _ actions: UnsafeMutablePointer<posix_spawn_file_actions_t>, _ descriptor: Int32, _ path: String, _ flags: Int32, _ mode: mode_t
) -> Int32 {
    withPath(path) { posix_spawn_file_actions_addopen(actions, descriptor, $0, flags, mode) }
}

public func posix_spawnp(
    _ id: UnsafeMutablePointer<pid_t>, _ file: String, _ actions: UnsafePointer<posix_spawn_file_actions_t>,
    _ attributes: UnsafePointer<posix_spawnattr_t>, _ arguments: UnsafePointer<UnsafeMutablePointer<CChar>?>,
    _ environment: UnsafePointer<UnsafeMutablePointer<CChar>?>
) -> Int32 {
    withPath(file) { posix_spawnp(id, $0, actions, attributes, arguments, environment) }
}
