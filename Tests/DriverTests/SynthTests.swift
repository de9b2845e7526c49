import Foundation
import Synth
import TestSupport
import Testing

@testable import Driver

/// Presets of `synth`, and what may be chosen about them.
@Suite struct SynthTests {
    /// Every architecture opens, and is what its name says.
    @Test(arguments: SynthPreset.all.map(\.name))
    func opens(_ name: String) throws {
        let result = try lmmc("inspect", "--preset", name, "--json")
        try #require(result.status == 0, "\(result.errors)")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let decoder = try #require(object["decoder"] as? [String: Int])
        let isVoco = name.hasPrefix("voco")
        let isLlama = name.contains("llama")
        #expect(decoder["hidden_size"] == (name.contains("13b") ? 5120 : 4096) && decoder["layers"] == (name.contains("13b") ? 40 : 32))
        #expect(decoder["key_value_heads"] == (isLlama && name.contains("8b") ? 8 : decoder["heads"]))
        #expect(decoder["vocabulary"] == (name.contains("8b") ? 128_256 : isVoco ? 32_001 : 32_000))
        let vision = object["vision"] as? [String: Any]
        let isReduced = name.contains("stf") || name.contains("packer"), isWhole = name.hasPrefix("llava-1.5") || isVoco
        let visionTokens: Int? = name.contains("mini") ? 1 : isReduced ? 144 : isWhole ? 576 : nil
        #expect(vision?["vision_tokens"] as? Int == visionTokens)
        let template = vision == nil ? "none" : isVoco ? "voco" : name.contains("8b") ? "llama-3" : "vicuna_v1"
        #expect(object["template"] as? String == template)
        #expect(object["compression"] as? [String: Int] == (isVoco ? ["token": 32_000, "count": 2] : nil))
        // Parameters of the whole, as published: 6.74, 13.0 and 8.03 thousand millions of them in the decoder.
        let parameters = try #require(object["parameters"] as? [String: Int])
        let decoderParameters = name.contains("13b") ? 13_015_864_320 : name.contains("8b") ? 8_030_261_248 : 6_738_415_616
        #expect(parameters["decoder"] == decoderParameters + (isVoco ? 2 * 4096 : 0))
    }

    @Test(arguments: [
        (["--kernel", "1"], 576, 37_748_736 + 1024 * 1024 + 1024 * 16384 + 16384 * 4096),
        (["--kernel", "2", "--tokens-per-window", "2"], 288, 37_748_736 + 4096 * 4096 + 2048 * 16384 + 16384 * 4096),
        (["--kernel", "4", "--tokens-per-window", "8"], 288, 37_748_736 + 16384 * 16384 + 2048 * 16384 + 16384 * 4096),
        (["--kernel", "8", "--tokens-per-window", "32"], 288, 37_748_736 + 1 << 32 + 2048 * 16384 + 16384 * 4096),
        (["--taps", "16"], 144, 16 * 1024 * 4096 + 4096 * 1024 + 4096 * 4096 + 4096 * 16384 + 16384 * 4096),
        (["--taps", "24", "--no-mbtf", "--kernel", "1"], 576, 24576 * 24576 + 24576 * 16384 + 16384 * 4096),
        (["--taps", "23,5"], 144, 2 * 1024 * 4096 + 4096 * 1024 + 4096 * 4096 + 4096 * 16384 + 16384 * 4096),
        (["--taps", "23,", "--no-mbtf"], 144, 4096 * 4096 + 4096 * 16384 + 16384 * 4096),
        (["--strategy", "none"], 576, 1024 * 4096 + 4096 * 4096),
        (["--image-size", "224"], 64, 37_748_736 + 134_217_728),
    ])
    func choices(_ options: [String], _ tokens: Int, _ weights: Int) throws {
        let result = try run([lmmcPath, "inspect", "--preset", "llava-stf-7b", "--json"] + options)
        try #require(result.status == 0, "\(result.errors)")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        #expect((object["vision"] as? [String: Any])?["vision_tokens"] as? Int == tokens)
        let parts = try #require(object["fusion_parameters"] as? [String: [String: Int]])
        #expect(parts.values.reduce(0) { $0 + $1["weights"]! } == weights)
    }

