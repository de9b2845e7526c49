import Checkpoint
import Foundation
import Support
import TestSupport
import Testing

@Suite struct CheckpointSuite {
    @Test func everyTensorByItsCanonicalName() throws {
        let checkpoint = try Fixture.llava.open()
        let layer = "decoder.layers.0."
        var names = ["decoder.embed_tokens.weight", "decoder.norm.weight", "decoder.lm_head.weight"]
        names += ["input_layernorm", "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"].map {
            "\(layer)\($0).weight"
        }
        names += ["q", "k", "v", "o"].map { "\(layer)self_attn.\($0)_proj.weight" }
        names += [
            "vision.embeddings.class_embedding", "vision.embeddings.patch_embedding.weight", "vision.embeddings.position_embedding.weight",
        ]
        var affine = ["projector.linear1", "projector.linear2", "vision.pre_layernorm", "vision.post_layernorm"]
        for block in 0..<8 {
            affine += ["layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"].map { "vision.layers.\(block).\($0)" }
            affine += ["q", "k", "v", "out"].map { "vision.layers.\(block).self_attn.\($0)_proj" }
        }
        names += affine.flatMap { [$0 + ".weight", $0 + ".bias"] }
        #expect(Set(checkpoint.tensors.keys) == Set(names))
        for (name, entry) in checkpoint.tensors { #expect(entry.canonicalName == name && entry.dtype == .float16) }
        let block = try #require(checkpoint.tensors["vision.layers.3.mlp.fc1.weight"])
        #expect(
            block.sourceName == "model.vision_tower.vision_tower.vision_model.encoder.layers.3.mlp.fc1.weight" && block.shape == [6, 4])
        #expect(checkpoint.tensors["vision.pre_layernorm.bias"]?.sourceName.hasSuffix("vision_model.pre_layrnorm.bias") == true)
    }

    /// A file that is there and cannot be opened is not called missing.
    @Test(arguments: ["config.json", "tokenizer.model", "tokenizer_config.json", "model.safetensors"])
    func brokenLinks(_ name: String) throws {
        let folder = TemporaryFolder()
        Fixture.llava.write(to: folder)
        for (target, reason) in [(name, "too many levels of symbolic links"), ("/nowhere", "no such file or directory")] {
            try? FileManager.default.removeItem(atPath: folder.file(name))
            try FileManager.default.createSymbolicLink(atPath: folder.file(name), withDestinationPath: target)
            let text = errorText(in: folder) { () throws(Diagnostic) in try Checkpoint.open(path: folder.path) }
            #expect(text == "error: cannot open 'DIR/\(name)': \(reason)")
        }
    }

    @Test func countsAndNames() throws {
        let folder = TemporaryFolder()
        Fixture.llava.write(to: folder)
        let checkpoint = try Checkpoint.open(path: folder.path)
        #expect(checkpoint.configuration.name == folder.path.split(separator: "/").last.map(String.init))
        #expect(checkpoint.parameterCount(prefix: "projector.") == 4 * 8 + 8 + 8 * 8 + 8)
        #expect(checkpoint.parameterCount(prefix: "decoder.") == 260 * 8 * 2 + 8 * 3 + 8 * 8 * 2 + 4 * 8 * 2 + 6 * 8 * 3)
        #expect(checkpoint.byteCount() == 2 * checkpoint.parameterCount())
    }

