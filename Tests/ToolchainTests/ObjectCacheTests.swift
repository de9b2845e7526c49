import Foundation
import Support
import TestSupport
import Testing
import Work

@testable import Toolchain

@Suite struct ObjectCacheTests {
    private let key = String(repeating: "0", count: 16) + "-" + String(repeating: "a", count: 16)

    private func folder(_ path: String, mode: mode_t = 0o700) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try #require(chmod(path, mode) == 0)
    }

    private func refusal(_ root: String) -> Diagnostic? {
        do throws(Diagnostic) {
            _ = try ObjectCache.makeSet(key, root: root)
            return nil
        } catch {
            return error
        }
    }

    private func mode(_ path: String) throws -> mode_t {
        var status = stat()
        try #require(lstat(path, &status) == 0)
        return status.st_mode & 0o7777
    }

    /// What others wrote in the folder that is named stays, and of our own folder only old sets go, never through a link.
    @Test func deletesOnlyItsOwn() throws {
        let scratch = try Scratch()
        let root = scratch["cache"]
        for index in 0..<12 {
            try folder("\(root)/work\(index)")
            _ = try scratch.write("cache/work\(index)/thesis.o", "mine")
        }
        try folder(scratch["elsewhere"])
        _ = try scratch.write("elsewhere/precious.o", "mine")
        let own = "\(root)/\(ObjectCache.folderName)"
        #expect(refusal(root) == nil)
        func set(_ index: Int) -> String { "\(own)/000000000000000\(index)-0000000000000000" }
        for index in 0..<10 {
            try folder(set(index))
            _ = try scratch.write("cache/\(ObjectCache.folderName)/\(set(index).split(separator: "/").last!)/main.c.o", "object")
            #expect(symlink(scratch["elsewhere/precious.o"], set(index) + "/link.o") == 0)
            let past = timeval(tv_sec: 1000 + index, tv_usec: 0)
            #expect(utimes(set(index), [past, past]) == 0)
        }
        _ = try scratch.write("cache/\(ObjectCache.folderName)/000000000000000\(1)-0000000000000000/notes.txt", "mine")
        let past = timeval(tv_sec: 1001, tv_usec: 0)
        #expect(utimes(set(1), [past, past]) == 0)
        try folder(own + "/notes")
        #expect(symlink(scratch["elsewhere"], own + "/ffffffffffffffff-ffffffffffffffff") == 0)
        let other = String(key.reversed())
        #expect(try ObjectCache.makeSet(other, root: root) == own + "/" + other)

        for index in 0..<12 { #expect(fileKind("\(root)/work\(index)/thesis.o") == .regular) }
        #expect(fileKind(scratch["elsewhere/precious.o"]) == .regular)
        #expect(fileKind(own + "/notes") == .folder && !isAbsent(own + "/ffffffffffffffff-ffffffffffffffff"))
        // The oldest are empty, or gone where nothing else is in them; the newest seven stay beside the new one.
        #expect(isAbsent(set(0)) && fileKind(set(1) + "/notes.txt") == .regular && isAbsent(set(1) + "/main.c.o"))
        for index in 4..<10 { #expect(fileKind(set(index) + "/main.c.o") == .regular, "set \(index)") }
    }

    /// Folders that others own or can write, links and folders of others in the place of ours.
    @Test func refusesWhatOthersCanChange() throws {
        let scratch = try Scratch()
        func expect(_ root: String, _ wanted: String?, _ location: SourceLocation = #_sourceLocation) {
            let found = refusal(root)
            if let wanted {
                #expect(
                    found?.level == .warning && found?.message.contains(wanted) == true, "\(String(describing: found))",
                    sourceLocation: location)
            } else {
                #expect(found == nil, sourceLocation: location)
            }
        }
        let own = ObjectCache.folderName
        try folder(scratch["open"], mode: 0o777)
        expect(scratch["open"], "'\(scratch["open"])' can be written by everybody")
        // Below it too: it can be renamed and another one put in its place.
        try folder(scratch["open"] + "/inner")
        expect(scratch["open"] + "/inner", "'\(scratch["open"])' can be written by everybody")
        // As /tmp.
        try folder(scratch["sticky"], mode: 0o1777)
        expect(scratch["sticky"], nil)
        #expect(chmod(scratch["sticky/\(own)"], 0o1777) == 0)
        expect(scratch["sticky"], "can be written by everybody")

        try folder(scratch["link"])
        try folder(scratch["target"])
        #expect(symlink(scratch["target"], scratch["link/\(own)"]) == 0)
        expect(scratch["link"], "'\(scratch["link/\(own)"])' is not a folder")
        // A cache that is itself behind a link is where the link leads.
        #expect(symlink(scratch["target"], scratch["elsewhere"]) == 0)
        expect(scratch["elsewhere"], nil)
        #expect(scratch.contents.contains("target") && fileKind(scratch["target/\(own)"]) == .folder)

        try folder(scratch["full/\(own)"])
        _ = try scratch.write("full/\(own)/thesis.txt", "mine")
        expect(scratch["full"], "'\(scratch["full/\(own)"])' holds what lmmc did not write")

        guard geteuid() == 0 else { return print("not run: caches of other users, which only root can make") }
        try folder(scratch["theirs"])
        #expect(chown(scratch["theirs"], 1, 1) == 0)
        expect(scratch["theirs"], "'\(scratch["theirs"])' belongs to user 1")
        // Nothing of ours is left there either, which he could not use: so it is in his home under sudo.
        for inner in ["cache/lmmc", ".cache/lmmc/"] { expect(scratch["theirs/\(inner)"], "'\(scratch["theirs"])' belongs to user 1") }
        #expect(try folderContents(scratch["theirs"]).isEmpty)
        try folder(scratch["inside"], mode: 0o1777)
        try folder(scratch["inside/\(own)"])
        #expect(chown(scratch["inside/\(own)"], 1, 1) == 0)
        expect(scratch["inside"], "'\(scratch["inside/\(own)"])' belongs to user 1")
        // Their object is not taken either.
        let cache = ObjectCache(folder: try ObjectCache.makeSet(key, root: scratch["sound"]))
        for name in ["mine.o", "theirs.o"] { _ = try scratch.write("sound/\(own)/\(key)/\(name)", "object") }
        #expect(chown(scratch["sound/\(own)/\(key)/theirs.o"], 1, 1) == 0)
        #expect(cache.object("mine.o") != nil && cache.object("theirs.o") == nil && cache.object("none.o") == nil)
    }

    @Test func isClosedToOthers() throws {
        let scratch = try Scratch()
        let path = try ObjectCache.makeSet(key, root: scratch["new/cache"])
        for folder in [path, parent(path), scratch["new/cache"], scratch["new"]] { #expect(try mode(folder) == 0o700, "\(folder)") }
        #expect(
            try String(contentsOfFile: parent(path) + "/CACHEDIR.TAG", encoding: .utf8).hasPrefix(
                "Signature: 8a477f597d28d172789f06886806bc55"))
    }

    /// Objects for other headers, environments and compilers are others.
    @Test func keyCoversWhatIsRead() throws {
        let scratch = try Scratch()
        let temporary = try Work.TemporaryFolder()
        defer { temporary.discard() }
        let toolchain = try Toolchain.find(cc: "gcc", target: .native, needs: LibraryNeeds(blas: true), progress: Progress(.quiet))
        func key(_ toolchain: Toolchain, _ environment: [String: String] = [:]) throws -> String {
            try ObjectCache.key(toolchain, in: temporary, environment: { environment[$0] })
        }
        let first = try key(toolchain)
        #expect(try key(toolchain) == first && first.count == 33)
        for name in ["CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "GCC_EXEC_PREFIX"] {
            #expect(try key(toolchain, [name: "/opt/x"]) != first, "\(name)")
        }

        // Another version of a library: the same flags, another text behind them.
        try folder(scratch["include"])
        var changed = toolchain
        changed.compileFlags.insert("-I" + scratch["include"], at: 0)
        let before = try key(changed)
        for header in ["zlib.h", "jpeglib.h", "png.h", "webp/decode.h", "jansson.h", "cblas.h"] {
            try folder(parent(scratch["include/\(header)"]))
            _ = try scratch.write("include/\(header)", "#include_next <\(header)>\n#define LMMC_TEST_VERSION 2\n")
            #expect(try key(changed) != before, "\(header)")
            #expect(unlinkFile(scratch["include/\(header)"]))
        }
        #expect(try key(changed) == before)
    }
}
