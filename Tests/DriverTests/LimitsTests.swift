import Foundation
import TestSupport
import Testing
import Work

@testable import Driver

/// Programs where little is allowed: stacks that the environment or a limit makes small, and threads that cannot be had.
@Suite struct LimitsTests {
    private let picture = "\(repository)/examples/fashion/images/first.png"
    private let question = "How many pullovers do you see?", answer = "two\n"

    /// The example as a program, with the options that a case gives; gcc's are static, clang's dynamic with LLVM's OpenMP.
    private func program(_ options: [String], in scratch: Scratch) throws -> String {
        let compiled = try run(
            [lmmcPath, "compile", "\(repository)/examples/fashion/checkpoint", "-o", scratch["program"], "--quiet"] + options)
        try #require(compiled.status == 0, "\(compiled.errors)")
        return scratch["program"]
    }

    static let programs: [[String]] = [
        ["--precision", "int8"], ["--precision", "f32"], ["--precision", "bf16", "--link", "dynamic"],
        ["--precision", "int8", "--cc", "/usr/bin/clang", "--link", "dynamic"],
    ]

    @Test(arguments: programs) func smallStacks(options: [String]) throws {
        let scratch = try Scratch()
        let words = [try program(options, in: scratch), "--image", picture, "--prompt", question, "--threads", "3"]
        for size in ["64k", "256k", "20000G", "many"] {
            let result = try run(words, environment: ["OMP_STACKSIZE": size, "GOMP_STACKSIZE": size, "KMP_STACKSIZE": size])
            #expect(result.status == 0 && result.output == answer && result.errors == "", "\(size): \(result)")
        }
        for limit in ["128", "384"] {
            let result = try run(
                ["/bin/sh", "-c", "ulimit -s \(limit); exec \"$0\" \"$@\""] + words, environment: ["OMP_STACKSIZE": "64k"])
            #expect(result.status == 0 && result.output == answer && result.errors == "", "\(limit) KiB: \(result)")
        }
    }

    @Test(arguments: programs) func noMoreThreads(options: [String]) throws {
        guard getuid() == 0, findProgram("setpriv") != nil else {
            return print("not run: limits on threads; only root becomes a user without other processes")
        }
        let scratch = try Scratch()
        let binary = try program(options, in: scratch)
        chmod(scratch.path, 0o755)
        let copy = scratch["picture.png"]
        try copyFile(picture, copy)
        for (limit, threads) in [(1, 2), (1, 8), (3, 8)] {
            let result = try run([
                "/usr/bin/env", "setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", "prlimit", "--nproc=\(limit):\(limit)",
                binary, "--image", copy, "--prompt", question, "--threads", "\(threads)",
            ])
            #expect(result.status == 0 && result.output == answer, "\(limit) of \(threads): \(result)")
            let line = result.errors.firstMatch(
                of: #/^warning: only ([1-3]) of \d threads can be had: resource temporarily unavailable; '--threads' sets their number\n$/#)
            #expect(line != nil && (line.map { Int($0.1)! <= limit } ?? false), "\(limit) of \(threads): \(result.errors)")
        }
    }
}
