import Foundation
import Support
import TestSupport
import Testing
import Toolchain
import Work

@Suite struct ToolchainTests {
    private let progress = Progress(.quiet)

    /// One that cannot do it in PATH before one that can, by the same name.
    @Test func triesAllOfPath() throws {
        let scratch = try Scratch()
        for name in ["gcc", "cc", "clang"] {
            _ = try scratch.write(name, "#!/bin/sh\necho 'omp.h: No such file or directory' >&2\nexit 1\n", executable: true)
        }
        let path = scratch.path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "")
        let compiled = try lmmc(
            "compile", goldens + "/decoder-tied", "-o", scratch["program"], "--target", "native", environment: ["PATH": path])
        #expect(compiled.status == 0, "\(compiled.errors)")
        let named = try lmmc(
            "compile", goldens + "/decoder-tied", "-o", scratch["named"], "--cc", "gcc", "--target", "native", environment: ["PATH": path])
        #expect(named.status == 0, "\(named.errors)")
        let emitted = try lmmc(
            "compile", goldens + "/decoder-tied", "-o", scratch["sources"], "--emit", "c", "--target", "native", "--quiet")
        #expect(emitted.status == 0, "\(emitted.errors)")
        // Temporary files may lie in a folder of any name, below the current one too.
        try FileManager.default.createDirectory(atPath: scratch["a b"], withIntermediateDirectories: false)
        let built = try run(
            ["/bin/sh", scratch["sources/build.sh"], scratch["built"]], environment: ["PATH": path, "CFLAGS": "-O1", "TMPDIR": "a b"],
            folder: scratch.path)
        #expect(built.status == 0, "\(built.errors)")
        #expect(try folderContents(scratch["a b"]).isEmpty)
    }

    /// Where programs cannot be run among temporary files, the trial program is run elsewhere.
    @Test func temporaryFolderWithoutPrograms() throws {
        let scratch = try Scratch()
        try FileManager.default.createDirectory(atPath: scratch["tmp"], withIntermediateDirectories: false)
        let mount = ["/usr/bin/unshare", "-m", "sh", "-c", "mount -t tmpfs -o noexec none '\(scratch["tmp"])' && exec \"$@\"", "sh"]
        guard try run(mount + ["true"]).status == 0 else {
            return print("not run: a folder that is mounted noexec, which this user may not make")
        }
        let result = try run(
            mount + [lmmcPath, "compile", goldens + "/decoder-tied", "-o", scratch["program"], "--target", "native", "--verbose"],
            environment: ["TMPDIR": scratch["tmp"]], folder: scratch.path)
        #expect(result.status == 0 && result.errors.contains("OpenMP runs in parallel"), "\(result.errors)")
        // A compiler there is refused with the reason.
        _ = try scratch.write("tool", "#!/bin/sh\n", executable: true)
        let refused = try run(
            mount + [
                "/bin/sh", "-c", "cp '\(scratch["tool"])' '\(scratch["tmp"])' && exec \"$@\"", "sh", lmmcPath, "compile",
                goldens + "/decoder-tied",
                "-o", scratch["other"], "--cc", scratch["tmp/tool"], "--quiet",
            ])
        #expect(
            refused.errorLine.hasPrefix("error: '\(scratch["tmp/tool"])' is on a file system that is mounted noexec, at option '--cc'"),
            "\(refused.errors)")
        // The script beside emitted sources runs the packager.
        let emitted = try lmmc(
            "compile", goldens + "/decoder-tied", "-o", scratch["sources"], "--emit", "c", "--target", "native", "--quiet")
        #expect(emitted.status == 0, "\(emitted.errors)")
        let built = try run(
            mount + ["/bin/sh", scratch["sources/build.sh"], scratch["built"]], environment: ["TMPDIR": scratch["tmp"], "CFLAGS": "-O1"],
            folder: scratch.path)
        #expect(built.status == 0, "\(built.errors)")
        #expect(scratch.contents == ["built", "program", "sources", "tmp", "tool"])
    }

    /// An error in the C code of a program ends it: addresses that were overwritten, buffers that were overrun.
    @Test func programsAreHardened() throws {
        let scratch = try Scratch()
        for link in ["static", "dynamic"] {
            let compiled = try lmmc(
                "compile", goldens + "/llava-linear", "-o", scratch["program"], "--target", "native", "--quiet", "--link", link)
            #expect(compiled.status == 0, "\(compiled.errors)")
            let text = try run(["/usr/bin/readelf", "-W", "-l", "-d", "-s", scratch["program"]]).output
            let stack = try #require(text.split(separator: "\n").first { $0.contains("GNU_STACK") })
            #expect(!stack.contains("RWE") && stack.contains(" RW "), "\(stack)")
            #expect(text.contains("GNU_RELRO") && text.contains("BIND_NOW") || text.contains("Flags: NOW"), "\(link)")
            #expect(text.contains("__stack_chk_fail"), "\(link)")
            if link == "dynamic" { #expect(text.contains("_chk@")) }
        }
        let toolchain = try Toolchain.find(cc: "gcc", target: .native, needs: LibraryNeeds(blas: true), progress: progress)
        for flag in ["-fstack-protector-strong", "-fstack-clash-protection"] { #expect(toolchain.compileFlags.contains(flag)) }
        #expect(toolchain.compileFlags.contains { $0.hasPrefix("-D_FORTIFY_SOURCE=") })
    }

    /// A program of LLVM's OpenMP where there is no shared memory.
    @Test func runsWithoutSharedMemory() throws {
        let scratch = try Scratch()
        let hide = ["/usr/bin/unshare", "-m", "sh", "-c", "mount -t tmpfs -o ro none /dev/shm && exec \"$@\"", "sh"]
        guard try run(hide + ["true"]).status == 0 else {
            return print("not run: a machine without /dev/shm, which this user may not make")
        }
        let command = [
            lmmcPath, "compile", goldens + "/decoder-tied", "-o", scratch["program"], "--target", "native", "--quiet", "--cc",
            "/usr/bin/clang",
        ]
        let compiled = try run(hide + command)
        try #require(compiled.status == 0, "\(compiled.errors)")
        let question = ["--raw-prompt", "x", "--max-tokens", "4", "--json"]
        let (usual, hidden) = (try run([scratch["program"]] + question), try run(hide + [scratch["program"]] + question))
        #expect(usual.status == 0 && hidden.status == 0 && hidden.errors == "", "\(hidden.errors)")
    }
}
