import Foundation
import IR
import IRText
import Passes
import Support
import TestSupport
import Testing

@testable import Driver

/// The options of `ir`, `opt` and `compile` that show and steer the passes.
@Suite struct IRToolTests {
    static let model = goldens + "/fusion-paper"
    static let passes = Pipeline.passes(for: PrecisionPolicy(ModelOptions.defaultPrecision)).map(\.name)

    @Test func wrongCommandLines() throws {
        let model = Self.model
        let cases: [([String], String)] = [
            (["ir", model], "error: nothing to show is named; expected '--stage NAME', '--html FILE' or '--summary'"),
            (["ir", model, "--stage", "imported", "--summary"], "error: more than one thing to show is named"),
            (
                ["ir", model, "--stage", "imported", "--format", "jsn"],
                "error: unknown value 'jsn'; did you mean 'json'?, at option '--format'; expected 'text', 'dot' or 'json'"
            ),
            (
                ["ir", model, "--stage", "imported", "--format", "json", "--collapse-layers"],
                "error: JSON holds every operation, at option '--collapse-layers'"
            ),
            (["ir", model, "--summary", "--format", "json"], "error: there is no stage to print, at option '--format'"),
            (["ir", model, "--html", "x", "--collapse-layers"], "error: there is no stage to print, at option '--collapse-layers'"),
            (
                ["ir", model, "--stage", "dead-code", "--disable-pass", "dead-code"],
                "error: pass 'dead-code' is disabled, at option '--stage'"
            ),
            (
                ["ir", model, "--stage", "optimized", "--disable-pass", "ded-code"],
                "error: unknown pass 'ded-code'; did you mean 'dead-code'?, at option '--disable-pass'"
            ),
            (
                ["ir", model, "--stage", "optimized", "--print-after", "ded-code"],
                "error: unknown pass 'ded-code'; did you mean 'dead-code'?, at option '--print-after'"
            ),
            (
                ["ir", model, "--stage", "optimized", "--print-after", "dead-code", "--disable-pass", "dead-code"],
                "error: pass 'dead-code' is not run, at option '--print-after'"
            ),
            (
                ["ir", "--preset", "llava-stf-8b", "--summary"],
                "error: unknown preset 'llava-stf-8b'; did you mean 'llava-stf-7b'?, at option '--preset'"
            ),
            (
                ["ir", "--preset", "llava-stf-7b", "--layers", "0", "--summary"],
                "error: 0 layers, at option '--layers'; expected 1 to 1000"
            ),
            (["ir", model, "--preset", "llava-stf-7b", "--summary"], "error: both a checkpoint folder and a preset are named"),
            (
                ["opt", "-", "--passes", "dead-code", "--print-after", "fuse-gate"],
                "error: pass 'fuse-gate' is not run, at option '--print-after'"
            ),
            (
                ["opt", "-", "--passes", "dead-code", "--disable-pass", "fuse-gate"],
                "error: pass 'fuse-gate' is not run, at option '--disable-pass'"
            ),
            (["opt", "-", "--passes", "dead-code", "--format", "xml"], "error: unknown value 'xml', at option '--format'"),
            (["compile", model, "-o", "/tmp/x", "--disable-pass", "x"], "error: unknown pass 'x', at option '--disable-pass'"),
        ]
        try expectRefusals(cases)
    }

    @Test func formats() throws {
        let text = try lmmc("ir", Self.model, "--stage", "optimized").output
        let module = try parseModule(text, file: "optimized.ir")
        let json = try lmmc("ir", Self.model, "--stage", "optimized", "--format", "json").output
        let object = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        let functions = try #require(object["functions"] as? [String: [String: Any]])
        #expect(object["symbols"] as? [String: Int] == Dictionary(uniqueKeysWithValues: module.symbols.map { ($0.name, $0.bound) }))
        #expect(module.functions.map(\.name) == ["vision", "project", "step"] && functions.values.allSatisfy { $0["position"] == nil })
        for function in module.functions {
            let operations = try #require(functions[function.name]?["operations"] as? [[String: Any]])
            #expect(operations.map { $0["name"] as? String } == function.operations.map(\.name))
        }
        let dot = try lmmc("ir", Self.model, "--stage", "optimized", "--format", "dot").output
        #expect(dot.hasPrefix("digraph \"fusion-paper\" {") && dot.contains("\"step/decoder.logits\""))
        let collapsed = try lmmc("ir", Self.model, "--stage", "imported", "--collapse-layers").output
        #expect(collapsed.contains("    // decoder.layer1 as decoder.layer0\n") && !collapsed.contains("%decoder.layer1.mlp.gate ="))
        // `opt` has the same forms; it takes the sequence from the bound of T.
        #expect(try lmmc("opt", "-", "--passes", "", "--format", "json", input: text).output == json)
        #expect(try lmmc("opt", "-", "--passes", "", "--format", "dot", input: text).output == dot)
        let imported = try lmmc("ir", Self.model, "--stage", "imported").output
        #expect(try lmmc("opt", "-", "--passes", "", "--collapse-layers", input: imported).output == collapsed)
    }

