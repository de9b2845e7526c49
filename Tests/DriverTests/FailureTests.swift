import Foundation
import Support
import TestSupport
import Testing

@testable import Driver

/// Failures end with one line, the right exit code, and nothing left behind.
@Suite(.serialized) struct FailureTests {
    /// Runs `lmmc compile` on `model`; nothing may be left in the output's folder or among the temporary files.
    private func expectFailure(
        _ model: String, _ wanted: String, status: Int32 = 1, options: [String] = [], prefix: [String] = []
    ) throws {
        let scratch = try Scratch()
        for name in ["out", "tmp"] { try FileManager.default.createDirectory(atPath: scratch[name], withIntermediateDirectories: false) }
        let command = prefix + [lmmcPath, "compile", model, "-o", scratch["out/program"], "--quiet"] + options
        let result = try run(command, environment: ["TMPDIR": scratch["tmp"]])
        #expect(result.status == status)
        #expect(result.output == "")
        #expect(result.errorLine.hasPrefix("error: ") && !result.errorLine.contains("\n"), "\(result.errors)")
        #expect(wanted.isEmpty || result.errorLine.contains(wanted), "\(result.errors)")
        for name in ["out", "tmp"] { #expect(try FileManager.default.contentsOfDirectory(atPath: scratch[name]) == []) }
    }

    /// Replaces the first `old` in a file by `new` of the same length.
    private func patch(_ path: String, _ old: String, _ new: String) throws {
        var data = try Data(contentsOf: URL(filePath: path))
        let range = try #require(data.range(of: Data(old.utf8)))
        data.replaceSubrange(range, with: Data(new.utf8))
        try data.write(to: URL(filePath: path))
    }

    @Test func truncatedShard() throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("released-stf-sharded")
        let shard = try #require(try FileManager.default.contentsOfDirectory(atPath: model).sorted().first { $0.hasSuffix(".safetensors") })
        let file = model + "/" + shard
        let size = try #require(try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int)
        truncate(file, size - 100)
        try expectFailure(model, shard)
        truncate(file, 4)
        try expectFailure(model, shard)
    }

