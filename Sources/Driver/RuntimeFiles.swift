import RuntimeSources
import Support

/// One file of Runtime/, as lmmc carries it. The bytes are constants of the executable, so they may be shared.
struct RuntimeFile: @unchecked Sendable {
    /// Relative to Runtime/.
    var path: String
    var bytes: UnsafeRawBufferPointer

    var text: String { String(decoding: bytes, as: UTF8.self) }
    /// Part of the packager, not of the program.
    var isPackager: Bool { path.hasPrefix("attach/") }
    var isCompiled: Bool { path.hasSuffix(".c") && !isPackager }
    /// Compiled once for each level.
    var isLeveled: Bool { isCompiled && text.contains("#include \"level.h\"") }
}

extension RuntimeFile {
    static let all: [RuntimeFile] = {
        var count = 0
        let files = lmmc_runtime_sources(&count)
        return UnsafeBufferPointer(start: files, count: count).map {
            RuntimeFile(path: String(cString: $0.path), bytes: UnsafeRawBufferPointer(start: $0.bytes, count: $0.length))
        }
    }()

    /// Writes `files` below `folder`, with the folders that their paths name.
    static func write(_ files: [RuntimeFile], to folder: String) throws(Diagnostic) {
        for file in files {
            try makeFolders(above: joinedPath(folder, file.path))
            try writeFile(joinedPath(folder, file.path), file.bytes)
        }
    }
}
