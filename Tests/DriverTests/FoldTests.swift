import Foundation
import TestSupport
import Testing

/// `compile --fold-prefix` and `--system`: what every prompt begins with is computed when the program is made.
@Suite struct FoldTests {
    private struct Info: Decodable {
        struct Prefix: Decodable { var tokens: Int }
        struct Runtime: Decodable { var folded_prefix_tokens: Int }
        var folded_prefix: Prefix?
        var system: String?
        var runtime: Runtime
    }

    private struct Bench: Decodable { var folded_prompt_tokens, prompt_tokens: Int }

    private let photo = goldens + "/images/photo.jpg"

    /// What the compiler said, but for `quiet`.
    private func compile(_ scratch: Scratch, _ name: String, _ arguments: String..., environment: [String: String] = [:]) throws -> String {
        let result = try run([lmmcPath, "compile", "-o", scratch[name]] + arguments, environment: environment)
        try #require(result.status == 0, "\(result.errors)")
        return result.errors
    }

    private func output(_ program: String, _ arguments: String..., environment: [String: String] = [:], input: String = "") throws -> String
    {
        let result = try run([program] + arguments, environment: environment, input: input)
        try #require(result.status == 0, "\(result.errors)")
        return result.output
    }

    private func info(_ program: String, environment: [String: String] = [:]) throws -> Info {
        try JSONDecoder().decode(Info.self, from: Data(output(program, "--info", environment: environment).utf8))
    }

    private func bench(_ program: String, _ arguments: String..., environment: [String: String] = [:]) throws -> Bench {
        let result = try run(
            [program, "--bench", "--json", "--runs", "1", "--max-tokens", "1"] + arguments, environment: environment)
        try #require(result.status == 0, "\(result.errors)")
        return try JSONDecoder().decode(Bench.self, from: Data(result.output.utf8))
    }

