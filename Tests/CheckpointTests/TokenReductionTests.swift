import Foundation
import Support
import TestSupport
import Testing

@testable import Checkpoint

@Suite struct TokenReductionTests {
    private func parsed(_ text: String) throws -> TokenReduction { try #require(try TokenReduction.parse(text)) }

    private func error(_ text: String) -> String {
        errorText { () throws(Diagnostic) in try TokenReduction.parse(text).map(\.description) ?? "none" }
    }

    /// What the option says in each form, and how the method itself spells it.
    private static let forms: [(text: String, reduction: TokenReduction, description: String?)] = [
        ("prumerge", .prumerge(.init(samplesGrid: false)), nil),
        (
            "prumerge+:neighbours=8,ratio=0.125", .prumerge(.init(samplesGrid: true, neighbours: 8, ratio: 0.125)),
            "prumerge+:neighbours=8,ratio=1/8"
        ),
        ("prumerge+:ratio=1/9", .prumerge(.init(samplesGrid: true, ratio: 1.0 / 9)), nil),
        ("prumerge:ratio=0.3", .prumerge(.init(samplesGrid: false, ratio: 0.3)), nil),
        ("visionzip:dominant=54,contextual=10", .visionzip(.init(dominant: 54, contextual: 10)), nil),
        ("visionzip:keep=144", .visionzip(.init(dominant: 122, contextual: 22)), "visionzip:dominant=122,contextual=22"),
        ("mmtok:keep=144", .mmtok(.init(keep: 144)), nil),
        (
            "mmtok:keep=8,alpha=1,t_text=0.01,t_vis=1e-1,padding=off",
            .mmtok(.init(keep: 8, alpha: 1, textTemperature: 0.01, visionTemperature: 0.1, padding: .off)),
            "mmtok:keep=8,alpha=1.0,t_text=0.01,t_vis=0.1,padding=off"
        ),
        ("cdpruner:keep=64,clip=a=b/c", .cdpruner(.init(keep: 64, clip: "a=b/c")), nil),
        ("tome:r=13", .tome(.init(.constant(13))), nil),
        ("tome:r=13+0+7", .tome(.init(.list([13, 0, 7]))), nil),
        ("tome:keep=144", .tome(.init(.keep(144))), nil),
        ("fastv:layer=2,keep=144", .fastv(.init(layer: 2, keep: 144)), nil),
        (
            "fastv:variant=recompute,keep=1,layer=3", .fastv(.init(layer: 3, keep: 1, recomputes: true)),
            "fastv:layer=3,keep=1,variant=recompute"
        ),
        ("sparsevlm:tokens=128", .sparsevlm(.init(layers: [2, 6, 15], keep: [303, 110, 36])), nil),
        ("sparsevlm:tokens=64,version=2.0", .sparsevlm(.init(version: .v20, layers: [2, 6, 15], keep: [66, 34, 20])), nil),
        (
            "sparsevlm:version=1.0,tokens=128", .sparsevlm(.init(version: .v10, layers: [2, 6, 15, 19], rank: .init(scale: 9, bias: 6))),
            "sparsevlm:tokens=128,version=1.0"
        ),
        (
            "sparsevlm:tokens=192,version=1.0,layers=0+1",
            .sparsevlm(.init(version: .v10, layers: [0, 1], rank: .init(scale: 13.5, bias: 0))), nil
        ),
        ("sparsevlm:layers=1+3,keep=9+4", .sparsevlm(.init(layers: [1, 3], keep: [9, 4])), nil),
        // Lists come before the name, and give it where they are its own.
        ("sparsevlm:tokens=192,keep=238+48+26", .sparsevlm(.init(layers: [2, 6, 15], keep: [238, 48, 26])), "sparsevlm:tokens=96"),
        ("sparsevlm:tokens=96,layers=1+2+3", .sparsevlm(.init(layers: [1, 2, 3], keep: [238, 48, 26])), nil),
        ("mustdrop:global=0.0012,individual=0.001", .mustdrop(.init(global: 0.0012, individual: 0.001)), nil),
        (
            "mustdrop:global=0,individual=0,window=2,similarity=2,key=1",
            .mustdrop(.init(global: 0, individual: 0, window: 2, similarity: 2, key: 1)),
            "mustdrop:global=0.0,individual=0.0,window=2,similarity=2.0,key=1.0"
        ),
        (
            "yopo:heads=16.npy,layers=16,window=5,ffn=2", .yopo(.init(heads: "16.npy", layers: 16, window: 5, ffn: 2)),
            "yopo:heads=16.npy,layers=16,window=5,ffn=2.0"
        ),
        (
            "yopo:heads=h,layers=1,window=1,ffn=1.5,softmax=kept",
            .yopo(.init(heads: "h", layers: 1, window: 1, ffn: 1.5, softmax: .kept)), nil
        ),
        ("llavolta:layer=2,stride=8", .llavolta(.init(layer: 2, stride: 8)), nil),
        ("voco", .voco(.init()), nil), ("voco:tokens=3", .voco(.init(tokens: 3)), nil), ("voco:tokens=2", .voco(.init()), "voco"),
    ]

    @Test func optionText() throws {
        for (text, reduction, description) in Self.forms {
            let read = try parsed(text)
            #expect(read == reduction && read.description == description ?? text, "\(text): \(read)")
            #expect(try parsed(read.description) == reduction, "\(read)")
            #expect(text.hasPrefix(read.name) && read.isVisionSide || read.isDecoderSide)
        }
        #expect(Set(Self.forms.map(\.reduction.method)) == Set(TokenReduction.Method.allCases))
        #expect(try TokenReduction.parse("none") == nil)
        // The published divisions: 54 + 10, 108 + 20, 122 + 22, 135 + 25, 162 + 30
        for (keep, dominant) in [(64, 54), (128, 108), (144, 122), (160, 135), (192, 162)] {
            #expect(try parsed("visionzip:keep=\(keep)") == .visionzip(.init(dominant: dominant, contextual: keep - dominant)))
        }
    }

    @Test func wrongOptionText() {
        func expectError(_ text: String, _ wanted: String) {
            #expect(error(text).hasPrefix("error: \(wanted), at option '--reduce'; expected"), "\(error(text))")
        }
        expectError("", "unknown method ''")
        expectError("fastvv:layer=2", "unknown method 'fastvv'; did you mean 'fastv'?")
        expectError("none:", "unknown method 'none'")
        expectError("fastv:", "'' is no 'key=value'")
        expectError("fastv:layer=2,", "'' is no 'key=value'")
        expectError("fastv:layer", "'layer' is no 'key=value'")
        expectError("fastv:=2", "'=2' is no 'key=value'")
        expectError("fastv:layers=2,keep=3", "key 'layers' of 'fastv' is not known of method 'fastv'; did you mean 'layer'?")
        expectError("fastv:layer=2,layer=2", "key 'layer' of 'fastv' stands twice")
        expectError("fastv", "key 'layer' of 'fastv' is missing")
        expectError("fastv:layer=2", "key 'keep' of 'fastv' is missing")
        for value in ["", "0", "-1", "2.0", "1e2", "2147483648", "9223372036854775808", "x", "1+2", "٣", "0x1"] {
            expectError("mmtok:keep=\(value)", "key 'keep' of 'mmtok' is '\(value)'")
        }
        for value in ["", "nan", "inf", "-1", "1e39", "0x1p3", "1+", "1/2", "e"] {
            expectError("mmtok:keep=1,alpha=\(value)", "key 'alpha' of 'mmtok' is '\(value)'")
        }
        expectError("mmtok:keep=1,t_text=0", "key 't_text' of 'mmtok' is '0'")
        expectError("mmtok:keep=1,t_vis=1e-50", "key 't_vis' of 'mmtok' is '1e-50'")
        expectError("mmtok:keep=1,padding=yes", "key 'padding' of 'mmtok' is 'yes'")
        for value in ["0", "1.1", "1/0", "/", "1/", "/8", "2/1", "1/8/2", "-1/-8", ""] {
            expectError("prumerge:ratio=\(value)", "key 'ratio' of 'prumerge' is '\(value)'")
        }
        expectError("visionzip", "key 'dominant' of 'visionzip' is missing")
        expectError("visionzip:keep=6", "key 'keep' of 'visionzip' is '6'")
        expectError("visionzip:keep=64,contextual=4", "key 'contextual' of 'visionzip' stands beside 'keep'")
        expectError("tome:r=3,keep=4", "key 'r' of 'tome' stands beside 'keep'")
        expectError("tome", "key 'r' of 'tome' is missing")
        for value in ["", "+", "1+", "+1+2", "1,2", "1+-2"] where value != "1,2" {
            expectError("tome:r=\(value)", "key 'r' of 'tome' is '\(value)'")
        }
        expectError("cdpruner:keep=3,clip=", "key 'clip' of 'cdpruner' is ''")
        expectError("fastv:layer=0,keep=1", "key 'layer' of 'fastv' is '0'")
        expectError("fastv:layer=1,keep=1,variant=mask", "key 'variant' of 'fastv' is 'mask'")
        expectError("sparsevlm", "key 'tokens' of 'sparsevlm' is missing")
        expectError("sparsevlm:tokens=144", "key 'tokens' of 'sparsevlm' is '144'")
        expectError("sparsevlm:tokens=96,version=1.0", "key 'tokens' of 'sparsevlm' is '96'")
        expectError("sparsevlm:tokens=64,version=1.0,keep=3+2+1", "key 'keep' of 'sparsevlm' is set, which version 1.0 has no place for")
        expectError("sparsevlm:tokens=64,version=1.6", "key 'version' of 'sparsevlm' is '1.6'")
        expectError("sparsevlm:tokens=64,layers=2+6", "key 'layers' of 'sparsevlm' has 2 entries")
        expectError("sparsevlm:keep=2+6", "key 'keep' of 'sparsevlm' has 2 entries")
        expectError("sparsevlm:tokens=64,layers=6+2+15", "key 'layers' of 'sparsevlm' is '6+2+15'")
        expectError("mustdrop:global=0.1", "key 'individual' of 'mustdrop' is missing")
        expectError("mustdrop:global=0.1,individual=0,window=1", "key 'window' of 'mustdrop' is '1'")
        expectError("mustdrop:global=0.1,individual=0,key=1.5", "key 'key' of 'mustdrop' is '1.5'")
        expectError("yopo:heads=h,layers=2,window=4,ffn=2", "key 'window' of 'yopo' is '4'")
        expectError("yopo:heads=h,layers=2,window=5,ffn=0.5", "key 'ffn' of 'yopo' is '0.5'")
        expectError("yopo:heads=,layers=2,window=5,ffn=2", "key 'heads' of 'yopo' is ''")
        expectError("llavolta:layer=2,stride=0", "key 'stride' of 'llavolta' is '0'")
        expectError("voco:tokens=0", "key 'tokens' of 'voco' is '0'")
        #expect(
            error("tome:s=3") == """
                error: key 's' of 'tome' is not known of method 'tome'; did you mean 'r'?, at option '--reduce'; expected 'r' or 'keep'
                """)
    }

