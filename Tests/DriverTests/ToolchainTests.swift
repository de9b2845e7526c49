import Foundation
import Support
import Testing
import Work

@testable import Driver

@Suite struct ToolchainTests {
    private let progress = Progress(.quiet)

    @Test func gccLinksStatically() throws {
        let toolchain = try Toolchain.find(cc: "gcc", target: .native, needsBLAS: true, progress: progress)
        #expect(toolchain.mode == .staticPIE)
        #expect(toolchain.blas?.name == "openblas-openmp")
        #expect(toolchain.compileFlags.contains("-O3") && toolchain.compileFlags.contains("-fopenmp"))
    }

    @Test func clangLinksDynamically() throws {
        let toolchain = try Toolchain.find(cc: "/usr/bin/clang", target: .native, needsBLAS: false, progress: progress)
        #expect(toolchain.mode == .dynamic)
    }

    /// Of several programs called clang or gcc the first that works is taken, whatever stands first in PATH.
    @Test func findsOneByItself() throws {
        #expect(try Toolchain.find(cc: nil, target: .native, needsBLAS: false, progress: progress).compiler.contains("gcc"))
    }

    /// A compiler that accepts -fopenmp but makes serial code is not taken: clang with libgomp.
    @Test func serialCodeIsNoticed() throws {
        let scratch = try Scratch()
        let compiler = try scratch.write(
            "cc", "#!/bin/sh\nfor a do shift; [ \"$a\" = -fopenmp ] && a=-fopenmp=libgomp; set -- \"$@\" \"$a\"; done\nexec /usr/bin/clang \"$@\"\n",
            executable: true)
        let message = failure(compiler)
        #expect(message.contains("cannot build parallel programs"), "\(message)")
        #expect(message.contains("a parallel region has 1 thread(s)") || message.contains("gomp"), "\(message)")
    }

    /// Whatever is missing, one line names the package that brings it.
    @Test(arguments: [
        ("stdlib.h", "libc6-dev"), ("omp.h", "gcc"), ("jpeglib.h", "libjpeg-dev"), ("png.h", "libpng-dev"), ("webp/decode.h", "libwebp-dev"),
        ("zlib.h", "zlib1g-dev"), ("cblas.h", "libopenblas-openmp-dev"),
    ])
    func missingHeader(_ header: String, _ package: String) throws {
        let scratch = try Scratch()
        let script = """
            #!/bin/sh
            for a do case $a in *.c) if grep -q '<\(header)>' "$a"; then
              echo "$a:1:10: fatal error: \(header): No such file or directory" >&2; exit 1
            fi;; esac; done
            exec gcc "$@"
            """
        let compiler = try scratch.write("cc", script + "\n", executable: true)
        let message = failure(compiler)
        #expect(message.contains("is missing for compiler '\(compiler)'; expected package '\(package)'"), "\(message)")
        #expect(!message.contains("\n"))
    }

    /// A full disk must not end in a dynamic executable, which is small enough to fit.
    @Test func fullDiskIsNoReasonToLinkDynamically() throws {
        let scratch = try Scratch()
        let script = """
            #!/bin/sh
            for a do case $a in -static*) echo '/usr/bin/ld: final link failed: No space left on device' >&2; exit 1;; esac; done
            exec gcc "$@"
            """
        let compiler = try scratch.write("cc", script + "\n", executable: true)
        let message = failure(compiler)
        #expect(message.contains("the disk of the temporary folder") && message.contains("is full; expected room for 64 MiB"), "\(message)")
    }

