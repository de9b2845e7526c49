import Support
import Testing

@testable import Checkpoint

@Suite struct FusionReadingTests {
    private func layer(_ name: String, _ input: Int, _ output: Int, _ activation: Activation?, kernel: Int = 1) -> ProjectionLayer {
        ProjectionLayer(
            weight: name + ".weight", bias: name + ".bias", inputChannels: input, outputChannels: output, activation: activation,
            kernel: kernel)
    }

    @Test func twoLayerProjector() throws {
        let configuration = try Fixture.llava.open().configuration
        let fusion = try #require(configuration.fusion)
        #expect(configuration.layout == .llava)
        #expect(
            fusion
                == FusionConfiguration(
                    taps: [7], kernel: 1, tokensPerWindow: 1, mbtf: [], windowConvolution: nil,
                    aligner: [layer("projector.linear1", 4, 8, .gelu), layer("projector.linear2", 8, 8, nil)], keepsClassToken: false))
        #expect(fusion.visionTokens(grid: 4) == 16 && fusion.lastTap == 7 && fusion.fusedChannels(hiddenSize: 4) == 4)
    }

    @Test func otherProjectors() throws {
        var fixture = Fixture.llava
        fixture.addLinear("model.mm_projector.2", 8, 20)
        fixture.addLinear("model.mm_projector.4", 20, 8)
        fixture.config["mm_projector_type"] = "mlp3x_gelu"
        #expect(
            try fixture.open().configuration.fusion?.aligner == [
                layer("projector.linear1", 4, 8, .gelu), layer("projector.linear2", 8, 20, .gelu), layer("projector.linear3", 20, 8, nil),
            ])
        fixture = .llava
        fixture.tensors = fixture.tensors.filter { !$0.key.hasPrefix("model.mm_projector") }
        fixture.addLinear("model.mm_projector", 4, 8)
        fixture.config["mm_projector_type"] = nil
        fixture.config["mm_vision_select_layer"] = 0
        let checkpoint = try fixture.open()
        #expect(checkpoint.configuration.fusion?.aligner == [layer("projector.linear1", 4, 8, nil)])
        #expect(checkpoint.configuration.fusion?.taps == [0])
        #expect(checkpoint.tensors["projector.linear1.bias"]?.sourceName == "model.mm_projector.bias")
    }

    @Test func classToken() throws {
        for feature in ["cls_patch", "full"] {
            var fixture = Fixture.llava
            fixture.config["mm_vision_select_feature"] = feature
            let fusion = try #require(fixture.open().configuration.fusion)
            #expect(fusion.keepsClassToken && fusion.visionTokens(grid: 4) == 17)
            for windowed in [Fixture.released, .configurable] {
                #expect(
                    windowed.failure { $0.config["mm_vision_select_feature"] = feature } == """
                        error: key 'mm_vision_select_feature' is '\(feature)', which cannot be combined with windows, at file 'DIR/config.json'; \
                        expected 'patch'
                        """)
            }
        }
    }

    @Test func releasedFusion() throws {
        let configuration = try Fixture.released.open().configuration
        let fusion = try #require(configuration.fusion)
        #expect(configuration.layout == .llava)
        #expect(
            fusion
                == FusionConfiguration(
                    taps: [7, 6, 3], kernel: 2, tokensPerWindow: 1,
                    mbtf: [layer("mbtf.conv1", 12, 16, .gelu), layer("mbtf.conv2", 16, 4, nil)],
                    windowConvolution: nil, aligner: [layer("projector.linear1", 16, 64, .gelu), layer("projector.linear2", 64, 8, nil)],
                    keepsClassToken: false))
        #expect(fusion.visionTokens(grid: 4) == 4)
    }

    @Test func releasedFusionFirstTap() throws {
        for (index, taps) in [(6, [6, 3]), (8, [8, 6, 3]), (-1, [8, 6, 3]), (3, [3]), (0, [0])] {
            var fixture = Fixture.released
            fixture.config["mm_vision_select_layer"] = index
            fixture.tensors["model.mm_projector_crosslayer.0.weight"]!.shape = [16, 4 * taps.count]
            #expect(try fixture.open().configuration.fusion?.taps == taps)
        }
    }

    @Test func configurableFusion() throws {
        let configuration = try Fixture.configurable.open().configuration
        let fusion = try #require(configuration.fusion)
        #expect(configuration.layout == .configurable)
        #expect(
            fusion
                == FusionConfiguration(
                    taps: [3, 6, 8], kernel: 2, tokensPerWindow: 2,
                    mbtf: [layer("mbtf.conv1", 12, 16, .gelu), layer("mbtf.conv2", 16, 4, .gelu)],
                    windowConvolution: layer("stf.conv1", 4, 16, .gelu, kernel: 2),
                    aligner: [layer("stf.conv2", 8, 32, .gelu), layer("stf.conv3", 32, 8, .gelu)], keepsClassToken: false))
        #expect(fusion.visionTokens(grid: 4) == 8)
    }

    @Test func withoutWindowConvolutionAndMBTF() throws {
        var fixture = Fixture.configurable
        fixture.tensors = fixture.tensors.filter { !$0.key.hasPrefix("model.mbtf") && !$0.key.hasPrefix("model.stf") }
        fixture.fusion["mbtf"] = nil as Any?
        fixture.fusion["tokens_per_window"] = 4
        fixture.fusion["stf"] = ["channels": [20, 8], "final_activation": false, "window_conv": false]
        fixture.addConvolution("model.stf.conv1", 12, 20)
        // A 1x1 convolution may also be stored as the matrix that it is.
        fixture.addLinear("model.stf.conv2", 20, 8)
        let checkpoint = try fixture.open()
        let fusion = try #require(checkpoint.configuration.fusion)
        #expect(fusion.mbtf == [] && fusion.windowConvolution == nil && fusion.fusedChannels(hiddenSize: 4) == 12)
        #expect(fusion.aligner == [layer("stf.conv1", 12, 20, .gelu), layer("stf.conv2", 20, 8, nil)])
        #expect(checkpoint.tensors["stf.conv1.weight"]?.shape == [20, 12])
    }

    @Test func kernelOneIsAMatrix() throws {
        var fixture = Fixture.configurable
        fixture.fusion["kernel"] = 1
        fixture.fusion["tokens_per_window"] = nil as Any?
        fixture.tensors["model.stf.conv1.weight"]!.shape = [16, 4, 1, 1]
        fixture.tensors["model.stf.conv2.weight"]!.shape = [32, 16, 1, 1]
        let checkpoint = try fixture.open()
        #expect(checkpoint.configuration.fusion?.windowConvolution?.kernel == 1)
        #expect(checkpoint.configuration.fusion?.tokensPerWindow == 1)
        #expect(checkpoint.tensors["stf.conv1.weight"]?.shape == [16, 4])
    }

    /// Forks of LLaVA write keys of their own, which say nothing or much.
    @Test func unknownKeys() throws {
        var fixture = Fixture.llava
        for (key, value) in [("mm_fork", "x"), ("mm_newline_position", "grid")] as [(String, Any)] { fixture.config[key] = value }
        fixture.config["mm_off"] = false
        let warnings = try fixture.open().warnings
        #expect(warnings.count == 1 && warnings[0].rendered.hasPrefix("warning: key 'mm_fork' is not known and not followed, at file '"))
    }

    @Test func originalRefusals() {
        let table: [(String, Any, String)] = [
            ("mm_patch_merge_type", "spatial_unpad", "is 'spatial_unpad', which is not supported; expected 'flat'"),
            ("mm_use_im_start_end", true, "is true, which is not supported; expected false"),
            ("use_mm_proj", false, "is false, which is not supported; expected true"),
            ("mm_spatial_pool_mode", "bilinear", "is set, which is not supported; expected null"),
            ("s2", true, "is true, which is not supported; expected false"),
            ("mm_resampler_type", "qformer", "is set, which is not supported; expected null"),
            ("mm_projector_type", "identity", "is 'identity', which is not supported; expected 'linear', 'mlp2x_gelu' or 'tokenpacker'"),
            (
                "mm_projector_type", "mlp2x_res2x_gelu",
                "is 'mlp2x_res2x_gelu', which is not supported; expected 'linear', 'mlp2x_gelu' or 'tokenpacker'"
            ),
            (
                "mm_projector_type", "mlp0x_gelu",
                "is 'mlp0x_gelu', which is not supported; expected 'linear', 'mlp2x_gelu' or 'tokenpacker'"
            ),
            ("mm_hidden_size", 16, "is 16; expected 4, the tower's hidden size"),
            ("mm_vision_select_layer", 9, "is 9; expected -9 to 8 for a tower of 8 blocks"),
            ("mm_vision_select_layer", -10, "is -10; expected -9 to 8 for a tower of 8 blocks"),
            ("mm_vision_select_feature", "cls", "is 'cls', which is not supported; expected 'patch' or 'cls_patch'"),
        ]
        for fixture in [Fixture.llava, .released] { fixture.expectProblems(table) }
        #expect(
            Fixture.llava.failure { $0.config["mm_vision_select_layer"] = nil }
                == "error: key 'mm_vision_select_layer' is missing, at file 'DIR/config.json'; expected an integer")
    }

    @Test func releasedRefusals() {
        #expect(
            Fixture.released.failure { $0.tensors["model.mm_projector_crosslayer.0.weight"]!.shape = [16, 32] } == """
                error: wrong shape [16, 32], at tensor 'model.mm_projector_crosslayer.0.weight' of file 'DIR/model.safetensors'; \
                expected [16, 12] (for taps 7, 6, 3)
                """)
        #expect(
            Fixture.released.failure { $0.tensors["model.mm_projector_crosslayer.2.bias"] = nil }
                == "error: tensor 'model.mm_projector_crosslayer.2.bias' is missing, at file 'DIR/model.safetensors'; expected shape [4]")
        #expect(
            Fixture.released.failure { $0.tensors["model.mm_projector.0.weight"]!.shape = [64, 4] }
                == "error: wrong shape [64, 4], at tensor 'model.mm_projector.0.weight' of file 'DIR/model.safetensors'; expected [64, 16]")
        #expect(
            Fixture.released.failure {
                $0.vision["image_size"] = 6
                $0.preprocessor = nil
            }
                == "error: a patch grid of 3 x 3 has no 2 x 2 windows, which 'mm_projector_crosslayer' asks for, at file 'DIR/config.json'; expected an even grid"
        )
    }

    @Test func configurableRefusals() {
        let table: [((inout Fixture) -> Void, String, String)] = [
            ({ $0.fusion["strategy"] = "mean" }, "strategy' is 'mean'", "'stf', 'avgpool', 'tokenconcat' or 'qformer'"),
            ({ $0.fusion["strategy"] = nil as Any? }, "strategy' is missing", "a string"),
            ({ $0.fusion["kernal"] = 2 }, "kernal' is not known", "'kernel'"),
            (
                { $0.fusion["zzz"] = 2 }, "zzz' is not known",
                "'strategy', 'taps', 'kernel', 'tokens_per_window', 'mbtf', 'stf' or 'qformer'"
            ),
            ({ $0.fusion["taps"] = [Int]() }, "taps' is empty", "hidden-state indices"),
            ({ $0.fusion["taps"] = [3, 9] }, "taps[1]' is 9", "-9 to 8 for a tower of 8 blocks"),
            ({ $0.fusion["taps"] = "all" }, "taps' is a string", "an array of integers"),
            ({ $0.fusion["kernel"] = 3 }, "kernel' is 3", "a divisor of the 4 x 4 patch grid: 1, 2, 4"),
            ({ $0.fusion["kernel"] = 8 }, "kernel' is 8", "a divisor of the 4 x 4 patch grid: 1, 2, 4"),
            ({ $0.fusion["kernel"] = 0 }, "kernel' is 0", "a divisor of the 4 x 4 patch grid: 1, 2, 4"),
            ({ $0.fusion["kernel"] = nil as Any? }, "kernel' is missing", "an integer"),
            ({ $0.fusion["tokens_per_window"] = 3 }, "tokens_per_window' is 3", "a divisor of the window's 16 channels: 1, 2, 4, 8, 16"),
            ({ $0.fusion["tokens_per_window"] = -2 }, "tokens_per_window' is -2", "a divisor of the window's 16 channels: 1, 2, 4, 8, 16"),
            ({ $0.fusion["stf"] = nil as Any? }, "stf' is missing", "an object"),
            ({ $0.fusion["qformer"] = ["queries": 4] }, "qformer' is set, which strategy 'stf' has no place for", "null"),
            ({ $0.setFusion("stf", "channels", [16, 32, 9]) }, "stf.channels' ends in 9", "8, the decoder's hidden size"),
            ({ $0.setFusion("stf", "channels", [8]) }, "stf.channels' has 1 entry", "the window convolution's channels and the aligner's"),
            ({ $0.setFusion("stf", "channels", [Int]()) }, "stf.channels' is []", "1 to 64 positive sizes"),
            ({ $0.setFusion("stf", "channels", [0, 8]) }, "stf.channels' is [0, 8]", "1 to 64 positive sizes"),
            ({ $0.setFusion("stf", "channels", nil) }, "stf.channels' is missing", "an array of integers"),
            ({ $0.setFusion("stf", "window_conf", true) }, "stf.window_conf' is not known", "'window_conv'"),
            ({ $0.setFusion("stf", "window_conv", 1) }, "stf.window_conv' is an integer", "a boolean"),
            ({ $0.setFusion("mbtf", "final_activation", "gelu") }, "mbtf.final_activation' is a string", "a boolean"),
            ({ $0.setFusion("mbtf", "channels", [1 << 31]) }, "mbtf.channels' is [2147483648]", "1 to 64 positive sizes"),
            ({ $0.setFusion("mbtf", "channels", [2_000_000_000]) }, "kernel' is 2", "windows of at most 2147483647 channels"),
        ]
        for (spoil, problem, expected) in table {
            #expect(
                Fixture.configurable.failure(spoil)
                    == "error: key 'mm_token_fusion.\(problem), at file 'DIR/config.json'; expected \(expected)")
        }
    }

    /// Strategy and its tensors in the place of `stf`, over MBTF's 4 channels or 12 of the taps.
    private func strategy(_ name: String, mbtf: Bool = true) -> Fixture {
        var fixture = Fixture.configurable
        fixture.tensors = fixture.tensors.filter { !$0.key.hasPrefix("model.stf") && (mbtf || !$0.key.hasPrefix("model.mbtf")) }
        fixture.fusion["strategy"] = name
        fixture.fusion["tokens_per_window"] = nil as Any?
        if !mbtf { fixture.fusion["mbtf"] = nil as Any? }
        let channels = mbtf ? 4 : 12
        if name == "qformer" {
            fixture.fusion["stf"] = nil as Any?
            fixture.fusion["kernel"] = nil as Any?
            fixture.fusion["qformer"] = ["queries": 3, "hidden_size": 6, "layers": 2, "heads": 2, "intermediate_size": 5]
            fixture.tensors["model.qformer.query_tokens"] = TensorFixture(shape: [1, 3, 6])
            fixture.addLinear("model.qformer_proj", 6, 8)
            fixture.addNorm("model.qformer.layernorm", 6)
            for layer in 0..<2 {
                let prefix = "model.qformer.encoder.layer.\(layer)."
                for (attention, keys) in [("attention", 6)] + (layer == 0 ? [("crossattention", channels)] : []) {
                    fixture.addLinear("\(prefix)\(attention).attention.query", 6, 6)
                    for part in ["key", "value"] { fixture.addLinear("\(prefix)\(attention).attention.\(part)", keys, 6) }
                    fixture.addLinear("\(prefix)\(attention).output.dense", 6, 6)
                    fixture.addNorm("\(prefix)\(attention).output.LayerNorm", 6)
                }
                fixture.addLinear(prefix + "intermediate_query.dense", 6, 5)
                fixture.addLinear(prefix + "output_query.dense", 5, 6)
                fixture.addNorm(prefix + "output_query.LayerNorm", 6)
            }
        } else {
            fixture.fusion["stf"] = ["channels": [20, 8], "final_activation": false]
            fixture.addConvolution("model.stf.conv1", name == "avgpool" ? channels : 4 * channels, 20)
            fixture.addConvolution("model.stf.conv2", 20, 8)
        }
        return fixture
    }

    @Test(arguments: [true, false]) func averages(mbtf: Bool) throws {
        let fusion = try #require(strategy("avgpool", mbtf: mbtf).open().configuration.fusion)
        #expect(fusion.averagesWindow && fusion.windowConvolution == nil && fusion.kernel == 2 && fusion.mbtf.isEmpty == !mbtf)
        #expect(fusion.aligner == [layer("stf.conv1", mbtf ? 4 : 12, 20, .gelu), layer("stf.conv2", 20, 8, nil)])
        #expect(fusion.visionTokens(grid: 4) == 4)
    }

    @Test(arguments: [true, false]) func concatenatedTokens(mbtf: Bool) throws {
        let fusion = try #require(strategy("tokenconcat", mbtf: mbtf).open().configuration.fusion)
        #expect(!fusion.averagesWindow && fusion.windowConvolution == nil && fusion.kernel == 2)
        #expect(fusion.aligner == [layer("stf.conv1", mbtf ? 16 : 48, 20, .gelu), layer("stf.conv2", 20, 8, nil)])
        #expect(fusion.visionTokens(grid: 4) == 4)
    }

    @Test(arguments: [true, false]) func learnedQueries(mbtf: Bool) throws {
        let checkpoint = try strategy("qformer", mbtf: mbtf).open()
        let fusion = try #require(checkpoint.configuration.fusion)
        #expect(
            fusion.qformer
                == QFormerConfiguration(
                    queries: 3, hiddenSize: 6, layerCount: 2, headCount: 2, intermediateSize: 5, crossAttentionFrequency: 2,
                    layerNormEpsilon: 1e-12))
        #expect(fusion.kernel == 1 && fusion.aligner == [layer("qformer.projection", 6, 8, nil)] && fusion.visionTokens(grid: 4) == 3)
        #expect(checkpoint.tensors["qformer.encoder.layer.0.crossattention.attention.key.weight"]?.shape == [6, mbtf ? 4 : 12])
        #expect(checkpoint.tensors["qformer.encoder.layer.1.crossattention.attention.key.weight"] == nil)
    }

    @Test func strategyRefusals() {
        let table: [(String, (inout Fixture) -> Void, String, String)] = [
            ("avgpool", { $0.fusion["kernel"] = 3 }, "kernel' is 3", "a divisor of the 4 x 4 patch grid: 1, 2, 4"),
            (
                "avgpool", { $0.fusion["tokens_per_window"] = 2 }, "tokens_per_window' is 2, which strategy 'avgpool' has no place for",
                "1, or strategy 'stf'"
            ),
            (
                "tokenconcat", { $0.fusion["tokens_per_window"] = 4 },
                "tokens_per_window' is 4, which strategy 'tokenconcat' has no place for", "1, or strategy 'stf'"
            ),
            (
                "avgpool", { $0.setFusion("stf", "window_conv", true) },
                "stf.window_conv' is true, which strategy 'avgpool' has no place for", "false"
            ),
            ("tokenconcat", { $0.setFusion("stf", "channels", [20, 9]) }, "stf.channels' ends in 9", "8, the decoder's hidden size"),
            ("qformer", { $0.fusion["stf"] = ["channels": [8]] }, "stf' is set, which strategy 'qformer' has no place for", "null"),
            ("qformer", { $0.fusion["kernel"] = 2 }, "kernel' is 2, but strategy 'qformer' reads every token", "1"),
            ("qformer", { $0.fusion["qformer"] = nil as Any? }, "qformer' is missing", "an object"),
            ("qformer", { $0.setFusion("qformer", "heads", 4) }, "qformer.heads' is 4", "a divisor of the hidden size 6: 1, 2, 3, 6"),
            ("qformer", { $0.setFusion("qformer", "queries", 0) }, "qformer.queries' is 0", "1 to 2147483647"),
            (
                "qformer", { $0.setFusion("qformer", "cross_attention_frequency", 0) }, "qformer.cross_attention_frequency' is 0",
                "1 to 2147483647"
            ),
            ("qformer", { $0.setFusion("qformer", "layers", 10_001) }, "qformer.layers' is 10001", "1 to 10000"),
            ("qformer", { $0.setFusion("qformer", "head", 2) }, "qformer.head' is not known", "'heads'"),
        ]
        for (name, spoil, problem, expected) in table {
            #expect(
                strategy(name).failure(spoil) == "error: key 'mm_token_fusion.\(problem), at file 'DIR/config.json'; expected \(expected)")
        }
        #expect(
            strategy("qformer").failure { $0.setFusion("qformer", "queries", 4) } == """
                error: wrong shape [1, 3, 6], at tensor 'model.qformer.query_tokens' of file 'DIR/model.safetensors'; \
                expected [1, 4, 6] (by key 'mm_token_fusion.qformer')
                """)
        #expect(
            strategy("qformer").failure { $0.config["mm_vision_select_feature"] = "full" } == """
                error: key 'mm_vision_select_feature' is 'full', which cannot be combined with strategy 'qformer', at file 'DIR/config.json'; \
                expected 'patch'
                """)
    }

    /// Told by its tensors, whatever `mm_projector_type` says, or by that key.
    @Test func tokenPacker() throws {
        let original = try Fixture.tokenPacker.open()
        for kind in ["mlp2x_gelu", "x", nil] {
            var fixture = Fixture.tokenPacker
            fixture.config["mm_projector_type"] = kind
            for key in ["mm_vision_select_layer", "mm_hidden_size"] { fixture.config[key] = nil }
            #expect(try fixture.open().configuration.fusion == original.configuration.fusion)
        }
        let fusion = try #require(original.configuration.fusion)
        #expect(
            fusion.tokenPacker == TokenPackerConfiguration(width: 8, headCount: 8, queryTap: 23, layerNormEpsilon: 1e-6)
                && fusion.taps == [12, 16, 22, 23] && fusion.kernel == 2 && fusion.tokensPerWindow == 1 && fusion.mbtf.isEmpty
                && fusion.windowConvolution == nil && !fusion.averagesWindow && !fusion.keepsClassToken)
        #expect(fusion.aligner == [layer("tokenpacker.linear1", 8, 8, .gelu), layer("tokenpacker.linear2", 8, 8, nil)])
        #expect(fusion.visionTokens(grid: 4) == 4 && original.configuration.layout == .llava)
        let own = original.tensors.filter { $0.key.hasPrefix("tokenpacker.") }
        #expect(own.count == 23 && own["tokenpacker.k_proj_1.0.weight"]?.shape == [8, 16])
        #expect(own["tokenpacker.clip_attn.in_proj_bias"]?.sourceName == "model.mm_projector.clip_attn.in_proj_bias")
        #expect(own["tokenpacker.linear2.bias"]?.sourceName == "model.mm_projector.mlp.2.bias")
        var coarse = Fixture.tokenPacker
        coarse.config["scale_factor"] = 4
        #expect(try coarse.open().configuration.fusion?.visionTokens(grid: 4) == 1)
    }

    @Test func tokenPackerRefusals() {
        let table: [(String, Any?, String)] = [
            ("scale_factor", nil, "is missing; expected an integer"),
            ("scale_factor", 3, "is 3; expected a divisor of the 4 x 4 patch grid: 1, 2, 4"),
            ("scale_factor", 1, "is 1; expected 2, 3 or 4"),
            ("scale_factor", 8, "is 8; expected 2, 3 or 4"),
            ("patch_num", 9, "is set, which is not supported; expected null"),
            ("image_aspect_ratio", "slice", "is 'slice', which is not supported; expected 'pad' or 'square'"),
            ("mm_vision_select_layer", -1, "is -1, but TokenPacker makes its queries of the output of block 23; expected 23"),
            ("mm_vision_select_feature", "full", "is 'full', which cannot be combined with TokenPacker; expected 'patch'"),
        ]
        Fixture.tokenPacker.expectProblems(table)
        #expect(
            Fixture.tokenPacker.failure { $0.vision["num_hidden_layers"] = 22 } == """
                error: a tower of 22 blocks, but TokenPacker reads the outputs of blocks 12, 16, 22, 23, at file 'DIR/config.json'; \
                expected at least 23
                """)
        let name = "model.mm_projector.q_proj_1.weight"
        #expect(
            Fixture.tokenPacker.failure { $0.tensors[name] = nil }
                == "error: tensor '\(name)' is missing, at file 'DIR/model.safetensors'; expected shape [4, 4]"
        )
        #expect(
            Fixture.tokenPacker.failure { $0.tensors[name]!.shape = [12, 4] }
                == "error: a width of 12, at tensor '\(name)' of file 'DIR/model.safetensors'; expected a multiple of TokenPacker's 8 heads"
        )
        #expect(
            Fixture.tokenPacker.failure { $0.tensors["model.mm_projector.clip_attn.in_proj_weight"]!.shape = [16, 8] }
                == "error: wrong shape [16, 8], at tensor 'model.mm_projector.clip_attn.in_proj_weight' of file 'DIR/model.safetensors'; expected [24, 8]"
        )
        #expect(
            Fixture.tokenPacker.failure { $0.addLinear("model.mm_projector.mlp.2", 8, 10) } == """
                error: wrong shape [10, 8], at tensor 'model.mm_projector.mlp.2.weight' of file 'DIR/model.safetensors'; \
                expected [8, 8] (by key 'hidden_size', 8)
                """)
    }

    @Test func projectorOfAnotherDecoder() {
        #expect(
            Fixture.llava.failure { $0.addLinear("model.mm_projector.2", 8, 10) } == """
                error: wrong shape [10, 8], at tensor 'model.mm_projector.2.weight' of file 'DIR/model.safetensors'; \
                expected [8, 8] (by key 'hidden_size', 8)
                """)
        #expect(
            strategy("qformer").failure { $0.addLinear("model.qformer_proj", 6, 10) } == """
                error: wrong shape [10, 6], at tensor 'model.qformer_proj.weight' of file 'DIR/model.safetensors'; \
                expected [8, 6] (by key 'hidden_size', 8)
                """)
    }

    @Test func channelsAgainstTensors() {
        #expect(
            Fixture.configurable.failure { $0.setFusion("mbtf", "channels", [20, 4]) } == """
                error: wrong shape [16, 12, 1, 1], at tensor 'model.mbtf.conv1.weight' of file 'DIR/model.safetensors'; \
                expected [20, 12, 1, 1] (by key 'mm_token_fusion.mbtf.channels')
                """)
        #expect(
            Fixture.configurable.failure { $0.fusion["kernel"] = 4 } == """
                error: wrong shape [16, 4, 2, 2], at tensor 'model.stf.conv1.weight' of file 'DIR/model.safetensors'; \
                expected [16, 4, 4, 4] (by key 'mm_token_fusion.stf.channels[0]')
                """)
        #expect(
            Fixture.configurable.failure { $0.setFusion("stf", "channels", [16, 32, 8, 8]) } == """
                error: tensor 'model.stf.conv4.weight' is missing, at file 'DIR/model.safetensors'; \
                expected shape [8, 8, 1, 1] (by key 'mm_token_fusion.stf.channels')
                """)
    }
}