    // MARK: config.json

    private func configured(_ object: Any, _ fixture: Fixture = .llava) throws -> TokenReduction? {
        var fixture = fixture
        fixture.config["mm_token_reduction"] = object
        return try fixture.open().configuration.reduction
    }

    private func failure(_ object: Any, _ fixture: Fixture = .llava) -> String {
        fixture.failure { $0.config["mm_token_reduction"] = object }
    }

    @Test func configurationKey() throws {
        #expect(try Fixture.llava.open().configuration.reduction == nil)
        #expect(try configured(NSNull()) == nil && configured(["method": "none"]) == nil)
        #expect(try configured(["method": "fastv", "layer": 2, "keep": 144.0]) == parsed("fastv:layer=2,keep=144"))
        #expect(try configured(["method": "fastv", "layer": "2", "keep": 7, "variant": NSNull()]) == parsed("fastv:layer=2,keep=7"))
        #expect(
            try configured(["method": "sparsevlm", "layers": [2, 6, 15], "keep": [303, 110, 36], "version": 1.5])
                == parsed("sparsevlm:tokens=128"))
        #expect(try configured(["method": "sparsevlm", "tokens": 64, "version": 2.0]) == parsed("sparsevlm:tokens=64,version=2.0"))
        #expect(try configured(["method": "tome", "r": [3, 2]]) == parsed("tome:r=3+2"))
        #expect(try configured(["method": "prumerge+", "ratio": 0.125]) == parsed("prumerge+:ratio=1/8"))
        #expect(try configured(["method": "prumerge+", "ratio": "1/9"]) == parsed("prumerge+:ratio=1/9"))
        for fixture in [Fixture.configurable, .transformers(newer: true), .decoder] {
            #expect(try configured(["method": "voco"], fixture) == .voco(.init()))
        }
    }

    @Test func filesAreRelativeToTheCheckpoint() throws {
        var fixture = Fixture.llava
        fixture.config["mm_token_reduction"] = ["method": "cdpruner", "keep": 3, "clip": "own"] as [String: Any]
        let folder = TemporaryFolder()
        fixture.write(to: folder)
        #expect(try Checkpoint.open(path: folder.path).configuration.reduction == .cdpruner(.init(keep: 3, clip: folder.file("own"))))
        #expect(try configured(["method": "cdpruner", "keep": 3, "clip": "/own"]) == .cdpruner(.init(keep: 3, clip: "/own")))
    }

    @Test func wrongConfigurationKey() {
        #expect(failure(["fastv"]) == "error: key 'mm_token_reduction' is an array, at file 'DIR/config.json'; expected an object")
        #expect(
            failure([:] as [String: Any])
                == "error: key 'mm_token_reduction.method' is missing, at file 'DIR/config.json'; expected a string")
        #expect(
            failure(["method": "fastw"]).hasPrefix(
                "error: key 'mm_token_reduction.method' is 'fastw', which is not known; did you mean 'fastv'?, at file"))
        #expect(
            failure(["method": "fastv", "layer": 2, "keep": 0] as [String: Any])
                == "error: key 'mm_token_reduction.keep' is '0', at file 'DIR/config.json'; expected 1 to 2147483647")
        #expect(
            failure(["method": "fastv", "layer": true, "keep": 1] as [String: Any])
                == "error: key 'mm_token_reduction.layer' is a boolean, at file 'DIR/config.json'; expected a number, a string or a list")
        for value in [["x": 1] as Any, [[1]], [true], [NSNull()], 1.5, "", -1, Int.min, 1e300, [Any](), [1, 2]] {
            for key in ["layer", "keep"] {
                let text = failure((["method": "fastv", "layer": 1, "keep": 1] as [String: Any]).merging([key: value]) { $1 })
                #expect(text.hasPrefix("error: key 'mm_token_reduction.\(key)"), "\(value): \(text)")
            }
        }
        #expect(
            failure(["method": "fastv", "layer": 1, "keep": 1, "rank": 3] as [String: Any]).hasPrefix(
                "error: key 'mm_token_reduction.rank' is not known of method 'fastv'"))
    }

    // MARK: YOPO's own keys

    /// A checkpoint that was trained for it says what is cut, but for the heads.
    @Test func releasedKeys() throws {
        func opened(_ keys: [String: Any]) throws -> TokenReduction? {
            var fixture = Fixture.llava
            fixture.config.merge(keys) { $1 }
            return try fixture.open().configuration.reduction
        }
        let keys: [String: Any] = ["attncut_w": 5, "layercut_num": 1, "headcut_num": 24, "mlpcut_ratio": 2, "sprompt_len": 35]
        let released = try #require(try opened(keys))
        #expect(
            released == .yopo(.init(heads: nil, layers: 1, window: 5, ffn: 2)) && released.description == "yopo:layers=1,window=5,ffn=2.0")
        #expect(
            try opened(["sprompt_len": 35]) == nil
                && opened(["headcut_num": 24]) == .yopo(.init(heads: nil, layers: nil, window: nil, ffn: nil)))
        // The option's own keys come first, and other methods have none of these.
        #expect(try parsed("yopo:heads=h").completed(by: released) == .yopo(.init(heads: "h", layers: 1, window: 5, ffn: 2)))
        #expect(
            try parsed("yopo:heads=h,window=7,softmax=kept").completed(by: released)
                == .yopo(.init(heads: "h", layers: 1, window: 7, ffn: 2, softmax: .kept)))
        #expect(try parsed("fastv:layer=2,keep=3").completed(by: released) == parsed("fastv:layer=2,keep=3"))
        #expect(try parsed("yopo:heads=h").completed(by: nil) == parsed("yopo:heads=h"))
        let own = ["method": "yopo", "heads": "h", "layers": 1] as [String: Any]
        guard case .yopo(let mixed)? = try opened(keys.merging(["mm_token_reduction": own]) { $1 }) else {
            Issue.record("no YOPO")
            return
        }
        #expect(mixed.layers == 1 && mixed.window == 5 && mixed.heads?.hasSuffix("/h") == true)
        #expect(try opened(keys.merging(["mm_token_reduction": ["method": "none"]]) { $1 }) == nil)

        let configuration = try Fixture.llava.open().configuration
        #expect(
            errorText { () throws(Diagnostic) in try released.check(against: configuration, askedBy: .configuration(path: "m")) }
                == "error: the model was trained for method 'yopo', and nothing says in which heads its vision rows are seen, at file 'm'; "
                + "expected '--reduce yopo:heads=FILE.npy', or '--reduce none'")
        for (key, value, problem) in [
            ("attncut_w", 4, "is 4, "), ("attncut_w", -1, "is -1, "),
            ("layercut_num", 0, "is 0, "), ("mlpcut_ratio", 0, "is 0.0, "),
        ] {
            let fixture = {
                var fixture = Fixture.llava
                fixture.config[key] = value
                return fixture
            }()
            let error = errorText { () throws(Diagnostic) in try fixture.open().configuration.name }
            #expect(error.contains("'\(key)' \(problem)"), "\(error)")
        }
    }

    // MARK: What does not go together

    /// With VoCo-LLaMA's token in its vocabulary
    private static var compressing: Fixture {
        var fixture = Fixture.llava
        fixture.config["vocab_size"] = 261
        for name in ["model.embed_tokens.weight", "lm_head.weight"] { fixture.tensors[name]!.shape = [261, 8] }
        fixture.files["added_tokens.json"] = #"{"<voco>": 260}"#
        return fixture
    }

    /// The error of checking `text` against a fixture that `change` changed; empty where there is none but that nothing is built.
    private func refusal(_ text: String, _ fixture: Fixture = .llava, _ change: (inout ModelConfiguration) -> Void = { _ in }) throws
        -> String
    {
        var configuration = try fixture.open().configuration
        // Deep enough for all of MustDrop's points.
        configuration.decoder.layerCount = 16
        change(&configuration)
        let reduction = try parsed(text)
        let error = errorText { () throws(Diagnostic) in try reduction.check(against: configuration, askedBy: .option) }
        return error.hasPrefix("error: method '\(reduction.name)' is not built, ") || error.hasPrefix("no error") ? "" : error
    }

    /// On the fixtures' 16 patches, 8 blocks of the tower up to tap 7, and 16 blocks of the decoder.
    @Test func whatGoesTogether() throws {
        let folder = TemporaryFolder()
        folder.write("heads.npy", headMaskFile(Array(repeating: [true, false], count: 16)))
        for text in [
            "prumerge:neighbours=15", "prumerge:ratio=1/16,neighbours=2", "prumerge+:ratio=1/4,neighbours=2",
            "visionzip:dominant=1,contextual=15",
            "visionzip:dominant=15,contextual=1", "mmtok:keep=16", "cdpruner:keep=16,clip=\(folder.path)", "tome:keep=2", "tome:keep=16",
            "tome:r=100", "tome:r=1+2+3+4+5+6+7", "fastv:layer=15,keep=16", "sparsevlm:layers=0+14,keep=300+200",
            "sparsevlm:tokens=64,version=1.0,layers=14",
            "mustdrop:global=0,individual=0,window=2", "yopo:heads=\(folder.file("heads.npy")),layers=16,window=5,ffn=2",
            "llavolta:layer=15,stride=16",
        ] {
            let text = text
            #expect(try refusal(text) == "", "\(text)")
        }
    }

    @Test func whatDoesNotGoTogether() throws {
        let vision = [
            "prumerge:neighbours=2", "visionzip:dominant=2,contextual=1", "mmtok:keep=1", "tome:keep=4",
            "mustdrop:global=0,individual=0,window=2",
        ]
        let decoder = ["fastv:layer=2,keep=3", "sparsevlm:layers=2,keep=3", "llavolta:layer=2,stride=2"]
        for text in vision {
            let name = "error: method '\(try parsed(text).name)' "
            for (fixture, wanted) in [
                (Fixture.released, "cannot be combined with windows of 2 x 2 patches, at option '--reduce'; expected a row for each patch"),
                (.configurable, "cannot be combined with 2 tokens per window, at option '--reduce'; expected a row for each patch"),
            ] { #expect(try refusal(text, fixture) == name + wanted) }
            #expect(try refusal(text) { $0.fusion?.averagesWindow = true }.hasPrefix(name + "cannot be combined with means of 1 x 1"))
            #expect(try refusal(text) { $0.fusion?.taps = [3, 7] }.hasPrefix(name + "cannot be combined with several taps (3, 7)"))
            let kept = "cannot be combined with the class token that key 'mm_vision_select_feature' keeps"
            #expect(try refusal(text) { $0.fusion?.keepsClassToken = true } == name + kept + ", at option '--reduce'; expected 'patch'")
            #expect(
                try refusal(text, .transformers(newer: true)) { $0.fusion?.keepsClassToken = true }.contains(
                    "that key 'vision_feature_select_strategy' keeps, at option '--reduce'; expected 'default'"))
            #expect(
                try refusal(text) {
                    $0.fusion?.qformer = QFormerConfiguration(
                        queries: 4, hiddenSize: 8, layerCount: 1, headCount: 1, intermediateSize: 8, crossAttentionFrequency: 1,
                        layerNormEpsilon: 1e-5)
                }.hasPrefix(name + "cannot be combined with strategy 'qformer'"))
        }
        for text in decoder {
            #expect(try refusal(text, .released) == "")
            #expect(try refusal(text) { $0.fusion?.keepsClassToken = true } == "")
        }
        for text in vision + decoder {
            #expect(
                try refusal(text, .decoder).hasSuffix(
                    "reduces vision rows, and the model is a decoder without images, at option '--reduce'; expected a model with images"))
        }
        #expect(
            try refusal("yopo:heads=h,layers=2,window=5,ffn=2") { $0.fusion?.keepsClassToken = true }.contains(
                "method 'yopo' cannot be combined with the class token"))
        for (text, wanted) in [
            ("prumerge", "has 32 neighbours, at option '--reduce'; expected less than the model's 16 patches"),
            ("prumerge:neighbours=2,ratio=1/17", "keeps no row of 16, "), ("prumerge:neighbours=2,ratio=1", "keeps all 16 patches, "),
            ("prumerge+:neighbours=2,ratio=1/2", "has ratio 0.5, "),
            (
                "prumerge+:neighbours=2,ratio=1/5",
                "has ratio 0.2, at option '--reduce'; expected 1/m, where m divides the 16 patches: 1/4, 1/8, 1/16"
            ),
            ("visionzip:dominant=10,contextual=8", "has 8 contextual rows, and 10 dominant ones leave 7 of 17, "),
            ("visionzip:dominant=18,contextual=1", "has 1 contextual rows, and 18 dominant ones leave 0 of 17, "),
            ("visionzip:dominant=10,contextual=7", "keeps 17 rows, at option '--reduce'; expected at most the model's 16 patches"),
            ("mmtok:keep=17", "keeps 17 rows, "), ("cdpruner:keep=17,clip=.", "keeps 17 rows, "), ("tome:keep=17", "keeps 17 rows, "),
            ("cdpruner:keep=1,clip=no", "has 'no' as 'clip', which is no folder, "),
            ("tome:keep=1", "keeps 1 rows, and 7 blocks cannot merge so many, at option '--reduce'; expected at least 2"),
            ("tome:r=1+1+1+1+1+1+1+1", "has counts for 8 blocks, and 7 run, "),
            ("fastv:layer=16,keep=1", "has layer 16, and the decoder has 16 blocks, at option '--reduce'; expected at most 15"),
            ("fastv:layer=1,keep=17", "keeps 17 rows, at option '--reduce'; expected at most the model's 16 vision rows"),
            ("sparsevlm:layers=2+15,keep=3+2", "has layer 15, and the decoder has 16 blocks, at option '--reduce'; expected at most 14"),
            ("mustdrop:global=0,individual=0", "merges windows of 3 x 3, and the patch grid is 4 x 4, "),
            ("yopo:heads=h,layers=17,window=5,ffn=2", "has layers 17, "),
            ("yopo:heads=no,layers=16,window=5,ffn=2", "has 'no' as 'heads', which is no file, "),
            (
                "yopo:heads=h,window=5,ffn=2",
                "has no key 'layers', at option '--reduce'; expected it, or key 'layercut_num' of the checkpoint"
            ),
            ("yopo:heads=h,layers=1,ffn=2", "has no key 'window', at option '--reduce'; expected it, or key 'attncut_w' of the checkpoint"),
            (
                "yopo:heads=h,layers=1,window=5",
                "has no key 'ffn', at option '--reduce'; expected it, or key 'mlpcut_ratio' of the checkpoint"
            ),
            ("llavolta:layer=16,stride=2", "has layer 16, "), ("llavolta:layer=2,stride=17", "has stride 17, "),
        ] {
            let error = try refusal(text)
            #expect(error.hasPrefix("error: method '\(try parsed(text).name)' \(wanted)"), "\(error)")
        }
        // Fewer blocks have the first of its points.
        for blocks in [3, 15] { #expect(try refusal("mustdrop:global=0,individual=0,window=2") { $0.decoder.layerCount = blocks } == "") }
        #expect(
            try refusal("mustdrop:global=0,individual=0,window=2") { $0.decoder.layerCount = 2 }.contains(
                "has layer 2, and the decoder has 2 blocks, at option '--reduce'; expected at most 1"))
        #expect(
            try refusal("voco")
                == "error: method 'voco' compresses by token '<voco>', which the model's vocabulary lacks, at option '--reduce'; expected a model that was trained with it"
        )
        #expect(try refusal("voco:tokens=3", Self.compressing) == "")
        for (tokens, isRefused) in [(63, false), (64, true), (2_147_483_647, true)] {
            let error = try refusal("voco:tokens=\(tokens)", Self.compressing) { $0.decoder.maxPositionEmbeddings = 64 }
            let wanted = "error: method 'voco' has \(tokens) tokens, at option '--reduce'; expected fewer than the model's 64 positions"
            #expect(error == (isRefused ? wanted : ""))
        }
        for text in vision + decoder {
            #expect(
                try refusal(text, Self.compressing).contains(
                    "' cannot be combined with token '<voco>', by which the model compresses its images, "))
        }
        for text in vision {
            #expect(try refusal(text, .tokenPacker).contains("' cannot be combined with the projector TokenPacker, "))
        }
        for text in decoder { #expect(try refusal(text, .tokenPacker) == "") }
        for text in decoder + ["mmtok:keep=2"] {
            #expect(try refusal(text, .llavaMini).contains("' cannot be combined with LLaVA-Mini's prefusion, "))
        }
        #expect(
            try refusal("tome:keep=4") { $0.fusion?.taps = [1] }
                == "error: method 'tome' keeps 4 rows, and 1 blocks cannot merge so many, at option '--reduce'; expected at least 8")
    }

    /// Weights that are dead without a reducer may be absent, and must not be where one reads them.
    @Test func deadWeightsThatAreRead() throws {
        var fixture = Fixture.llava
        fixture.tensors = fixture.tensors.filter { !$0.key.contains(".layers.7.self_attn.") && !$0.key.contains("post_layernorm") }
        let checkpoint = try fixture.open(), whole = try Fixture.llava.open()
        for (text, missing) in [
            ("prumerge+:neighbours=2", "layers.7.self_attn.q_proj.weight"), ("visionzip:dominant=3,contextual=2", nil),
            ("cdpruner:keep=2,clip=.", "post_layernorm.weight"), ("mmtok:keep=3", nil),
        ] {
            let reduction = try parsed(text)
            func error(_ checkpoint: Checkpoint) -> String {
                errorText { () throws(Diagnostic) in
                    try reduction.check(against: checkpoint.configuration, askedBy: .option) { checkpoint.tensors[$0] != nil }
                }
            }
            #expect(!error(whole).contains("tensor"), "\(error(whole))")
            let wanted = missing.map { "method '\(reduction.name)' reads tensor 'vision.\($0)', which the vision tower lacks" }
            #expect(wanted.map(error(checkpoint).contains) ?? !error(checkpoint).contains("tensor"), "\(error(checkpoint))")
        }
    }

    @Test func whoAsks() throws {
        let configuration = try Fixture.llava.open().configuration
        let reduction = try parsed("mmtok:keep=17")
        func error(_ origin: TokenReduction.Origin) -> Diagnostic? {
            do throws(Diagnostic) {
                try reduction.check(against: configuration, askedBy: origin)
                return nil
            } catch { return error }
        }
        #expect(error(.option)?.exitCode == 2)
        let key = error(.configuration(path: "m"))
        #expect(key?.exitCode == 1)
        #expect(
            key?.rendered
                == "error: method 'mmtok' of key 'mm_token_reduction' keeps 17 rows, at file 'm'; expected at most the model's 16 patches")
    }

    @Test func methodsThatAreNotBuilt() throws {
        var configuration = try Fixture.llava.open().configuration
        configuration.decoder.layerCount = 16
        let folder = TemporaryFolder()
        folder.write("heads.npy", headMaskFile(Array(repeating: [true, false], count: 16)))
        for text in [
            "prumerge:neighbours=2", "prumerge+:neighbours=2", "visionzip:dominant=2,contextual=1", "mmtok:keep=1",
            "cdpruner:keep=1,clip=\(folder.path)", "tome:keep=4",
            "fastv:layer=2,keep=3", "fastv:layer=2,keep=3,variant=recompute", "sparsevlm:layers=2,keep=3",
            "mustdrop:global=0,individual=0,window=2",
            "yopo:heads=\(folder.file("heads.npy")),layers=16,window=5,ffn=2", "llavolta:layer=2,stride=2",
        ] {
            let reduction = try parsed(text)
            let error = errorText { () throws(Diagnostic) in try reduction.check(against: configuration, askedBy: .option) }
            let isRefused =
                error.hasPrefix("error: method '\(reduction.name)' is not built, at option '--reduce'; expected ")
                && error.hasSuffix("'none'")
            #expect(isRefused == TokenReduction.notBuilt.contains(reduction.method), "\(error)")
            #expect(isRefused || error.hasPrefix("no error"), "\(error)")
        }
    }

    // MARK: Rows

    /// LLaVA-1.5-7B's numbers.
    private static let shape = VisionShape(grid: 24, towerBlocks: 23, visionRows: 576, layers: 32)

    private func rows(_ text: String) throws -> VisionRows { try parsed(text).rows(Self.shape) }

    /// Against the tables of the methods' papers and public code.
    @Test func rowsOfEachMethod() throws {
        for (text, tokens) in [
            // 1/6, 1/8, 1/9, 1/16, 1/18
            ("prumerge+:ratio=1/6", 193), ("prumerge+:ratio=1/8", 145), ("prumerge+:ratio=1/9", 129), ("prumerge+:ratio=1/16", 73),
            ("prumerge+:ratio=1/18", 65), ("prumerge:ratio=1/8", 73), ("visionzip:keep=192", 192),
            ("visionzip:dominant=191,contextual=30", 221), ("mmtok:keep=144", 144),
            // 576 - 23 * 13, 18, 19
            ("tome:r=13", 277), ("tome:r=18", 162), ("tome:r=19", 139), ("tome:keep=144", 144), ("tome:r=300+300", 144), ("tome:r=300", 1),
        ] {
            #expect(
                try rows(text) == VisionRows(tokens: tokens, perBlock: Array(repeating: tokens, count: 32), areBounds: false), "\(text)")
        }
        for (text, most) in [
            ("prumerge", 145), ("prumerge+", 577), ("mustdrop:global=0,individual=0", 576), ("sparsevlm:tokens=64,version=1.0", 576),
        ] {
            #expect(try rows(text) == VisionRows(tokens: most, perBlock: Array(repeating: most, count: 32), areBounds: true), "\(text)")
        }
        /// Counts with how many blocks each stands for
        func blocks(_ runs: (Int, Int)...) -> VisionRows {
            VisionRows(tokens: 576, perBlock: runs.flatMap { Array(repeating: $0.0, count: $0.1) }, areBounds: false)
        }
        #expect(try rows("fastv:layer=2,keep=144") == blocks((576, 2), (144, 30)))
        #expect(try rows("llavolta:layer=16,stride=5") == blocks((576, 16), (115, 16)))
        #expect(try rows("yopo:heads=h,layers=16,window=5,ffn=2,softmax=kept") == blocks((576, 16), (0, 16)))
        for text in ["voco", "yopo:heads=h,layers=16,window=5,ffn=2"] { #expect(try rows(text) == blocks((576, 32))) }
        // Behind blocks 2, 6 and 15, and the mean to a tenth
        for (name, first, second, third, tenths) in [
            ("192", 309, 204, 113, 2065), ("128", 312, 117, 39, 1454), ("96", 249, 55, 27, 1141), ("64", 82, 32, 18, 823),
            ("192,version=2.0", 300, 200, 118, 2068), ("128,version=2.0", 238, 108, 60, 1441), ("96,version=2.0", 246, 54, 28, 1139),
            ("64,version=2.0", 66, 34, 20, 818),
        ] {
            let rows = try rows("sparsevlm:tokens=\(name)")
            #expect(rows == blocks((576, 3), (first, 4), (second, 9), (third, 16)), "\(name): \(rows)")
            #expect(Int((rows.mean * 10).rounded()) == tenths, "\(name): \(rows.mean)")
        }
        // A list's entry that is no less than the rows that are there drops one row, which is its own cluster.
        #expect(
            try parsed("sparsevlm:layers=0,keep=99").rows(VisionShape(grid: 2, towerBlocks: 1, visionRows: 4, layers: 2)).perBlock == [
                4, 4,
            ])
        #expect(
            try parsed("sparsevlm:layers=0,keep=99,version=2.0").rows(VisionShape(grid: 2, towerBlocks: 1, visionRows: 4, layers: 2))
                .perBlock == [4, 3])
    }

    @Test func mergesOfTheTower() throws {
        func merges(_ text: String, _ blocks: Int, _ patches: Int) throws -> [Int] {
            guard case .tome(let own) = try parsed(text) else { return [] }
            return own.merges(blocks: blocks, patches: patches)
        }
        // floor(432 b / 23) - floor(432 (b - 1) / 23)
        let spread = (1...23).map { 432 * $0 / 23 - 432 * ($0 - 1) / 23 }
        #expect(try merges("tome:keep=144", 23, 576) == spread && spread.reduce(0, +) == 432)
        #expect(try merges("tome:r=5+1", 4, 16) == [5, 1, 0, 0])
        #expect(try merges("tome:r=6", 4, 16) == [6, 5, 2, 1])
        #expect(try merges("tome:r=6", 0, 16) == [])
        #expect(try merges("tome:keep=1", 2, 1 << 60).reduce(0, +) < 1 << 60)
    }

    @Test func sides() throws {
        let methods = Dictionary(Self.forms.map { ($0.reduction.method, $0.reduction) }) { $1 }.values
        func names(_ property: (TokenReduction) -> Bool) -> Set<String> { Set(methods.filter(property).map(\.name)) }
        #expect(names(\.isVisionSide) == ["prumerge", "prumerge+", "visionzip", "mmtok", "cdpruner", "tome", "mustdrop"])
        #expect(names(\.isDecoderSide) == ["fastv", "sparsevlm", "mustdrop", "yopo", "llavolta", "voco"])
        #expect(names(\.isRanked) == ["fastv", "sparsevlm", "mustdrop"])
        #expect(names(\.needsWholePrompt) == ["fastv", "sparsevlm", "mustdrop", "yopo", "llavolta"])
        #expect(names(\.knowsOneImage) == ["fastv", "sparsevlm", "mustdrop", "yopo", "voco"])
        #expect(Self.forms.map(\.reduction).filter(\.recomputes) == [.fastv(.init(layer: 3, keep: 1, recomputes: true))])
        #expect(names(\.readsQuestion) == ["mmtok", "cdpruner"])
        let padding = TokenReduction.MMTok(keep: 1), never = TokenReduction.MMTok(keep: 1, padding: .off)
        #expect(padding.barsPadding(padsImages: true) && !padding.barsPadding(padsImages: false) && !never.barsPadding(padsImages: true))
        #expect(TokenReduction.MMTok(keep: 1, padding: .on).barsPadding(padsImages: false))
    }
}
