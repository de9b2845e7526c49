import Foundation
import TestSupport
import Testing

@testable import Driver

/// Programs of every precision against the float64 references of the goldens.
@Suite(.serialized) struct PrecisionTests {
    /// Relative l2 distance of the projected tokens and of the first row of logits, after which generated tokens may differ.
    /// A rounding moves an element by a relative 1.1e-3 (bf16), 5.7e-3 (int8) or 9.6e-2 (int4) of standard deviation (LowerPrecisionTests).
    /// These networks are random and 16 to 40 wide, so they amplify: bf16 shows by how much, up to 9 times in `projected` and 23 in the logits
    /// (the trained example, 160 wide: 0.9 and 0.7). The bounds are 12 and 40 times. int4 rounds the decoder alone, whose logits must keep
    /// most of their direction.
    private static let tolerances: [(precision: String, projected: Double, logits: Double)] = [
        ("bf16", 12 * 1.1e-3, 40 * 1.1e-3), ("int8", 12 * 5.7e-3, 40 * 5.7e-3), ("int4", 12 * 5.7e-3, 0.8),
    ]

    @Test(arguments: ["released-stf", "fusion-k2-e4", "qformer", "tokenpacker-s2"], tolerances.indices)
    func agrees(_ checkpoint: String, _ index: Int) throws {
        let (precision, projected, logits) = Self.tolerances[index]
        let golden = try #require(GoldenManifest.checkpoints.first { $0.checkpoint == checkpoint })
        let example = golden.cases[0]
        let scratch = try Scratch()
        let program = scratch["program"]
        let compiled = try lmmc("compile", "\(goldens)/\(checkpoint)", "-o", program, "--quiet", "--precision", precision)
        try #require(compiled.status == 0, "\(compiled.errors)")
        let result = try run([program] + example.arguments + ["--dump", scratch["dump"]], folder: goldens)
        try #require(result.status == 0, "\(result.errors)")
        for (name, tolerance) in [("projected", projected), ("logits", logits)] {
            var found = try NumPyArray(path: scratch["dump"] + "/\(name).npy")
            var expected = try NumPyArray(path: "\(goldens)/\(example.expected)/\(name).npy")
            if name == "logits" { (found, expected) = (found.firstRow, expected.firstRow) }
            let distance = found.relativeDistance(to: expected)
            #expect(distance <= tolerance, "\(checkpoint), \(precision): \(name) is \(distance) off")
            // A program that ignored its precision would be right to 1e-6.
            #expect(distance > 1e-4, "\(checkpoint), \(precision): \(name)")
        }
    }

    /// Pairs of weights, one times 2^-30 and the other times 2^30, leave the model as it is; and all steps between them are exact, so that
    /// the logits are the same to the bit. Scales of blocks in f16 alone would be 0 in the one and infinite in the other.
    @Test(arguments: zip(["int8", "int4"], [("decoder-tied", "bf16"), ("fusion-k2-e4", "int8")]))
    func magnitudes(_ precision: String, _ model: (name: String, cache: String)) throws {
        let golden = try #require(GoldenManifest.checkpoints.first { $0.checkpoint == model.name })
        let scratch = try Scratch()
        let checkpoint = try scratch.checkpoint(model.name)
        var seen: [Data] = []
        for turn in 0..<3 {
            if turn > 0 {
                // From as it was to (2^-30, 2^30), and from there to (2^30, 2^-30).
                let exponent = turn == 1 ? 30 : -60
                for (small, great) in [
                    ("self_attn.q_proj", "self_attn.k_proj"), ("self_attn.v_proj", "self_attn.o_proj"), ("mlp.up_proj", "mlp.down_proj"),
                ] {
                    func scale(_ exponent: Int, _ role: String) throws -> Int {
                        let factor = Float(sign: .plus, exponent: exponent, significand: 1)
                        return try editWeights(checkpoint, where: { $0.hasPrefix("model.layers.") && $0.contains(role) }) { $1 * factor }
                    }
                    #expect(try scale(-exponent, small) > 1)
                    #expect(try scale(exponent, great) > 1)
                }
            }
            let compiled = try lmmc(
                "compile", checkpoint, "-o", scratch["program"], "--quiet", "--precision", precision, "--kv", model.cache)
            try #require(compiled.status == 0, "\(compiled.errors)")
            let result = try run([scratch["program"]] + golden.cases[0].arguments + ["--dump", scratch["dump"]], folder: goldens)
            try #require(result.status == 0, "\(result.errors)")
            seen.append(try Data(contentsOf: URL(filePath: scratch["dump"] + "/logits.npy")))
        }
        #expect(seen[1] == seen[0] && seen[2] == seen[0], "\(model.name), \(precision)")
    }

