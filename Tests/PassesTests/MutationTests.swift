import Foundation
import IR
import IRText
import Support
import TestSupport
import Testing

@testable import Passes

/// Passes over text that a person has damaged: whatever parses goes through every pass, or one of them says in one line why not. A trap ends
/// the process of the tests.
@Suite struct PassMutationTests {
    private static let seeds: [String] = {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cases")
        let paths = (FileManager.default.enumerator(atPath: folder.path)?.allObjects as? [String] ?? []).sorted()
        return paths.filter { $0.hasSuffix(".ir") }.compactMap {
            try? String(contentsOf: folder.appendingPathComponent($0), encoding: .utf8)
        }
    }()

    /// True when the text parsed.
    private func check(_ text: String, _ label: String) -> Bool {
        do throws(Diagnostic) {
            var module = try parseModule(text, file: "m.ir")
            do throws(Diagnostic) {
                try Pipeline.run(Pipeline.named, on: &module)
            } catch {
                #expect(!error.rendered.contains("\n"), "\(label): \(error.rendered)")
            }
            return true
        } catch {
            return false
        }
    }

    /// One number changes everywhere that it stands, so that types still fit.
    @Test func sizes() {
        #expect(Self.seeds.count > 60)
        var parsed = 0
        for (index, text) in Self.seeds.enumerated() {
            let numbers = Set(text.matches(of: #/[\[ ,](\d+)(?=[\], ])/#).map { String($0.1) }).sorted()
            for number in numbers {
                for value in ["1", "3", "4611686018427387904", "1152921504606846976", "4294967296", "1073741824", "65536"] {
                    let mutated = text.replacing(try! Regex("(?<before>[\\[ ,])\(number)(?=[\\], ])")) {
                        "\($0["before"]!.substring!)\(value)"
                    }
                    if check(mutated, "case \(index), \(number) -> \(value)") { parsed += 1 }
                }
            }
        }
        #expect(parsed > 300, "\(parsed)")
    }

    /// Lines go, come twice and change places; names are others.
    @Test func lines() {
        var parsed = 0
        for (index, text) in Self.seeds.enumerated() {
            for seed in 0..<12 as Range<UInt64> {
                var random = SeededGenerator(seed: seed)
                var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
                let a = Int.random(in: 0..<lines.count, using: &random), b = Int.random(in: 0..<lines.count, using: &random)
                switch seed % 4 {
                case 0: lines.remove(at: a)
                case 1: lines.swapAt(a, b)
                case 2: lines.insert(lines[a], at: b)
                default:
                    let names = Set(text.matches(of: #/[%@&]([\w.]+)/#).map { String($0.1) }).sorted()
                    let old = names.randomElement(using: &random)!,
                        new = ["9223372036854775807", "layer9.-9223372036854775808", "x."].randomElement(using: &random)!
                    lines = text.replacing(old, with: new).split(separator: "\n", omittingEmptySubsequences: false).map { Substring($0) }
                }
                if check(lines.joined(separator: "\n"), "case \(index), seed \(seed)") { parsed += 1 }
            }
        }
        #expect(parsed > 250, "\(parsed)")
    }

    /// Many readers of one product, each as wide as a type may be.
    @Test func widthsBeyondIntegers() {
        let readers = (0..<9).map { "    %r\($0) = matmul %x, @w\($0) : f32[T, 1152921504606846976]\n" }
        let weights = (0..<9).map { "  weight @w\($0) : f32[1152921504606846976, 1] = source \"w\($0)\" f32[1152921504606846976, 1]\n" }
        let text =
            "module \"m\" stage imported {\n  symbol T <= 1\n  weight @v : f32[1, 4] = source \"v\" f32[1, 4]\n" + weights.joined()
            + "  func f(%a: f32[T, 4]) {\n"
            + "    %x = matmul %a, @v : f32[T, 1]\n" + readers.joined() + "    return " + (0..<9).map { "%r\($0)" }.joined(separator: ", ")
            + "\n  }\n}\n"
        #expect(check(text, "wide"))
    }
}
