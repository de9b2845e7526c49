import Foundation
import TestSupport
import Testing
import Toolchain

@testable import Driver

/// `ir`, `opt`, `inspect`, `targets`, `synth` and the command line itself.
@Suite struct CommandTests {
    @Test func version() throws {
        let result = try lmmc("--version")
        #expect(result.status == 0 && result.output == "lmmc \(Lmmc.version)\n")
        #expect(try lmmc("--help").output.contains("compile"))
        #expect(try lmmc("compile", "--help").output.contains("--dump-ir"))
    }

    @Test func wrongCommandLines() throws {
        let cases: [([String], String)] = [
            (
                [],
                "error: the command is missing; expected one of 'compile', 'calibrate', 'check', 'inspect', 'ir', 'opt', 'synth' or 'targets'; 'lmmc --help' says more"
            ),
            (["compil"], "error: unknown command 'compil'; did you mean 'compile'?; expected"),
            (["compile"], "error: missing expected argument '<model>'"),
            (["compile", "x"], "error: missing expected argument '--output <output>'"),
            (["compile", "x", "-o", "y", "--context", "many"], "error: the value 'many' is invalid for '--context <n>'"),
            (["ir", "--stage", "imported"], "error: the checkpoint is missing"),
            (
                ["ir", goldens + "/fusion-k1", "--stage", "improted"],
                "error: unknown stage 'improted'; did you mean 'imported'?, at option '--stage'"
            ),
            (["ir", goldens + "/fusion-k1", "--stage", "imported", "--format", "xml"], "error: unknown value 'xml', at option '--format'"),
            (["opt", "-", "--passes", "dead-cod"], "error: unknown pass 'dead-cod'; did you mean 'dead-code'?"),
            (
                ["synth", "--preset", "llava-stf-8b", "-o", "x"],
                "error: unknown preset 'llava-stf-8b'; did you mean 'llava-stf-7b'?, at option '--preset'"
            ),
            (["synth", "--preset", "llava-stf-7b"], "error: the folder to make is missing, at option '-o'"),
        ]
        try expectRefusals(cases)
    }

    /// What `ir` prints `opt` reads, and running the passes by hand gives what `ir` shows after them.
    @Test func irAndOptAgree() throws {
        let model = goldens + "/fusion-paper"
        let stages = try lmmc("ir", "--stage", "list").output.split(separator: "\n").map(String.init)
        let passes = try lmmc("opt", "--passes", "list").output.split(separator: "\n").compactMap {
            $0.split(separator: " ").first.map(String.init)
        }
        // Those that lower to another precision than the default are for others.
        let lowering = ["bf16", "int8", "int4"].map { "lower-\($0)" }
        #expect(stages == ["imported"] + passes.filter { !lowering.contains($0) || $0 == "lower-int8" } + ["optimized"])
        var text = try lmmc("ir", model, "--stage", "imported").output
        #expect(try lmmc("opt", "-", "--passes", "", input: text).output == text)
        for pass in stages.dropFirst().dropLast() {
            let result = try lmmc("opt", "-", "--passes", pass, input: text)
            try #require(result.status == 0, "\(pass): \(result.errors)")
            text = result.output
            #expect(try lmmc("ir", model, "--stage", pass).output == text, "\(pass)")
        }
        let scratch = try Scratch()
        let all = try lmmc(
            "opt", scratch.write("imported.ir", try lmmc("ir", model, "--stage", "imported").output), "--passes",
            stages.dropFirst().dropLast().joined(separator: ","))
        #expect(all.output == text)
    }

