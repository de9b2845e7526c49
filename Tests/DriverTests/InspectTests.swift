import Foundation
import TestSupport
import Testing

@testable import Driver

/// What `inspect` counts, against sums that are written out here.
@Suite struct InspectTests {
    private func inspect(_ arguments: String...) throws -> [String: Any] {
        let result = try run([lmmcPath, "inspect"] + arguments + ["--json"])
        try #require(result.status == 0, "\(result.errors)")
        return try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
    }

    /// Vicuna-7B's linear layers without the head.
    private let linear = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
    private let head = 32000 * 4096

    /// The products of a prefill of `rows` tokens: of the last layer only keys and values are needed of every row, and the head of one.
    /// Causal attention: row i sees i + 1, in a product of q and k and one with v.
    private func prefill(_ rows: Int) -> Int {
        let layer = linear / 32, keysAndValues = 2 * 4096 * 4096
        let seen = rows * (rows + 1) / 2
        return 2 * rows * (31 * layer + keysAndValues) + 2 * (layer - keysAndValues + head) + 4 * 4096 * (31 * seen + rows)
    }

    @Test func paper() throws {
        let object = try inspect("--preset", "llava-stf-7b")
        let parts = try #require(object["fusion_parameters"] as? [String: [String: Int]])
        #expect(parts["mbtf"] == ["weights": 37_748_736, "with_biases": 37_753_856])
        #expect(parts["stf"] == ["weights": 134_217_728, "with_biases": 134_238_208])
        let rows = try #require(object["paper_decoder_flops"] as? [[String: Int]])
        let column = Dictionary(uniqueKeysWithValues: rows.map { ([$0["kernel"]!, $0["tokens_per_window"]!], $0) })
        // Table 5: k, E, vision tokens, TFLOPs to a tenth
        for (choice, tokens, tenths) in [
            ([1, 1], 576, 76), ([2, 1], 144, 19), ([2, 2], 288, 38), ([4, 4], 144, 19), ([4, 8], 288, 38), ([8, 4], 36, 5),
            ([8, 8], 72, 9),
            ([8, 16], 144, 19), ([8, 32], 288, 38),
        ] {
            let row = try #require(column[choice])
            #expect(row["vision_tokens"] == tokens)
            let flops = 2 * linear * tokens + 32 * 4 * tokens * tokens * 4096
            #expect(row["flops"] == flops && Int((Double(flops) / 1e11).rounded()) == tenths, "\(choice)")
        }
        let text = try lmmc("inspect", "--preset", "llava-stf-7b").output
        for line in ["MBTF 37,748,736 weights", "STF 134,217,728 weights", "| 8, 4  |            36 |          467 GFLOPs |"] {
            #expect(text.contains(line), "\(line)")
        }
    }

