import Foundation
import Support
import TestSupport
import Testing

@Suite struct FilesTests {
    private let folder = TemporaryFolder()

    private func failure<T>(_ body: () throws(Diagnostic) -> T) -> String {
        do throws(Diagnostic) { return "got \(try body())" } catch { return error.rendered }
    }

    @Test func reads() throws {
        let path = folder.write("a", "hello")
        #expect(try readFile(path, limit: 5) == Array("hello".utf8))
        #expect(try readFile(folder.write("empty", ""), limit: 0) == [])
        #expect(
            failure { () throws(Diagnostic) in try readFile(path, limit: 4) }
                == "error: the file has 5 bytes, at file '\(path)'; expected at most 4 bytes")
        #expect(
            failure { () throws(Diagnostic) in try readFile(folder.path, limit: 4) }
                == "error: '\(folder.path)' is a folder; expected a regular file")
        #expect(
            failure { () throws(Diagnostic) in try readFile("/dev/null", limit: 4) }
                == "error: '/dev/null' is not a regular file; expected a regular file")
    }

    /// What a clone without git-lfs, a proxy or a server leaves under a file's name.
    @Test func standIns() throws {
        let pages = ["<!DOCTYPE html>\n<html>", "\n  <!doctype HTML PUBLIC", "\u{FEFF}<HTML lang='en'>"]
        for page in pages {
            let path = folder.write("page", page)
            #expect(
                failure { () throws(Diagnostic) in try readFile(path, limit: 100) }
                    == "error: the file is a page of HTML, which a download may leave, at file '\(path)'; expected the file itself")
        }
        let path = folder.write(
            "pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:\(String(repeating: "ab", count: 32))\nsize 134567890\n")
        #expect(
            failure { () throws(Diagnostic) in try readFile(path, limit: 1000) }
                == "error: the file is a Git LFS pointer, not the file that it stands for, at file '\(path)'; expected the file itself: 'git lfs pull' fetches it"
        )
        #expect(try readFile(folder.write("text", "version 1\n<html>"), limit: 100).count == 16)
    }

    @Test func namedPipeDoesNotHang() {
        let pipe = folder.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        #expect(
            failure { () throws(Diagnostic) in try readFile(pipe, limit: 4) }
                == "error: '\(pipe)' is not a regular file; expected a regular file")
    }

    @Test func kindsAndContents() throws {
        folder.write("b", "")
        folder.write("a", "")
        #expect(try folderContents(folder.path) == ["a", "b"])
        #expect(fileKind(folder.path) == .folder)
        #expect(fileKind(folder.file("a")) == .regular)
        #expect(fileKind("/dev/null") == .other)
        #expect(fileKind(folder.file("none")) == nil)
        #expect(isAbsent(folder.file("none")) && isAbsent(folder.file("a/none")) && !isAbsent(folder.file("a")))
        symlink("/nowhere", folder.file("link"))
        #expect(fileKind(folder.file("link")) == nil && !isAbsent(folder.file("link")))
        #expect(
            failure { () throws(Diagnostic) in try folderContents(folder.file("none")) }
                == "error: cannot open '\(folder.file("none"))': no such file or directory")
    }

    @Test func paths() {
        #expect(joinedPath("a", "b") == "a/b")
        #expect(joinedPath("a/", "b") == "a/b")
        #expect(joinedPath("a", "/b") == "/b")
        #expect(joinedPath("", "b") == "b")
        #expect(lastPathComponent("/no/such/model/") == "model")
        #expect(lastPathComponent("/usr/.") == "usr")
    }
}
