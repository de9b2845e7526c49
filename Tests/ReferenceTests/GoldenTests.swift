import Foundation
import IR
import IRText
import Support
import Testing

@testable import Reference

/// Half a unit in the last place of float32, relative: what rounding a result once may cost.
let halfUnit = 0x1p-24
/// What two orders of summation in float64 may differ by, for the terms of these cases (below 2^6, fewer than 2^6 of them).
let summationError = 0x1p-53 * 64 * 64

struct GoldenCase: Decodable, Sendable, CustomTestStringConvertible {
    struct Values: Decodable {
        let type: String
        let shape: [Int]
        let values: [Double]

        var tensor: Tensor {
            if type.hasPrefix("i32") { return Tensor(shape: shape, values.map { Int32($0) }) }
            if type.hasPrefix("u8") { return Tensor(shape: shape, values.map { UInt8($0) }) }
            return Tensor(shape: shape, values.map { Float($0) })
        }
    }

    struct Call: Decodable {
        let arguments: [Values]
        let expected: Values
    }

    let name, text: String
    let calls: [Call]
    /// In radians, of a rotary embedding
    let largestAngle: Double?

    var testDescription: String { name }

    static let all: [GoldenCase] = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("golden.json")
        return try! JSONDecoder().decode([GoldenCase].self, from: Data(contentsOf: file))
    }()
}

/// Against what torch computes in float64 (golden.py).
@Suite struct GoldenTests {
    @Test(arguments: GoldenCase.all) func agrees(_ golden: GoldenCase) throws {
        var evaluator = Evaluator(try parseModule(golden.text, file: golden.name)) { _ throws(Diagnostic) in [] }
        // The frequencies are float32 on both sides, and their powers may differ in the last place.
        let angleError = (golden.largestAngle ?? 0) * 2 * halfUnit
        for call in golden.calls {
            let result = try evaluator.call("f", call.arguments.map(\.tensor))[0]
            #expect(result.shape == call.expected.shape)
            guard case .float32(let found) = result.elements else {
                #expect(result == call.expected.tensor)
                continue
            }
            let largest = call.arguments.flatMap(\.values).map(abs).max() ?? 0
            for (index, (found, expected)) in zip(found, call.expected.values).enumerated() {
                let tolerance = abs(expected) * halfUnit + summationError + angleError * largest
                #expect(abs(Double(found) - expected) <= tolerance, "\(index)")
            }
        }
    }

    @Test func everyOperationIsCovered() throws {
        var covered: Set<String> = []
        for golden in GoldenCase.all {
            let module = try parseModule(golden.text, file: golden.name)
            covered.formUnion(module.functions.flatMap(\.operations).map(\.op.mnemonic))
        }
        // torch has no such formats: RoundingTests.
        covered.formUnion(["quantize", "pack"])
        // Token reducers are compared with torch as whole methods: Tests/Golden/reducers.
        covered.formUnion([
            "attention_scores", "keep_rows", "find_rows", "vision_indices", "stride_rows", "stride_means", "rater_rows", "rotary_scores",
            "rater_attention", "rank_counts", "recycle_density", "recycle_rows", "recycle_merge", "row_attention", "top_rows",
            "complement_rows", "mean_heads", "unit_rows", "cluster_rows", "segment_means", "outlier_rows", "append_samples",
            "merge_neighbours", "pad_list", "match_rows", "row_places", "segment_sizes", "log", "softmax_similarity", "greedy_cover",
            "prefusion_rows", "trim_rows", "replace_rows", "resize_grid",
            "split_rows", "mask_heads", "patch_attention",
            "similar_windows", "window_means", "key_rows", "post_rows", "threshold_rows", "cache_keep", "release",
        ])
        #expect(covered == Set(Op.parsers.map(\.mnemonic)))
    }
}
