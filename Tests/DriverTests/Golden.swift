import Foundation
import TestSupport
import Testing

/// Tests/Golden/manifest.json
struct GoldenManifest: Decodable {
    struct Checkpoint: Decodable, Sendable, CustomTestStringConvertible {
        var checkpoint: String
        /// Where several stand on one checkpoint
        var name: String?
        var compile: [String]
        var cases: [Case]
        var testDescription: String { name ?? checkpoint }
    }

    struct Case: Decodable, Sendable {
        var name: String
        var arguments: [String]
        var expected: String
        var compare: [String]
        /// Arrays of integers, which are the same
        var indices: [String]?
    }

    /// The fields of `--json` that do not depend on time.
    struct Answer: Decodable, Equatable {
        var text: String
        var tokens: [Int]
        var prompt_tokens: Int
        var visual_tokens: Int
        var finish_reason: String
    }

    /// What a reducer leaves of an image in each block, where the reference says it.
    struct Rows: Decodable {
        var visual_tokens_per_block: [Int]?
    }

    var checkpoints: [Checkpoint]

    static let checkpoints = read("manifest.json")
    /// The other file formats.
    static let formats = read("formats/manifest.json")
    /// Programs that give their decoder fewer vision rows.
    static let reducers = read("reducers/manifest.json")

    private static func read(_ name: String) -> [Checkpoint] {
        let data = FileManager.default.contents(atPath: "\(goldens)/\(name)") ?? Data()
        return (try? JSONDecoder().decode(GoldenManifest.self, from: data))?.checkpoints ?? []
    }
}

/// Runs one case through a compiled program and compares answer and arrays: relative l2 at most 1e-4, pixels within 1e-6, indices equal.
func expectGolden(_ golden: GoldenManifest.Case, program: String, environment: [String: String] = [:]) throws {
    let scratch = try Scratch()
    let result = try run([program] + golden.arguments + ["--json", "--dump", scratch["dump"]], environment: environment, folder: goldens)
    try #require(result.status == 0, "\(golden.name): exit \(result.status), \(result.errors)")
    let expectedFolder = "\(goldens)/\(golden.expected)"
    func answer(_ data: Data) throws -> GoldenManifest.Answer { try JSONDecoder().decode(GoldenManifest.Answer.self, from: data) }
    let expected = try Data(contentsOf: URL(filePath: expectedFolder + "/tokens.json"))
    #expect(try answer(Data(result.output.utf8)) == answer(expected), "\(golden.name)")
    func rows(_ data: Data) throws -> [Int]? { try JSONDecoder().decode(GoldenManifest.Rows.self, from: data).visual_tokens_per_block }
    if let blocks = try rows(expected) { #expect(try rows(Data(result.output.utf8)) == blocks, "\(golden.name)") }
    for name in golden.compare {
        let array = try NumPyArray(path: "\(scratch["dump"])/\(name).npy")
        let reference = try NumPyArray(path: "\(expectedFolder)/\(name).npy")
        #expect(array.shape == reference.shape, "\(golden.name): \(name)")
        if name == "pixels" {
            #expect(array.largestDifference(to: reference) <= 1e-6, "\(golden.name): \(name)")
        } else {
            #expect(array.relativeDistance(to: reference) <= 1e-4, "\(golden.name): \(name)")
        }
    }
    for name in golden.indices ?? [] {
        let array = try NumPyIndices(path: "\(scratch["dump"])/\(name).npy"),
            reference = try NumPyIndices(path: "\(expectedFolder)/\(name).npy")
        #expect(array == reference, "\(golden.name): \(name)")
    }
}
