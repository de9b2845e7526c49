import Foundation
import Support
import Testing

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

    /// One that cannot do it in PATH before one that can, by the same name.
    @Test func triesAllOfPath() throws {
        let scratch = try Scratch()
        for name in ["gcc", "cc", "clang"] { _ = try scratch.write(name, "#!/bin/sh\necho 'omp.h: No such file or directory' >&2\nexit 1\n", executable: true) }
        let path = scratch.path + ":" + (ProcessInfo.processInfo.environment["PATH"] ?? "")
        let compiled = try lmmc("compile", goldens + "/decoder-tied", "-o", scratch["program"], "--target", "native", environment: ["PATH": path])
        #expect(compiled.status == 0, "\(compiled.errors)")
        let emitted = try lmmc("compile", goldens + "/decoder-tied", "-o", scratch["sources"], "--emit", "c", "--target", "native", "--quiet")
        #expect(emitted.status == 0, "\(emitted.errors)")
        let built = try run(["/bin/sh", scratch["sources/build.sh"], scratch["built"]], environment: ["PATH": path, "CFLAGS": "-O1"])
        #expect(built.status == 0, "\(built.errors)")
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