    @Test func dumpIR() throws {
        let scratch = try Scratch()
        let result = try lmmc("compile", goldens + "/fusion-k1", "--emit", "c", "-o", scratch["c"], "--dump-ir", scratch["a/b"], "--quiet")
        #expect(result.status == 0, "\(result.errors)")
        let stages = try lmmc("ir", "--stage", "list").output.split(separator: "\n")
        let names = try FileManager.default.contentsOfDirectory(atPath: scratch["a/b"]).sorted()
        #expect(names == stages.enumerated().map { String(format: "%02d-%@.ir", $0.offset, String($0.element)) })
        #expect(
            try String(contentsOfFile: scratch["a/b/00-imported.ir"], encoding: .utf8)
                == lmmc("ir", goldens + "/fusion-k1", "--stage", "imported", "--sequences", "8").output)
    }

    /// What a checkpoint asks of sampling is told when compiling, by `inspect`, and in the program's facts.
    @Test func generationSettings() throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("decoder-tied")
        let plain = try lmmc("compile", model, "--emit", "c", "-o", scratch["plain"])
        #expect(plain.status == 0 && !plain.errors.contains("note:"), "\(plain.errors)")
        _ = try scratch.write(
            "checkpoint-decoder-tied/generation_config.json",
            #"{"eos_token_id": 2, "do_sample": true, "repetition_penalty": 1.25, "top_p": 1.0}"#)
        let result = try lmmc("compile", model, "--emit", "c", "-o", scratch["c"])
        #expect(
            result.status == 0
                && result.errors.contains(
                    "note: 'do_sample' true, 'repetition_penalty' 1.25 are not followed: the program is greedy unless its options say otherwise, at file '\(model)/generation_config.json'\n"
                ))
        let program = try String(contentsOfFile: scratch["c/program.c"], encoding: .utf8).replacing(#"\""#, with: "\"")
        #expect(program.contains(#""generation_config_not_followed": {"do_sample": true, "repetition_penalty": 1.25}"#))
        #expect(try lmmc("inspect", model).output.contains("generation  do_sample true, repetition_penalty 1.25 (not followed)\n"))
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(lmmc("inspect", model, "--json").output.utf8)) as? [String: Any])
        #expect((object["generation_config_not_followed"] as? [String: Any])?["repetition_penalty"] as? Double == 1.25)
    }

    @Test func inspect() throws {
        let text = try lmmc("inspect", goldens + "/released-stf")
        #expect(text.status == 0 && text.output.contains("tokens      9 per image\n"), "\(text.output)")
        #expect(text.output.contains("taps 23, 21, 18, 15, 12, 9, 6, 3"))
        let json = try lmmc("inspect", goldens + "/released-stf", "--context", "100", "--json")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
        let bytes = try #require((object["bytes"] as? [String: Any])?["int8"] as? [String: Any])
        // 2 layers, keys and values, 100 positions of width 32, bf16
        #expect(bytes["kv_cache"] as? Int == 2 * 2 * 100 * 32 * 2)
        let parameters = try #require(object["parameters"] as? [String: Int])
        #expect(parameters["all"] == parameters["decoder"]! + parameters["fusion"]! + parameters["vision_tower"]!)
        let tensors = try #require(object["tensors"] as? [[String: Any]])
        #expect(tensors.reduce(0) { $0 + ($1["elements"] as! Int) } == parameters["all"])
    }

    @Test func targets() throws {
        let result = try lmmc("targets")
        #expect(result.status == 0 && result.output.contains("this machine: \(HostCPU.current.architecture)"))
        #expect(
            result.output.hasPrefix("x86-64    levels sse4.2, avx2, avx512 in one file")
                && result.output.contains("\nnative    this CPU's level only"))
    }

    /// The synthetic checkpoint of the smallest shape: valid, and the same for the same seed.
    @Test func synth() throws {
        let scratch = try Scratch()
        for name in ["a", "b", "c"] {
            let seed = name == "c" ? "8" : "7"
            let result = try lmmc(
                "synth", "--preset", "llava-stf-7b", "--layers", "1", "--vision-layers", "2", "--seed", seed, "-o", scratch[name], "--quiet"
            )
            try #require(result.status == 0, "\(result.errors)")
        }
        #expect(try run(["/usr/bin/cmp", scratch["a/model.safetensors"], scratch["b/model.safetensors"]]).status == 0)
        #expect(try run(["/usr/bin/cmp", scratch["a/model.safetensors"], scratch["c/model.safetensors"]]).status == 1)
        let inspected = try lmmc("inspect", scratch["a"])
        #expect(inspected.status == 0 && inspected.output.contains("144 per image"), "\(inspected.errors)")
        let again = try lmmc("synth", "--preset", "llava-stf-7b", "--layers", "1", "-o", scratch["a"])
        #expect(again.status == 1 && again.errorLine == "error: output folder '\(scratch["a"])' is not empty; expected a new folder")
    }
}
