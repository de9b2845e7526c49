import Foundation
import TestSupport
import Testing

@testable import Support

/// A path is bytes: whatever they are, they come back, and the file system sees them.
@Suite struct PathTextTests {
    private let odd: [[UInt8]] = [
        Array("caf".utf8) + [0xE9], [0xE9], [0xC3], [0xC3, 0x28], [0xE2, 0x82], [0xF0, 0x9F, 0x99], [0xC0, 0xAF], [0xED, 0xA0, 0x80],
        [0xF4, 0x90, 0x80, 0x80], [0xFF, 0xFE], Array("é".utf8), Array("e\u{301}".utf8), Array("🙂".utf8),
        // The very scalars that stand for bytes
        Array("\u{10FEE9}".utf8), Array("\u{10FE80}x\u{10FEFF}".utf8), Array("\u{10FE7F}\u{10FF00}".utf8),
    ]

    @Test func bytesComeBack() {
        var names = odd
        for seed in 0..<2000 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            // Bytes that begin and go on with UTF-8 are frequent, and so is the block of the private scalars.
            let parts: [[UInt8]] = [[0xF4, 0x8F, 0xBB, 0xA9], [0xC3, 0xA9], [0x2F], [0x61], [0xE2], [0x82], [0xAC]]
            names.append(
                (0..<Int.random(in: 0...8, using: &random)).flatMap { _ in
                    Bool.random(using: &random) ? [UInt8.random(in: 1...255, using: &random)] : parts.randomElement(using: &random)!
                })
        }
        var spelled: [[UInt8]: String] = [:]
        for name in names {
            #expect(pathBytes(pathText(name)) == name, "\(name)")
            spelled[name] = pathText(name)
        }
        // Two names are one text never, byte by byte.
        #expect(Set(spelled.values.map { Array($0.utf8) }).count == spelled.count)
        #expect(pathText(Array("plain é".utf8)) == "plain é")
    }

    @Test func shownAsBytes() {
        let name = pathText(Array("caf".utf8) + [0xE9])
        #expect(quoted(name) == "'caf\\xe9'")
        #expect(JSONText.string(name).text() == "\"caf\\\\xe9\"")
        #expect(Diagnostic.error("x", at: .file(name)).rendered == "error: x, at file 'caf\\xe9'")
    }

    /// Every call goes to the name's own bytes; another process, which reads them in hexadecimal, says so.
    @Test func files() throws {
        let folder = TemporaryFolder()
        for bytes in odd {
            let name = pathText(bytes), path = joinedPath(folder.path, name), other = path + "2"
            try AtomicFile.write(path: path) { file throws(Diagnostic) in try file.write("hello") }
            #expect(try readFile(path, limit: 10) == Array("hello".utf8))
            #expect(try folderContents(folder.path) == [name])
            let hex = bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            #expect(try shell("ls -U1 --quoting-style=literal . | head -c -1 | od -An -tx1 -v | tr -d ' \\n'", in: folder.path) == hex)
            #expect(fileKind(path) == .regular && !isAbsent(path) && access(path, R_OK) == 0)
            #expect(lastPathComponent(path) == name && resolvedPath(path) == path)
            #expect(rename(path, other) == 0 && isAbsent(path))
            #expect(symlink(name + "2", path) == 0 && resolvedPath(path) == other)
            #expect(chmod(path, 0o600) == 0 && truncate(path, 2) == 0)
            var status = stat()
            #expect(fileStatus(path)?.st_size == 2 && lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
            #expect(fileSystemStatus(path)?.f_bsize == fileSystemStatus("/tmp")?.f_bsize)
            #expect(unlink(path) == 0 && unlink(other) == 0)
            #expect(mkdir(path, 0o700) == 0 && fileKind(path) == .folder)
            #expect(try folderContents(path) == [])
            let inner = try #require(makeTemporaryFolder(joinedPath(path, "XXXXXX")))
            #expect(parentFolder(inner) == path && rmdir(inner) == 0 && rmdir(path) == 0)
        }
    }

    @Test func environment() {
        setenv("LMMC_TEST_PATH", [0x61, -23, 0], 1)
        defer { unsetenv("LMMC_TEST_PATH") }
        let value = pathText([0x61, 0xE9])
        #expect(environmentVariable("LMMC_TEST_PATH") == value && environmentVariables()["LMMC_TEST_PATH"] == value)
        #expect(environmentVariable("LMMC_TEST_NONE") == nil)
    }

    /// A combining mark behind a slash makes one Character of both, and is a name all the same.
    @Test func slashesAreBytes() {
        #expect(parentFolder("a/\u{301}b") == "a")
        #expect(splitPath("a/\u{301}b/\u{301}c")?.name.unicodeScalars.elementsEqual("\u{301}c".unicodeScalars) == true)
        #expect(joinedPath("a", "/\u{301}b") == "/\u{301}b")
        #expect(joinedPath("\u{600}/", "b") == "\u{600}/b")
        #expect(hasSlash("\u{600}/") && !hasSlash("a"))
        #expect(withoutTrailingSlashes("\u{600}//") == "\u{600}" && withoutTrailingSlashes("///") == "/")
        #expect(lastPathComponent("/nowhere/\u{301}c/") == "\u{301}c")
        #expect(parentFolder("/a") == "/" && parentFolder("a") == ".")
    }

    private func shell(_ script: String, in folder: String) throws -> String {
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", script]
        process.currentDirectoryURL = URL(filePath: folder)
        process.standardOutput = pipe
        try process.run()
        process.waitUntilExit()
        return String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    }
}
