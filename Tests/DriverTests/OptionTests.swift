import Foundation
import TestSupport
import Testing

@testable import Driver

/// Whatever value an option has, the command does its work or says in one line why not: no trap, no silence.
@Suite struct OptionTests {
    private static let integers = [
        "0", "-1", "2147483648", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e9", "nan", "", "٣", "0x10",
    ]
    private static let long = String(repeating: "9", count: 400)
    private static let quantities = [
        "0", "-1", "0.\(String(repeating: "0", count: 300))1", "0.\(String(repeating: "0", count: 400))1", long + "P",
        "9223372036854775807P", "4194303TiB",
        "1.7976931348623157e308", "1Pi", "i", ".", "..", "/s", "٣G", "5 ", "1\u{301}", "",
    ]

    /// Exit code 0, or 1 or 2 with one line; nothing else on standard error.
    private func expectAnswer(_ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let result = try run([lmmcPath] + arguments)
        let what = "\(arguments.map { $0.count > 80 ? "\($0.prefix(40))..." : $0 }): \(result.status), \(result.errors.prefix(300))"
        #expect([0, 1, 2].contains(result.status), "\(what)", sourceLocation: sourceLocation)
        let isLine = result.errors.hasPrefix("error: ") && result.errors.hasSuffix("\n") && result.errors.split(separator: "\n").count == 1
        #expect(result.status == 0 ? result.errors == "" && result.output != "" : isLine, "\(what)", sourceLocation: sourceLocation)
    }

    @Test(arguments: ["--text-tokens", "--context", "--sequences", "--layers"])
    func integersOfInspect(_ option: String) throws {
        for value in Self.integers { try expectAnswer(["inspect", goldens + "/llava-linear", option + "=" + value]) }
    }

    /// The slots of a program, wherever they can be asked for.
    @Test func sequences() throws {
        let model = goldens + "/llava-linear"
        for command in [
            ["compile", model, "-o", "/tmp/x"], ["inspect", model], ["ir", model, "--stage", "imported"],
            ["ir", "--preset", "vicuna-7b", "--summary"],
        ] {
            for value in ["0", "1025", "-1", "9223372036854775807"] {
                try expectRefusals([
                    (command + ["--sequences=" + value], "error: \(value) sequences, at option '--sequences'; expected 1 to 1024")
                ])
            }
            for value in ["two", "1.5", "", "9223372036854775808"] {
                try expectRefusals([(command + ["--sequences=" + value], "error: ")])
            }
        }
        let most = try lmmc("ir", model, "--stage", "imported", "--context", "8", "--sequences", "1024").output
        // A step has room for a row of each sequence, and for the logits of all of them.
        #expect(most.contains("  symbol T <= 1024\n  symbol S <= 1024\n"))
        #expect(most.contains("  state &decoder.layer0.lengths : i32[1024]\n  state &decoder.layer0.key_cache : f32[1024, 8, "))
        let one = try lmmc("ir", model, "--stage", "imported", "--context", "8").output
        #expect(one.contains("  symbol T <= 8\n  symbol S <= 8\n") && one.contains("lengths : i32[1]\n"))
        #expect(try lmmc("ir", model, "--stage", "imported", "--context", "8", "--sequences", "1").output == one)
    }

    /// Times and sizes of a machine that there is not.
    @Test(arguments: ["--memory", "--bandwidth", "--compute"])
    func quantitiesOfInspect(_ option: String) throws {
        let (unit, others) = [
            "--memory": ("B", []), "--bandwidth": ("B/s", ["--compute", "1FLOPS"]), "--compute": ("FLOPS", ["--bandwidth", "1B/s"]),
        ][option]!
        for value in Self.quantities + Self.quantities.map({ $0 + unit }) {
            for form in [[], ["--json"]] { try expectAnswer(["inspect", goldens + "/llava-linear", option + "=" + value] + others + form) }
        }
    }

    @Test func machinesThatThereAreNot() throws {
        for value in ["1000000000P", Self.quantities[2]] {
            let options = ["--bandwidth", value + "B/s", "--compute", value + "FLOPS", "--memory", "1B"]
            for tokens in ["1", "2147483647"] {
                try expectAnswer(["inspect", goldens + "/llava-linear", "--text-tokens", tokens] + options)
            }
        }
    }

    @Test(arguments: ["--layers", "--vision-layers", "--image-size", "--kernel", "--tokens-per-window", "--taps", "--seed"])
    func sizesOfSynth(_ option: String) throws {
        let scratch = try Scratch()
        let output = try scratch.write("taken", "")
        // A name that is taken, so that what is accepted writes nothing.
        for value in Self.integers { try expectAnswer(["synth", "--preset", "llava-stf-paper-7b", "-o", output, option + "=" + value]) }
        guard option == "--taps" else { return }
        let many = [String](repeating: "24", count: 30_000).joined(separator: ",")
        let large = ["synth", "--preset", "llava-stf-paper-7b", "--image-size", "1400", "--kernel", "100", "--no-mbtf", "-o"]
        for value in [",", "1,,2", "-9223372036854775808,", "9223372036854775807,1", "24,"] {
            try expectAnswer(large + [output, "--taps=" + value])
        }
        try expectAnswer(large + [scratch["more than 2^63 elements"], "--taps=" + many])
    }

