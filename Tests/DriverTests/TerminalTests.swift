import Foundation
import Support
import TestSupport
import Testing

@testable import Driver

/// Nothing that a name holds drives a terminal.
@Suite struct TerminalTests {
    /// ESC, C1's CSI, right-to-left override, isolate, mark, a line's end
    private static let evil = "a\u{1B}[2Jb\u{9B}2J\u{202E}c\u{2066}\u{200E}d\nerror: e"
    private static let shown = #"a\u{1b}[2Jb\u{9b}2J\u{202e}c\u{2066}\u{200e}d\nerror: e"#

    private func expectHarmless(_ text: String, _ what: String) {
        for scalar in text.unicodeScalars where scalar != "\n" {
            #expect(!isUnprintable(scalar), "\(what): U+\(String(scalar.value, radix: 16))")
        }
        #expect(!text.split(separator: "\n").contains { $0.hasPrefix("error: e") }, "\(what): \(text.prefix(300))")
    }

    @Test func namesOfFolders() throws {
        let scratch = try Scratch()
        let model = scratch[Self.evil]
        try FileManager.default.copyItem(atPath: goldens + "/llava-linear", toPath: model)
        let commands = [
            ["inspect", model], ["inspect", model, "--json"], ["ir", model, "--summary"], ["ir", model, "--stage", "imported"],
            ["ir", model, "--stage", "optimized", "--format", "dot"], ["ir", model, "--stage", "optimized", "--format", "json"],
            ["ir", model, "--stage", "optimized", "--collapse-layers"], ["compile", model, "-o", scratch["c"], "--emit", "c", "--verbose"],
            ["compile", model, "-o", scratch["\u{202E}c"], "--emit", "c", "--print-after", "dead-code", "--time-passes"],
            ["inspect", model + "/no"], ["inspect", model, "--template", Self.evil],
        ]
        for command in commands {
            let result = try run([lmmcPath] + command)
            expectHarmless(result.output, "\(command[0])")
            expectHarmless(result.errors, "\(command[0])")
        }
        #expect(try lmmc("inspect", model).output.hasPrefix("model       \(Self.shown), layout"))
        // Where the name stands in a file it stays what it is, or has that form's escapes.
        for name in ["model.c", "program.c", "build.sh", "lmmc-info.json"] {
            expectHarmless(try String(contentsOfFile: scratch["c/" + name], encoding: .utf8), name)
        }
        let info = try JSONValue.parse(Array(try Data(contentsOf: URL(filePath: scratch["c/lmmc-info.json"]))), file: "info")
        guard case .object(let members) = info, case .string(let name)? = members["model"] else {
            Issue.record("no model's name")
            return
        }
        #expect(name.unicodeScalars.elementsEqual(Self.evil.unicodeScalars))
    }

    /// Names from inside of files.
    @Test func namesInFiles() throws {
        let scratch = try Scratch()
        let model = try scratch.checkpoint("llava-linear")
        var config = try #require(
            try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: model + "/config.json"))) as? [String: Any])
        config["mm_projector_type"] = Self.evil
        try JSONSerialization.data(withJSONObject: config).write(to: URL(filePath: model + "/config.json"))
        let result = try lmmc("inspect", model)
        #expect(result.status == 1 && result.errors.contains(Self.shown), "\(result.errors)")
        expectHarmless(result.errors, "config.json")
        let quoted = #"a\u{1b}[2Jb\u{9b}2J\u{202e}c"#
        let text = """
            module "\(quoted)" stage imported {
              symbol T <= 4
              weight @"\(quoted)" : f32[2, 2] = source "\(quoted)" f32[2, 2]

              func f(%"\(quoted)": f32[T, 2]) {
                %"\(quoted)2" = matmul %"\(quoted)", @"\(quoted)" : f32[T, 2]
                return %"\(quoted)2"
              }
            }

            """
        let file = try scratch.write("evil.ir", text)
        let printed = try lmmc("opt", file, "--passes", "")
        #expect(printed.output == text)
        for format in ["dot", "json"] {
            let result = try lmmc("opt", file, "--passes", "", "--format", format)
            #expect(result.status == 0 && result.output.contains("2J"))
            expectHarmless(result.output, format)
        }
    }

    /// One table for the compiler and one for its programs, of every character that both know.
    @Test func programsKnowTheSameCharacters() throws {
        let text = try String(contentsOfFile: repository + "/Runtime/base/printable.c", encoding: .utf8)
        let ranges = text.matches(of: #/\{0x([0-9A-F]+), 0x([0-9A-F]+)\}/#).map { UInt32($0.1, radix: 16)!...UInt32($0.2, radix: 16)! }
        #expect(ranges.count > 20 && zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
        for value in UInt32(0)...0x10FFFF {
            guard let scalar = Unicode.Scalar(value), !(0x10FE80...0x10FEFF).contains(value) else { continue }
            // A newer Swift may know characters that the table does not.
            if scalar.properties.age.map({ $0.major > 16 }) ?? false { continue }
            #expect(isUnprintable(scalar) == ranges.contains { $0.contains(value) }, "U+\(String(value, radix: 16))")
        }
    }
}
