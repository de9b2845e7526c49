import Foundation
import TestSupport
import Testing

/// The golden checkpoints, compiled and run.
@Suite(.serialized) struct GoldenTests {
    @Test func manifestIsThere() { #expect(GoldenManifest.checkpoints.count >= 39) }

    @Test(arguments: GoldenManifest.checkpoints)
    func executable(_ golden: GoldenManifest.Checkpoint) throws {
        let scratch = try Scratch()
        let program = scratch["program"]
        let compiled = try run(
            [lmmcPath, "compile", "\(goldens)/\(golden.checkpoint)", "-o", program, "--quiet", "--precision", "f32"] + golden.compile)
        try #require(compiled.status == 0, "\(compiled.errors)")
        #expect(compiled.errors == "" && compiled.output == "")
        #expect(scratch.contents == ["program"])
        for example in golden.cases { try expectGolden(example, program: program) }
    }

    @Test(arguments: ["decoder-tied", "decoder-untied", "decoder-smollm2"])
    func perplexity(_ name: String) throws {
        struct Score: Decodable {
            var nll: Double
            var tokens, windows, window: Int
        }
        let scratch = try Scratch()
        let folder = "\(goldens)/\(name)/expected/perplexity"
        #expect(try lmmc("compile", "\(goldens)/\(name)", "-o", scratch["program"], "--precision", "f32", "--quiet").status == 0)
        let expected = try JSONDecoder().decode([Score].self, from: Data(contentsOf: URL(filePath: folder + "/windows.json")))
        #expect(expected.count == 2)
        for wanted in expected {
            let result = try run([scratch["program"], "--perplexity", folder + "/text.txt", "--window", "\(wanted.window)", "--json"])
            try #require(result.status == 0, "\(result.errors)")
            let score = try JSONDecoder().decode(Score.self, from: Data(result.output.utf8))
            #expect(score.tokens == wanted.tokens && score.windows == wanted.windows)
            // A mean over tokens: the logits' own error of about 1e-6 (Tests/Golden/README.md) is an upper bound with room to spare.
            #expect(abs(score.nll / wanted.nll - 1) < 1e-5, "\(score.nll), not \(wanted.nll)")
        }
    }

    /// `strip` keeps the weights, and a moved program finds them.
    @Test func strippedAndMoved() throws {
        let golden = try #require(GoldenManifest.checkpoints.first { $0.checkpoint == "released-stf" })
        let scratch = try Scratch()
        #expect(try lmmc("compile", "\(goldens)/released-stf", "-o", scratch["program"], "--quiet", "--precision", "f32").status == 0)
        #expect(try run(["/usr/bin/strip", scratch["program"], "-o", scratch["moved"]]).status == 0)
        try expectGolden(golden.cases[0], program: scratch["moved"])
        let headers = try run(["/usr/bin/readelf", "-lSW", scratch["program"]])
        #expect(headers.errors == "" && headers.output.contains(".lmmc.weights"))
    }

    /// The emitted folder builds by hand without warnings, with gcc and clang, and runs clean under the sanitizers.
    @Test(arguments: [
        ("gcc", "-O2 -Werror"), ("/usr/bin/clang", "-O2 -Werror"),
        ("gcc", "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"),
    ])
    func sources(_ compiler: String, _ flags: String) throws {
        let golden = try #require(GoldenManifest.checkpoints.first { $0.checkpoint == "fusion-k2-e4" })
        let scratch = try Scratch()
        let emitted = try lmmc("compile", "\(goldens)/\(golden.checkpoint)", "--emit", "c", "-o", scratch["c"], "--precision", "f32")
        try #require(emitted.status == 0, "\(emitted.errors)")
        #expect(scratch.contents == ["c"])
        let built = try run(
            ["/bin/sh", scratch["c"] + "/build.sh", "program"], environment: ["CC": compiler, "CFLAGS": flags], folder: scratch.path)
        try #require(built.status == 0, "\(built.errors)")
        #expect(!built.errors.contains("warning: ") || built.errors.contains("dlopen"), "\(built.errors)")
        for example in golden.cases { try expectGolden(example, program: scratch["program"]) }

        // A folder that lmmc made is replaced, any other is not.
        #expect(try lmmc("compile", "\(goldens)/\(golden.checkpoint)", "--emit", "c", "-o", scratch["c"], "--quiet").status == 0)
        _ = try scratch.write("c/kernels/thesis.txt", "mine")
        let kept = try lmmc("compile", "\(goldens)/\(golden.checkpoint)", "--emit", "c", "-o", scratch["c"])
        #expect(
            kept.status == 1
                && kept.errorLine
                    == "error: output folder '\(scratch["c"])' holds 'kernels/thesis.txt', which lmmc did not write; expected a new folder, or one that lmmc made"
        )
        #expect(unlinkFile(scratch["c"] + "/kernels/thesis.txt"))
        _ = try scratch.write("c/lmmc-info.json", "")
        #expect(unlinkFile(scratch["c"] + "/lmmc-info.json"))
        let refused = try lmmc("compile", "\(goldens)/\(golden.checkpoint)", "--emit", "c", "-o", scratch["c"])
        #expect(refused.status == 1)
        #expect(refused.errorLine == "error: output folder '\(scratch["c"])' is not empty; expected a new folder, or one that lmmc made")
        #expect(scratch.contents == ["c", "program"])
    }

    /// clang has no static OpenMP runtime: the program is dynamic, and says so.
    @Test func clangLinksDynamically() throws {
        let golden = try #require(GoldenManifest.checkpoints.first { $0.checkpoint == "fusion-k1" })
        let scratch = try Scratch()
        let compiled = try lmmc(
            "compile", "\(goldens)/fusion-k1", "-o", scratch["program"], "--cc", "/usr/bin/clang", "--verbose", "--precision", "f32")
        try #require(compiled.status == 0, "\(compiled.errors)")
        #expect(compiled.errors.contains("OpenMP runs in parallel, dynamic linking"))
        for example in golden.cases { try expectGolden(example, program: scratch["program"]) }
    }

    /// Only the executable: no source tree, no build folder.
    @Test func installedCompilerNeedsNothingElse() throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("llava-linear")
        try copyFile(lmmcPath, scratch["lmmc"])
        // Where namespaces are allowed, the repository and the build are really away.
        let hide = "mount -t tmpfs none '\(repository)' && mount -t tmpfs none '\(parent(lmmcPath))' && exec \"$@\""
        let canHide = try run(["/usr/bin/unshare", "-m", "sh", "-c", hide, "sh", "true"]).status == 0
        let command = [scratch["lmmc"], "compile", model, "-o", scratch["program"], "--quiet", "--precision", "f32"]
        let compiled = try run(canHide ? ["/usr/bin/unshare", "-m", "sh", "-c", hide, "sh"] + command : command, folder: "/")
        #expect(compiled.status == 0, "\(compiled.errors)")
        let golden = try #require(GoldenManifest.checkpoints.first { $0.checkpoint == "llava-linear" })
        for example in golden.cases { try expectGolden(example, program: scratch["program"]) }
    }
}