    /// Leaving a pass out of `ir` and `compile` is the same as not naming it to `opt`.
    @Test func disablePass() throws {
        let imported = try lmmc("ir", Self.model, "--stage", "imported").output
        let last = try #require(Self.passes.last)
        let others = Self.passes.filter { $0 != "fuse-gate" && $0 != "dead-code" }
        let wanted = try lmmc("opt", "-", "--passes", others.joined(separator: ","), input: imported).output
        #expect(try lmmc("ir", Self.model, "--stage", last, "--disable-pass", "fuse-gate", "--disable-pass", "dead-code").output == wanted)
        #expect(try wanted.contains("multiply") && wanted != lmmc("ir", Self.model, "--stage", last).output)
        let all = Self.passes.joined(separator: ",")
        let disabled = try lmmc("opt", "-", "--passes", all, "--disable-pass", "fuse-gate", "--disable-pass", "dead-code", input: imported)
        #expect(disabled.output == wanted)

        let scratch = try Scratch()
        let result = try lmmc(
            "compile", Self.model, "--emit", "c", "-o", scratch["c"], "--dump-ir", scratch["ir"], "--quiet", "--disable-pass", "fuse-gate",
            "--disable-pass", "dead-code", "--sequences", "1")
        #expect(result.status == 0, "\(result.errors)")
        let names = try FileManager.default.contentsOfDirectory(atPath: scratch["ir"]).sorted()
        let stages = ["imported"] + others + ["optimized"]
        #expect(names == stages.enumerated().map { String(format: "%02d-%@.ir", $0.offset, $0.element) })
        #expect(try String(contentsOfFile: scratch["ir/" + names[names.count - 2]], encoding: .utf8) == wanted)
    }

    @Test func printAfter() throws {
        let imported = try lmmc("ir", Self.model, "--stage", "imported").output
        let names = ["fuse-gate", "dead-code"]
        let result = try lmmc("ir", Self.model, "--stage", "optimized", "--print-after", names[0], "--print-after", names[1])
        #expect(try result.output == lmmc("ir", Self.model, "--stage", "optimized").output)
        // In the order in which they run, each text readable by itself.
        let parts = result.errors.components(separatedBy: "// after pass ").dropFirst()
        #expect(parts.map { $0.split(separator: ",")[0] } == ["'dead-code'", "'fuse-gate'"])
        for (part, name) in zip(parts, names.reversed()) {
            let text = part.drop { $0 != "\n" }.dropFirst()
            #expect(try String(text) == lmmc("ir", Self.model, "--stage", name).output)
        }
        let opt = try lmmc("opt", "-", "--passes", "dead-code", "--print-after", "dead-code", input: imported)
        #expect(opt.errors.hasSuffix(opt.output) && opt.errors.hasPrefix("// after pass 'dead-code', "))
        let scratch = try Scratch()
        let compiled = try lmmc(
            "compile", Self.model, "--emit", "c", "-o", scratch["c"], "--quiet", "--print-after", "dead-code", "--sequences", "1")
        #expect(compiled.status == 0 && compiled.errors == opt.errors)
    }

    @Test func timePasses() throws {
        let result = try lmmc("ir", Self.model, "--stage", "fuse-gate", "--time-passes", "--no-verify-each")
        let rows = result.errors.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
        #expect(rows.first == ["pass", "rewrites", "ms", "verify", "ms", "operations"])
        #expect(rows.dropFirst().map(\.[0]) == Array(Self.passes.prefix { $0 != "fuse-gate" }) + ["fuse-gate", "all"])
        let module = try parseModule(result.output, file: "x.ir")
        #expect(rows.last?.last == "\(module.functions.reduce(0) { $0 + $1.operations.count })")
        #expect(rows.dropFirst().allSatisfy { $0.count == 5 && Double($0[2])! >= 0 })
    }