    /// A disk, processes, memory that are not there are not a library that is missing.
    @Test(arguments: [
        ("gcc: fatal error: cannot execute 'cc1': vfork: Resource temporarily unavailable", "could not start a process or thread: resource temporarily unavailable; expected room for more of them"),
        ("collect2: fatal error: vfork: Resource temporarily unavailable", "could not start a process or thread"),
        ("clang: error: unable to execute command: posix_spawn failed: Resource temporarily unavailable", "could not start a process or thread"),
        ("/usr/bin/ld: cannot find -lc: Too many open files", "could not open all of its files: too many open files; expected room for more of them"),
        ("cc1: out of memory allocating 65536 bytes", "ran out of memory: cc1: out of memory allocating 65536 bytes; expected more memory"),
        ("gcc: fatal error: Killed signal terminated program cc1", "ran out of memory"),
        ("gcc: fatal error: cannot execute 'as': execvp: No such file or directory", "finds no 'as'; expected package 'binutils'"),
        ("cc1: internal compiler error: in main", "fails on a program that needs the C library alone: cc1: internal compiler error: in main"),
    ])
    func failuresOfTheMachine(_ line: String, _ wanted: String) throws {
        let scratch = try Scratch()
        let compiler = try scratch.write(
            "cc", "#!/bin/sh\ncase $1 in --version|-dump*|-print*) exec gcc \"$@\";; esac\necho \"\(line)\" >&2\nexit 1\n", executable: true)
        let message = failure(compiler)
        #expect(message.contains(wanted), "\(message)")
        #expect(!message.contains("\n") && !message.contains("libc6-dev"))
    }

