import Foundation
import TestSupport
import Testing
import Toolchain
import Work

@testable import Driver

/// Programs that an x86-64 machine makes for 64-bit ARM, run in an emulator.
@Suite(.serialized) struct AArch64Tests {
    /// Why the programs cannot be made or run here; nil when they can.
    private static let obstacle: String? = {
        func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
        let libraries = [
            "libjpeg.a", "libpng.a", "libwebp.a", "libwebpdemux.a", "libz.a", "libjansson.a", "libedit.a", "libevent_core.a",
            "openblas-openmp/libopenblas.a",
        ]
        if HostCPU.current.architecture != "x86-64" { return "this machine is no x86-64" }
        if findProgram("aarch64-linux-gnu-gcc") == nil { return "there is no 'aarch64-linux-gnu-gcc'" }
        if findProgram("qemu-aarch64") == nil { return "there is no 'qemu-aarch64'" }
        return libraries.first { !exists("/usr/lib/aarch64-linux-gnu/\($0)") }.map { "there is no '\($0)' for arm64" }
    }()

    private func skips(_ test: String) -> Bool {
        guard let obstacle = Self.obstacle else { return false }
        print("not run: \(test): \(obstacle)")
        return true
    }

    /// A CPU of the emulator, LMMC_ISA, and the kernels that then run.
    private struct Machine {
        var cpu: String
        var isa = ""
        var bf16: String, q8: String, attention: String
    }

    private static let machines = [
        Machine(cpu: "cortex-a53", bf16: "neon", q8: "neon", attention: "neon"),
        Machine(cpu: "neoverse-n1", bf16: "neon", q8: "dotprod", attention: "neon"),
        Machine(cpu: "max", bf16: "bf16", q8: "i8mm", attention: "bf16"),
        Machine(cpu: "max", isa: "-i8mm", bf16: "bf16", q8: "dotprod", attention: "bf16"),
        Machine(cpu: "max", isa: "-bf16", bf16: "neon", q8: "i8mm", attention: "neon"),
    ]

    /// Answers and first logits are those of the program for this machine. The weights and the products of integers are the same; what
    /// differs is the order of sums and, where a CPU has no BF16, that attention and bf16 products do not round their operands. `tolerance`
    /// is of the logits, relative l2: that of float32 sums, or three times what a rounding to the type moves an element by (PrecisionTests).
    /// Where only the instruction for products of integers differs, they are equal to the bit.
    @Test(arguments: [("f32", 2e-6), ("bf16", 3 * 1.1e-3), ("int8", 3 * 5.7e-3), ("int4", 3 * 5.7e-3)])
    func answersAsHere(_ precision: String, _ tolerance: Double) throws {
        if skips("\(precision) for aarch64") { return }
        let scratch = try Scratch()
        let example = repository + "/examples/fashion"
        func compile(_ target: String) throws -> String {
            let program = scratch[target]
            let result = try lmmc(
                "compile", example + "/checkpoint", "-o", program, "--quiet", "--precision", precision, "--target", target)
            try #require(result.status == 0, "\(result.errors)")
            return program
        }
        func ask(_ program: [String], isa: String = "") throws -> (text: String, logits: NumPyArray) {
            let result = try run(
                program + ["--image", example + "/images/first.png", "--prompt", "Name the items in row 2.", "--dump", scratch["dump"]],
                environment: ["LMMC_ISA": isa])
            try #require(result.status == 0, "\(program): \(result.errors)")
            return (result.output, try NumPyArray(path: scratch["dump"] + "/logits.npy"))
        }
        let here = try ask([try compile("x86-64")])
        #expect(here.text == "pullover, t-shirt, bag, trousers\n")
        let program = try compile("aarch64")
        var known: [String: NumPyArray] = [:]
        for machine in Self.machines where precision != "f32" || machine.isa.isEmpty {
            let words = ["/usr/bin/env", "qemu-aarch64", "-cpu", machine.cpu, program]
            let there = try ask(words, isa: machine.isa)
            let distance = there.logits.relativeDistance(to: here.logits)
            #expect(there.text == here.text, "\(precision) on \(machine.cpu) \(machine.isa)")
            #expect(distance <= tolerance, "\(precision) on \(machine.cpu) \(machine.isa): logits are \(distance) off")
            if precision != "f32", let same = known.updateValue(there.logits, forKey: machine.attention) {
                #expect(there.logits.values == same.values, "\(precision) on \(machine.cpu) \(machine.isa)")
            }
            let info = try run(words + ["--info"], environment: ["LMMC_ISA": machine.isa])
            if precision == "f32" {
                #expect(info.output.contains("\"target\": \"aarch64\""), "\(info.output)")
            } else {
                for (kernel, variant) in [
                    ("bf16", machine.bf16), ("q8", machine.q8), ("q4", machine.q8), ("attention_bf16", machine.attention),
                ] {
                    #expect(info.output.contains("\"\(kernel)\": \"\(variant)\""), "\(machine.cpu) \(machine.isa): \(info.output)")
                }
            }
        }
    }