    /// Tokens are those of a program that computes all, wherever a prompt goes on differently, in each of the ways to ask.
    @Test(arguments: ["bf16", "int8", "int4"])
    func answersAreTheSame(_ precision: String) throws {
        let scratch = try Scratch(), model = goldens + "/llava-mlp"
        let said = try compile(
            scratch, "folded", model, "--precision", precision, "--context", "200", "--kv", precision == "int4" ? "int8" : "bf16")
        #expect(said.contains(#/(?m)^fold .* 36 tokens, /#), "\(said)")
        _ = try compile(
            scratch, "plain", model, "--precision", precision, "--context", "200", "--kv", precision == "int4" ? "int8" : "bf16",
            "--fold-prefix",
            "no", "--quiet")
        let folded = scratch["folded"], plain = scratch["plain"]
        #expect(try info(folded).folded_prefix?.tokens == 36 && info(folded).runtime.folded_prefix_tokens == 36)
        #expect(try info(plain).folded_prefix == nil && info(plain).runtime.folded_prefix_tokens == 0)
        #expect(try output(folded, "--check").contains("are as they were compiled"))
        #expect(try bench(folded, "--image", photo, "--prompt", "What?").folded_prompt_tokens == 36)
        #expect(try bench(plain, "--image", photo, "--prompt", "What?").folded_prompt_tokens == 0)
        let requests = try scratch.write(
            "requests",
            (0..<12).map {
                #"{"prompt": "number \#($0)", \#($0 % 3 == 0 ? "" : #""image": "\#(photo)", "#)"max_tokens": 9, "seed": \#($0), "temperature": 2}"#
            }
            .joined(separator: "\n") + "\n")
        let questions: [[String]] = [
            ["--image", photo, "--prompt", "What is it?"], ["--prompt", "No image at all"], ["--prompt", "What?", "--system", "Be brief."],
            ["--raw-prompt", "<s>A chat between a curious user"], ["--prompt", "Well?", "--n", "3", "--temperature", "1"],
            ["--prompt", "Well?", "--json-schema", #"{"type": "boolean"}"#],
        ]
        for question in questions {
            let (one, other) = (try run([folded, "--max-tokens", "12"] + question), try run([plain, "--max-tokens", "12"] + question))
            #expect(one.status == 0 && one.output == other.output, "\(question): \(one.errors)")
        }
        func answers(_ program: String) throws -> [String] {
            try output(program, "--batch", requests, "--parallel", "4").split(separator: "\n").map {
                String($0.prefix { _ in true }.replacing(#/, "timings.*/#, with: ""))
            }
        }
        #expect(try answers(folded) == answers(plain))
    }

    /// Numbers of one arithmetic are of no use to another: answers there are those of a program that computes all.
    @Test func anotherArithmeticComputes() throws {
        let scratch = try Scratch(), model = goldens + "/llava-mlp", lower = ["LMMC_ISA": "sse4.2"]
        _ = try compile(scratch, "folded", model, "--quiet")
        _ = try compile(scratch, "plain", model, "--quiet", "--fold-prefix", "no")
        #expect(try info(scratch["folded"]).runtime.folded_prefix_tokens == 36)
        #expect(try info(scratch["folded"], environment: lower).runtime.folded_prefix_tokens == 0)
        func answer(_ program: String) throws -> String {
            try output(scratch[program], "--image", photo, "--prompt", "What is it?", "--max-tokens", "12", environment: lower)
        }
        #expect(try answer("folded") == answer("plain"))
        #expect(try bench(scratch["folded"], "--image", photo, "--prompt", "What?", environment: lower).folded_prompt_tokens == 0)
        // Compiled for it, it is of use there.
        _ = try compile(scratch, "lower", model, "--quiet", environment: lower)
        #expect(try info(scratch["lower"], environment: lower).runtime.folded_prefix_tokens == 36)
    }

    /// A folded system text is the program's own, and its option replaces it.
    @Test func systemTextIsTheProgramsOwn() throws {
        let scratch = try Scratch(), model = goldens + "/llava-mlp"
        let text = "You see a picture, and say in </s> few words what there is."
        _ = try compile(scratch, "own", model, "--quiet", "--system", text)
        _ = try compile(scratch, "plain", model, "--quiet")
        let own = scratch["own"], plain = scratch["plain"]
        #expect(try info(own).system == text && info(plain).system == nil)
        #expect(try #require(try info(own).folded_prefix).tokens > 20)
        for images in [[], ["--image", photo]] {
            func answer(_ program: String, _ system: String?) throws -> String {
                let result = try run(
                    [program, "--prompt", "Well?", "--max-tokens", "12"] + images + (system.map { ["--system", $0] } ?? []))
                try #require(result.status == 0, "\(result.errors)")
                return result.output
            }
            #expect(try answer(own, nil) == answer(plain, text) && answer(own, nil) != answer(plain, nil))
            #expect(try answer(own, "Another one.") == answer(plain, "Another one."))
        }
        let refused = try lmmc("compile", model, "-o", scratch["none"], "--template", "none", "--system", text)
        #expect(refused.status == 2 && refused.errors.contains("--system") && refused.errors.contains("takes no system text"))
    }

    /// What cannot be folded is left out, and a note says why where it is the machine's doing.
    @Test func leavesOutWhatItCannot() throws {
        let scratch = try Scratch(), model = goldens + "/llava-mlp"
        let cannot = try compile(scratch, "cannot", model, environment: ["LMMC_ISA": "abacus"])
        #expect(cannot.contains(#/note: the prompt's first 36 tokens are not folded: .*abacus/#), "\(cannot)")
        #expect(try info(scratch["cannot"]).runtime.folded_prefix_tokens == 0)
        #expect(try output(scratch["cannot"], "--check").contains("are as they were compiled"))
        #expect(try bench(scratch["cannot"], "--image", photo, "--prompt", "What?").folded_prompt_tokens == 0)
        for (name, arguments, reason) in [
            ("float", ["--precision", "f32"], "products of float32 weights"), ("short", ["--template", "none"], "there are 1"),
            ("context", ["--context", "36"], "the context has 36"), ("reduced", ["--reduce", "fastv:layer=1,keep=9"], "whole prompts"),
        ] {
            let said = try run([lmmcPath, "compile", model, "-o", scratch[name], "--verbose"] + arguments)
            #expect(
                said.status == 0 && said.errors.contains("first tokens are not folded: ") && said.errors.contains(reason), "\(said.errors)")
            #expect(!said.errors.contains("note: "), "\(said.errors)")
        }
        // Its tokenizer has no token for letters.
        let bare = try run([lmmcPath, "compile", goldens + "/decoder-smollm2", "-o", scratch["bare"], "--verbose"])
        #expect(bare.status == 0 && bare.errors.contains("not folded: there are 0"), "\(bare.errors)")
        let wrong = try lmmc("compile", model, "-o", scratch["wrong"], "--fold-prefix", "maybe")
        #expect(wrong.status == 2 && wrong.errors.contains("'yes'"))
    }
}
