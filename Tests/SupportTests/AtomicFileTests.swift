import Foundation
import Support
import TestSupport
import Testing

@Suite struct AtomicFileTests {
    private let folder = TemporaryFolder()

    private func failure<T>(_ body: () throws(Diagnostic) -> T) -> String {
        do throws(Diagnostic) { return "got \(try body())" } catch { return error.rendered }
    }

    private func mode(_ name: String) throws -> Int {
        try #require(FileManager.default.attributesOfItem(atPath: folder.file(name))[.posixPermissions] as? Int)
    }

    @Test func appearsWholeOnCommit() throws {
        folder.write("out", "old")
        let file = try AtomicFile(path: folder.file("out"))
        try file.write("new ")
        try file.write(Array("text".utf8))
        #expect(folder.text("out") == "old")
        #expect(folder.contents.count == 2)
        try file.commit()
        #expect(folder.text("out") == "new text")
        #expect(folder.contents == ["out"])
        file.discard()
        #expect(folder.contents == ["out"])
    }

    @Test func leavesNothingBehind() throws {
        do {
            let file = try AtomicFile(path: folder.file("out"))
            try file.write("half")
            file.discard()
            #expect(folder.contents == [])
        }
        do { try AtomicFile(path: folder.file("dropped")).write("half") }
        #expect(folder.contents == [])
        #expect(
            failure { () throws(Diagnostic) in
                try AtomicFile.write(path: folder.file("out")) { (file) throws(Diagnostic) in
                    try file.write("half")
                    throw .error("stop")
                }
            } == "error: stop")
        #expect(folder.contents == [])
    }

    @Test func permissions() throws {
        let mask = umask(0o022)
        defer { umask(mask) }
        try AtomicFile.write(path: folder.file("plain")) { (file) throws(Diagnostic) in try file.write("x") }
        try AtomicFile.write(path: folder.file("program"), executable: true) { (file) throws(Diagnostic) in try file.write("x") }
        #expect(try mode("plain") == 0o644)
        #expect(try mode("program") == 0o755)
    }

    @Test func refusals() {
        let table = [
            (folder.path, "error: output '\(folder.path)' is a folder; expected the name of a file"),
            ("/dev/null", "error: output '/dev/null' is not a regular file; expected the name of a file"),
            (folder.file("none/out"), "error: cannot create '\(folder.file("none/out"))': no such file or directory"),
            (folder.file("none/"), "error: output '\(folder.file("none/"))' has no file name; expected the name of a file"),
        ]
        for (path, text) in table {
            #expect(failure { () throws(Diagnostic) in try AtomicFile(path: path).commit() } == text)
        }
    }

    @Test func fullDisk() throws {
        // /dev/full fails every write as a full disk does.
        let file = try AtomicFile(path: folder.file("out"))
        #expect(dup2(open("/dev/full", O_WRONLY), file.descriptor) >= 0)
        #expect(
            failure { () throws(Diagnostic) in try file.write("x") }
                == "error: cannot write '\(folder.file("out"))': no space left on device")
        file.discard()
        #expect(folder.contents == [])
    }

    @Test func longNames() throws {
        let name = String(repeating: "n", count: 250)
        try AtomicFile.write(path: folder.file(name)) { (file) throws(Diagnostic) in try file.write("x") }
        #expect(folder.contents == [name])
    }

    @Test func signalRemovesTheFile() async throws {
        let path = folder.file("out")
        await #expect(processExitsWith: .signal(SIGTERM)) { [path = path as String] in
            let file = try AtomicFile(path: path)
            try file.write("half")
            guard FileManager.default.fileExists(atPath: file.temporaryPath) else { exit(3) }
            kill(getpid(), SIGTERM)
            sleep(10)
        }
        #expect(folder.contents == [])
    }

    /// Traps and faults too, on a thread's overflowed stack as well.
    @Test func trapRemovesTheFile() async throws {
        let path = folder.file("out")
        await #expect(processExitsWith: .failure) { [path = path as String] in
            let file = try AtomicFile(path: path)
            try file.write("half")
            let numbers = [Int](repeating: 1, count: CommandLine.arguments.count)
            print(numbers[numbers.count + 5])
        }
        #expect(folder.contents == [])
        for number in [SIGSEGV, SIGABRT, SIGPIPE, SIGQUIT] {
            await #expect(processExitsWith: .signal(number)) { [path = path as String, number = number as Int32] in
                let file = try AtomicFile(path: path)
                try file.write("half")
                kill(getpid(), number)
                sleep(10)
            }
            #expect(folder.contents == [], "signal \(number)")
        }
        await #expect(processExitsWith: .signal(SIGSEGV)) { [path = path as String] in
            let file = try AtomicFile(path: path)
            try file.write("half")
            func deeper(_ depth: Int) -> Int {
                withUnsafeTemporaryAllocation(of: Int.self, capacity: 1000) {
                    $0[0] = depth
                    return deeper(depth + 1) + $0[0]
                }
            }
            print(deeper(0))
        }
        #expect(folder.contents == [])
    }
}