    @Test func wrongElementType() throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("llava-linear")
        try patch(model + "/model.safetensors", "\"dtype\":\"F", "\"dtype\":\"Q")
        try expectFailure(model, "model.safetensors")
    }

    @Test(arguments: ["config.json", "tokenizer.model", "model.safetensors"])
    func missingFile(_ name: String) throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("llava-linear")
        #expect(unlinkFile("\(model)/\(name)"))
        try expectFailure(model, name)
    }

    @Test func missingModel() throws {
        try expectFailure(
            "/nowhere", "error: model '/nowhere' does not exist; expected a checkpoint folder with 'config.json', or a GGUF file")
        try expectFailure(
            "/etc/passwd", "error: the file does not begin with 'GGUF', at file '/etc/passwd'; expected a GGUF file, or a checkpoint folder"
        )
    }

    @Test func badOptions() throws {
        let model = goldens + "/llava-linear"
        let cases: [([String], String)] = [
            (["--precision", "in8"], "error: unknown value 'in8'; did you mean 'int8'?, at option '--precision'"),
            (["--precision-for", "=int8"], "error: unknown value '=int8', at option '--precision-for'; expected PATTERN=TYPE"),
            (
                ["--precision-for", "*=fast"],
                "error: unknown value 'fast', at option '--precision-for'; expected 'f32', 'bf16', 'int8' or 'int4'"
            ),
            (["--kv", "int4"], "error: unknown value 'int4', at option '--kv'; expected 'f32', 'bf16' or 'int8'"),
            (
                ["--precision", "f16"],
                "unknown value 'f16'; did you mean 'bf16'?, at option '--precision'; expected 'f32', 'bf16', 'int8' or 'int4'"
            ),
            (
                ["--target", "x86-64", "--target-level", "avx3"],
                "target 'x86-64' has no level 'avx3'; did you mean 'avx2'?, at option '--target-level'; expected 'sse4.2', 'avx2' or 'avx512', or several with commas"
            ),
            (
                ["--target", "aarch64", "--target-level", "avx2"],
                "target 'aarch64' has no level 'avx2', at option '--target-level'; expected 'neon'"
            ),
            (["--target", "x86-64", "--target-level", ","], "no level is chosen, at option '--target-level'"),
            (["--target", "native", "--target-level", "avx2"], "target 'native' has one level, at option '--target-level'"),
            (["--target", "sparc"], "unknown value 'sparc', at option '--target'; expected 'x86-64', 'aarch64' or 'native'"),
            (["--context", "0"], "context 0 is too small, at option '--context'; expected at least 1 position"),
            (["--context", "100000"], "context 100000 is larger than the model's, at option '--context'; expected 1 to 256 positions"),
            (
                ["--template", "alpaca"],
                "unknown value 'alpaca', at option '--template'; expected 'none', 'llava_v1', 'vicuna_v1', 'llama-3', 'voco' or 'checkpoint'"
            ),
            (["--emit", "llvm"], "unknown value 'llvm', at option '--emit'; expected 'executable' or 'c'"),
            (["--jobs", "0"], "0 jobs are too few, at option '--jobs'; expected at least 1"),
            (
                ["--precision", "bf16", "--calibration", "/x"],
                "a calibration is of no use with precision 'bf16', at option '--calibration'; expected"
            ),
            (
                ["--disable-pass", "split-norm-scale", "--calibration", "/x"],
                "a calibration is of no use without pass 'split-norm-scale', at option"
            ),
            (["--emit", "c", "--link", "static"], "nothing is compiled with '--emit c', at option '--link'"),
            (["--cc", "/no/such/cc"], "'/no/such/cc' is not a program, at option '--cc'; expected a C compiler, gcc or clang"),
            (["--nonsense"], "unknown option '--nonsense'"),
        ]
        for (options, wanted) in cases { try expectFailure(model, wanted, status: 2, options: options) }
    }

    @Test func badOutput() throws {
        let scratch = try Scratch()
        let model = goldens + "/llava-linear"
        func message(_ output: String) throws -> Run { try lmmc("compile", model, "-o", output) }
        #expect(try message(scratch.path).errorLine == "error: output '\(scratch.path)' is a folder; expected the name of a file")
        #expect(
            try message(scratch["no/program"]).errorLine
                == "error: output folder '\(scratch["no"])' does not exist; expected a folder that can be written")
        #expect(try message("/dev/null").errorLine == "error: output '/dev/null' is not a regular file; expected another name")
        #expect(try message("/proc/x").status == 1)
        #expect(scratch.contents == [])
    }

    /// A disk that is too small is refused with numbers before any work, where a small disk can be made.
    @Test func smallDisk() throws {
        let scratch = try Scratch()
        try FileManager.default.createDirectory(atPath: scratch["disk"], withIntermediateDirectories: false)
        let script = "mount -t tmpfs -o size=8m none \"$0\" && exec \"$@\""
        let mounted = ["/usr/bin/unshare", "-m", "sh", "-c", script, scratch["disk"]]
        guard try run(mounted + ["true"]).status == 0 else { return }
        let result = try run(mounted + [lmmcPath, "compile", goldens + "/llava-linear", "-o", scratch["disk/program"], "--quiet"])
        #expect(result.status == 1)
        #expect(
            result.errors.contains("MiB, and 8 MiB are free in '\(scratch["disk"])'; expected a disk with more room\n"), "\(result.errors)")
    }

    /// A write that fails anywhere: in the compiler, in the linker, among the weights, at the very end.
    @Test func fullDisk() throws {
        let model = goldens + "/llava-linear"
        let scratch = try Scratch()
        #expect(try lmmc("compile", model, "-o", scratch["program"], "--quiet").status == 0)
        let size = try #require(try FileManager.default.attributesOfItem(atPath: scratch["program"])[.size] as? Int)
        // Limits in between would only make the program a dynamic one.
        for bytes in [1024, 100_000, size - 100_000, size - 1] {
            // bash counts in 1024 bytes; the signal must not end lmmc, so that it can clean up.
            try expectFailure(model, "oo large", prefix: ["/bin/bash", "-c", "ulimit -f \(bytes / 1024); exec \"$@\"", "bash"])
        }
    }

    /// Waits until a process keeps a signal from what it does by default, since before that it ends by it as any process does; a busy machine
    /// may take long to come that far.
    private func wait(until process: Process, blocks signal: Int32) {
        while process.isRunning {
            let status = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("SigBlk:\t") }
            if let mask = line.flatMap({ UInt64($0.dropFirst(8), radix: 16) }), mask >> (signal - 1) & 1 == 1 { return }
            Thread.sleep(forTimeInterval: 0.001)
        }
    }

    /// Interrupted at any moment from when it watches its signals.
    @Test(arguments: [(SIGINT, 0.0), (SIGTERM, 0.3), (SIGINT, 0.8), (SIGTERM, 1.6), (SIGINT, 2.5)])
    func interrupted(_ signal: Int32, _ delay: Double) throws {
        let scratch = try Scratch()
        for name in ["out", "tmp"] { try FileManager.default.createDirectory(atPath: scratch[name], withIntermediateDirectories: false) }
        let command = [lmmcPath, "compile", goldens + "/llava-linear", "-o", scratch["out/program"], "--quiet", "--jobs", "1"]
        let result = try run(command, environment: ["TMPDIR": scratch["tmp"]]) { process in
            wait(until: process, blocks: signal)
            Thread.sleep(forTimeInterval: delay)
            kill(process.processIdentifier, signal)
        }
        let made = try FileManager.default.contentsOfDirectory(atPath: scratch["out"])
        if result.status == 0 {
            // It was done before the signal came.
            #expect(made == ["program"] && result.errors == "")
        } else {
            #expect(result.status == 1)
            #expect(result.errors == "error: interrupted by \(signal == SIGINT ? "SIGINT" : "SIGTERM")\n")
            // The signal may come between the program's last step, by which it is there as a whole, and the end of lmmc.
            #expect(try made == [] || made == ["program"] && run([scratch["out/program"], "--check"]).status == 0)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch["tmp"]) == [])
    }

    /// What whoever started lmmc had it ignore, as nohup does, it ignores.
    @Test(arguments: [SIGHUP, SIGINT]) func ignoredSignal(_ signal: Int32) throws {
        let scratch = try Scratch()
        let compiler = try scratch.write(
            "cc", "#!/bin/sh\nfor a do case $a in */model.c) kill -\(signal) $PPID; sleep 0.2;; esac; done\nexec gcc \"$@\"\n",
            executable: true)
        let result = try run([
            "/bin/sh", "-c", "trap '' \(signal); exec \"$@\"", "sh", lmmcPath, "compile", goldens + "/llava-linear", "-o",
            scratch["program"], "--quiet",
            "--cc", compiler, "--target", "native",
        ])
        #expect(result.status == 0 && result.errors == "")
        #expect(fileKind(scratch["program"]) == .regular)
    }

    /// Faults and traps of lmmc itself, while a compiler runs: nothing is left, neither files nor running programs. What tests start has
    /// SIGABRT blocked, so that is AtomicFileTests' to try.
    @Test(arguments: [SIGSEGV, SIGILL, SIGTRAP, SIGPIPE]) func faulted(_ signal: Int32) throws {
        let scratch = try Scratch()
        for name in ["out", "tmp"] { try FileManager.default.createDirectory(atPath: scratch[name], withIntermediateDirectories: false) }
        let script = """
            #!/bin/sh
            for a do case $a in */model.c)
              echo $$ >\(scratch["pid"]); mkdir -p "$TMPDIR/deeper/still"; echo >"$TMPDIR/deeper/still/file"
              kill -\(signal) $PPID; exec sleep 60;;
            esac; done
            exec gcc "$@"
            """
        let compiler = try scratch.write("cc", script + "\n", executable: true)
        let result = try run(
            [
                lmmcPath, "compile", goldens + "/llava-linear", "-o", scratch["out/program"], "--quiet", "--cc", compiler, "--target",
                "native",
            ],
            environment: ["TMPDIR": scratch["tmp"], "LMMC_CACHE": "", "SWIFT_BACKTRACE": "enable=no"])
        #expect(result.status == 128 + signal, "\(result.errors)")
        for name in ["out", "tmp"] { #expect(try FileManager.default.contentsOfDirectory(atPath: scratch[name]) == []) }
        let id = try #require(pid_t(try String(contentsOfFile: scratch["pid"], encoding: .utf8).dropLast()))
        // Whoever inherits the killed compiler may come late to it on a busy machine.
        for _ in 0..<100 where kill(id, 0) == 0 { Thread.sleep(forTimeInterval: 0.1) }
        #expect(kill(id, 0) != 0)
    }

    /// A checkpoint that becomes shorter between being opened and being read.
    @Test(arguments: [4096, 100_000]) func shortenedCheckpoint(_ bytes: Int) throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("llava-linear")
        let file = model + "/model.safetensors"
        let size = try #require(try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int)
        let script = "#!/bin/sh\ntruncate -s \(size - bytes) \(file)\nexec gcc \"$@\"\n"
        let compiler = try scratch.write("cc", script, executable: true)
        try expectFailure(
            model, "error: the file was cut short while it was read, or its disk fails, at file '\(file)'",
            options: ["--cc", compiler, "--target", "native"])
    }

    /// What the compiled program says to bad input.
    @Test func program() throws {
        let scratch = try Scratch()
        let program = scratch["program"]
        #expect(try lmmc("compile", goldens + "/llava-linear", "-o", program, "--quiet").status == 0)
        let text = try scratch.write("text.png", "not an image")
        let cases: [([String], Int32, String)] = [
            (["--image", text, "--prompt", "x"], 1, "text.png"),
            (["--image", "/nowhere.png", "--prompt", "x"], 1, "/nowhere.png"),
            (["--nonsense"], 2, "--nonsense"),
            (["--raw-prompt", "<image>"], 2, "image"),
            (["--prompt", String(repeating: "word ", count: 2000)], 1, "256"),
        ]
        for (arguments, status, wanted) in cases {
            let result = try run([program] + arguments)
            #expect(result.status == status, "\(arguments): \(result.errors)")
            #expect(result.output == "")
            #expect(result.errors.hasPrefix("error: ") && result.errors.contains(wanted), "\(result.errors)")
            #expect(result.errors.split(separator: "\n").count == 1)
        }
    }
}
