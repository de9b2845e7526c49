import ChatTemplate
import Foundation
import IR
import IRText
import Plan
import Support
import TestSupport
import Testing

@testable import CEmit

/// The folder of this test's files.
// C files there are called .c.txt: SwiftPM takes no C in a Swift target.
private let golden = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")

private func tinyProgram(
    compression: ProgramDescription.Compression? = nil, reducer: ProgramDescription.Reducer? = nil
) throws -> [EmittedFile] {
    let module = try parseModule(String(contentsOf: golden.appending(path: "tiny.ir"), encoding: .utf8), file: "tiny.ir")
    try module.verify()
    let plan = try makePlan(module)
    let vision = ProgramDescription.Vision(
        mode: .pad, resize: 0, size: 4, background: [122, 116, 104], mean: [0.5, 0.45, 0.4], std: [0.25, 0.26, 0.27], tokens: 1,
        maxImages: 2)
    let program = try ProgramDescription(
        version: "1.0", info: "{\"model\": \"tiny\"}", vision: vision, reducer: reducer, context: 16,
        template: PromptTemplate.builtIn[2].template, addsBOS: true, bos: 1, eos: [2, 7], compression: compression,
        tokenizerOffset: plan.weightBytes, tokenizerBytes: 0, attachmentBytes: plan.weightBytes)
    let files = emitProgram(plan, program)
    #expect(files.map(\.name) == ["model.c", "program.c"])
    return files
}

/// Runs a command; its exit status and what it printed.
private func run(_ command: [String], in folder: URL) throws -> (status: Int32, output: String) {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["OMP_NUM_THREADS=2", "OMP_WAIT_POLICY=passive"] + command
    process.currentDirectoryURL = folder
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, output)
}