    @Test func otherOptions() throws {
        let scratch = try Scratch()
        let file = try scratch.write("m.ir", "module \"m\" stage imported {\n}\n")
        let model = goldens + "/llava-linear"
        let name = String(repeating: "x", count: 100_000)
        for value in Self.integers + ["1"] { try expectAnswer(["compile", model, "-o", scratch["no/program"], "--jobs=" + value]) }
        for passes in ["", ",", " , ", ",,,,", "dead-code,,", name] { try expectAnswer(["opt", file, "--passes", passes]) }
        for levels in ["", ",", "avx2,avx2", name] {
            try expectAnswer(["ir", model, "--stage", "list", "--target", "x86-64", "--target-level", levels])
        }
        for value in ["=", "*=", "=int8", "*=int8=", "\(name)=int8", "\(String(repeating: "*?", count: 20_000))=int8"] {
            try expectAnswer(["ir", model, "--summary", "--precision-for", value])
        }
        for value in [
            "", ":", "none:", "fastv:", "fastv:layer=1,keep=\(name)", "tome:r=" + String(repeating: "1+", count: 20_000) + "1", name,
        ] {
            try expectAnswer(["ir", model, "--summary", "--reduce", value])
        }
        for option in ["--reduce", "--stage", "--template", "--precision", "--kv", "--format", "--preset", "--strategy", "--" + name] {
            try expectAnswer(["ir", model, option, name])
        }
        try expectAnswer([name])
    }

    /// A program that gives back what no program of lmmc's does.
    @Test func checkedProgram() throws {
        let scratch = try Scratch()
        let model = goldens + "/released-stf"
        func program(_ files: [String: [Float]], info: String = #"{"precision": "f32"}"#) throws -> String {
            for (name, values) in files {
                var data = Data([0x93] + Array("NUMPY".utf8) + [1, 0])
                let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(values.count),), }\n"
                data += [UInt8(header.utf8.count), 0] + Array(header.utf8)
                for value in values { withUnsafeBytes(of: value.bitPattern.littleEndian) { data += $0 } }
                try data.write(to: URL(filePath: scratch[name + ".npy"]))
            }
            let script =
                "#!/bin/sh\n[ \"$1\" = --info ] && { echo '\(info)'; exit; }\nmkdir \"$2\"\ncp \(files.keys.map { scratch[$0 + ".npy"] }.joined(separator: " ")) \"$2\"\n"
            return try scratch.write("program", script, executable: true)
        }
        let cases: [([String: [Float]], String)] = [
            (["tokens": [1, .nan]], "element 1 is nan, at file '"), (["tokens": [.infinity]], "element 0 is inf, at file '"),
            (["tokens": [3e9]], "element 0 is 3e+09, at file '"), (["tokens": [1.5]], "element 0 is 1.5, at file '"),
            (["tokens": []], "the program's prompt has 0 tokens, at file '"),
            (["tokens": Array(repeating: 1, count: 1000)], "the program's prompt has 1000 tokens, at file '"),
            (["tokens": [1_000_000]], "token 1000000 at index 0 is out of range"),
            (["tokens": [-1_000_000]], "token -1000000 at index 0 is out of range"),
            (["tokens": [1], "image": [256]], "element 0 is 256.0, at file '"),
            (["tokens": [1], "image": [-.infinity]], "element 0 is -inf, at file '"),
            (["tokens": [1], "image": [7]], "the program's image is not the model's"),
        ]
        for (files, wanted) in cases {
            let result = try lmmc("check", model, try program(files))
            #expect(
                result.status == 1 && result.errorLine.contains(wanted) && result.errors.split(separator: "\n").count == 1,
                "\(wanted): \(result.errors)")
        }
        for tolerance in ["5e-324", "1e-310", "inf", "nan", "-1", "1e308", "1e-5", "0x1p-1074", ""] {
            try expectAnswer(["check", model, try program(["tokens": [1]]), "--tolerance=" + tolerance])
        }
        // What is printed of a tolerance that no tensor keeps
        let step = try lmmc("ir", model, "--stage", "optimized", "--precision", "f32").output.split(separator: "func step").last ?? ""
        let tensor = try #require(step.firstMatch(of: #/%([\w.]+) = matmul/#)).1
        for (tolerance, shown) in [("5e-324", "4.94e-324"), ("1e-5", "1.00e-05"), ("1.7e308", "1.70e+308")] {
            let result = try lmmc("check", model, try program(["tokens": [1], String(tensor): [.nan]]), "--tolerance", tolerance)
            #expect(
                result.status == 1 && result.errors.contains("is inf from the reference") && result.errors.contains("at most \(shown)\n"),
                "\(result.errors)")
        }
        for info in ["", "[", "{}", #"{"precision": 1}"#, #"{"precision": "\u001b[2J"}"#, String(repeating: "[", count: 100_000)] {
            try expectAnswer(["check", model, try program(["tokens": [1]], info: info)])
        }
    }
}