    /// The published projector of a 7B has 36,722,688 parameters.
    @Test(arguments: [([], 144), (["--kernel", "3"], 64), (["--kernel", "4"], 36)] as [([String], Int)])
    func tokenPackers(_ options: [String], _ tokens: Int) throws {
        let result = try run([lmmcPath, "inspect", "--preset", "tokenpacker-7b", "--json"] + options)
        try #require(result.status == 0, "\(result.errors)")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let vision = try #require(object["vision"] as? [String: Any])
        #expect(vision["vision_tokens"] as? Int == tokens && vision["taps"] as? [Int] == [12, 16, 22, 23])
        let parts = try #require(object["fusion_parameters"] as? [String: [String: Int]])
        #expect(parts == ["tokenpacker": ["weights": 36_700_160, "with_biases": 36_722_688]])
        #expect((object["parameters"] as? [String: Int])?["fusion"] == 36_722_688)
    }

    /// LLaVA-Mini's compressor and the blocks ahead of its decoder: the patches run there, and a query in the decoder.
    @Test func prefusion() throws {
        let result = try run([lmmcPath, "inspect", "--preset", "llava-mini-llama-3.1-8b", "--json"])
        try #require(result.status == 0, "\(result.errors)")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        let vision = try #require(object["vision"] as? [String: Any])
        #expect(vision["vision_tokens"] as? Int == 1 && vision["prefusion"] as? [String: Int] == ["blocks": 4, "vision_tokens": 577])
        #expect(object["visual_tokens"] as? Int == 1 && object["visual_tokens_per_block"] as? [Int] == Array(repeating: 1, count: 32))
        // Four blocks of 218,112,000 weights, the projector, and for the compressor four maps and ten rows of the tower.s width.
        let (width, hidden) = (1024, 4096)
        #expect(
            (object["parameters"] as? [String: Int])?["fusion"]
                == 4 * 218_112_000 + width * hidden + hidden * hidden + 2 * hidden + 4 * width * width + 10 * width)
    }

    @Test func refusals() throws {
        let preset = ["synth", "-o", "/nowhere/x", "--preset", "llava-stf-7b"]
        let packer = ["synth", "-o", "/nowhere/x", "--preset", "tokenpacker-7b"]
        try expectRefusals([
            (
                preset + ["--kernel", "5"],
                "error: kernel 5 does not divide the 24 x 24 patch grid, at option '--kernel'; expected 1, 2, 3, 4, 6, 8, 12, 24"
            ),
            (
                preset + ["--tokens-per-window", "3"],
                "error: 3 tokens per window, at option '--tokens-per-window'; expected a divisor of the window's 4096 channels: 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096"
            ),
            (preset + ["--strategy", "avgpol"], "error: unknown strategy 'avgpol'; did you mean 'avgpool'?, at option '--strategy'"),
            (
                preset + ["--strategy", "avgpool", "--tokens-per-window", "2"],
                "error: 2 tokens per window, at option '--tokens-per-window'; expected 1, or strategy 'stf'"
            ),
            (
                preset + ["--strategy", "qformer", "--kernel", "2"],
                "error: kernel 2, but strategy 'qformer' reads every token, at option '--kernel'; expected 1"
            ),
            (preset + ["--strategy", "none", "--taps", "8"], "error: LLaVA-1.5's projector has nothing to choose, at option '--strategy'"),
            (
                preset + ["--taps", "25"],
                "error: taps '25', at option '--taps'; expected a count up to 24, or blocks from 0 to 24 separated by commas"
            ),
            (preset + ["--taps", "3,30"], "error: taps '3,30', at option '--taps'"),
            (preset + ["--taps", ","], "error: taps ',', at option '--taps'"),
            (preset + ["--image-size", "300"], "error: images of 300 pixels, at option '--image-size'; expected a multiple of 14"),
            (
                packer + ["--kernel", "5"],
                "error: kernel 5 of a TokenPacker over a 24 x 24 patch grid, at option '--kernel'; expected 2, 3, 4"
            ),
            (
                ["synth", "-o", "/nowhere/x", "--preset", "llava-mini-llama-3.1-8b", "--kernel", "2"],
                "error: LLaVA-Mini has nothing to choose, at option '--preset'"
            ),
            (packer + ["--taps", "8"], "error: TokenPacker has only its kernel to choose, at option '--preset'"),
            (
                packer + ["--vision-layers", "23"],
                "error: 23 blocks, but TokenPacker reads block 23 of 24, at option '--vision-layers'; expected 24"
            ),
            (
                ["synth", "-o", "/nowhere/x", "--preset", "vicuna-7b", "--kernel", "2"],
                "error: preset 'vicuna-7b' has no images, at option '--preset'"
            ),
        ])
    }
}