/// The first program of this name, in /usr/bin and then in PATH, that makes OpenMP programs: a Swift toolchain's clang has no omp.h.
private func compiler(_ name: String) throws -> String? {
    let folder = FileManager.default.temporaryDirectory.appending(path: "lmmc-emit-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    try "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n".write(
        to: folder.appending(path: "try.c"), atomically: true, encoding: .utf8)
    let places = ["/usr/bin"] + (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
    return try places.map { "\($0)/\(name)" }.first { try run([$0, "-fopenmp", "try.c", "-o", "try"], in: folder).status == 0 }
}

/// A folder with the tiny program that goes away after `body`.
private func withFolder(_ body: (URL) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "lmmc-emit-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for file in try tinyProgram() { try file.text.write(to: folder.appending(path: file.name), atomically: true, encoding: .utf8) }
    try body(folder)
}

@Suite struct EmitTests {
    /// With LMMC_UPDATE_GOLDEN set, writes the text instead of comparing it.
    @Test func textIsAsStored() throws {
        let file = golden.appending(path: "tiny.c.txt")
        let text = try tinyProgram().map(\.text).joined(separator: "\n")
        if ProcessInfo.processInfo.environment["LMMC_UPDATE_GOLDEN"] != nil {
            try text.write(to: file, atomically: true, encoding: .utf8)
        }
        let stored = try String(contentsOf: file, encoding: .utf8)
        let (lines, expected) = (
            text.split(separator: "\n", omittingEmptySubsequences: false), stored.split(separator: "\n", omittingEmptySubsequences: false)
        )
        for (number, (line, wanted)) in zip(lines, expected).enumerated() where line != wanted {
            #expect(line == wanted, "line \(number + 1)")
            break
        }
        #expect(lines.count == expected.count)
        #expect(lines.allSatisfy { $0.count <= 132 })
    }

    /// A program that compresses says by which tokens, and differs from others in nothing else.
    @Test func compressionTokensAreNamed() throws {
        let (plain, compressing) = (try tinyProgram(), try tinyProgram(compression: .init(token: 5, count: 2)))
        #expect(plain[0] == compressing[0])
        let lines = ["    .compression_token = 5,\n", "    .compression_count = 2,\n"]
        #expect(compressing[1].text.contains(lines.joined()))
        #expect(compressing[1].text.replacing(lines.joined(), with: "") == plain[1].text)
    }

    /// What the runtime says of a reducer stands in program.c where there is one, and nothing else changes.
    @Test(arguments: [false, true], [false, true]) func reducersAreNamed(knowsOneImage: Bool, recomputes: Bool) throws {
        let plain = try tinyProgram()
        let reduced = try tinyProgram(reducer: .init(name: "a:\"b\"", knowsOneImage: knowsOneImage, recomputes: recomputes))
        let lines = reduced[1].text.split(separator: "\n"), before = Set(plain[1].text.split(separator: "\n"))
        #expect(reduced[0].text == plain[0].text)
        #expect(
            lines.filter { !before.contains($0) } == ["    .reducer = \"a:\\\"b\\\"\","] + (knowsOneImage ? ["    .one_image = true,"] : [])
                + (recomputes ? ["    .recomputes = true,"] : []))
        let prefused = try tinyProgram(reducer: .init(name: "a", knowsOneImage: false, prefusedRows: 7))
        #expect(
            prefused[1].text.split(separator: "\n").filter { !before.contains($0) } == ["    .reducer = \"a\",", "    .prefused_rows = 7,"])
    }

    @Test(arguments: ["gcc", "clang"], [[], ["-fopenmp"]]) func compilesWithoutWarnings(name: String, flags: [String]) throws {
        guard let compiler = try compiler(name) else {
            return print("not run: emitted C with \(name), since none here makes OpenMP programs")
        }
        try withFolder { folder in
            let result = try run(
                [compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-c", "model.c", "program.c", "-I\(repository)/Runtime"]
                    + flags,
                in: folder)
            #expect(result.status == 0, "\(result.output)")
        }
    }

    /// The compiled program against numbers that numpy gave for the same formulas (Golden/expected.py), plain and under the sanitizers.
    @Test(arguments: [["-O2"], ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]])
    func computesTheExpectedNumbers(flags: [String]) throws {
        let expected = try String(contentsOf: golden.appending(path: "expected.txt"), encoding: .utf8).split(whereSeparator: \.isWhitespace)
            .compactMap { Double($0) }
        #expect(expected.count == 8 + 7 * 16)
        try withFolder { folder in
            let runtime = "\(repository)/Runtime"
            let kernels = try FileManager.default.subpathsOfDirectory(atPath: "\(runtime)/kernels").filter { $0.hasSuffix(".c") }.sorted()
            let built = try run(
                [#require(try compiler("gcc")), "-std=gnu11", "-fopenmp"] + flags + [
                    "-I\(runtime)", "model.c", "program.c", "-x", "c", golden.appending(path: "run_tiny.c.txt").path,
                ] + kernels.map { "\(runtime)/kernels/\($0)" } + ["-o", "tiny", "-lopenblas", "-lm"], in: folder)
            try #require(built.status == 0, "\(built.output)")
            let result = try run(["./tiny"], in: folder)
            #expect(result.status == 0, "\(result.output)")
            let found = result.output.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
            try #require(found.count == expected.count, "\(result.output)")
            for (index, (a, b)) in zip(found, expected).enumerated() { #expect(abs(a - b) < 5e-6, "number \(index)") }
        }
    }

    @Test func stringsAreEscaped() {
        #expect(literal("a\"b\\c\n\t?") == "\"a\\\"b\\\\c\\n\\t\\?\"")
        #expect(literal("é\u{1}0") == "\"\\303\\251\\0010\"")
        #expect(literal(Float(0.1)) == "0.1f" && literal(-Float.infinity) == "-INFINITY" && literal(Float.nan) == "NAN")
        #expect(literal(Float(1e-5)) == "1e-05f" && literal(Float(2)) == "2.0f")
        #expect(comment("a\nb\\") == "a b ")
    }

    @Test func longStringsArePieces() {
        #expect(literals("") == ["\"\""] && literals("a\n") == [literal("a\n")])
        let text = String(repeating: "word é\n", count: 60) + String(repeating: "x", count: 300), pieces = literals(text)
        #expect(pieces.count > 6 && pieces.allSatisfy { $0.count <= 112 })
        #expect(pieces.map { $0.dropFirst().dropLast() }.joined() == literal(text).dropFirst().dropLast())
    }

    @Test func namesAreIdentifiers() {
        #expect(identifier("decoder.layer0.mlp-up") == "decoder_layer0_mlp_up")
        #expect(identifier("3x") == "v3x" && identifier("") == "v" && identifier("_x") == "v_x")
        // T and S are parameters of the functions.
        var counts = NameScope()
        #expect(counts.unique("T") == "T_2" && counts.unique("S") == "S_2")
        var scope = NameScope()
        #expect(["x.y", "x_y", "for", "x.y"].map { scope.unique($0) } == ["x_y", "x_y_2", "for_2", "x_y_3"])
    }

    @Test func longStatementsAreWrapped() {
        let arguments = (0..<30).map { "argument\($0)" }
        let lines = wrapped("call(\(arguments.joined(separator: ", ")), g(a, b));", indent: 2)
        #expect(lines.count > 2 && lines.allSatisfy { $0.count <= 120 })
        #expect(lines[1].hasPrefix(String(repeating: " ", count: 7) + "argument"))
        #expect(lines.last?.hasSuffix("g(a, b));") == true)
        #expect(
            lines.map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: " ")
                == "call(\(arguments.joined(separator: ", ")), g(a, b));")
    }

    @Test func descriptionsAreChecked() {
        func message(_ eos: [Int32], _ mean: [Float]) -> String {
            do throws(Diagnostic) {
                _ = try ProgramDescription(
                    version: "", info: "",
                    vision: .init(mode: .crop, resize: 1, size: 1, background: [0, 0, 0], mean: mean, std: mean, tokens: 1, maxImages: 1),
                    context: 1, template: PromptTemplate(before: "", after: ""), addsBOS: false, bos: 0, eos: eos, tokenizerOffset: 0,
                    tokenizerBytes: 0, attachmentBytes: 0)
                return "no error"
            } catch {
                return error.rendered
            }
        }
        #expect(message([], [1, 1, 1]) == "no error")
        #expect(message(Array(repeating: 1, count: 17), [1, 1, 1]) == "error: the model has 17 eos ids; expected at most 16")
        #expect(message([], [1]) == "error: image preprocessing 'mean' has 1 channels; expected 3")
    }
}
