import Support
import TestSupport
import Testing

@testable import Checkpoint

extension Fixture {
    /// `Fixture.llava` as transformers writes it: partial `vision_config` and `text_config`, one of the two spellings.
    static func transformers(newer: Bool) -> Fixture {
        var fixture = llava
        let text = fixture.config.filter {
            !$0.key.hasPrefix("mm_") && !["model_type", "image_aspect_ratio", "hidden_act"].contains($0.key)
        }
        var vision = fixture.vision
        vision["hidden_act"] = "quick_gelu"
        fixture.config = ["model_type": "llava", "text_config": text, "vision_config": vision]
        let parts =
            newer
            ? [
                ("model.vision_tower.vision_tower.", "model.vision_tower."),
                ("model.mm_projector.0", "model.multi_modal_projector.linear_1"),
                ("model.mm_projector.2", "model.multi_modal_projector.linear_2"), ("lm_head", "lm_head"),
                ("model.", "model.language_model."),
            ]
            : [
                ("model.vision_tower.vision_tower.", "vision_tower."), ("model.mm_projector.0", "multi_modal_projector.linear_1"),
                ("model.mm_projector.2", "multi_modal_projector.linear_2"), ("lm_head", "language_model.lm_head"),
                ("model.", "language_model.model."),
            ]
        fixture.tensors = Dictionary(
            uniqueKeysWithValues: fixture.tensors.map { name, tensor in
                let part = parts.first { name.hasPrefix($0.0) }!
                return (part.1 + name.dropFirst(part.0.count), tensor)
            })
        return fixture
    }

    mutating func setPart(_ part: String, _ key: String, _ value: Any?) {
        var object = config[part] as! [String: Any]
        object[key] = value
        config[part] = object
    }
}

@Suite struct TransformersLayoutTests {
    @Test(arguments: [false, true])
    func sameAsTheOriginal(_ newer: Bool) throws {
        let here = try Fixture.transformers(newer: newer).open(), original = try Fixture.llava.open()
        #expect(here.configuration.layout == .transformers)
        #expect(Set(here.tensors.keys) == Set(original.tensors.keys))
        for (name, entry) in here.tensors { #expect(entry.shape == original.tensors[name]?.shape && entry.canonicalName == name) }
        #expect(
            here.tensors["decoder.norm.weight"]?.sourceName
                == (newer ? "model.language_model.norm.weight" : "language_model.model.norm.weight"))
        #expect(here.configuration.decoder == original.configuration.decoder)
        #expect(here.configuration.vision == original.configuration.vision)
        #expect(here.configuration.fusion == original.configuration.fusion)
        #expect(here.configuration.prompt == original.configuration.prompt)
        #expect(here.configuration.preprocessing?.mode == .shortestEdgeCrop(resize: 8, crop: 8))
    }

