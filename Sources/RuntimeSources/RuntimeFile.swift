/// One C file that lmmc carries, so that an installed compiler needs no source tree. Its bytes are constants of the executable.
public struct RuntimeFile: @unchecked Sendable {
    /// Relative to Runtime/, with '/' between its parts; the packager's begin with "attach/".
    public let path: String
    public let bytes: UnsafeRawBufferPointer

    public var text: String { String(decoding: bytes, as: UTF8.self) }
    /// Part of the packager, not of the program.
    public var isPackager: Bool { path.hasPrefix("attach/") }
    public var isCompiled: Bool { path.hasSuffix(".c") && !isPackager }
    /// Compiled once for each level of a target.
    public var isLeveled: Bool { isCompiled && path.contains("/leveled/") }
    /// Calls OpenBLAS.
    public var needsBLAS: Bool { isCompiled && path.hasPrefix("kernels/float32/") }

    /// Whether it is a part of `--serve`.
    public var serves: Bool { path.hasPrefix("serve/") || path == "app/answer_serve.c" }

    /// All of them, in the order of their paths.
    public static let all = embeddedFiles.map { file in
        RuntimeFile(
            path: String(describing: file.path),
            bytes: UnsafeRawBufferPointer(start: file.text.utf8Start, count: file.text.utf8CodeUnitCount))
    }.sorted { $0.path < $1.path }

    /// The file at `path`, which must be one of them.
    public static func named(_ path: String) -> RuntimeFile {
        guard let file = all.first(where: { $0.path == path }) else { preconditionFailure("Runtime/ has no file \(path)") }
        return file
    }
}
