import Checkpoint
import Foundation
import Support
import TestSupport
import Testing

@Suite struct MappedFileTests {
    private let folder = TemporaryFolder()

    @Test func bytesStayAfterRelease() throws {
        let bytes = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let file = try MappedFile(path: folder.write("a", bytes))
        #expect(file.size == 20_000)
        #expect(file.withBytes(5_000..<9_001) { Array($0) } == Array(bytes[5_000..<9_001]))
        file.release(5_000..<9_001)
        file.release(0..<20_000)
        #expect(file.withBytes(0..<20_000) { Array($0) } == bytes)
        #expect(file.withBytes(20_000..<20_000) { $0.count } == 0)
    }

    @Test func releaseLowersResidentMemory() throws {
        func residentKiB() throws -> Int {
            let text = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("RssFile:") })
            return try #require(Int(line.split(separator: " ")[1]))
        }
        let size = 64 << 20
        let path = folder.write("big", [UInt8](repeating: 1, count: size))
        let file = try MappedFile(path: path)
        let range = 0..<UInt64(size)
        #expect(file.withBytes(range) { bytes in stride(from: 0, to: size, by: 4096).reduce(0) { $0 + Int(bytes[$1]) } } == size / 4096)
        let full = try residentKiB()
        file.release(range)
        #expect(try full - residentKiB() > size / 1024 * 3 / 4)
    }

    /// More files than a process may usually have open; its own limit is that of all tests, which run beside this one.
    @Test func manyFiles() throws {
        func descriptors() throws -> Int { try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count }
        let before = try descriptors()
        let files = try (0..<400).map { try MappedFile(path: folder.write("\($0)", "\($0)")) }
        #expect(try descriptors() < before + 200)
        #expect(files[399].withBytes(0..<3) { Array($0) } == Array("399".utf8))
    }

    @Test func emptyFile() throws {
        let file = try MappedFile(path: folder.write("empty", ""))
        #expect(file.size == 0)
        #expect(file.withBytes(0..<0) { $0.count } == 0)
        file.release(0..<0)
    }

    @Test func refusals() {
        #expect(
            errorText(in: folder) { () throws(Diagnostic) in try MappedFile(path: folder.file("none")).size }
                == "error: cannot open 'DIR/none': no such file or directory")
        #expect(
            errorText(in: folder) { () throws(Diagnostic) in try MappedFile(path: folder.path).size }
                == "error: 'DIR' is a folder; expected a regular file")
        #expect(
            errorText { () throws(Diagnostic) in try MappedFile(path: "/dev/zero").size }
                == "error: '/dev/zero' is not a regular file; expected a regular file")
        folder.write("a.aria2", "")
        #expect(
            errorText(in: folder) { () throws(Diagnostic) in try MappedFile(path: folder.write("a", "0")).size }
                == "error: the file's download is not finished, at file 'DIR/a'; expected a whole file, without 'DIR/a.aria2' beside it")
    }

    /// A file that another process shortens: a line that names it, or an error where the rest of a page reads as zeros.
    @Test func shortenedWhileMapped() async throws {
        let path = folder.write("cut", [UInt8](repeating: 1, count: 20_000))
        let file = try MappedFile(path: path)
        try file.requireWhole()
        truncate(path, 19_000)
        #expect(
            errorText(in: folder) { () throws(Diagnostic) in try file.requireWhole() }
                == "error: the file was cut short while it was read, or its disk fails, at file 'DIR/cut'")
        let result = await #expect(processExitsWith: .exitCode(1), observing: [\.standardErrorContent]) { [path = path as String] in
            _ = try AtomicFile(path: path + ".output")
            let file = try MappedFile(path: path)
            truncate(path, 100)
            _ = file.withBytes(0..<file.size) { bytes in stride(from: 0, to: bytes.count, by: 1000).reduce(0) { $0 + Int(bytes[$1]) } }
        }
        let errors = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(errors.hasSuffix("error: the file was cut short while it was read, or its disk fails, at file '\(path)'\n"), "\(errors)")
        #expect(folder.contents == ["cut"])
    }
}