    /// What transformers leaves out is what its configurations are made with.
    @Test func defaults() throws {
        let config = JSONObject(file: "c", members: ["text_config": .object(["rope_parameters": .object(["rope_theta": .number(5000)])])])
        let decoder = try DecoderConfiguration(config.transformersText())
        #expect(
            decoder
                == DecoderConfiguration(
                    hiddenSize: 4096, layerCount: 32, headCount: 32, keyValueHeadCount: 32, headSize: 128, intermediateSize: 11008,
                    vocabularySize: 32000, rmsNormEpsilon: 1e-6, ropeTheta: 5000, maxPositionEmbeddings: 2048, tiedEmbeddings: false))
        let folder = TemporaryFolder()
        let large = try VisionSource(transformers: config, checkpoint: folder.path, option: nil)
        #expect(large.vision == .largeTower(imageSize: 336) && large.preprocessing.mode == .shortestEdgeCrop(resize: 336, crop: 336))
        let partial = JSONObject(file: "c", members: ["vision_config": .object(["image_size": .integer(64)])])
        let vision = try VisionSource(transformers: partial, checkpoint: folder.path, option: nil).vision
        #expect(
            vision
                == VisionConfiguration(
                    hiddenSize: 768, layerCount: 12, headCount: 12, intermediateSize: 3072, imageSize: 64, patchSize: 32,
                    layerNormEpsilon: 1e-5,
                    activation: .quickGELU))
    }

    @Test func severalLayers() throws {
        var fixture = Fixture.transformers(newer: true)
        fixture.config["vision_feature_layer"] = [-2, 3, 8]
        fixture.config["vision_feature_select_strategy"] = "full"
        fixture.config["projector_hidden_act"] = "quick_gelu"
        fixture.tensors["model.multi_modal_projector.linear_1.weight"] = TensorFixture(shape: [8, 12])
        let fusion = try #require(fixture.open().configuration.fusion)
        #expect(fusion.taps == [7, 3, 8] && fusion.keepsClassToken && fusion.aligner[0].activation == .quickGELU)
        #expect(fusion.aligner[0].inputChannels == 12 && fusion.aligner[1].activation == nil)
        fixture.config["vision_feature_layer"] = [-2]
        #expect(
            fixture.failure { _ in }
                == "error: wrong shape [8, 12], at tensor 'model.multi_modal_projector.linear_1.weight' of file 'DIR/model.safetensors'; expected [8, 4] (for 1 feature layer)"
        )
    }

    @Test func processors() throws {
        var fixture = Fixture.transformers(newer: false)
        fixture.files["preprocessor_config.json"] =
            #"{"image_processor_type": "LlavaImageProcessor", "do_pad": true, "size": 8, "crop_size": 8}"#
        #expect(try fixture.open().configuration.preprocessing?.mode == .pad)
        fixture.files["preprocessor_config.json"] = nil
        fixture.files["processor_config.json"] = #"{"image_processor": {"size": {"shortest_edge": 9}, "image_mean": [0.5, 0.5, 0.5]}}"#
        let newer = try #require(fixture.open().configuration.preprocessing)
        #expect(newer.mode == .shortestEdgeCrop(resize: 9, crop: 8) && newer.mean == [0.5, 0.5, 0.5])
        // A file of an older release beside it does not count, unless the newer one says nothing of images.
        fixture.files["preprocessor_config.json"] = #"{"image_mean": [0.25, 0.25, 0.25]}"#
        #expect(try fixture.open().configuration.preprocessing == newer)
        fixture.files["processor_config.json"] = #"{"processor_class": "LlavaProcessor"}"#
        #expect(try fixture.open().configuration.preprocessing?.mean == [0.25, 0.25, 0.25])
    }

    /// In a tower's own folder both files may stand too, which transformers' releases read in another order.
    @Test func processorFilesOfATower() throws {
        var fixture = Fixture.llava
        fixture.files["clip/processor_config.json"] = #"{"image_processor": {"size": 8, "image_mean": [0.5, 0.5, 0.5]}}"#
        #expect(
            fixture.failure { _ in }
                == "error: 'preprocessor_config.json' and 'image_processor' in 'processor_config.json' disagree, at file 'DIR/clip'; expected one of them, or the same in both"
        )
        fixture.preprocessor?["image_mean"] = [0.5, 0.5, 0.5]
        #expect(try fixture.open().configuration.preprocessing?.mean == [0.5, 0.5, 0.5])
        fixture.preprocessor = nil
        #expect(try fixture.open().configuration.preprocessing?.mean == [0.5, 0.5, 0.5])
    }

    @Test func refusals() {
        let fixture = Fixture.transformers(newer: false)
        let cases: [(key: String, value: Any, text: String)] = [
            (
                "vision_feature_layer", 9,
                "key 'vision_feature_layer' is 9, at file 'DIR/config.json'; expected -9 to 8 for a tower of 8 blocks"
            ),
            (
                "vision_feature_layer", [Int](),
                "key 'vision_feature_layer' is empty, at file 'DIR/config.json'; expected hidden-state indices"
            ),
            (
                "vision_feature_select_strategy", "cls",
                "key 'vision_feature_select_strategy' is 'cls', at file 'DIR/config.json'; expected 'default' or 'full'"
            ),
            (
                "projector_hidden_act", "relu",
                "key 'projector_hidden_act' is 'relu', which is not supported, at file 'DIR/config.json'; expected 'gelu' or 'quick_gelu'"
            ),
            (
                "multimodal_projector_bias", false,
                "key 'multimodal_projector_bias' is false, which is not supported, at file 'DIR/config.json'; expected true"
            ),
        ]
        for (key, value, text) in cases { #expect(fixture.failure { $0.config[key] = value } == "error: " + text) }
        #expect(
            fixture.failure { $0.setPart("text_config", "model_type", "mistral") }
                == "error: key 'text_config.model_type' is 'mistral', which is no supported decoder, at file 'DIR/config.json'; expected 'llama'"
        )
        #expect(
            fixture.failure { $0.setPart("vision_config", "model_type", "siglip_vision_model") }
                == "error: key 'vision_config.model_type' is 'siglip_vision_model', which is no supported vision tower, at file 'DIR/config.json'; expected 'clip_vision_model'"
        )
        #expect(
            fixture.failure { $0.files["preprocessor_config.json"] = #"{"image_processor_type": "SiglipImageProcessor"}"# }
                == "error: key 'image_processor_type' is 'SiglipImageProcessor', which is not supported, at file 'DIR/preprocessor_config.json'; expected 'CLIPImageProcessor' or 'LlavaImageProcessor'"
        )
        #expect(
            fixture.failure { $0.files["preprocessor_config.json"] = #"{"do_pad": true}"# }
                == "error: key 'do_pad' is true for 'CLIPImageProcessor', at file 'DIR/preprocessor_config.json'; expected 'LlavaImageProcessor' or false"
        )
        #expect(
            fixture.failure { $0.tensors["language_model.model.norm.weight"] = nil }
                == "error: tensor 'language_model.model.norm.weight' is missing, at file 'DIR/model.safetensors'; expected shape [8]")
        // A name of LLaVA's own layout, or of the other spelling, is none of this one.
        for name in ["model.norm.weight", "model.language_model.norm.weight"] {
            let failure = fixture.failure {
                $0.tensors[name] = TensorFixture(shape: [8])
                if name != "model.norm.weight" { $0.tensors["language_model.model.norm.weight"] = nil }
            }
            #expect(failure.contains(name == "model.norm.weight" ? "error: unknown tensor, at tensor 'model.norm.weight'" : "is missing"))
        }
    }

    @Test func tiedByEitherKey() throws {
        for part in [nil, "text_config"] {
            var fixture = Fixture.transformers(newer: true)
            fixture.tensors["lm_head.weight"] = nil
            if let part {
                fixture.setPart(part, "tie_word_embeddings", true)
            } else {
                fixture.config["tie_word_embeddings"] = true
                fixture.setPart("text_config", "tie_word_embeddings", nil)
            }
            #expect(try fixture.open().configuration.decoder.tiedEmbeddings)
        }
    }
}
