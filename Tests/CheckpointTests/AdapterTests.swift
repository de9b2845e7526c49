import Foundation
import Support
import TestSupport
import Testing

@testable import Checkpoint

/// What `adapter_config.json` and the tensors beside it may say; numbers are in the golden 'peft'.
@Suite struct AdapterTests {
    let folder = TemporaryFolder()
    private let query = "model.layers.0.self_attn.q_proj"

    private func write(_ changes: [String: Any] = [:], _ tensors: [String: [Int]]) {
        let config: [String: Any] = ["peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none"]
        folder.write("a/adapter_config.json", json: config.merging(changes) { $1 })
        folder.write("a/adapter_model.safetensors", safetensors(tensors.mapValues { TensorFixture(dtype: "F32", shape: $0) }))
    }

    private func lowRank(_ module: String, rank: Int = 2, input: Int = 8, output: Int = 8) -> [String: [Int]] {
        ["base_model.model.\(module).lora_A.weight": [rank, input], "base_model.model.\(module).lora_B.weight": [output, rank]]
    }

    private func open(_ fixture: Fixture = .llava) throws(Diagnostic) -> Checkpoint {
        fixture.write(to: folder)
        return try Checkpoint.open(path: folder.path, adapter: folder.file("a"))
    }

    private func failure(_ fixture: Fixture = .llava) -> String {
        errorText(in: folder) { () throws(Diagnostic) in try open(fixture).configuration.adapterScales.count }
    }

