import Foundation
import TestSupport
import Testing

@testable import Driver

/// `--template checkpoint`: the chat template in a checkpoint's files, from the file to the program's answer.
@Suite struct TemplateTests {
    private static let templates = repository + "/Tests/ChatTemplateTests/Cases/"

    private struct Answer: Decodable, Equatable {
        var tokens: [Int]
        var prompt_tokens: Int
        var visual_tokens: Int
        var text: String
    }

    private func answer(_ program: String, _ arguments: [String]) throws -> Answer {
        let result = try run([program, "--json", "--max-tokens", "6"] + arguments)
        try #require(result.status == 0, "\(result.errors)")
        return try JSONDecoder().decode(Answer.self, from: Data(result.output.utf8))
    }

    /// What transformers makes of the template (Tests/ChatTemplateTests/make_cases.py), given raw, has the same answer.
    @Test(arguments: [
        ("llava-mlp", "vicuna.jinja"), ("llava-mlp", "llava-hf.jinja"), ("llava-llama3", "llama-3.1.jinja"),
        ("llava-mlp", "parts-or-text.jinja"),
        ("decoder-smollm2", "chatml.jinja"),
    ])
    func programsWrapAsTransformers(_ name: String, _ template: String) throws {
        struct Cases: Decodable {
            struct Case: Decodable {
                var template, words, expected: String
                var images: Int
            }
            var cases: [Case]
        }
        let cases = try JSONDecoder().decode(Cases.self, from: Data(contentsOf: URL(filePath: Self.templates + "expected.json"))).cases
        let scratch = try Scratch()
        let model = try scratch.checkpoint(name), program = scratch["program"]
        try copyFile(Self.templates + template, model + "/chat_template.jinja")
        // The cases' names of tokens, once by the files and once by the tokenizer.
        if name == "llava-mlp" {
            _ = try scratch.write(
                "checkpoint-\(name)/tokenizer_config.json", #"{"bos_token": "<s>", "eos_token": {"content": "</s>"}, "pad_token": "<pad>"}"#
            )
        }
        let bos = name == "llava-llama3" ? "<|begin_of_text|>" : "<s>"
        let compiled = try lmmc("compile", model, "-o", program, "--quiet", "--precision", "f32", "--template", "checkpoint")
        try #require(compiled.status == 0, "\(compiled.errors)")
        #expect(try run([program, "--info"]).output.contains(#""template": "checkpoint""#))
        let most = name.hasPrefix("llava") ? 1 : 0
        var count = 0
        for expected in cases where expected.template == template && expected.images <= most && !expected.words.contains("<image>") {
            let files = expected.images > 0 ? ["--image", goldens + "/images/square.png"] : []
            let wrapped = try answer(program, files + ["--prompt", expected.words])
            let raw = try answer(program, files + ["--raw-prompt", expected.expected.replacing("<s>", with: bos)])
            #expect(wrapped == raw, "\(expected.expected.debugDescription)")
            count += 1
        }
        #expect(count == 2 * (1 + most))
    }

    @Test func templatesAreFoundAndRefused() throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("llava-mlp"), folder = "checkpoint-llava-mlp/"
        func inspect(_ options: String...) throws -> Run { try run([lmmcPath, "inspect", model] + options) }
        let none = try inspect("--template", "checkpoint")
        #expect(none.status == 2)
        #expect(
            none.errorLine
                == "error: 'checkpoint-llava-mlp' has no chat template, at option '--template'; expected 'none', 'llava_v1', 'vicuna_v1', 'llama-3' or 'voco'"
        )
        #expect(try inspect().output.contains("template 'vicuna_v1', eos"))
        #expect(
            try inspect("--template", "voco").errorLine
                == "error: template 'voco' wants a compression token, and 'checkpoint-llava-mlp' has none, at option '--template'; expected a model with images and '<voco>' in its vocabulary"
        )

        // In transformers' order: its own file, the processor's, the tokenizer's; of several the default one.
        let tokenizer =
            #"{"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "{{ messages[0].content | wordwrap }}"}]}"#
        _ = try scratch.write(folder + "tokenizer_config.json", tokenizer)
        let refused = try inspect("--template", "checkpoint")
        #expect(refused.status == 1 && refused.output == "")
        #expect(
            refused.errorLine
                == "error: the chat template has the filter 'wordwrap', which is not supported, at its byte 3, at file '\(model)/tokenizer_config.json'"
        )
        // Compilation ends before any work, and what is not asked for does no harm.
        let compiled = try lmmc("compile", model, "-o", scratch["program"], "--template", "checkpoint")
        #expect(compiled.status == 1 && compiled.errors.contains("filter 'wordwrap'") && scratch.contents == ["checkpoint-llava-mlp"])
        #expect(try inspect().output.contains("template 'vicuna_v1' (the checkpoint has a chat template of its own), eos"))

        _ = try scratch.write(folder + "chat_template.json", #"{"chat_template": "{{ messages[0].content }}{{ 1 / 2 }}"}"#)
        #expect(
            try inspect("--template", "checkpoint").errorLine.hasSuffix(
                "at its byte 28, at file '\(model)/chat_template.json'; expected two texts, lists or integers"))
        _ = try scratch.write(folder + "chat_template.jinja", "{{ bos_token }}[{{ messages[0].content }}]")
        #expect(try inspect("--template", "checkpoint").output.contains("template 'checkpoint', eos"))

        _ = try scratch.write(folder + "tokenizer_config.json", #"{"chat_template": [{"name": "rag", "template": "x"}]}"#)
        for name in ["chat_template.json", "chat_template.jinja"] { #expect(unlinkFile(model + "/" + name)) }
        #expect(
            try inspect("--template", "checkpoint").errorLine
                == "error: key 'chat_template' has no template 'default', at file '\(model)/tokenizer_config.json'; expected one of that name"
        )
    }
}
