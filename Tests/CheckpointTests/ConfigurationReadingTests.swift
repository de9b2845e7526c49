import Foundation
import Support
import TestSupport
import Testing

@testable import Checkpoint

@Suite struct ConfigurationReadingTests {
    @Test func decoder() throws {
        let decoder = try Fixture.llava.open().configuration.decoder
        #expect(
            decoder
                == DecoderConfiguration(
                    hiddenSize: 8, layerCount: 1, headCount: 2, keyValueHeadCount: 1, headSize: 4, intermediateSize: 6, vocabularySize: 260,
                    rmsNormEpsilon: 1e-5, ropeTheta: 10_000, maxPositionEmbeddings: 64, tiedEmbeddings: false))
    }

    @Test func defaultsAndOlderKeys() throws {
        var fixture = Fixture.llava
        for key in ["num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "hidden_act"] { fixture.config[key] = nil }
        fixture.config["rope_parameters"] = ["rope_type": "default", "rope_theta": 500_000]
        for name in ["k_proj", "v_proj"] { fixture.tensors["model.layers.0.self_attn.\(name).weight"]!.shape = [8, 8] }
        let decoder = try fixture.open().configuration.decoder
        #expect(decoder.keyValueHeadCount == 2 && decoder.maxPositionEmbeddings == 2048 && decoder.rmsNormEpsilon == 1e-6)
        #expect(decoder.ropeTheta == 500_000)
    }

    @Test func llama3Scaling() throws {
        var fixture = Fixture.llava
        let scaling: [String: Any] = ["rope_type": "llama3", "factor": 4, "low_freq_factor": 1, "high_freq_factor": 4]
        fixture.config["rope_scaling"] = scaling.merging(["original_max_position_embeddings": 32]) { $1 }
        #expect(
            try fixture.open().configuration.decoder.ropeScaling
                == RopeScaling(factor: 4, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 32))
        #expect(
            Fixture.llava.failure { $0.config["rope_scaling"] = scaling.merging(["high_freq_factor": 1]) { $1 } }
                == "error: key 'rope_scaling.high_freq_factor' is 1.0, at file 'DIR/config.json'; expected more than low_freq_factor, 1.0")
        #expect(
            Fixture.llava.failure { $0.config["rope_scaling"] = scaling.filter { $0.key != "factor" } }
                == "error: key 'rope_scaling.factor' is missing, at file 'DIR/config.json'; expected a number")
    }

    @Test func headSizeOfItsOwn() throws {
        var fixture = Fixture.llava
        fixture.config["head_dim"] = 6
        fixture.tensors["model.layers.0.self_attn.q_proj.weight"]!.shape = [12, 8]
        fixture.tensors["model.layers.0.self_attn.o_proj.weight"]!.shape = [8, 12]
        for name in ["k_proj", "v_proj"] { fixture.tensors["model.layers.0.self_attn.\(name).weight"]!.shape = [6, 8] }
        #expect(try fixture.open().configuration.decoder.headSize == 6)
    }

    @Test func refusals() {
        let table: [(String, Any, String)] = [
            ("model_type", "mistral", "is 'mistral'; expected 'llava_llama', 'llava_mini_llama', 'llava' or 'llama'"),
            ("hidden_size", 0, "is 0; expected 1 to 2147483647"),
            ("hidden_size", "8", "is a string; expected an integer"),
            ("hidden_size", 9, "is 9; expected a multiple of the 2 attention heads"),
            ("hidden_size", 6, "gives heads of 3; expected an even size, for rotary embeddings"),
            ("num_hidden_layers", 10_001, "is 10001; expected 1 to 10000"),
            ("num_attention_heads", -2, "is -2; expected 1 to 2147483647"),
            ("num_key_value_heads", 3, "is 3; expected a divisor of the 2 attention heads"),
            ("head_dim", 5, "gives heads of 5; expected an even size, for rotary embeddings"),
            ("head_dim", 2_000_000_000, "is 2000000000; expected heads of at most 2147483647 together"),
            ("vocab_size", 3_000_000_000, "is 3000000000; expected 1 to 2147483647"),
            ("rms_norm_eps", 0, "is 0.0; expected a positive number"),
            ("rms_norm_eps", 1e-60, "is 1e-60; expected a positive number"),
            ("rope_theta", -1, "is -1.0; expected a positive number"),
            ("attention_bias", true, "is true, which is not supported; expected false"),
            ("mlp_bias", true, "is true, which is not supported; expected false"),
            ("use_sliding_window", true, "is true, which is not supported; expected false"),
            ("layer_types", ["sliding_attention"], "holds 'sliding_attention', which is not supported; expected 'full_attention' only"),
            ("per_layer_config", ["0": ["hidden_size": 4]], "is set, which is not supported; expected null"),
            ("pruned_heads", ["0": [1]], "is set, which is not supported; expected null or empty"),
            ("sliding_window", 4096, "is set, which is not supported; expected null"),
            ("hidden_act", "gelu", "is 'gelu', which is not supported; expected 'silu'"),
            ("quantization_config", ["bits": 4], "is set, which is not supported; expected weights in F32, F16 or BF16"),
            ("eos_token_id", 260, "is 260; expected less than the vocabulary's 260"),
            ("eos_token_id", [2, -1], "is -1; expected less than the vocabulary's 260"),
            ("bos_token_id", 1000, "is 1000; expected less than the vocabulary's 260"),
        ]
        Fixture.llava.expectProblems(table)
        #expect(
            Fixture.llava.failure { $0.config["rope_scaling"] = ["type": "linear", "factor": 2] }
                == "error: key 'rope_scaling.type' is 'linear', which is not supported yet, at file 'DIR/config.json'; expected 'llama3' or 'default'"
        )
        #expect(
            Fixture.llava.failure { $0.config["rope_parameters"] = ["rope_type": "yarn"] }
                == "error: key 'rope_parameters.rope_type' is 'yarn', which is not supported yet, at file 'DIR/config.json'; expected 'llama3' or 'default'"
        )
        for key in ["model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"] {
            let kind = key == "model_type" ? "a string" : "an integer"
            #expect(
                Fixture.llava.failure { $0.config[key] = nil }
                    == "error: key '\(key)' is missing, at file 'DIR/config.json'; expected \(kind)")
        }
    }

    @Test func eosIDsOfEveryFile() throws {
        var fixture = Fixture.llava
        fixture.config["eos_token_id"] = [7, 2]
        fixture.files["generation_config.json"] = "{\"eos_token_id\": [2, 5]}"
        #expect(
            try fixture.open().configuration.prompt
                == PromptConfiguration(bosID: 1, addsBOS: true, eosIDs: [2, 5, 7], templateName: "vicuna_v1"))
        fixture.config["eos_token_id"] = nil
        fixture.files["generation_config.json"] = "{\"eos_token_id\": 9}"
        #expect(try fixture.open().configuration.prompt.eosIDs == [9])
        fixture.files = [:]
        #expect(try fixture.open().configuration.prompt.eosIDs == [2])
        fixture.files["generation_config.json"] = "{\"eos_token_id\": \"</s>\"}"
        #expect(
            fixture.failure { _ in } == "error: key 'eos_token_id' is a string, at file 'DIR/generation_config.json'; expected an integer")
    }

    @Test func bos() throws {
        var fixture = Fixture.llava
        fixture.files["tokenizer_config.json"] = "{\"add_bos_token\": false}"
        #expect(try fixture.open().configuration.prompt.addsBOS == false)
        fixture.files = [:]
        fixture.tokenizer.trainer[41] = -1
        fixture.config["bos_token_id"] = 4
        #expect(try fixture.open().configuration.prompt.bosID == 4)
        fixture.config["bos_token_id"] = nil
        let prompt = try fixture.open().configuration.prompt
        #expect(prompt.bosID == nil && !prompt.addsBOS)
    }

    @Test func tokenizerOptions() throws {
        for (key, value, problem) in [
            ("add_eos_token", true, "is true, which is not supported"),
            ("add_prefix_space", false, "is false, but 'tokenizer.model' puts a space before a text"),
        ] {
            let right = "; expected \(!value)"
            #expect(
                Fixture.llava.failure { $0.files["tokenizer_config.json"] = "{\"\(key)\": \(value)}" }
                    == "error: key '\(key)' \(problem), at file 'DIR/tokenizer_config.json'\(right)")
            var fixture = Fixture.llava
            fixture.files["tokenizer_config.json"] = "{\"\(key)\": \(!value)}"
            #expect(try fixture.open().configuration.named("") == Fixture.llava.open().configuration.named(""))
        }
    }

    @Test func quantizedWeights() {
        let note = "is set, which is not supported, at file 'DIR/config.json'; expected weights in F32, F16 or BF16"
        for key in ["quantization_config", "compression_config"] {
            let value: [String: Any] = ["quant_method": "bitsandbytes", "load_in_4bit": true]
            #expect(Fixture.decoder.failure { $0.config[key] = value } == "error: key '\(key)' \(note)")
            let llava = Fixture.transformers(newer: true)
            #expect(llava.failure { $0.config[key] = value } == "error: key '\(key)' \(note)")
            for part in ["text_config", "vision_config"] {
                #expect(llava.failure { $0.setPart(part, key, value) } == "error: key '\(part).\(key)' \(note)")
            }
            #expect(
                Fixture.llava.failure { $0.vision[key] = value }.hasPrefix(
                    "error: key '\(key)' is set, which is not supported, at file 'DIR/clip/config.json'"))
            #expect(Fixture.llava.failure { $0.vision = ["vision_config": $0.vision, key: value] }.hasPrefix("error: key '\(key)' is set"))
        }
        for (file, key) in [("quantize_config.json", "bits"), ("quant_config.json", "w_bit")] {
            #expect(
                Fixture.decoder.failure { $0.files[file] = "{\"\(key)\": 4}" }
                    == "error: key '\(key)' says that the weights are quantised, which is not supported, at file 'DIR/\(file)'; expected weights in F32, F16 or BF16"
            )
        }
    }

    /// Reported, and nothing else changes.
    @Test func generationSettings() throws {
        var fixture = Fixture.decoder
        #expect(try fixture.open().generation.isEmpty)
        fixture.files["generation_config.json"] =
            #"{"do_sample": true, "temperature": 0.6, "top_p": 1.0, "top_k": 50, "repetition_penalty": 1, "suppress_tokens": [3, 4], "eos_token_id": 2, "max_length": 9}"#
        fixture.config["temperature"] = 0.7
        fixture.config["num_beams"] = 4
        let checkpoint = try fixture.open()
        #expect(checkpoint.configuration.named("") == (try Fixture.decoder.open().configuration.named("")))
        #expect(checkpoint.generation.map(\.key) == ["do_sample", "num_beams", "suppress_tokens", "temperature"])
        #expect(checkpoint.generation.map(\.value) == [.bool(true), .integer(4), .array([.integer(3), .integer(4)]), .number(0.6)])
        let notes = GenerationSetting.notes(checkpoint.generation).map(\.rendered)
        #expect(notes.count == 2)
        #expect(
            notes[0].hasPrefix("note: 'num_beams' 4 is not followed: the program is greedy unless its options say otherwise, at file '"))
        #expect(notes[1].hasPrefix("note: 'do_sample' true, 'suppress_tokens' [3, 4], 'temperature' 0.6 are not followed: "))
        #expect(notes[1].hasSuffix("generation_config.json'"))
        // In transformers' layout the text model's count too.
        var llava = Fixture.transformers(newer: true)
        llava.setPart("text_config", "repetition_penalty", 1.2)
        #expect(try llava.open().generation.map(\.key) == ["repetition_penalty"])
        fixture.files["generation_config.json"] = "{\"bad_words_ids\": [\((0..<1000).map { "[\($0)]" }.joined(separator: ", "))]}"
        #expect(try fixture.open().generation[0].shownValue.text() == "\"an array, left out for its length\"")
    }

    @Test func addedTokens() throws {
        var fixture = Fixture.llava
        fixture.config["vocab_size"] = 264
        for name in ["lm_head.weight", "model.embed_tokens.weight"] { fixture.tensors[name]!.shape = [264, 8] }
        // Pieces have ids below 260; the embedding has no row for 264.
        fixture.files["added_tokens.json"] = "{\"[PAD]\": 261, \"<s>\": 1, \"beyond\": 264}"
        fixture.files["tokenizer_config.json"] =
            "{\"added_tokens_decoder\": {\"260\": {\"content\": \"<image>\", \"special\": true}, \"0\": {\"content\": \"<unk>\"}, \"261\": {\"content\": \"[PAD]\"}}}"
        guard case .sentencePiece(let model) = try fixture.open().tokenizer else {
            Issue.record("another kind of tokenizer")
            return
        }
        #expect(
            model.addedTokens == [
                SentencePieceModel.AddedToken(id: 260, text: "<image>"),
                SentencePieceModel.AddedToken(id: 261, text: "[PAD]", isSpecial: false),
            ])
        #expect(
            fixture.failure { $0.files["added_tokens.json"] = "{\"other\": 261}" }
                == "error: token 261 is both 'other' and '[PAD]', at file 'DIR/tokenizer_config.json'; expected one text per id")
        #expect(
            fixture.failure { $0.files["tokenizer_config.json"] = "{\"added_tokens_decoder\": {\"x\": {}}}" }
                == "error: key 'added_tokens_decoder.x' is not a token id, at file 'DIR/tokenizer_config.json'; expected an integer in quotes"
        )
    }

    /// Special is what a flag, or a key that gives a token its role, says is; the rest are words. A token may take a piece's place.
    @Test func addedWords() throws {
        var fixture = Fixture.llava
        fixture.config["vocab_size"] = 266
        for name in ["lm_head.weight", "model.embed_tokens.weight"] { fixture.tensors[name]!.shape = [266, 8] }
        fixture.files["added_tokens.json"] = "{\"zebra\": 260, \"<pad>\": 261, \"<end>\": 262, \"</s>\": 2}"
        fixture.files["special_tokens_map.json"] = "{\"pad_token\": {\"content\": \"<pad>\"}}"
        fixture.files["tokenizer_config.json"] =
            "{\"additional_special_tokens\": [\"<end>\"], \"added_tokens_decoder\": {\"263\": {\"content\": \"[SEG]\"}, \"264\": {\"content\": \"<x>\", "
            + "\"special\": true}, \"259\": {\"content\": \"renamed\", \"normalized\": true}, \"999\": {\"content\": \"far\", \"lstrip\": true}}}"
        guard case .sentencePiece(let model) = try fixture.open().tokenizer else {
            Issue.record("another kind of tokenizer")
            return
        }
        #expect(model.addedTokens.map(\.id) == [259, 260, 261, 262, 263, 264])
        #expect(model.addedTokens.map(\.text) == ["renamed", "zebra", "<pad>", "<end>", "[SEG]", "<x>"])
        #expect(model.addedTokens.map(\.isSpecial) == [false, false, true, true, false, true])
        let (pieces, added) = model.whole
        #expect(
            pieces.count == 265 && added == [259, 260, 261, 262, 263, 264] && pieces[259].kind == .userDefined
                && pieces[261].kind == .control)
        for flag in ["lstrip", "rstrip", "single_word"] {
            #expect(
                fixture.failure {
                    $0.files["tokenizer_config.json"] = "{\"added_tokens_decoder\": {\"263\": {\"content\": \"[SEG]\", \"\(flag)\": true}}}"
                }
                    == "error: key 'added_tokens_decoder.263.\(flag)' is true of '[SEG]', which is not supported, at file 'DIR/tokenizer_config.json'; expected false"
            )
        }
        let long = String(repeating: "a", count: 1025)
        #expect(
            fixture.failure { $0.files["added_tokens.json"] = "{\"\(long)\": 260}" }
                == "error: token 260 has 1025 bytes, at file 'DIR/added_tokens.json'; expected at most 1024, and an id below 16777216")
    }

    /// With both files tokenizer.json counts, its post-processor decides about the BOS, and a fault of it says what else is there.
    @Test func bothTokenizerFiles() throws {
        var fixture = Fixture.llava
        fixture.config["vocab_size"] = 300
        for name in ["lm_head.weight", "model.embed_tokens.weight"] { fixture.tensors[name]!.shape = [300, 8] }
        let words = ["<unk>", "<s>", "</s>"] + (0..<256).map { "<0x" + String(format: "%02X", $0) + ">" } + ["\u{2581}a"]
        func document(_ more: [String: Any] = [:]) -> String {
            var document: [String: Any] = [
                "normalizer": [
                    "type": "Sequence",
                    "normalizers": [
                        ["type": "Prepend", "prepend": "\u{2581}"],
                        ["type": "Replace", "pattern": ["String": " "], "content": "\u{2581}"] as [String: Any],
                    ],
                ],
                "added_tokens": [
                    ["id": 1, "content": "<s>", "special": true], ["id": 2, "content": "</s>", "special": true],
                    ["id": 270, "content": "<|im|>", "special": true],
                ],
                "model": [
                    "type": "BPE", "byte_fallback": true, "vocab": Dictionary(uniqueKeysWithValues: words.enumerated().map { ($1, $0) }),
                    "merges": [String](),
                ] as [String: Any],
            ]
            document.merge(more) { _, new in new }
            return String(decoding: try! JSONSerialization.data(withJSONObject: document), as: UTF8.self)
        }
        func bos(_ ids: [Int]) -> [String: Any] {
            [
                "post_processor": [
                    "type": "TemplateProcessing",
                    "single": [
                        ["SpecialToken": ["id": "<s>", "type_id": 0] as [String: Any]],
                        ["Sequence": ["id": "A", "type_id": 0] as [String: Any]],
                    ],
                    "special_tokens": ["<s>": ["id": "<s>", "ids": ids, "tokens": ["<s>"]] as [String: Any]],
                ] as [String: Any]
            ]
        }
        fixture.files["tokenizer.json"] = document()
        fixture.files["tokenizer_config.json"] = "{\"add_bos_token\": true}"
        var checkpoint = try fixture.open()
        guard case .mergeList(let model) = checkpoint.tokenizer else {
            Issue.record("tokenizer.model was read")
            return
        }
        #expect(model.special("<|im|>") == 270 && model.bosID == 1 && model.eosID == 2 && !checkpoint.configuration.prompt.addsBOS)
        fixture.files["tokenizer.json"] = document(bos([1]))
        fixture.files["tokenizer_config.json"] =
            "{\"add_bos_token\": false, \"added_tokens_decoder\": {\"271\": {\"content\": \"word\"}, \"1\": {\"content\": \"<s>\"}}}"
        checkpoint = try fixture.open()
        #expect(checkpoint.configuration.prompt.addsBOS)
        guard case .mergeList(let more) = checkpoint.tokenizer else { return }
        #expect(more.kinds[271] == .userDefined && more.kinds[1] == .control)
        #expect(
            fixture.failure { $0.files["added_tokens.json"] = "{\"other\": 270}" }
                == "error: token 270 is '<|im|>' in 'DIR/tokenizer.json' and 'other' here, at file 'DIR/added_tokens.json'; expected one text per id; "
                + "note: 'tokenizer.model' beside it is read where there is no 'tokenizer.json'")
        #expect(
            fixture.failure { $0.files["added_tokens.json"] = "{\"<|im|>\": 280}" }.hasPrefix(
                "error: token '<|im|>' is 270 in 'DIR/tokenizer.json' and 280 here, at file 'DIR/added_tokens.json'; expected one id per text"
            ))
        // Ids that no token has.
        for id in [-1, Int.min, 299, 300, Int.max] {
            #expect(
                fixture.failure { $0.files["tokenizer.json"] = document(bos([id])) }.hasPrefix(
                    "error: key 'post_processor' puts token \(id) first, at file 'DIR/tokenizer.json'; expected a special token"))
        }
        #expect(
            fixture.failure { $0.files["tokenizer.json"] = document(["normalizer": ["type": "NFC"]]) }.hasSuffix(
                "note: 'tokenizer.model' beside it is read where there is no 'tokenizer.json'"))
    }

    @Test func tokenizerFiles() {
        let folder = TemporaryFolder()
        var fixture = Fixture.llava
        fixture.write(to: folder)
        func failure() -> String {
            errorText(in: folder) { () throws(Diagnostic) in try Checkpoint.open(path: folder.path).path }
        }
        fixture.tokenizer = TokenizerFixture(words: ["a", "b"])
        folder.write("tokenizer.model", fixture.tokenizer.bytes)
        #expect(failure() == "error: the tokenizer has 261 pieces, at file 'DIR/tokenizer.model'; expected at most 'vocab_size', 260")
        #expect(unlink(folder.file("tokenizer.model")) == 0)
        #expect(failure() == "error: no tokenizer, at file 'DIR'; expected 'tokenizer.model' or 'tokenizer.json'")
        folder.write("tokenizer.json", "{}")
        #expect(failure() == "error: key 'model.vocab' is missing, at file 'DIR/tokenizer.json'; expected a BPE model")
    }
}