    /// Without f32 products there is no OpenBLAS in the program; weights and tables keep to their size.
    @Test func sizes() throws {
        let scratch = try Scratch()
        var bytes: [String: Int] = [:]
        for precision in ["f32", "bf16", "int8", "int4"] {
            let program = scratch[precision]
            try #require(
                try lmmc("compile", repository + "/examples/fashion/checkpoint", "-o", program, "--quiet", "--precision", precision).status
                    == 0)
            bytes[precision] = try FileManager.default.attributesOfItem(atPath: program)[.size] as? Int
        }
        // The program's own budget, weights (5.3 million, and tokenizer) beside it.
        let code = 6 << 20
        #expect(bytes["bf16"]! < 5_300_000 * 2 * 11 / 10 + code, "\(bytes)")
        #expect(bytes["int8"]! < 5_300_000 * 66 / 64 * 12 / 10 + code, "\(bytes)")
        #expect(bytes["int4"]! < bytes["int8"]! && bytes["int8"]! < bytes["bf16"]! && bytes["bf16"]! < bytes["f32"]!, "\(bytes)")
    }

    /// `--profile` accounts for every stage on standard error and leaves standard output alone.
    @Test func profile() throws {
        let scratch = try Scratch()
        try #require(
            try lmmc("compile", "\(goldens)/released-stf", "-o", scratch["program"], "--quiet", "--precision-for", "decoder.head*=f32")
                .status == 0)
        let arguments = [scratch["program"], "--image", "images/photo.jpg", "--prompt", "x", "--max-tokens", "4"]
        let result = try run(arguments + ["--profile"], folder: goldens)
        #expect(try result.status == 0 && result.output == run(arguments, folder: goldens).output)
        let lines = result.errors.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(lines.filter { $0.count == 3 && $0[0].hasSuffix(":") }.map(\.[0]) == ["vision:", "project:", "prefill:", "decode:"])
        for operation in ["matmul q8 ", "matmul f32 1 x ", "attention bf16, 1 queries"] {
            #expect(result.errors.contains("  " + operation), "\(result.errors)")
        }
        // The parts of each stage are the whole.
        var shares: [Double] = []
        for line in lines.dropFirst() {
            if line[0].hasSuffix(":") {
                shares.append(0)
            } else if let at = line.firstIndex(of: "%") {
                shares[shares.count - 1] += Double(line[at - 1]) ?? 0
            }
        }
        #expect(shares.count == 4 && shares.allSatisfy { abs($0 - 100) < 2 }, "\(shares)")
    }

    /// The emitted sources of the default precision build without warnings and run clean under the sanitizers, with the cache in int8 too.
    @Test(arguments: [
        ("gcc", "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all", "int8"), ("/usr/bin/clang", "-O2 -Werror", "bf16"),
    ])
    func sources(_ compiler: String, _ flags: String, _ cache: String) throws {
        let golden = try #require(GoldenManifest.checkpoints.first { $0.checkpoint == "fusion-k2-e4" })
        let scratch = try Scratch()
        let emitted = try lmmc("compile", "\(goldens)/\(golden.checkpoint)", "--emit", "c", "-o", scratch["c"], "--kv", cache)
        try #require(emitted.status == 0, "\(emitted.errors)")
        let built = try run(
            ["/bin/sh", scratch["c"] + "/build.sh", "program"], environment: ["CC": compiler, "CFLAGS": flags], folder: scratch.path)
        try #require(built.status == 0, "\(built.errors)")
        for example in golden.cases {
            let result = try run([scratch["program"]] + example.arguments, folder: goldens)
            #expect(result.status == 0 && result.errors == "", "\(result.errors)")
        }
    }
}