    /// The folder of sources is built by hand for the target: its program runs there, and so does the packager, which is otherwise made for this machine.
    @Test func sources() throws {
        if skips("sources for aarch64") { return }
        let scratch = try Scratch()
        let made = try lmmc("compile", "\(goldens)/decoder-tied", "--emit", "c", "-o", scratch["sources"], "--quiet", "--target", "aarch64")
        try #require(made.status == 0, "\(made.errors)")
        // The packager is made for ARM here as well, behind a script that runs it in the emulator.
        let packager = """
            #!/bin/sh
            before=
            for a do [ "$before" = -o ] && out=$a; before=$a; done
            aarch64-linux-gnu-gcc -static "$@" && mv "$out" "$out.arm" || exit 1
            printf '#!/bin/sh\\nexec qemu-aarch64 "%s" "$@"\\n' "$out.arm" >"$out" && chmod +x "$out"
            """
        let compiler = try scratch.write("cc", packager + "\n", executable: true)
        let built = try run(
            ["/bin/sh", scratch["sources"] + "/build.sh", scratch["program"]], environment: ["CFLAGS": "-O1", "HOSTCC": compiler])
        try #require(built.status == 0, "\(built.errors)")
        let ran = try run(["/usr/bin/env", "qemu-aarch64", scratch["program"], "--raw-prompt", "x", "--max-tokens", "2", "--json"])
        #expect(ran.status == 0 && ran.output.contains("\"tokens\": ["), "\(ran.output)\(ran.errors)")
    }

    /// What is missing is named in one line with the command that brings it.
    @Test func missingLibraries() throws {
        if findProgram("aarch64-linux-gnu-gcc") == nil || HostCPU.current.architecture != "x86-64" {
            return print("not run: no cross compiler")
        }
        let scratch = try Scratch()
        let script = """
            #!/bin/sh
            for a do case $a in *.c) for header in png.h cblas.h; do if grep -q "<$header>" "$a"; then
              echo "$a:1:10: fatal error: $header: No such file or directory" >&2; exit 1
            fi; done;; -ljpeg|-lwebp*|-lz|-ljansson|-ledit|-levent*|-ltinfo|-lbsd|-lopenblas) continue;; esac; done
            exec aarch64-linux-gnu-gcc "$@"
            """
        let compiler = try scratch.write("cc", script + "\n", executable: true)
        let result = try lmmc(
            "compile", "\(goldens)/decoder-tied", "-o", scratch["program"], "--precision", "f32", "--target", "aarch64", "--cc", compiler,
            "--quiet")
        #expect(result.status == 1)
        #expect(result.errors.hasPrefix("error: ") && result.errors.split(separator: "\n").count == 1, "\(result.errors)")
        #expect(result.errors.contains("libpng") && result.errors.contains("OpenBLAS"), "\(result.errors)")
        #expect(
            result.errors.contains("dpkg --add-architecture arm64 && apt-get update && apt-get install ")
                && result.errors.contains("libpng-dev:arm64") && result.errors.contains("libopenblas-openmp-dev:arm64"), "\(result.errors)")
    }

    @Test func missingCompiler() throws {
        guard HostCPU.current.architecture == "x86-64" else { return print("not run: this machine is no x86-64") }
        let scratch = try Scratch()
        func compile(_ arguments: String..., environment: [String: String] = [:]) throws -> Run {
            try run(
                [lmmcPath, "compile", "\(goldens)/decoder-tied", "-o", scratch["program"], "--quiet", "--target", "aarch64"] + arguments,
                environment: environment)
        }
        let none = try compile(environment: ["PATH": scratch.path])
        #expect(none.status == 1)
        #expect(
            none.errors
                == "error: there is no C compiler for 'aarch64'; expected 'aarch64-linux-gnu-gcc' in PATH, or '--cc PATH'; on Debian: "
                + "dpkg --add-architecture arm64 && apt-get update && apt-get install libc6-dev-arm64-cross gcc-aarch64-linux-gnu "
                + "libjpeg-dev:arm64 libpng-dev:arm64 libwebp-dev:arm64 libjansson-dev:arm64 libedit-dev:arm64 zlib1g-dev:arm64 "
                + "&& apt-get download libevent-dev:arm64 && dpkg -x libevent-dev_*_arm64.deb /\n",
            "\(none.errors)")
        let wrong = try compile("--cc", "gcc")
        #expect(wrong.status == 1)
        #expect(
            wrong.errors.hasSuffix("' makes code for 'x86_64-linux-gnu', not for 'aarch64'; expected 'aarch64-linux-gnu-gcc'\n"),
            "\(wrong.errors)")
    }
}
