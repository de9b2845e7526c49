import Foundation
import IR
import TestSupport
import Testing

@testable import CEmit

/// What emitted C says is what the runtime's headers have.
@Suite struct ContractTests {
    /// The text of a header without comments, its white space single spaces.
    private func header(_ path: String) throws -> String {
        let lines = try String(contentsOfFile: "\(repository)/Runtime/\(path)", encoding: .utf8).split(separator: "\n")
        return lines.map { $0.prefix(upTo: $0.range(of: "//")?.lowerBound ?? $0.endIndex) }.joined(separator: " ")
            .split(separator: " ").joined(separator: " ")
    }

    /// `lmmc_code` has the entry points and nothing else, each with T and S where the IR says so.
    @Test func entryPoints() throws {
        let text = try header("contract/program.h")
        let code = try #require(text.range(of: "typedef struct { void (*vision)")).lowerBound
        let members = text[code...].prefix { $0 != "}" }.split(separator: "{")[1].split(separator: ";").map(String.init)
        let spelled = EntryPoint.allCases.map { entry in
            let numbers = entry.counts.map { count in
                switch count {
                case .rows: ", int64_t rows"
                case .wanted: ", int64_t wanted"
                }
            }
            return "void (*\(entry.rawValue))(const lmmc_memory *\(numbers.joined()))"
        }
        #expect(members.map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty } == spelled)
    }

    /// `lmmc_model` ends with the arena's regions, among them, before the results of steps, the lengths of the caches, which no entry point takes or
    /// gives.
    @Test func regions() throws {
        let text = try header("contract/program.h")
        let offsets = try #require(text.range(of: "uint64_t arena_bytes; ")).upperBound
        let members = text[offsets...].prefix { $0 != "}" }.split(separator: ";").map { $0.trimmingCharacters(in: .whitespaces) }
        var expected = EntryPoint.Region.allCases.map { "uint64_t \($0.rawValue)" }
        expected.insert("uint64_t lengths", at: try #require(EntryPoint.Region.allCases.firstIndex(of: .logits)))
        #expect(members.filter { !$0.isEmpty } == expected)
    }

    @Test func enumerators() throws {
        func list(_ path: String, _ type: String) throws -> [String] {
            let text = try header(path)
            let end = try #require(text.range(of: "} \(type);")).lowerBound
            let start = try #require(text.range(of: "typedef enum {", options: .backwards, range: text.startIndex..<end)).upperBound
            return text[start..<end].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
        }
        #expect(try list("contract/kv_type.h", "lmmc_kv_type") == KeyValueType.allCases.map(\.enumerator))
        #expect(try list("contract/preprocess.h", "lmmc_resize_mode") == ProgramDescription.Resize.allCases.map(\.enumerator))
        let activations = try list("kernels/common/activation.h", "lmmc_activation")
        #expect(activations == ["LMMC_IDENTITY"] + ActivationFunction.allCases.map(\.enumerator))
    }
}