    @Test func workOfEachStage() throws {
        let object = try inspect("--preset", "llava-stf-7b", "--text-tokens", "32")
        let flops = try #require(object["flops"] as? [String: Int])
        func near(_ key: String, _ expected: Int, sourceLocation: SourceLocation = #_sourceLocation) {
            // Norms, biases, rotary and softmax are less than a hundredth of the products.
            let value = flops[key] ?? 0
            #expect(
                value >= expected && Double(value) < 1.01 * Double(expected), "\(key) \(value) \(expected)", sourceLocation: sourceLocation)
        }
        near("prefill_vision", prefill(144))
        near("prefill_text", prefill(176) - prefill(144))
        near("decode", 2 * (linear + head) + 32 * 4 * 4096 * 177)
        near("vision", 23 * (2 * 577 * (4 * 1024 * 1024 + 2 * 1024 * 4096) + 4 * 577 * 577 * 1024) + 2 * 576 * 588 * 1024)
        near("projector", 2 * 576 * 37_748_736 + 2 * 144 * 134_217_728)
    }

    @Test func bytesOfEachPrecision() throws {
        let object = try inspect("--preset", "vicuna-7b", "--context", "1000")
        let bytes = try #require((object["bytes"] as? [String: Any])?.compactMapValues { $0 as? [String: Any] })
        func value(_ precision: String, _ key: String) -> Int { bytes[precision]?[key] as? Int ?? -1 }
        let matrices = linear + 2 * head
        // Scales of the norms, some of which are folded into the products.
        func near(_ precision: String, _ expected: Int) {
            let weights = value(precision, "weights")
            #expect(weights >= expected && weights <= expected + 65 * 4096 * 4, "\(precision) \(weights) \(expected)")
        }
        near("f32", 4 * matrices)
        near("bf16", 2 * matrices)
        // 8.25 and 4.375 bits; the table stays in 8, and so does the head with int4, which is bf16 with int8.
        // In the block formats each row has a byte more.
        let rows = 32 * (4 * 4096 + 2 * 11008 + 4096)
        near("int8", (linear + head) * 33 / 32 + head * 2 + rows + 32000)
        near("int4", linear * 35 / 64 + 2 * head * 33 / 32 + rows + 2 * 32000)
        #expect(value("f32", "kv_cache") == 1000 * 32 * 2 * 4096 * 4 && value("int8", "kv_cache") == 1000 * 32 * 2 * 4096 * 2)
        for precision in ["f32", "bf16", "int8", "int4"] {
            // A quarter of the thousand tokens are new, and their rows bring 64 KiB each; the rest of the table is not touched.
            let table =
                32000 * 4096 * (precision == "f32" ? 4 : precision == "bf16" ? 2 : 1) * (precision.hasPrefix("int") ? 33 : 32) / 32
                + (precision.hasPrefix("int") ? 32000 : 0)
            #expect(value(precision, "untouched") == table - 250 * 65536)
            let parts = ["weights", "kv_cache", "activations", "program"].reduce(0) { $0 + value(precision, $1) }
            #expect(value(precision, "total") == parts - value(precision, "untouched"))
        }
    }

    /// Each slot has caches of the whole context, and nothing else of a program grows with them but what a step gives logits for. A machine has
    /// to have room for all of them.
    @Test func slots() throws {
        let preset = ["--preset", "vicuna-7b", "--context", "1000"]
        func inspected(_ sequences: Int) throws -> (bytes: [String: [String: Any]], fits: Bool?) {
            let result = try run([lmmcPath, "inspect"] + preset + ["--memory", "10GiB", "--sequences", "\(sequences)", "--json"])
            let object = try #require(
                try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any], "\(result.errors)")
            #expect(object["sequences"] as? Int == sequences)
            let bytes = try #require((object["bytes"] as? [String: Any])?.compactMapValues { $0 as? [String: Any] })
            return (bytes, (object["box"] as? [String: [String: Any]])?["int8"]?["fits"] as? Bool)
        }
        let (one, eight) = (try inspected(1), try inspected(8))
        let cache = 1000 * 32 * 2 * 4096 * 2
        for (precision, bytes) in one.bytes {
            func values(_ key: String) -> (Int?, Int?) { (bytes[key] as? Int, eight.bytes[precision]?[key] as? Int) }
            for (key, factor) in [("kv_cache", 8), ("kv_cache_per_position", 1), ("weights", 1), ("program", 1)] {
                let (first, all) = values(key)
                #expect(first != nil && all == first.map { $0 * factor }, "\(precision) \(key): \(first ?? -1) \(all ?? -1)")
            }
            // The tables' rows of seven more contexts, and seven more rows of logits.
            let (first, all) = values("total"), (alone, together) = values("untouched"), caches = (values("kv_cache").0 ?? 0) * 7
            #expect((alone ?? 0) - (together ?? 0) == min(alone ?? 0, 7 * 250 * 65536), "\(precision)")
            #expect((all ?? 0) - (first ?? 0) == caches + (alone ?? 0) - (together ?? 0) + 7 * 32000 * 4, "\(precision)")
        }
        #expect(one.bytes.count == 4 && eight.bytes["int8"]?["kv_cache"] as? Int == 8 * cache)
        // 6.3 GiB of weights, and half a GiB of caches a slot
        #expect(one.fits == true && eight.fits == false)
        let table = try run([lmmcPath, "inspect"] + preset + ["--sequences", "8"]).output
        #expect(table.contains("| KV cache, 8 x 1000 |"), "\(table)")
    }

    @Test func box() throws {
        let object = try inspect(
            "--preset", "vicuna-7b", "--memory", "8GiB", "--bandwidth", "30GB/s", "--compute", "1TFLOPS", "--text-tokens", "100")
        let box = try #require(object["box"] as? [String: [String: Any]])
        let int8 = try #require(box["int8"]), bf16 = try #require(box["bf16"]), int4 = try #require(box["int4"])
        #expect(int4["fits"] as? Bool == true && int8["fits"] as? Bool == false && bf16["fits"] as? Bool == false)
        #expect(int4["largest_context"] == nil && bf16["largest_context"] == nil)
        let context = try #require(int8["largest_context"] as? Int)
        func fits(_ context: Int) throws -> Bool? {
            let object = try inspect("--preset", "vicuna-7b", "--memory", "8GiB", "--context", "\(context)")
            return (object["box"] as? [String: [String: Any]])?["int8"]?["fits"] as? Bool
        }
        #expect(try fits(context) == true && fits(context + 64) == false)
        // Decoding reads the layers and the head, and the cache of 100 positions in bf16.
        let read = Double(linear) * 33 / 32 + Double(head * 2) + Double(100 * 32 * 2 * 4096 * 2)
        let rate = try #require(int8["tokens_per_second"] as? Double)
        #expect(abs(rate * read / 30e9 - 1) < 0.01)
        // Prefill is arithmetic: 100 tokens of it.
        let first = try #require(int8["time_to_first_token"] as? Double)
        #expect(abs(first / 1000 / (Double(prefill(100)) / 1e12) - 1) < 0.01)
    }

    @Test func refusals() throws {
        let preset = ["inspect", "--preset", "vicuna-7b"]
        try expectRefusals([
            (["inspect"], "error: the checkpoint is missing; expected a folder or a GGUF file, or the option '--preset'"),
            (preset + ["--memory", "much"], "error: 'much' is no such quantity, at option '--memory'; expected a size such as '8GiB'"),
            (preset + ["--memory", "8GiB/s"], "error: '8GiB/s' is no such quantity, at option '--memory'"),
            (preset + ["--memory", "-1GB"], "error: "),
            (preset + ["--memory", "8"], "error: '8' has no unit, at option '--memory'; expected a size such as '8GiB'"),
            (preset + ["--memory", "1.5 "], "error: '1.5 ' has no unit, at option '--memory'"),
            (preset + ["--memory", ""], "error: '' is no such quantity, at option '--memory'"),
            (
                preset + ["--bandwidth", "30", "--compute", "1GFLOPS"],
                "error: '30' has no unit, at option '--bandwidth'; expected a rate such as '30GB/s'"
            ),
            (preset + ["--bandwidth", "30GB/s", "--compute", "5e9"], "error: '5e9' is no such quantity, at option '--compute'"),
            (preset + ["--bandwidth", "30GB/s"], "error: a time needs both bandwidth and compute, at option '--compute'"),
            (preset + ["--compute", "1iFLOPS", "--bandwidth", "1GB"], "error: '1iFLOPS' is no such quantity, at option '--compute'"),
            (preset + ["--text-tokens", "0"], "error: 0 tokens, at option '--text-tokens'; expected 1 to 2147483647"),
        ])
    }

    @Test func quantities() throws {
        let box = try Box(memory: "1.5 GiB", bandwidth: "30gb/s", compute: "2 TFLOP/s")
        #expect(box.memory == 3 << 29 && box.bandwidth == 30e9 && box.compute == 2e12)
        #expect(try Box(memory: "8G", bandwidth: nil, compute: nil).memory == 8_000_000_000)
        #expect(try Box(memory: "512B", bandwidth: nil, compute: nil).memory == 512)
    }
}
