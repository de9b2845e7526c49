import Foundation
import Support
import TestSupport
import Testing

@testable import Driver

/// Paths whose bytes are no UTF-8, wherever lmmc takes or makes one. A shell passes them, since Foundation cannot.
@Suite struct PathTests {
    /// Runs `script` in a folder, with `$lmmc` and with `$n`, the bytes `caf\xe9`.
    private func shell(_ script: String, in scratch: Scratch) throws -> Run {
        try run(
            ["/bin/sh", "-eu", "-c", "n=$(printf 'caf\\351'); " + script],
            environment: ["lmmc": lmmcPath, "goldens": goldens, "LC_ALL": "C"],
            folder: scratch.path)
    }

    /// The names of the files in the folder, which has no others, in the order of their bytes, `\351` as `<e9>`.
    private func names(in scratch: Scratch) throws -> [String] {
        try shell("ls -A | sed \"s/$(printf '\\351')/<e9>/g\"", in: scratch).output.split(separator: "\n").map(String.init)
    }

    @Test func everyPathOfACompilation() throws {
        let scratch = try Scratch()
        let made = try shell(
            """
            mkdir "$n" "$n/tmp" "$n/bin"
            cp -r "$goldens/formats/base" "$n/model$n"
            cp -r "$goldens/formats/tower" "$n/tower$n"
            cp -r "$goldens/formats/adapter" "$n/adapter$n"
            cp -r "$goldens/formats/projector" "$n/projector$n"
            ln -s "$(command -v gcc)" "$n/bin/cc$n"
            ln -s "projector$n" "$n/link$n"
            TMPDIR=$PWD/$n/tmp LMMC_CACHE=$PWD/$n/cache "$lmmc" compile "$n/model$n" -o "$n/program$n" --projector "$n/link$n/mm_projector.bin" --vision-tower "$n/tower$n" \\
              --dump-ir "$n/ir$n" --cc "$PWD/$n/bin/cc$n" --precision f32 --target native 2>log$n
            test -z "$(ls -A "$n/tmp")"
            test -x "$n/program$n"
            test -e "$n/ir$n/00-imported.ir"
            test -n "$(find "$n/cache" -name 'app-main.c.o')"
            "$n/program$n" --info
            cat log$n >&2
            """, in: scratch)
        #expect(made.status == 0, "\(made.errors)")
        #expect(try names(in: scratch) == ["caf<e9>", "logcaf<e9>"])
        #expect(made.errors.contains("  caf\\xe9/programcaf\\xe9\n"), "\(made.errors)")
        guard case .object(let info) = try JSONValue.parse(Array(made.output.utf8), file: "info") else {
            Issue.record("\(made.output)")
            return
        }
        #expect(info["model"] == .string("modelcaf\\xe9"))
    }

    /// What is opened, and what is only named.
    @Test func otherCommands() throws {
        let scratch = try Scratch()
        let shown = try shell(
            """
            cp -r "$goldens/formats/base" "$n"
            ln -s "$goldens/formats/tower" "tower$n"
            for form in "" --json; do "$lmmc" inspect "$n" --vision-tower "tower$n" --projector "$goldens/formats/projector/mm_projector.bin" $form; done
            "$lmmc" ir "$n" --vision-tower "tower$n" --adapter "$goldens/formats/adapter" --stage imported >"ir$n"
            "$lmmc" opt "ir$n" --passes dead-code >"opt$n"
            head -n 1 "opt$n"
            "$lmmc" ir "$n" --vision-tower "tower$n" --adapter "$goldens/formats/adapter" --html "page$n"
            grep -c '<title>.*caf\\\\xe9' "page$n"
            "$lmmc" compile "$n" --vision-tower "tower$n" --adapter "$goldens/formats/adapter" --emit c -o "c$n" --quiet
            "$lmmc" compile "$n" --vision-tower "tower$n" --adapter "$goldens/formats/adapter" --emit c -o "c$n" --quiet
            "$lmmc" synth --preset vicuna-7b --layers 0 -o "synth$n" || true
            """, in: scratch)
        #expect(shown.status == 0, "\(shown.errors)")
        #expect(shown.errors == "error: 0 layers, at option '--layers'; expected 1 to 1000\n")
        #expect(try names(in: scratch) == ["caf<e9>", "ccaf<e9>", "ircaf<e9>", "optcaf<e9>", "pagecaf<e9>", "towercaf<e9>"])
        #expect(shown.output.hasPrefix("model       caf\\xe9, layout"), "\(shown.output.prefix(100))")
        #expect(shown.output.contains("\n  \"model\": \"caf\\\\xe9\","))
        // The text of the IR has a scalar for the byte, so that it reads back.
        #expect(shown.output.hasSuffix("module \"caf\\u{10fee9}\" stage imported {\n1\n"), "\(shown.output.suffix(200))")
    }

    @Test func messages() throws {
        let scratch = try Scratch()
        let cases = [
            ("inspect \"no$n\"", "error: model 'nocaf\\xe9' does not exist; expected"),
            ("opt \"no$n\" --passes dead-code", "error: cannot open 'nocaf\\xe9': no such file or directory"),
            ("inspect \"$goldens/formats/base\" --adapter \"no$n\"", "'nocaf\\xe9"),
            ("compile \"$goldens/llava-linear\" -o \"no$n/x\"", "error: output folder 'nocaf\\xe9' does not exist"),
            ("compile \"$goldens/llava-linear\" -o x --quiet --cc \"no$n\"", "error: 'nocaf\\xe9' is not a program, at option '--cc'"),
            ("calibrate \"$goldens/llava-linear\" --data \"no$n\" -o x", "error: 'nocaf\\xe9' is not a folder, at option '--data'"),
            ("check \"$goldens/llava-linear\" \"no$n\"", "error: cannot run './nocaf\\xe9': no such file or directory"),
            ("\"no$n\"", "error: unknown command 'nocaf\\xe9'"),
            ("inspect --no$n", "error: unknown option '--nocaf\\xe9'"),
        ]
        for (command, wanted) in cases {
            let result = try shell("\"$lmmc\" \(command)", in: scratch)
            #expect(result.status == 1 || result.status == 2, "\(command)")
            #expect(result.errors.contains(wanted) && result.errors.split(separator: "\n").count == 1, "\(command): \(result.errors)")
        }
        let folder = try shell("TMPDIR=\"/no$n\" \"$lmmc\" inspect --preset vicuna-7b", in: scratch)
        #expect(folder.errorLine.hasPrefix("error: cannot create a temporary folder in '/nocaf\\xe9'"), "\(folder.errors)")
    }
}
