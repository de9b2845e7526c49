import Foundation
import TestSupport
import Testing

/// Swift passes a String to C as its UTF-8, which is another path than the one that PathText.swift spells. So every call that takes a path has
/// a function in PathCalls.swift, and nothing in the compiler gets past it, by choice or by how Swift resolves an overload: what was compiled
/// is looked at, not the text.
@Suite struct PathCallTests {
    private static let build = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()

    /// What the C library has with a path in it or a path as its result.
    private static let calls: Set = [
        "__xstat", "__lxstat", "access", "chdir", "chmod", "chown", "creat", "dlopen", "execv", "execve", "execvp", "faccessat", "fchmodat",
        "fopen", "fopen64",
        "freopen", "fstatat", "ftw", "getcwd", "getenv", "glob", "lchown", "link", "linkat", "lstat", "lstat64", "mkdir", "mkdirat",
        "mkdtemp", "mkfifo",
        "mkostemp", "mkstemp", "mount", "nftw", "open", "open64", "openat", "opendir", "pathconf", "popen", "posix_spawn",
        "posix_spawn_file_actions_addopen", "posix_spawnp", "readlink", "readlinkat", "realpath", "remove", "rename", "renameat",
        "renameat2",
        "rmdir", "scandir", "secure_getenv", "stat", "stat64", "statfs", "statvfs", "strdup", "symlink", "symlinkat", "system", "tempnam",
        "truncate",
        "truncate64", "umount", "unlink", "unlinkat", "utime", "utimensat", "utimes",
    ]
    /// Called with a C string that `strdup` made, in a signal's handler.
    private static let allowed = ["AtomicFile.swift.o": ["unlink"], "PathText.swift.o": ["getenv"]]

    @Test func noCallPassesByPathCalls() throws {
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/nm") else {
            return print("not run: there is no 'nm' to read object files with")
        }
        let modules = try FileManager.default.contentsOfDirectory(atPath: repository + "/Sources")
        var seen = 0
        for module in modules {
            let folder = Self.build.appending(path: module + ".build")
            let objects = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).filter { $0.hasSuffix(".swift.o") }
            // An older build may have left objects of files that are no more.
            let paths = FileManager.default.enumerator(atPath: repository + "/Sources/\(module)")
            let sources = Set((paths?.compactMap { $0 as? String } ?? []).map { URL(filePath: $0).lastPathComponent })
            for object in objects where object != "PathCalls.swift.o" {
                guard sources.contains(String(object.dropLast(2))) else { continue }
                seen += 1
                for symbol in try undefinedSymbols(folder.appending(path: object)) where !(Self.allowed[object] ?? []).contains(symbol) {
                    // The overlay's `open`, which is Swift
                    let isOpen = symbol.hasPrefix("$s5Glibc4open") || symbol.hasPrefix("$s5Glibc6openat")
                    #expect(
                        !isOpen && !Self.calls.contains(symbol), "\(module)/\(object.dropLast(2)) calls '\(symbol)' past PathCalls.swift")
                }
            }
        }
        // Whole modules in one object, as in a release build, leave nothing to tell apart.
        #expect(seen > 150, "\(seen) objects in \(Self.build.path)")
    }

    /// Bytes to text in another way than `pathText`, and Foundation's ways to files.
    @Test func noTextPassesByPathText() throws {
        let ways = [
            "CommandLine.arguments", "ProcessInfo", "FileManager", "FileHandle", "contentsOfFile", "utf8CString", "withCString {",
            "withCString(", "URL(", "Process()",
        ]
        let files = try #require(
            FileManager.default.enumerator(at: URL(filePath: repository + "/Sources"), includingPropertiesForKeys: nil)
        )
        .compactMap { $0 as? URL }.filter { $0.pathExtension == "swift" }
        #expect(files.count > 100)
        for file in files {
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
                for way in ways {
                    #expect(!line.contains(way), "\(file.lastPathComponent) has '\(way)'; expected the functions of PathText.swift")
                }
            }
        }
    }

    private func undefinedSymbols(_ object: URL) throws -> [String] {
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(filePath: "/usr/bin/nm")
        process.arguments = ["-u", object.path]
        process.standardOutput = pipe
        try process.run()
        let text = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return text.split(separator: "\n").compactMap { $0.split(separator: " ").last.map { String($0.split(separator: "@")[0]) } }
    }
}