    @Test func mixedTypesAndValues() throws {
        let folder = TemporaryFolder()
        var fixture = Fixture.llava
        fixture.tensors["model.norm.weight"]!.dtype = "F32"
        fixture.tensors["lm_head.weight"]!.dtype = "BF16"
        fixture.write(to: folder)
        let (header, size) = safetensorsHeader(fixture.tensors)
        var data = [UInt8](repeating: 0, count: size)
        let range = try #require(Checkpoint.open(path: folder.path).tensors["decoder.norm.weight"]).range
        for index in 0..<8 {
            data.replaceSubrange(
                Int(range.lowerBound) - header.count + 4 * index..<Int(range.lowerBound) - header.count + 4 * index + 4,
                with: withUnsafeBytes(of: Float(index)) { Array($0) })
        }
        folder.write("model.safetensors", header + data)
        let checkpoint = try Checkpoint.open(path: folder.path)
        #expect(checkpoint.tensors["decoder.norm.weight"]?.floats() == [0, 1, 2, 3, 4, 5, 6, 7])
        #expect(
            checkpoint.tensors["decoder.norm.weight"]?.dtype == .float32 && checkpoint.tensors["decoder.lm_head.weight"]?.dtype == .bfloat16
        )
    }

    @Test func shards() throws {
        for fixture in [Fixture.llava, .released, .configurable] {
            var sharded = fixture
            sharded.shards = 3
            let one = try fixture.open(), three = try sharded.open()
            #expect(Set(one.tensors.keys) == Set(three.tensors.keys))
            #expect(Set(three.tensors.values.map(\.file.path)).count == 3)
            #expect(one.parameterCount() == three.parameterCount())
            #expect(
                sharded.failure { $0.tensors["model.norm.weight"] = nil }
                    == "error: tensor 'model.norm.weight' is missing, at file 'DIR/model.safetensors.index.json'; expected shape [8]")
        }
    }

    @Test func tiedEmbeddings() throws {
        var fixture = Fixture.llava
        fixture.config["tie_word_embeddings"] = true
        // The file's own head does not count when the embeddings are tied.
        for head in [nil, TensorFixture(shape: [260, 8])] {
            fixture.tensors["lm_head.weight"] = head
            let checkpoint = try fixture.open()
            #expect(checkpoint.tensors["decoder.lm_head.weight"] == checkpoint.tensors["decoder.embed_tokens.weight"])
            #expect(checkpoint.configuration.decoder.tiedEmbeddings)
            #expect(checkpoint.parameterCount(prefix: "decoder.lm_head") == 0)
        }
        #expect(
            Fixture.llava.failure { $0.tensors["lm_head.weight"] = nil }
                == "error: tensor 'lm_head.weight' is missing, at file 'DIR/model.safetensors'; expected shape [260, 8]")
    }

    @Test func knownLeftovers() throws {
        var fixture = Fixture.llava
        fixture.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = TensorFixture(dtype: "F32", shape: [2])
        fixture.tensors[Fixture.visionPrefix + "embeddings.position_ids"] = TensorFixture(dtype: "I64", shape: [1, 17])
        let count = try fixture.open().tensors.count
        // Nothing after tap 7 is needed.
        for name in fixture.tensors.keys where name.contains("post_layernorm") || name.contains("vision_model.encoder.layers.7.") {
            fixture.tensors[name] = nil
        }
        #expect(try fixture.open().tensors.count == count - 18)
        #expect(
            fixture.failure { $0.tensors[Fixture.visionPrefix + "encoder.layers.6.layer_norm1.bias"] = nil } == """
                error: tensor 'model.vision_tower.vision_tower.vision_model.encoder.layers.6.layer_norm1.bias' is missing, \
                at file 'DIR/model.safetensors'; expected shape [4]
                """)
    }

    @Test func towerInAFolder() throws {
        for prefix in ["vision_model.", ""] {
            var fixture = Fixture.released
            fixture.separateTower(prefix: prefix)
            let checkpoint = try fixture.open()
            #expect(checkpoint.tensors["vision.layers.0.mlp.fc1.bias"]?.sourceName == prefix + "encoder.layers.0.mlp.fc1.bias")
            #expect(
                fixture.failure { $0.tower![prefix + "pre_layrnorm.weight"]!.shape = [5] }
                    == "error: wrong shape [5], at tensor '\(prefix)pre_layrnorm.weight' of file 'DIR/clip/model.safetensors'; expected [4]"
            )
            #expect(
                fixture.failure { $0.tower!["extra"] = TensorFixture(shape: [1]) }
                    == "error: unknown tensor, at tensor 'extra' of file 'DIR/clip/model.safetensors'; expected only what the configuration describes"
            )
            #expect(
                fixture.failure { $0.tower = nil }
                    == "error: no weights, at file 'DIR/clip'; expected 'model.safetensors' or 'model.safetensors.index.json'")
        }
    }

    @Test func weightsInsideWinOverTheFolder() throws {
        var fixture = Fixture.llava
        fixture.tower = Fixture.clip()
        #expect(try fixture.open().tensors["vision.embeddings.class_embedding"]?.sourceName.hasPrefix("model.vision_tower.") == true)
    }

    @Test func wrongTensors() {
        let file = "of file 'DIR/model.safetensors'"
        #expect(
            Fixture.llava.failure { $0.tensors["model.layers.0.mlp.up_proj.weight"]!.shape = [8, 6] }
                == "error: wrong shape [8, 6], at tensor 'model.layers.0.mlp.up_proj.weight' \(file); expected [6, 8]")
        for dtype in ["I8", "F64"] {
            #expect(
                Fixture.llava.failure { $0.tensors["model.norm.weight"]!.dtype = dtype }
                    == "error: dtype '\(dtype)' cannot be a weight, at tensor 'model.norm.weight' \(file); expected 'F32', 'F16' or 'BF16'")
        }
        #expect(
            Fixture.llava.failure { $0.tensors["model.image_newline"] = TensorFixture(shape: [8]) }
                == "error: unknown tensor, at tensor 'model.image_newline' \(file); expected only what the configuration describes")
        #expect(
            Fixture.llava.failure { $0.config["num_hidden_layers"] = 2 }
                == "error: tensor 'model.layers.1.input_layernorm.weight' is missing, at file 'DIR/model.safetensors'; expected shape [8]")
        #expect(
            Fixture.llava.failure { $0.vision["num_hidden_layers"] = 7 } == """
                error: unknown tensor (and 15 more like it), at tensor \
                'model.vision_tower.vision_tower.vision_model.encoder.layers.7.layer_norm1.bias' \(file); expected only what the configuration describes
                """)
        #expect(
            Fixture.configurable.failure { $0.addLinear("model.mm_projector.0", 4, 8) } == """
                error: unknown tensor (and 1 more like it), at tensor 'model.mm_projector.0.bias' \(file); expected only what the configuration describes
                """)
    }

    @Test func foldersThatAreNone() {
        let folder = TemporaryFolder()
        func failure(_ path: String) -> String {
            errorText(in: folder) { () throws(Diagnostic) in try Checkpoint.open(path: path).path }
        }
        folder.write("plain", "x")
        #expect(
            failure(folder.file("none"))
                == "error: cannot open 'DIR/none': no such file or directory; expected a checkpoint folder, or a GGUF file")
        #expect(
            failure(folder.file("plain"))
                == "error: the file does not begin with 'GGUF', at file 'DIR/plain'; expected a GGUF file, or a checkpoint folder")
        #expect(failure(folder.path) == "error: no 'config.json', at file 'DIR'; expected a checkpoint folder")
        folder.write("config.json", "{\"model_type\": NaN}")
        #expect(failure(folder.path) == "error: not valid JSON: found 'NaN', at byte 15 of file 'DIR/config.json'; expected finite numbers")
    }

    /// The published LLaVA-1.5-7B and LLaVA-STF-7B at full size, as sparse files: nothing of the weights may be read.
    @Test(arguments: [false, true]) func publishedModels(isSTF: Bool) throws {
        var fixture = Fixture.llava
        // config.json of llava-v1.5-7b, the keys that mean something to a compiler.
        fixture.config = [
            "model_type": "llava_llama", "hidden_act": "silu", "hidden_size": 4096, "image_aspect_ratio": "pad", "intermediate_size": 11008,
            "max_position_embeddings": 4096, "mm_hidden_size": 1024, "mm_projector_type": "mlp2x_gelu", "mm_use_im_patch_token": false,
            "mm_use_im_start_end": false, "mm_vision_select_feature": "patch", "mm_vision_select_layer": -2,
            "mm_vision_tower": "openai/clip-vit-large-patch14-336", "num_attention_heads": 32, "num_hidden_layers": 32,
            "num_key_value_heads": 32, "pad_token_id": 0, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": NSNull(),
            "tie_word_embeddings": false, "torch_dtype": "float16", "tune_mm_mlp_adapter": false, "unfreeze_mm_vision_tower": true,
            "use_cache": true, "use_mm_proj": true, "vocab_size": 32000, "bos_token_id": 1, "eos_token_id": 2,
        ]
        fixture.tensors = [
            "model.embed_tokens.weight": TensorFixture(shape: [32000, 4096]), "model.norm.weight": TensorFixture(shape: [4096]),
            "lm_head.weight": TensorFixture(shape: [32000, 4096]),
        ]
        for layer in 0..<32 {
            func add(_ name: String, _ shape: [Int]) {
                fixture.tensors["model.layers.\(layer).\(name).weight"] = TensorFixture(shape: shape)
            }
            for name in ["q", "k", "v", "o"] { add("self_attn.\(name)_proj", [4096, 4096]) }
            for name in ["input_layernorm", "post_attention_layernorm"] { add(name, [4096]) }
            for name in ["gate", "up"] { add("mlp.\(name)_proj", [11008, 4096]) }
            add("mlp.down_proj", [4096, 11008])
        }
        for (name, tensor) in Fixture.clip(hidden: 1024, blocks: 24, inner: 4096, patch: 14, positions: 577) {
            fixture.tensors[Fixture.visionPrefix + name] = tensor
        }
        if isSTF {
            fixture.addLinear("model.mm_projector_crosslayer.0", 8192, 4096)
            fixture.addLinear("model.mm_projector_crosslayer.2", 4096, 1024)
            fixture.addLinear("model.mm_projector.0", 4096, 16384)
            fixture.addLinear("model.mm_projector.2", 16384, 4096)
        } else {
            fixture.addLinear("model.mm_projector.0", 1024, 4096)
            fixture.addLinear("model.mm_projector.2", 4096, 4096)
        }
        let folder = TemporaryFolder()
        folder.write("config.json", json: fixture.config)
        folder.write("generation_config.json", json: ["bos_token_id": 1, "eos_token_id": 2, "max_length": 4096, "pad_token_id": 0])
        folder.write("tokenizer.model", fixture.tokenizer.bytes)
        let (header, size) = safetensorsHeader(fixture.tensors)
        #expect(truncate(folder.write("model.safetensors", header), header.count + size) == 0)

        let checkpoint = try Checkpoint.open(path: folder.path)
        let fusion = try #require(checkpoint.configuration.fusion), vision = try #require(checkpoint.configuration.vision)
        #expect(checkpoint.parameterCount(prefix: "decoder.") == 6_738_415_616)
        #expect(checkpoint.parameterCount(prefix: "vision.") == 303_507_456)
        #expect(checkpoint.configuration.preprocessing?.mode == .pad && checkpoint.configuration.preprocessing?.imageSize == 336)
        #expect(vision.grid == 24)
        if isSTF {
            #expect(fusion.taps == [23, 21, 18, 15, 12, 9, 6, 3])
            #expect(fusion.visionTokens(grid: vision.grid) == 144)
            #expect(checkpoint.parameterCount(prefix: "mbtf.") == 37_753_856)
            #expect(checkpoint.parameterCount(prefix: "projector.") == 134_238_208)
        } else {
            #expect(fusion.taps == [23])
            #expect(fusion.visionTokens(grid: vision.grid) == 576)
            #expect(checkpoint.parameterCount(prefix: "projector.") == 20_979_712)
        }
    }
}