    /// With the check after each pass a module that a pass leaves broken is an error that names the pass; without it nobody looks.
    @Test func verifyEach() throws {
        var broken = try parseModule(
            "module \"m\" stage imported { func f(%x: f32[2, 3]) { %y = scale %x {factor = 2.0} : f32[2, 3] return %y } }", file: "m.ir")
        broken.functions[0].operations[0].type = TensorType(.float32, [3, 2])
        let dead = [try Pipeline.pass(named: "dead-code")]
        var module = broken
        let error = #expect(throws: Diagnostic.self) { try PassOptions().run(dead, on: &module) }
        #expect(error?.notes == ["after pass 'dead-code'"])
        module = broken
        try PassOptions(verifyEach: false).run(dead, on: &module)
    }

    @Test func summary() throws {
        let result = try lmmc("ir", Self.model, "--summary")
        let rows = result.output.split(separator: "\n").map { line in
            line.split(separator: "|").map { $0.split(separator: " ").joined(separator: " ") }
        }
        #expect(rows.dropFirst(2).map(\.[0]) == ["imported"] + Self.passes.map { "`\($0)`" } + ["optimized"])
        let module = try parseModule(try lmmc("ir", Self.model, "--stage", "optimized").output, file: "x.ir")
        #expect(rows.last?[2] == "\(module.functions.reduce(0) { $0 + $1.operations.count })")
        #expect(rows.allSatisfy { $0.count == 9 && !$0[4].isEmpty && !$0[5].isEmpty })
    }

    /// A preset without weights is what `synth` writes, as far as the IR goes, and leaves nothing behind.
    @Test func preset() throws {
        let scratch = try Scratch()
        let folder = scratch["llava-stf-7b"], temporary = scratch["tmp"]
        try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        let sizes = ["--preset", "llava-stf-7b", "--layers", "1", "--vision-layers", "2"]
        try #require(try run([lmmcPath, "synth"] + sizes + ["-o", folder, "--quiet"]).status == 0)
        let real = try lmmc("ir", folder, "--stage", "imported", "--context", "64")
        let preset = try run([lmmcPath, "ir"] + sizes + ["--stage", "imported", "--context", "64"], environment: ["TMPDIR": temporary])
        #expect(preset.status == 0 && preset.output == real.output, "\(preset.errors)")
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary) == [])
    }

    @Test func htmlFile() throws {
        let scratch = try Scratch()
        let result = try lmmc("ir", Self.model, "--html", scratch["page.html"])
        #expect(result.status == 0 && result.output == "" && result.errors == "")
        #expect(scratch.contents == ["page.html"])
        let text = try String(contentsOfFile: scratch["page.html"], encoding: .utf8)
        #expect(text.hasPrefix("<!doctype html>") && text.contains("<title>fusion-paper - IR</title>"))
        let folder = try lmmc("ir", Self.model, "--html", scratch.path)
        #expect(folder.status == 1 && folder.errorLine == "error: output '\(scratch.path)' is a folder; expected the name of a file")
    }

    static let browser: String? = ["chromium", "chromium-browser", "google-chrome"].lazy.flatMap { name in
        (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }
    }.first { FileManager.default.isExecutableFile(atPath: $0) }

    /// The page uses itself in a real browser: folds, unfolds, selects, zooms, searches, and rebuilds both sides of each difference.
    @Test(.enabled(if: browser != nil, "chromium is not installed"), arguments: ["fusion-paper", "avgpool-taps", "qformer"])
    func htmlInABrowser(checkpoint: String) throws {
        let scratch = try Scratch()
        try #require(try lmmc("ir", "\(goldens)/\(checkpoint)", "--html", scratch["page.html"]).status == 0)
        let result = try run([
            try #require(Self.browser), "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=\(scratch["profile"])",
            "--virtual-time-budget=20000",
            "--dump-dom", "file://\(scratch["page.html"])#selftest",
        ])
        let start = try #require(result.output.range(of: "<pre id=\"selftest\">"), "\(result.errors)")
        let lines = result.output[start.upperBound...].prefix { $0 != "<" }.split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("FAILED") } == [])
        // Two checks per function and stage, two per pair of stages, and those of the controls
        let stages = Self.passes.count + 2
        #expect(lines.last == "\(lines.count - 1) ok, 0 failed" && lines.count > 2 * 3 * stages + 2 * (stages - 1) + 20)
    }
}
