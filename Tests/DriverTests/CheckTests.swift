import Foundation
import TestSupport
import Testing

@testable import Driver

/// `lmmc check`: tensors of programs against the reference evaluator's.
@Suite(.serialized) struct CheckTests {
    private struct Report: Decodable {
        struct Gap: Decodable {
            var name: String
            var relative, largest: Double
            var jumps, within: Bool
        }
        var precision: String
        var tolerance: Double
        var tensors: [Gap]
    }

    private func program(_ model: String, _ precision: String, _ scratch: Scratch) throws -> String {
        let path = scratch["program.\(precision)"]
        let compiled = try lmmc("compile", model, "-o", path, "--quiet", "--precision", precision)
        try #require(compiled.status == 0, "\(compiled.errors)")
        return path
    }

    private func check(_ model: String, _ program: String, _ arguments: String...) throws -> (status: Int32, report: Report, error: String)
    {
        let result = try run([lmmcPath, "check", model, program, "--json"] + arguments, folder: goldens)
        return (result.status, try JSONDecoder().decode(Report.self, from: Data(result.output.utf8)), result.errorLine)
    }

    /// All products and attentions of tower, projector and prefill, in float32 and as near as another order of sums, and in int8.
    @Test func programsAgree() throws {
        let scratch = try Scratch()
        let model = "\(goldens)/released-stf"
        let exact = try program(model, "f32", scratch)
        let f32 = try check(model, exact)
        #expect(f32.status == 0 && f32.report.precision == "f32", "\(f32.error)")
        let names = f32.report.tensors.map(\.name)
        let ir = try lmmc("ir", model, "--stage", "optimized", "--precision", "f32").output
        let wanted = ir.split(separator: "func ").dropFirst().joined().matches(of: #/%([\w.]+) = (matmul|attention)/#)
        #expect(names == wanted.map { String($0.1) } && names.count > 20)
        #expect(f32.report.tensors.allSatisfy { $0.relative < 2e-5 && $0.within })

        let int8 = try check(model, program(model, "int8", scratch), "--image", "images/photo.jpg", "--prompt", "What is this?")
        #expect(int8.status == 0, "\(int8.error)")
        #expect(int8.report.tensors.count > 20 && int8.report.tensors.allSatisfy { $0.relative > 1e-5 && $0.within })

        // What another program wrote stands in for the reference.
        let written = try run([exact, "--dump-tensors", scratch["golden"], "--max-tokens", "1"])
        try #require(written.status == 0, "\(written.errors)")
        let golden = try check(model, scratch["program.int8"], "--golden", scratch["golden"])
        #expect(golden.status == 0 && golden.report.tensors.count == int8.report.tensors.count, "\(golden.error)")
        let other = try lmmc("check", model, scratch["program.int8"], "--golden", scratch["golden"], "--prompt", "other")
        #expect(other.status == 1 && other.errorLine.contains("the golden run had other tokens"), "\(other.errors)")

        let until = try check(model, exact, "--until", names[4])
        #expect(until.status == 0 && until.report.tensors.map(\.name) == Array(names[...4]))
        try expectRefusals([
            (["check", model, exact, "--until", "nothing"], "error: there is no tensor 'nothing', at option '--until'"),
            (["check", model, exact, "--tolerance", "0"], "error: a tolerance of 0.0, at option '--tolerance'"),
        ])
        let absent = try lmmc("check", model, "/bin/false")
        #expect(absent.status == 1 && absent.errorLine.hasPrefix("error: the program ended with 1"), "\(absent.errors)")
    }

    /// A program with a weight that is not the checkpoint's: the first tensor that is beyond the tolerance, and jumps, is the product by it.
    @Test func findsTheDamage() throws {
        let scratch = try Scratch()
        let copy = try scratch.checkpoint("released-stf")
        let file = copy + "/model.safetensors"
        var data = try Data(contentsOf: URL(filePath: file))
        let length = data.prefix(8).enumerated().reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
        let header = try #require(try JSONSerialization.jsonObject(with: data[8..<8 + length]) as? [String: [String: Any]])
        let name = "model.layers.1.mlp.down_proj.weight"
        let range = try #require(header[name]?["data_offsets"] as? [Int])
        try #require(header[name]?["dtype"] as? String == "F16")
        // The highest bit of the exponent: 65536 times as large.
        for offset in stride(from: 8 + length + range[0] + 1, to: 8 + length + range[1], by: 2) { data[offset] ^= 0x40 }
        try data.write(to: URL(filePath: file))
        let result = try check("\(goldens)/released-stf", program(copy, "int8", scratch))
        let tensors = result.report.tensors
        let first = try #require(tensors.first { !$0.within }), jump = try #require(tensors.first { $0.jumps })
        #expect(result.status == 1 && first.name == "decoder.layer1.output.wanted" && jump.name == first.name, "\(first) \(jump)")
        #expect(result.error.hasPrefix("error: tensor 'decoder.layer1.output.wanted' is "), "\(result.error)")
    }
}