    /// Whatever PEFT has that changes what an adapter computes is refused by its key; so is what this release does not know.
    @Test func keysThatAreRefused() {
        let keys: [(String, Any, String)] = [
            ("lora_bias", true, "is true, which is not supported"), ("use_dora", true, "is true, which is not supported"),
            ("use_qalora", true, "is true, which is not supported"), ("ensure_weight_tying", true, "is true, which is not supported"),
            ("fan_in_fan_out", true, "is true, which is not supported"), ("bias", "lora_only", "is 'lora_only', which is not supported"),
            ("alora_invocation_tokens", [5, 6], "is set, which is not supported"),
            ("layer_replication", [[0, 1]], "is set, which is not supported"),
            ("trainable_token_indices", [3], "is set, which is not supported"),
            ("target_parameters", ["w"], "is set, which is not supported"),
            ("megatron_config", ["a": 1], "is set, which is not supported"), ("arrow_config", ["a": 1], "is set, which is not supported"),
            ("kasa_config", ["a": 1], "is set, which is not supported"), ("use_bdlora", ["a": 1], "is set, which is not supported"),
            ("monteclora_config", ["a": 1], "is set, which is not supported"), ("of_next_year", 0.5, "is set, which is not supported"),
        ]
        for (key, value, problem) in keys {
            write([key: value], lowRank(query))
            #expect(failure().hasPrefix("error: key '\(key)' \(problem), at file 'DIR/a/adapter_config.json'"), "\(failure())")
        }
        for kind in ["pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga", "of_next_year"] {
            write(["init_lora_weights": kind], lowRank(query))
            #expect(
                failure()
                    == "error: key 'init_lora_weights' is '\(kind)', with which PEFT changes the base's weights, at file 'DIR/a/adapter_config.json'; expected an adapter that was saved with 'path_initial_model_for_weight_conversion'"
            )
        }
    }

    @Test func keysThatAreHarmless() throws {
        for kind in [true, false, "gaussian", "eva", "orthogonal", "mica"] as [Any] {
            write(["init_lora_weights": kind], lowRank(query))
            #expect(try open().configuration.adapterScales.count == 1)
        }
        write(
            [
                "lora_bias": false, "use_dora": false, "layer_replication": NSNull(), "of_next_year": NSNull(), "another": [String](),
                "rank_pattern": [String: Int](),
                "loftq_config": [String: Int](), "eva_config": ["rho": 2], "megatron_core": "megatron.core", "qalora_group_size": 16,
                "lora_dropout": 0.1,
                "target_modules": ["q_proj"], "modules_to_save": ["lm_head"], "auto_mapping": ["a": "b"], "peft_version": "0.21.2",
                "layers_to_transform": [0],
            ],
            lowRank(query))
        #expect(try open().configuration.adapterScales == ["decoder.layers.0.self_attn.q_proj.weight": 3])
    }

    /// As PEFT matches them: a name's end from a dot on, or with '^' the whole.
    @Test func patterns() throws {
        let up = "model.layers.0.mlp.up_proj"
        let tensors = lowRank(query, rank: 4).merging(lowRank(up, output: 6)) { $1 }
        write(
            [
                "rank_pattern": ["q_proj": 4, "proj": 9, "layers.0": 9, "^q_proj": 9],
                "alpha_pattern": ["^model.layers.0.mlp.up_proj": 5, "self_attn.q_proj": 2.5],
            ], tensors)
        let scales = try open().configuration.adapterScales
        #expect(scales == ["decoder.layers.0.self_attn.q_proj.weight": 0.625, "decoder.layers.0.mlp.up_proj.weight": 2.5])
        // Both fit: they agree, or the order of the keys decides, which JSON does not promise.
        write(["rank_pattern": ["q_proj": 4, "self_attn.q_proj": 4]], lowRank(query, rank: 4))
        #expect(try open().configuration.adapterScales.count == 1)
        let file = "at file 'DIR/a/adapter_config.json'"
        write(["rank_pattern": ["q_proj": 4, "self_attn.q_proj": 2]], lowRank(query, rank: 4))
        #expect(
            failure()
                == "error: key 'rank_pattern' has two values for '\(query)', by 'q_proj' and 'self_attn.q_proj', \(file); expected one")
        write(["alpha_pattern": [".*q_proj": 4]], lowRank(query))
        #expect(
            failure()
                == "error: key 'alpha_pattern' has the regular expression '.*q_proj', which is not supported, \(file); expected names of modules"
        )
        write(["rank_pattern": ["q_proj": 0]], lowRank(query))
        #expect(failure() == "error: key 'rank_pattern.q_proj' is 0, \(file); expected 1 to 2147483647")
    }

    @Test func tensorsBesideAAndB() throws {
        for (name, shape) in [
            ("lora_B.bias", [8]), ("lora_magnitude_vector", [8]), ("lora_magnitude_vector.default.weight", [8]), ("lora_diag.weight", [2]),
        ] {
            write([:], lowRank(query).merging(["base_model.model.\(query).\(name)": shape]) { $1 })
            #expect(
                failure().hasPrefix(
                    "error: the tensor is neither A nor B of a low-rank update, at tensor 'base_model.model.\(query).\(name)'"))
        }
        let delta = "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta"
        write([:], lowRank(query).merging([delta: [1, 8]]) { $1 })
        #expect(failure().hasPrefix("error: unknown tensor, at tensor '\(delta)'"))
        let second = "base_model.model.\(query).lora_A.other.weight"
        write([:], lowRank(query).merging([second: [3, 8]]) { $1 })
        #expect(failure().contains("are both 'model.layers.0.self_attn.q_proj.weight', at tensor"))
    }

    /// PEFT keeps the weight itself beside the update of a head or an embedding.
    @Test func headAndEmbedding() throws {
        let embedding = [
            "base_model.model.model.embed_tokens.lora_embedding_A": [2, 260],
            "base_model.model.model.embed_tokens.lora_embedding_B": [8, 2],
        ]
        let bases = [
            "base_model.model.lm_head.base_layer.weight": [260, 8], "base_model.model.model.embed_tokens.base_layer.weight": [260, 8],
        ]
        write([:], lowRank("lm_head", output: 260).merging(embedding) { $1 }.merging(bases) { $1 })
        let checkpoint = try open()
        #expect(checkpoint.configuration.adapterScales == ["decoder.lm_head.weight": 3, "decoder.embed_tokens.weight": 3])
        for name in ["lm_head", "embed_tokens"] {
            #expect(checkpoint.tensors["decoder.\(name).weight"]?.file.path == folder.file("a/adapter_model.safetensors"))
        }
        // The two kinds are no stand-ins for each other.
        write([:], lowRank("model.embed_tokens", input: 260))
        #expect(failure().contains("the adapter changes a weight that the model does not have"))
        write([:], ["base_model.model.lm_head.lora_embedding_A": [2, 8], "base_model.model.lm_head.lora_embedding_B": [260, 2]])
        #expect(failure().contains("the adapter changes an embedding that the model does not have"))
    }

    @Test func modulesToSave() throws {
        for name in ["lm_head.weight", "lm_head.modules_to_save.weight", "lm_head.modules_to_save.default.weight"] {
            write([:], lowRank(query).merging(["base_model.model." + name: [260, 8]]) { $1 })
            #expect(try open().tensors["decoder.lm_head.weight"]?.file.path == folder.file("a/adapter_model.safetensors"))
        }
    }

    /// Either spelling of transformers in the adapter finds either one in the base, and LLaVA's own too.
    @Test(arguments: [false, true])
    func spellings(_ isNewer: Bool) throws {
        let decoders = [
            "language_model.model.layers.0.mlp.up_proj", "model.language_model.layers.0.mlp.up_proj", "model.layers.0.mlp.up_proj",
        ]
        let towers = [
            "vision_tower.vision_model.", "model.vision_tower.vision_model.", "model.vision_tower.", "vision_tower.",
            "model.vision_tower.vision_tower.vision_model.",
        ]
        let projectors = ["multi_modal_projector.linear_1", "model.multi_modal_projector.linear_1", "model.mm_projector.0"]
        let heads = ["language_model.lm_head", "lm_head"]
        let spelled =
            decoders.map { lowRank($0, output: 6) } + towers.map { lowRank($0 + "encoder.layers.0.self_attn.q_proj", input: 4, output: 4) }
            + projectors.map { lowRank($0, input: 4) } + heads.map { lowRank($0, output: 260) }
        var found: Set<String> = []
        for tensors in spelled {
            write([:], tensors)
            let scales = try open(.transformers(newer: isNewer)).configuration.adapterScales
            #expect(scales.count == 1)
            found.formUnion(scales.keys)
        }
        #expect(
            found == [
                "decoder.layers.0.mlp.up_proj.weight", "vision.layers.0.self_attn.q_proj.weight", "projector.linear1.weight",
                "decoder.lm_head.weight",
            ])
        write([:], spelled[0].merging(spelled[1]) { $1 })
        #expect(failure(.transformers(newer: isNewer)).contains("are both 'model.layers.0.mlp.up_proj.weight', at tensor"))
    }

    /// The stored rows of a GGUF file's queries and keys have another order than an adapter's.
    @Test func ggufBase() throws {
        folder.write("m.gguf", GGUFFixture.decoder.bytes)
        func open() throws(Diagnostic) -> Checkpoint { try Checkpoint.open(path: folder.file("m.gguf"), adapter: folder.file("a")) }
        write([:], lowRank(query))
        #expect(try open().configuration.adapterScales.count == 1)
        write([:], lowRank("model.layers.0.mlp.up_proj", output: 6).merging(["base_model.model.\(query).weight": [8, 8]]) { $1 })
        #expect(
            errorText { () throws(Diagnostic) in try open().path }.contains(
                "the adapter replaces a whole query or key weight of a GGUF file"))
    }
}
