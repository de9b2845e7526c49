import Support
import Testing

@Suite struct DiagnosticTests {
    @Test func rendersOneLine() {
        let table: [(Diagnostic, String)] = [
            (.error("no weights"), "error: no weights"),
            (.error("no weights", at: .file("a/b")), "error: no weights, at file 'a/b'"),
            (
                .error("odd byte", at: .byte(file: "f", offset: 18_446_744_073_709_551_615), expected: "zero"),
                "error: odd byte, at byte 18446744073709551615 of file 'f'; expected zero"
            ),
            (.error("wrong shape", at: .tensor("w", file: "f")), "error: wrong shape, at tensor 'w' of file 'f'"),
            (.error("wrong shape", at: .tensor("w", file: nil)), "error: wrong shape, at tensor 'w'"),
            (.usage("unknown name 'x'", at: .option("--pass")), "error: unknown name 'x', at option '--pass'"),
            (
                .error("unknown operation", at: .line(file: "m.ir", line: 3, column: 7)),
                "error: unknown operation, at line 3, column 7 of file 'm.ir'"
            ),
            (.warning("slow", at: .operation("%4")), "warning: slow, at operation '%4'"),
            (.note("see there"), "note: see there"),
            (.error("bad", expected: "good", notes: ["one"]).noting("two"), "error: bad; expected good; note: one; note: two"),
            (.system("open", path: "x", code: 2), "error: cannot open 'x': no such file or directory"),
        ]
        for (diagnostic, text) in table { #expect(diagnostic.rendered == text) }
    }

    @Test func exitCodes() {
        #expect(Diagnostic.error("x").exitCode == 1)
        #expect(Diagnostic.usage("x").exitCode == 2)
        #expect(Diagnostic.usage("x").level == .error)
    }

    @Test func namesCannotBreakTheLine() {
        let name = "a\nb\u{1B}[31m\u{2028}c\r"
        #expect(Diagnostic.error("bad", at: .file(name)).rendered == "error: bad, at file 'a\\nb\\u{1b}[31m\\u{2028}c\\r'")
        #expect(Diagnostic.error("raw \n").rendered == "error: raw \\n")
    }
}