    /// One that cannot do it in PATH before one that can, by the same name.
    @Test func triesAllOfPath() throws {
        let scratch = try Scratch()
        for name in ["gcc", "cc", "clang"] { _ = try scratch.write(name, "#!/bin/sh\necho 'omp.h: No such file or directory' >&2\nexit 1\n", executable: true) }
        let path = scratch.path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "")
        let compiled = try lmmc("compile", goldens + "/decoder-tied", "-o", scratch["program"], "--target", "native", environment: ["PATH": path])
        #expect(compiled.status == 0, "\(compiled.errors)")
        let named = try lmmc("compile", goldens + "/decoder-tied", "-o", scratch["named"], "--cc", "gcc", "--target", "native", environment: ["PATH": path])
        #expect(named.status == 0, "\(named.errors)")
        let emitted = try lmmc("compile", goldens + "/decoder-tied", "-o", scratch["sources"], "--emit", "c", "--target", "native", "--quiet")
        #expect(emitted.status == 0, "\(emitted.errors)")
        // Temporary files may lie in a folder of any name, below the current one too.
        try FileManager.default.createDirectory(atPath: scratch["a b"], withIntermediateDirectories: false)
        let built = try run(
            ["/bin/sh", scratch["sources/build.sh"], scratch["built"]], environment: ["PATH": path, "CFLAGS": "-O1", "TMPDIR": "a b"], folder: scratch.path)
        #expect(built.status == 0, "\(built.errors)")
        #expect(try folderContents(scratch["a b"]).isEmpty)
    }

    /// Where programs cannot be run among temporary files, the trial program is run elsewhere.
    @Test func temporaryFolderWithoutPrograms() throws {
        let scratch = try Scratch()
        try FileManager.default.createDirectory(atPath: scratch["tmp"], withIntermediateDirectories: false)
        let mount = ["/usr/bin/unshare", "-m", "sh", "-c", "mount -t tmpfs -o noexec none '\(scratch["tmp"])' && exec \"$@\"", "sh"]
        guard try run(mount + ["true"]).status == 0 else { return print("not run: a folder that is mounted noexec, which this user may not make") }
        let result = try run(
            mount + [lmmcPath, "compile", goldens + "/decoder-tied", "-o", scratch["program"], "--target", "native", "--verbose"],
            environment: ["TMPDIR": scratch["tmp"]], folder: scratch.path)
        #expect(result.status == 0 && result.errors.contains("OpenMP runs in parallel"), "\(result.errors)")
        // A compiler there is refused with the reason.
        _ = try scratch.write("tool", "#!/bin/sh\n", executable: true)
        let refused = try run(
            mount + ["/bin/sh", "-c", "cp '\(scratch["tool"])' '\(scratch["tmp"])' && exec \"$@\"", "sh", lmmcPath, "compile", goldens + "/decoder-tied",
            "-o", scratch["other"], "--cc", scratch["tmp/tool"], "--quiet"])
        #expect(refused.errorLine.hasPrefix("error: '\(scratch["tmp/tool"])' is on a file system that is mounted noexec, at option '--cc'"), "\(refused.errors)")
        // The script beside emitted sources runs the packager.
        let emitted = try lmmc("compile", goldens + "/decoder-tied", "-o", scratch["sources"], "--emit", "c", "--target", "native", "--quiet")
        #expect(emitted.status == 0, "\(emitted.errors)")
        let built = try run(
            mount + ["/bin/sh", scratch["sources/build.sh"], scratch["built"]], environment: ["TMPDIR": scratch["tmp"], "CFLAGS": "-O1"], folder: scratch.path)
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
        let toolchain = try Toolchain.find(cc: "gcc", target: .native, needsBLAS: true, progress: progress)
        for flag in ["-fstack-protector-strong", "-fstack-clash-protection"] { #expect(toolchain.compileFlags.contains(flag)) }
        #expect(toolchain.compileFlags.contains { $0.hasPrefix("-D_FORTIFY_SOURCE=") })
    }

    /// A program of LLVM's OpenMP where there is no shared memory.
    @Test func runsWithoutSharedMemory() throws {
        let scratch = try Scratch()
        let hide = ["/usr/bin/unshare", "-m", "sh", "-c", "mount -t tmpfs -o ro none /dev/shm && exec \"$@\"", "sh"]
        guard try run(hide + ["true"]).status == 0 else { return print("not run: a machine without /dev/shm, which this user may not make") }
        let command = [lmmcPath, "compile", goldens + "/decoder-tied", "-o", scratch["program"], "--target", "native", "--quiet", "--cc", "/usr/bin/clang"]
        let compiled = try run(hide + command)
        try #require(compiled.status == 0, "\(compiled.errors)")
        let question = ["--raw-prompt", "x", "--max-tokens", "4", "--json"]
        let (usual, hidden) = (try run([scratch["program"]] + question), try run(hide + [scratch["program"]] + question))
        #expect(usual.status == 0 && hidden.status == 0 && hidden.errors == "", "\(hidden.errors)")
    }

    /// What a linker wrote is read within its bounds, whatever its numbers say.
    @Test func damagedExecutable() throws {
        let scratch = try Scratch()
        let source = try scratch.write("main.c", "#include <stdio.h>\nint main(void) { return puts(\"\") < 0; }\n")
        try #require(try run(["/usr/bin/gcc", source, "-o", scratch["program"]]).status == 0)
        #expect(try DynamicNeeds(path: scratch["program"]).libraries.map(\.name) == ["libc.so.6"])
        let whole = [UInt8](try Data(contentsOf: URL(filePath: scratch["program"])))
        func read(_ change: (inout [UInt8]) -> Void) throws {
            var bytes = whole
            change(&bytes)
            try Data(bytes).write(to: URL(filePath: scratch["damaged"]))
            _ = try? DynamicNeeds(path: scratch["damaged"])
        }
        // The offset of the segments, and each word of theirs.
        for value in [UInt8(0x7F), 0xFF] {
            for place in [32] + Array(stride(from: 64, to: 64 + 13 * 56, by: 8)) {
                try read { bytes in for byte in 0..<8 { bytes[place + byte] = byte == 7 ? value : 0xFF } }
            }
        }
        // The dynamic section and the tables that it names.
        for value in [UInt8(0x7F), 0xFF] {
            for place in stride(from: 0, to: whole.count - 8, by: 8) where place < 0x800 || 0x2D00..<0x3100 ~= place {
                try read { bytes in for byte in 0..<8 { bytes[place + byte] = byte == 7 ? value : 0xFF } }
            }
        }
    }

    @Test func notACompiler() throws {
        #expect(failure("/bin/false").contains("compiler '/bin/false' does not answer '--version'"))
        #expect(failure("/bin/true").hasPrefix("error: "))
    }

    private func failure(_ compiler: String) -> String {
        do throws(Diagnostic) {
            _ = try Toolchain.find(cc: compiler, target: .native, needsBLAS: true, progress: progress)
            return "no error"
        } catch {
            return error.rendered
        }
    }
}
