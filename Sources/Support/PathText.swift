import Glibc

// A path is bytes, not text: Linux takes every byte but zero. A String holds only Unicode, so here each byte that is no UTF-8 stands as a
// private-use scalar of its own, as Python's surrogateescape does it with surrogates, which a String cannot hold. The scalars that stand for
// bytes are themselves spelled byte by byte where a name has them, so that bytes -> String -> bytes is the identity for every name.
//
// `pathText` is made where bytes come in (arguments, environment, folders); the functions of PathCalls.swift undo it at every system call.

/// The scalar for byte 0x80 ... 0xFF is this plus the byte.
private let byteScalars: UInt32 = 0x10_FE00

/// The byte that `scalar` stands for in a path.
func pathByte(_ scalar: Unicode.Scalar) -> UInt8? {
    (byteScalars + 0x80...byteScalars + 0xFF).contains(scalar.value) ? UInt8(scalar.value - byteScalars) : nil
}

/// The bytes of a path, an argument or an environment variable as a String; `pathBytes` gives them back.
public func pathText(_ bytes: some Collection<UInt8>) -> String {
    // What Swift accepts is exactly UTF-8: no surrogates, nothing overlong.
    if let text = String(validating: bytes, as: UTF8.self), !text.unicodeScalars.contains(where: { pathByte($0) != nil }) { return text }
    var text = String.UnicodeScalarView()
    func append(_ byte: UInt8) { text.append(Unicode.Scalar(byteScalars + UInt32(byte))!) }
    var rest = Array(bytes)[...]
    while let first = rest.first {
        let length = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
        if let scalar = String(validating: rest.prefix(length), as: UTF8.self)?.unicodeScalars.first, rest.count >= length {
            if pathByte(scalar) != nil { rest.prefix(length).forEach(append) } else { text.append(scalar) }
            rest = rest.dropFirst(length)
        } else {
            append(first)
            rest = rest.dropFirst()
        }
    }
    return String(text)
}

/// `pathText` of a C string.
public func pathText(cString: UnsafePointer<CChar>) -> String {
    pathText(UnsafeRawBufferPointer(start: cString, count: strlen(cString)))
}

/// The bytes that `path` spells, without a zero at the end.
public func pathBytes(_ path: String) -> [UInt8] {
    let scalars = path.unicodeScalars
    guard scalars.contains(where: { pathByte($0) != nil }) else { return Array(path.utf8) }
    return scalars.flatMap { scalar in pathByte(scalar).map { [$0] } ?? Array(scalar.utf8) }
}

/// `body` with the path as C takes it; valid only inside.
public func withPath<Result, E: Error>(_ path: String, _ body: (UnsafePointer<CChar>) throws(E) -> Result) throws(E) -> Result {
    let bytes = pathBytes(path).map { CChar(bitPattern: $0) } + [0]
    let result = bytes.withUnsafeBufferPointer { bytes in Swift.Result { () throws(E) in try body(bytes.baseAddress!) } }
    return try result.get()
}

/// The arguments of this process, without its own name.
public func commandLineArguments() -> [String] {
    (1..<max(1, Int(CommandLine.argc))).compactMap { CommandLine.unsafeArgv[$0].map { pathText(cString: $0) } }
}

/// The value of an environment variable.
public func environmentVariable(_ name: String) -> String? { getenv(name).map { pathText(cString: $0) } }

/// All variables; of a name that repeats, the last.
public func environmentVariables() -> [String: String] {
    var variables: [String: String] = [:]
    var entry = environ
    while let text = entry.pointee {
        let pair = pathText(cString: text)
        if let equals = pair.utf8.firstIndex(of: UInt8(ascii: "=")) {
            variables[String(pair[..<equals])] = String(pair[pair.utf8.index(after: equals)...])
        }
        entry += 1
    }
    return variables
}

// MARK: - parts of paths

// By bytes, since a slash and a combining mark behind it are one Character.
private let slash = UInt8(ascii: "/")

/// Whether `path` names more than an entry of the current folder.
public func hasSlash(_ path: String) -> Bool { path.utf8.contains(slash) }

/// `name` inside `folder`; an absolute `name` stands for itself.
public func joinedPath(_ folder: String, _ name: String) -> String {
    name.utf8.first == slash || folder.isEmpty ? name : folder.utf8.last == slash ? folder + name : "\(folder)/\(name)"
}

/// What stands before the last slash, without it, and behind it; nil where there is none.
public func splitPath(_ path: String) -> (folder: String, name: String)? {
    path.utf8.lastIndex(of: slash).map { (String(path[..<$0]), String(path[path.utf8.index(after: $0)...])) }
}

/// The last component of a path after `.` and links are resolved where the path exists.
public func lastPathComponent(_ path: String) -> String {
    let full = resolvedPath(path) ?? path
    return full.utf8.split(separator: slash).last.map { String(Substring($0)) } ?? full
}

/// The folder that holds `path`, which does not end in a slash.
public func parentFolder(_ path: String) -> String {
    guard let (folder, _) = splitPath(path) else { return "." }
    return folder.isEmpty ? "/" : folder
}

public func withoutTrailingSlashes(_ path: String) -> String {
    var path = path
    while path.utf8.count > 1 && path.utf8.last == slash { path.unicodeScalars.removeLast() }
    return path
}
