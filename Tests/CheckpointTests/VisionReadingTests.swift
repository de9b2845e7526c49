import Support
import TestSupport
import Testing

@testable import Checkpoint

@Suite struct VisionReadingTests {
    @Test func bareConfiguration() throws {
        let configuration = try Fixture.llava.open().configuration
        let vision = try #require(configuration.vision)
        #expect(
            vision
                == VisionConfiguration(
                    hiddenSize: 4, layerCount: 8, headCount: 2, intermediateSize: 6, imageSize: 8, patchSize: 2, layerNormEpsilon: 1e-5,
                    activation: .quickGELU))
        #expect(vision.grid == 4 && vision.positionCount == 17 && vision.headSize == 2)
        #expect(
            configuration.preprocessing
                == PreprocessingConfiguration(
                    imageSize: 8, mode: .pad, mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711]))
    }

    @Test func nestedConfigurationAndFullCLIP() throws {
        var fixture = Fixture.llava
        fixture.vision["hidden_act"] = "gelu"
        fixture.vision["layer_norm_eps"] = 1e-6
        fixture.vision = ["model_type": "clip", "vision_config": fixture.vision, "hidden_size": 99]
        fixture.separateTower(prefix: "vision_model.")
        fixture.tower!["text_model.embeddings.token_embedding.weight"] = TensorFixture(shape: [3, 2])
        fixture.tower!["logit_scale"] = TensorFixture(shape: [])
        fixture.tower!["visual_projection.weight"] = TensorFixture(shape: [2, 4])
        fixture.tower!["text_projection.weight"] = TensorFixture(shape: [2, 2])
        let checkpoint = try fixture.open()
        #expect(checkpoint.configuration.vision?.activation == .gelu)
        #expect(checkpoint.configuration.vision?.layerNormEpsilon == 1e-6)
        #expect(checkpoint.tensors["vision.pre_layernorm.weight"]?.sourceName == "vision_model.pre_layrnorm.weight")
    }

    @Test func cropping() throws {
        var fixture = Fixture.llava
        fixture.config["image_aspect_ratio"] = "square"
        fixture.preprocessor = [
            "size": 10, "crop_size": 8, "image_mean": [0, 0.25, 0.5], "image_std": [1, 0.5, 2], "rescale_factor": 0.00392156862745098,
            "do_resize": true,
        ]
        #expect(
            try fixture.open().configuration.preprocessing
                == PreprocessingConfiguration(
                    imageSize: 8, mode: .shortestEdgeCrop(resize: 10, crop: 8), mean: [0, 0.25, 0.5], std: [1, 0.5, 2]))
        fixture.config["image_aspect_ratio"] = nil
        fixture.preprocessor = nil
        #expect(
            try fixture.open().configuration.preprocessing
                == PreprocessingConfiguration(
                    imageSize: 8, mode: .shortestEdgeCrop(resize: 8, crop: 8), mean: [0.48145466, 0.4578275, 0.40821073],
                    std: [0.26862954, 0.26130258, 0.27577711]))
    }

    @Test func visionRefusals() {
        let table: [(String, Any, String)] = [
            (
                "model_type", "siglip_vision_model",
                "is 'siglip_vision_model', which is no supported vision tower; expected 'clip_vision_model'"
            ),
            ("hidden_size", 5, "is 5; expected a multiple of the 2 attention heads"),
            ("image_size", 9, "is 9; expected a multiple of the patch size 2"),
            ("image_size", 65_537, "is 65537; expected 1 to 65536"),
            ("patch_size", 0, "is 0; expected 1 to 65536"),
            ("num_channels", 1, "is 1; expected 3"),
            ("hidden_act", "relu", "is 'relu', which is not supported; expected 'quick_gelu' or 'gelu'"),
            ("layer_norm_eps", -1, "is -1.0; expected a positive number"),
            ("num_hidden_layers", 1 << 40, "is 1099511627776; expected 1 to 10000"),
        ]
        #expect(
            Fixture.llava.failure { ($0.vision["image_size"], $0.vision["patch_size"]) = (65_536, 1) }
                == "error: key 'patch_size' is 1, at file 'DIR/clip/config.json'; expected at most 1024 patches along 65536 pixels")
        for (key, value, problem) in table {
            let parts = problem.split(separator: ";", maxSplits: 1)
            #expect(
                Fixture.llava.failure { $0.vision[key] = value }
                    == "error: key '\(key)' \(parts[0]), at file 'DIR/clip/config.json';\(parts[1])")
        }
        #expect(
            Fixture.llava.failure { $0.vision = ["model_type": "siglip", "vision_config": $0.vision] }
                == "error: key 'model_type' is 'siglip', which is no supported vision tower, at file 'DIR/clip/config.json'; expected 'clip' or 'clip_vision_model'"
        )
    }

    @Test func preprocessorRefusals() {
        let table: [(String, Any, String)] = [
            ("do_resize", false, "'do_resize' is false, which is not supported; expected true"),
            ("do_center_crop", false, "'do_center_crop' is false, which is not supported; expected true"),
            ("do_rescale", false, "'do_rescale' is false, which is not supported; expected true"),
            ("do_normalize", false, "'do_normalize' is false, which is not supported; expected true"),
            ("resample", 2, "'resample' is 2, which is not supported; expected 3, bicubic"),
            ("rescale_factor", 0.5, "'rescale_factor' is 0.5, which is not supported; expected 1/255"),
            ("crop_size", 6, "'crop_size' is 6; expected 8, the tower's image size"),
            ("crop_size", ["height": 8, "width": 6], "'crop_size' is not square; expected equal height and width"),
            ("crop_size", ["height": 8], "'crop_size.width' is missing; expected an integer"),
            ("size", ["height": 8, "width": 8], "'size.shortest_edge' is missing; expected an integer"),
            (
                "size", ["shortest_edge": 8, "longest_edge": 16],
                "'size.longest_edge' is set, which is not supported; expected 'shortest_edge' only"
            ),
            ("use_square_size", true, "'use_square_size' is true, which is not supported; expected false"),
            ("default_to_square", true, "'default_to_square' is true, which is not supported; expected false"),
            ("size", 10, "'size' is 10; expected 8"),
            ("image_mean", [0.5, 0.5], "'image_mean' is [0.5, 0.5]; expected three finite numbers"),
            ("image_std", [0.5, 0, 0.5], "'image_std' is [0.5, 0.0, 0.5]; expected three positive numbers"),
        ]
        for (key, value, problem) in table {
            let parts = problem.split(separator: ";", maxSplits: 1)
            #expect(
                Fixture.llava.failure { $0.preprocessor![key] = value }
                    == "error: key \(parts[0]), at file 'DIR/clip/preprocessor_config.json';\(parts[1])")
        }
        #expect(
            Fixture.llava.failure { ($0.config["image_aspect_ratio"], $0.preprocessor!["size"]) = ("square", 6) }
                == "error: key 'size' is 6, at file 'DIR/clip/preprocessor_config.json'; expected at least 8")
    }

    @Test func aspectRatios() {
        for ratio in ["anyres", "anyres_max_9", "highres"] {
            #expect(
                Fixture.llava.failure { $0.config["image_aspect_ratio"] = ratio }
                    == "error: key 'image_aspect_ratio' is '\(ratio)', which is not supported, at file 'DIR/config.json'; expected 'pad' or 'square'"
            )
        }
    }

    @Test func findingTheTower() throws {
        #expect(
            Fixture.llava.failure { $0.config["mm_vision_tower"] = "elsewhere/clip" } == """
                error: key 'mm_vision_tower' is 'elsewhere/clip', which is no folder beside the checkpoint, at file 'DIR/config.json'; \
                expected a folder, 'openai/clip-vit-large-patch14' or 'openai/clip-vit-large-patch14-336', or the option '--vision-tower'
                """)
        #expect(
            Fixture.llava.failure { $0.config["mm_vision_tower"] = nil }
                == "error: key 'mm_vision_tower' is missing, at file 'DIR/config.json'; expected a string")
        let folder = TemporaryFolder()
        var fixture = Fixture.llava
        fixture.config["mm_vision_tower"] = "elsewhere/clip"
        fixture.separateTower(prefix: "")
        fixture.write(to: folder)
        let checkpoint = try Checkpoint.open(path: folder.path, visionTower: folder.file("clip"))
        #expect(checkpoint.tensors["vision.embeddings.class_embedding"]?.file.path == folder.file("clip/model.safetensors"))
        #expect(
            errorText(in: folder) { () throws(Diagnostic) in try Checkpoint.open(path: folder.path, visionTower: folder.file("none")).path }
                == "error: 'DIR/none' is not a folder, at option '--vision-tower'; expected a folder with 'config.json'")
        folder.write("empty/x", "")
        #expect(
            errorText(in: folder) { () throws(Diagnostic) in try Checkpoint.open(path: folder.path, visionTower: folder.file("empty")).path
            }
                == "error: no 'config.json', at file 'DIR/empty'; expected a vision tower's folder")
    }

    @Test func publishedTowerWithoutWeights() {
        #expect(
            Fixture.llava.failure {
                $0.separateTower(prefix: "")
                $0.config["mm_vision_tower"] = "openai/clip-vit-large-patch14-336"
                $0.config["mm_hidden_size"] = 1024
                $0.tensors["model.mm_projector.0.weight"]!.shape = [8, 1024]
            } == """
                error: no weights of the vision tower 'openai/clip-vit-large-patch14-336', at file 'DIR/model.safetensors'; \
                expected tensors 'model.vision_tower.*', or its folder by the option '--vision-tower'
                """)
    }
}
