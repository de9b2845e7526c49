import Foundation
import TestSupport
import Testing

@testable import Checkpoint
@testable import Driver

/// `--reduce` and the key `mm_token_reduction`, and what `inspect` counts of them.
@Suite struct ReduceTests {
    /// 36 patches, and a decoder of two blocks
    private let model = goldens + "/llava-mlp"
    private let method = "fastv:layer=1,keep=4"

    private func inspect(_ arguments: [String]) throws -> [String: Any] {
        let result = try run([lmmcPath, "inspect"] + arguments + ["--json"])
        try #require(result.status == 0, "\(result.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    }

    /// A copy of the model whose configuration asks for a method.
    private func checkpoint(_ scratch: Scratch, _ reduction: [String: Any]) throws -> String {
        let copy = try scratch.checkpoint("llava-mlp")
        try request(reduction, in: copy)
        return copy
    }

    /// Has the configuration in a folder ask for a method.
    private func request(_ reduction: [String: Any], in folder: String) throws {
        let url = URL(filePath: folder + "/config.json")
        var config = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any])
        config["mm_token_reduction"] = reduction
        try JSONSerialization.data(withJSONObject: config).write(to: url)
    }

    @Test func optionAndKey() throws {
        let scratch = try Scratch()
        let own = try checkpoint(scratch, ["method": "llavolta", "layer": 1, "stride": 9])
        func chosen(_ model: String, _ options: String...) throws -> (String?, [Int]?) {
            let object = try inspect([model] + options)
            #expect((object["reduction"] == nil) == (object["visual_tokens"] == nil))
            return (object["reduction"] as? String, object["visual_tokens_per_block"] as? [Int])
        }
        #expect(try chosen(model) == (nil, nil))
        #expect(try chosen(model, "--reduce", "none") == (nil, nil))
        #expect(try chosen(model, "--reduce", "fastv:keep=4,layer=1") == (method, [36, 4]))
        #expect(try chosen(own) == ("llavolta:layer=1,stride=9", [36, 4]))
        #expect(try chosen(own, "--reduce", "fastv:layer=1,keep=5") == ("fastv:layer=1,keep=5", [36, 5]))
        #expect(try chosen(own, "--reduce", "none") == (nil, nil))
        // The second of two blocks runs on a few rows, and little but that is left of the last one.
        func prefill(_ options: String...) throws -> Int {
            try #require((try inspect([model] + options)["flops"] as? [String: Int])?["prefill_vision"])
        }
        #expect(try prefill("--reduce", method) < prefill())
        let text = try lmmc("inspect", model, "--reduce", method).output
        #expect(text.contains("\nreduction   fastv:layer=1,keep=4: 36 vision tokens, 20 in the mean of the blocks, "), "\(text)")
    }

    /// A LoRA release brings the configuration of the whole model, which may ask for a method.
    @Test func adapter() throws {
        let scratch = try Scratch()
        for name in ["base", "tower", "adapter"] {
            try FileManager.default.copyItem(atPath: "\(goldens)/formats/\(name)", toPath: scratch[name])
        }
        func reduced(_ options: String...) throws -> String {
            let result = try run([lmmcPath, "ir", scratch["base"], "--adapter", scratch["adapter"], "--stage", "reduced"] + options)
            try #require(result.status == 0, "\(result.errors)")
            return result.output
        }
        let asked = try reduced("--reduce", "prumerge")
        #expect(asked.contains("project") && asked.contains("outlier"), "\(asked)")
        try request(["method": "prumerge"], in: scratch["adapter"])
        #expect(try reduced() == asked && reduced("--reduce", "visionzip:keep=9") != asked)
    }

    @Test func stages() throws {
        let scratch = try Scratch()
        let own = try checkpoint(scratch, ["method": "fastv", "layer": 1, "keep": 4])
        let plain = try lmmc("ir", model, "--stage", "imported").output
        #expect(try lmmc("ir", model, "--stage", "imported", "--reduce", "none").output == plain)
        let reduced = try lmmc("ir", model, "--stage", "reduced", "--reduce", method).output
        #expect(reduced != plain && reduced.contains("keep_rows"))
        func asked(_ options: String...) throws -> String {
            try run([lmmcPath, "ir", own, "--stage"] + options).output.replacing("checkpoint-llava-mlp", with: "llava-mlp")
        }
        #expect(try asked("reduced") == reduced && asked("imported", "--reduce", "none") == plain)
        let names = try lmmc("ir", model, "--stage", "list").output
        #expect(
            try lmmc("ir", model, "--stage", "list", "--reduce", method).output
                == names.replacing("imported\n", with: "imported\nreduced\n"))
        try expectRefusals([
            (
                ["ir", model, "--stage", "reduced"],
                "error: stage 'reduced' is not reached, at option '--stage'; expected a reducer, by the option '--reduce' or the checkpoint"
            )
        ])
        // A preset has no weights, and may have a reducer.
        let preset = ["ir", "--preset", "llava-1.5-7b", "--layers", "2", "--vision-layers", "2", "--stage"]
        #expect(try run([lmmcPath] + preset + ["reduced", "--reduce", "fastv:layer=1,keep=144"]).output.contains("keep_rows"))
    }

    /// What a program says about itself with `--info`.
    @Test func programInformation() throws {
        let scratch = try Scratch()
        for (options, name) in [([], "plain"), (["--reduce", "none"], "none"), (["--reduce", method], "reduced")] {
            let result = try run([lmmcPath, "compile", model, "--emit", "c", "--quiet", "-o", scratch[name]] + options)
            #expect(result.status == 0, "\(result.errors)")
        }
        func information(_ name: String) throws -> String { try String(contentsOfFile: scratch[name + "/program.c"], encoding: .utf8) }
        #expect(try information("plain") == information("none") && !information("plain").contains("reduction"))
        #expect(try information("reduced").contains(#"\"reduction\": \"fastv:layer=1,keep=4\""#))
    }

    @Test func refusals() throws {
        let scratch = try Scratch()
        let question = try scratch.write("prompts.txt", "a\n")
        let folder = URL(filePath: question).deletingLastPathComponent().path
        let two = "error: two reducers, 'fastv:layer=1,keep=4' and 'none', at option '--reduce'; expected one of them"
        for command in [
            ["compile", model, "-o", scratch["x"]], ["inspect", model], ["ir", model, "--stage", "imported"],
            ["inspect", "--preset", "llava-1.5-7b"], ["check", model, "/bin/true"],
            ["calibrate", model, "--data", folder, "-o", scratch["x"]],
        ] {
            let blocks = command.contains("--preset") ? 32 : 2
            let beyond = "error: method 'fastv' has layer \(blocks), and the decoder has \(blocks) blocks"
            try expectRefusals([
                (command + ["--reduce", method, "--reduce", "none"], two),
                (
                    command + ["--reduce", "fasttv"],
                    "error: unknown method 'fasttv'; did you mean 'fastv'?, at option '--reduce'; expected "
                ),
                (command + ["--reduce", "fastv:layer=1"], "error: key 'keep' of 'fastv' is missing, at option '--reduce'; expected "),
                (
                    command + ["--reduce", "fastv:layer=\(blocks),keep=1"],
                    beyond + ", at option '--reduce'; expected at most \(blocks - 1)"
                ),
            ])
        }
        try expectRefusals([
            (
                ["inspect", goldens + "/decoder-tied", "--reduce", method],
                "error: method 'fastv' reduces vision rows, and the model is a decoder without images, at option '--reduce'; expected a model"
            ),
            (
                ["inspect", goldens + "/released-stf", "--reduce", "visionzip:keep=7"],
                "error: method 'visionzip' cannot be combined with windows of 2 x 2 patches, at option '--reduce'; expected a row for each"
            ),
            (
                ["inspect", goldens + "/llava-linear", "--reduce", "visionzip:keep=7"],
                "error: method 'visionzip' cannot be combined with the class token that key 'mm_vision_select_feature' keeps, at option"
            ),
        ])
        // The key's errors are those of a file.
        for (reduction, wanted) in [
            (
                ["method": "fastv", "layer": 2, "keep": 4] as [String: Any],
                "error: method 'fastv' of key 'mm_token_reduction' has layer 2, and"
            ),
            (["method": "fastv", "layer": 0, "keep": 4], "error: key 'mm_token_reduction.layer' is '0', at file '"),
        ] {
            let scratch = try Scratch()
            let own = try checkpoint(scratch, reduction)
            for command in [["inspect", own], ["compile", own, "-o", scratch["x"]]] {
                let result = try run([lmmcPath] + command)
                #expect(result.status == 1 && result.errorLine.hasPrefix(wanted) && result.output == "", "\(result.errors)")
            }
        }
    }

    /// A model that compresses by itself is told how many tokens it has, and takes no other reducer.
    @Test func compressionTokens() throws {
        let model = goldens + "/voco"
        func tokens(_ options: String...) throws -> Int? { (try inspect([model] + options)["compression"] as? [String: Int])?["count"] }
        #expect(try tokens() == 2 && tokens("--reduce", "voco:tokens=5") == 5 && tokens("--reduce", "none") == 2)
        try expectRefusals([
            (["inspect", model, "--reduce", method], "error: method 'fastv' cannot be combined with token '<voco>', by which the model "),
            (
                ["inspect", self.model, "--reduce", "voco"],
                "error: method 'voco' compresses by token '<voco>', which the model's vocabulary "
            ),
        ])
    }

    // MARK: The paper's tables

    private var vicuna: DecoderConfiguration {
        DecoderConfiguration(
            hiddenSize: 4096, layerCount: 32, headCount: 32, keyValueHeadCount: 32, headSize: 128, intermediateSize: 11008,
            vocabularySize: 32000, rmsNormEpsilon: 1e-5, ropeTheta: 10000, maxPositionEmbeddings: 4096, tiedEmbeddings: false)
    }

    /// TFLOPs that were counted elsewhere, to their last digit.
    @Test func workOfTheDecoder() throws {
        let rows = ReducerFigures(.largeTower(imageSize: 336), vicuna).rows
        let counted: [(String, Int, Double, Double)] = [
            ("none", 576, 576, 7.63), ("prumerge+:ratio=1/8", 145, 145, 1.89), ("visionzip:keep=192", 192, 192, 2.51),
            ("visionzip:keep=144", 144, 144, 1.88), ("visionzip:keep=128", 128, 128, 1.67), ("visionzip:keep=64", 64, 64, 0.83),
            ("mmtok:keep=144", 144, 144, 1.88), ("cdpruner:keep=32,clip=DIR", 32, 32, 0.42), ("tome:keep=144", 144, 144, 1.88),
            ("fastv:layer=2,keep=144", 576, 171, 2.24), ("fastv:layer=2,keep=115", 576, 143.8, 1.88),
            ("fastv:layer=2,keep=192", 576, 216, 2.83),
            ("fastv:layer=2,keep=128", 576, 156, 2.04), ("fastv:layer=2,keep=64", 576, 96, 1.26),
            ("fastv:layer=3,keep=288", 576, 315, 4.14),
            ("sparsevlm:tokens=192", 576, 206.5, 2.71), ("sparsevlm:tokens=128", 576, 145.4, 1.91),
            ("sparsevlm:tokens=96", 576, 114.1, 1.50),
            ("sparsevlm:tokens=64", 576, 82.3, 1.08), ("sparsevlm:tokens=192,version=2.0", 576, 206.8, 2.71),
            ("sparsevlm:tokens=128,version=2.0", 576, 144.1, 1.89), ("sparsevlm:tokens=96,version=2.0", 576, 113.9, 1.50),
            ("sparsevlm:tokens=64,version=2.0", 576, 81.8, 1.08), ("llavolta:layer=2,stride=8", 576, 103.5, 1.35),
            // 16 blocks with 576 rows and 16 with 72 are 4.2848.
            ("llavolta:layer=16,stride=8", 576, 324, 4.28), ("voco", 576, 576, 7.63),
            // Linear layers whose MLP is halved: 32 * 2 * 576 * (4 * 4096 * 4096 + 3 * 4096 * 5504)
            ("yopo:heads=FILE,layers=16,window=5,ffn=2", 576, 576, 4.97),
            // 576 rows in 16 blocks, of which two have 32 heads and the others 14.93 in the mean
            ("yopo:heads=FILE,layers=16,window=5,ffn=2,softmax=kept, 16 heads", 576, 288, 1.91),
        ]
        for (reducer, tokens, mean, teraflops) in counted {
            let row = try #require(rows.first { $0.reducer == reducer }, "\(reducer)")
            #expect(row.rows.tokens == tokens && abs(row.rows.mean - mean) < 0.0501, "\(reducer): \(row.rows.tokens), \(row.rows.mean)")
            #expect(abs(Double(row.flops) / 1e12 - teraflops) < 0.00501, "\(reducer): \(row.flops)")
        }
        #expect(rows.filter { $0.reducer == "TokenPacker" }.map(\.rows.tokens) == [144, 64, 36])
        let mini = rows.filter { $0.reducer.hasPrefix("LLaVA-Mini") }
        #expect(mini.map(\.rows.tokens) == [1, 144])
        for (row, teraflops) in zip(mini, [1.00, 3.11]) { #expect(abs(Double(row.flops) / 1e12 - teraflops) < 0.00501, "\(row.flops)") }
        #expect(rows.allSatisfy { !$0.rows.areBounds })
    }

    @Test func workThatARunDecides() throws {
        let shape = VisionShape(grid: 24, towerBlocks: 23, visionRows: 576, layers: 32)
        for (text, most) in [("prumerge", 1.89), ("prumerge+", 7.65), ("mustdrop:global=0.001,individual=0.001", 7.63)] {
            let reduction = try #require(try TokenReduction.parse(text))
            let row = ReducerFigures.Row(reducer: text, rows: reduction.rows(shape), flops: reduction.flops(vicuna, shape))
            #expect(
                row.rows.areBounds && abs(Double(row.flops) / 1e12 - most) < 0.00501 && row.text.hasPrefix(text + ": at most "),
                "\(row.flops)")
        }
    }

    /// A model too small for a setting has no row of it, and sizes that no machine has make no trap.
    @Test func otherModels() throws {
        var small = vicuna
        small.layerCount = 2
        let names = ReducerFigures(.largeTower(imageSize: 70), small).rows.map(\.reducer)
        #expect(
            names.first == "none" && !names.contains { $0.hasPrefix("fastv") || $0.hasPrefix("sparsevlm") || $0.hasPrefix("visionzip") })
        var vast = VisionConfiguration.largeTower(imageSize: 336)
        (vast.imageSize, vast.patchSize) = (Int(Int32.max), 1)
        #expect(ReducerFigures(vast, vicuna).rows.first?.flops == .max)
        let rows = try #require(try inspect([model])["paper_reducer_flops"] as? [[String: Any]])
        #expect(rows.first?["visual_tokens"] as? Int == 36 && rows.contains { $0["reducer"] as? String == "cdpruner:keep=32,clip=DIR" })
    }
}
