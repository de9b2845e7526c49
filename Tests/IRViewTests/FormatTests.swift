import Foundation
import IR
import Testing

@testable import IRView

/// The path of a program, if it is installed.
func installed(_ names: String...) -> String? {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return names.flatMap { name in folders.map { "\($0)/\(name)" } }.first { FileManager.default.isExecutableFile(atPath: $0) }
}

@Suite struct FormatTests {
    @Test func json() throws {
        let text = try sample().json(sequence: 8)
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object["format"] as? String == "lmmc-ir" && object["version"] as? Int == 1 && object["sequence"] as? Int == 8)
        let weights = try #require(object["weights"] as? [[String: Any]])
        #expect(weights.count == 7 && weights[1]["bytes"] as? Int == 128)
        #expect((weights[1]["source"] as? [String: Any])?["name"] as? String == "model.layers.0.up.weight")
        let function = try #require((object["functions"] as? [String: [String: Any]])?["step"])
        let operations = try #require(function["operations"] as? [[String: Any]])
        #expect(operations.count == 11 && function["position"] == nil)
        #expect(object["symbols"] as? [String: Int] == ["T": 16, "S": 4])
        let down = operations[3]
        #expect(down["name"] as? String == "decoder.layer0.down" && down["op"] as? String == "matmul")
        #expect((down["operands"] as? [[String: String]])?[2] == ["kind": "value", "name": "decoder.tokens", "label": "addend"])
        #expect((down["type"] as? [String: Any])?["shape"] as? [AnyHashable] == ["T", 4])
        #expect(down["flops"] as? Int == 8 * 4 * 17)
        #expect(operations[1]["type"] is NSNull)
        #expect((function["repeats"] as? [[String: Any]])?[0]["layers"] as? [String] == ["decoder.layer0", "decoder.layer1"])
        #expect(operations.reduce(0) { $0 + ($1["flops"] as! Int) } == function["flops"] as? Int)
    }

    /// One operation stands on one line, as in the text.
    @Test func jsonLine() throws {
        let (module, _) = try function("%x: f32[2]", "%y = scale %x {factor = 0.1} : f32[2] return %y")
        #expect(
            module.json(sequence: 4).contains(
                """
                        {"name": "y", "op": "scale", "operands": [{"kind": "value", "name": "x"}], "attributes": {"factor": 0.1}, \
                "type": {"dtype": "f32", "shape": [2]}, "flops": 2, "bytes_read": 8, "bytes_written": 8}
                """))
    }

    @Test func foldedWeights() throws {
        let (module, _) = try function(
            "%x: f32[2]", "%y = add %x, @b : f32[2] return %y",
            declarations: "weight @a : f32[2] = source \"a\" f16[2] weight @b : f32[2] = fold { %c = scale @a {factor = 2.0} : f32[2] }")
        let object = try #require(try JSONSerialization.jsonObject(with: Data(module.json(sequence: 4).utf8)) as? [String: Any])
        let fold = try #require((object["weights"] as? [[String: Any]])?[1]["fold"] as? [[String: Any]])
        #expect(fold[0]["op"] as? String == "scale" && fold[0]["flops"] == nil)
    }

    @Test func dot() throws {
        let (module, _) = try function(
            "%x: f32[2]",
            "%m.a.u = scale %x {factor = 2.0} : f32[2] %m.a.v = add %m.a.u, %x : f32[2] %m.a.w = add %m.a.v, @b : f32[2] return %m.a.w",
            declarations: "weight @b : f32[2] = source \"b\" f16[2]")
        #expect(
            module.dot().hasSuffix(
                """
                  subgraph "cluster_f" {
                    label = "f"
                    "f/x" [shape = ellipse, label = "x\\nf32[2]"]
                    subgraph "cluster_f_1" {
                      label = "m"
                      color = gray80
                      subgraph "cluster_f_2" {
                        label = "m.a"
                        color = gray80
                        "f/m.a.u" [label = "u\\nscale\\nf32[2]"]
                        "f/m.a.v" [label = "v\\nadd\\nf32[2]"]
                        "f/m.a.w" [label = "w\\nadd\\n@b f32[2]\\nf32[2]"]
                      }
                    }
                    "f/return 0" [shape = ellipse, label = "return"]
                    "f/m.a.w" -> "f/return 0"
                    "f/x" -> "f/m.a.u"
                    "f/m.a.u" -> "f/m.a.v"
                    "f/x" -> "f/m.a.v"
                    "f/m.a.v" -> "f/m.a.w"
                  }
                }

                """))
    }

    @Test func collapsedDot() throws {
        let text = try sample().dot(collapseLayers: true)
        #expect(text.contains("label = \"decoder.layer0 ... decoder.layer1  (2 times)\""))
        #expect(!text.contains("\"step/decoder.layer1"))
        // What read the hidden layer reads the shown one.
        #expect(text.contains("\"step/decoder.layer0.down\" -> \"step/decoder.layer2.up\""))
        #expect(try sample().dot().contains("\"step/decoder.layer1.down\" -> \"step/decoder.layer2.up\""))
    }

    @Test(.enabled(if: installed("dot") != nil, "graphviz is not installed: no 'dot' in PATH"), arguments: [false, true])
    func graphvizReadsIt(_ collapse: Bool) throws {
        let module = try sample(sampleText.replacing("%last", with: "%\"odd \\\\ name\\\"s\""))
        let process = Process()
        process.executableURL = URL(filePath: try #require(installed("dot")))
        process.arguments = ["-Tsvg"]
        let (input, output, errors) = (Pipe(), Pipe(), Pipe())
        (process.standardInput, process.standardOutput, process.standardError) = (input, output, errors)
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data(module.dot(collapseLayers: collapse).utf8))
        try input.fileHandleForWriting.close()
        let svg = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self) == "")
        // Nodes: the parameters, the operations, the result.
        #expect(svg.components(separatedBy: "class=\"node\"").count - 1 == 4 + (collapse ? 8 : 11) + 1)
    }
}
