import Foundation
import Support
import TestSupport
import Testing
import Work

@testable import Toolchain

@Suite struct ToolchainTests {
    private let progress = Progress(.quiet)

    @Test func gccLinksStatically() throws {
        let toolchain = try Toolchain.find(cc: "gcc", target: .native, needs: LibraryNeeds(blas: true), progress: progress)
        #expect(toolchain.mode == .staticPIE)
        #expect(toolchain.blas?.name == "openblas-openmp")
        #expect(toolchain.compileFlags.contains("-O3") && toolchain.compileFlags.contains("-fopenmp"))
    }

    @Test func clangLinksDynamically() throws {
        let toolchain = try Toolchain.find(cc: "/usr/bin/clang", target: .native, needs: LibraryNeeds(blas: false), progress: progress)
        #expect(toolchain.mode == .dynamic)
    }

    /// Where several programs are called clang or gcc the first that works is taken, whatever stands first in PATH.
    @Test func findsOneByItself() throws {
        #expect(try Toolchain.find(cc: nil, target: .native, needs: LibraryNeeds(blas: false), progress: progress).compiler.contains("gcc"))
    }

    /// A compiler that accepts -fopenmp but makes serial code is not taken: clang with libgomp.
    @Test func serialCodeIsNoticed() throws {
        let scratch = try Scratch()
        let compiler = try scratch.write(
            "cc",
            "#!/bin/sh\nfor a do shift; [ \"$a\" = -fopenmp ] && a=-fopenmp=libgomp; set -- \"$@\" \"$a\"; done\nexec /usr/bin/clang \"$@\"\n",
            executable: true)
        let message = failure(compiler)
        #expect(message.contains("cannot build parallel programs"), "\(message)")
        #expect(message.contains("a parallel region has 1 thread(s)") || message.contains("gomp"), "\(message)")
    }

    /// Whatever is missing, one line names the package that brings it.
    @Test(arguments: [
        ("stdlib.h", "libc6-dev"), ("omp.h", "gcc"), ("jpeglib.h", "libjpeg-dev"), ("png.h", "libpng-dev"),
        ("webp/decode.h", "libwebp-dev"),
        ("zlib.h", "zlib1g-dev"), ("jansson.h", "libjansson-dev"), ("histedit.h", "libedit-dev"), ("event2/http.h", "libevent-dev"),
        ("cblas.h", "libopenblas-openmp-dev"),
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
        (
            "gcc: fatal error: cannot execute 'cc1': vfork: Resource temporarily unavailable",
            "could not start a process or thread: resource temporarily unavailable; expected room for more of them"
        ),
        ("collect2: fatal error: vfork: Resource temporarily unavailable", "could not start a process or thread"),
        (
            "clang: error: unable to execute command: posix_spawn failed: Resource temporarily unavailable",
            "could not start a process or thread"
        ),
        (
            "/usr/bin/ld: cannot find -lc: Too many open files",
            "could not open all of its files: too many open files; expected room for more of them"
        ),
        ("cc1: out of memory allocating 65536 bytes", "ran out of memory: cc1: out of memory allocating 65536 bytes; expected more memory"),
        ("gcc: fatal error: Killed signal terminated program cc1", "ran out of memory"),
        ("gcc: fatal error: cannot execute 'as': execvp: No such file or directory", "finds no 'as'; expected package 'binutils'"),
        (
            "cc1: internal compiler error: in main",
            "fails on a program that needs the C library alone: cc1: internal compiler error: in main"
        ),
    ])
    func failuresOfTheMachine(_ line: String, _ wanted: String) throws {
        let scratch = try Scratch()
        let compiler = try scratch.write(
            "cc", "#!/bin/sh\ncase $1 in --version|-dump*|-print*) exec gcc \"$@\";; esac\necho \"\(line)\" >&2\nexit 1\n", executable: true
        )
        let message = failure(compiler)
        #expect(message.contains(wanted), "\(message)")
        #expect(!message.contains("\n") && !message.contains("libc6-dev"))
    }

    /// A compiler that ran out of memory has not said that it knows no hardening: without this its programs would be built without any.
    @Test(arguments: ["-Werror", "-march=native", "-print-multiarch"])
    func failureOfTheMachineIsNoAnswer(_ question: String) throws {
        let scratch = try Scratch()
        let script = """
            #!/bin/sh
            for a do case $a in \(question)) echo 'cc1: out of memory allocating 65536 bytes' >&2; exit 1;; esac; done
            exec gcc "$@"
            """
        let message = failure(try scratch.write("cc", script + "\n", executable: true))
        #expect(message.contains("ran out of memory: cc1: out of memory allocating 65536 bytes; expected more memory"), "\(message)")
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
            _ = try Toolchain.find(cc: compiler, target: .native, needs: LibraryNeeds(blas: true, server: true), progress: progress)
            return "no error"
        } catch {
            return error.rendered
        }
    }
}
