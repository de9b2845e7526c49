import Testing

@testable import Support

@Suite struct TextTests {
    @Test func quoting() {
        #expect(quoted("x y") == "'x y'")
        #expect(quoted("tab\t") == "'tab\\t'")
        #expect(quoted(String(repeating: "a", count: 240)).count == 242)
        let long = quoted(String(repeating: "a", count: 500) + "z")
        #expect(long.count == 245 && long.hasSuffix("az'") && long.contains("a...a"))
    }

    @Test func lists() {
        #expect(quotedList([String]()) == "")
        #expect(quotedList(["a"]) == "'a'")
        #expect(quotedList(["a", "b"]) == "'a' or 'b'")
        #expect(quotedList(["a", "b", "c"], conjunction: "and") == "'a', 'b' and 'c'")
    }

    @Test func byteCounts() {
        let table: [(UInt64, String)] = [
            (0, "0 bytes"), (1, "1 byte"), (1023, "1023 bytes"), (1024, "1 KiB"), (1536, "1.5 KiB"), (1280, "1.3 KiB"), (1075, "1 KiB"),
            (1076, "1.1 KiB"),
            (10 << 20, "10 MiB"), (3 << 29, "1.5 GiB"), ((1 << 20) - 1, "1 MiB"), (13_476_838_144, "12.6 GiB"), (.max, "16 EiB"),
            (1 << 40, "1 TiB"), (100 << 20 + 5, "100 MiB"), (1_047_527_424, "999 MiB"),
        ]
        for (count, text) in table { #expect(byteCountText(count) == text) }
    }

    @Test func distances() {
        let table = [
            ("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("kernel", "kernal", 1), ("taps", "tasp", 1),
            ("ca", "abc", 3),
        ]
        for (a, b, distance) in table {
            #expect(editDistance(a, b) == distance)
            #expect(editDistance(b, a) == distance)
        }
    }

    @Test func nearestNames() {
        let names = ["kernel", "strategy", "taps", "stf"]
        #expect(nearestName(to: "kernal", among: names) == "kernel")
        #expect(nearestName(to: "startegy", among: names) == "strategy")
        #expect(nearestName(to: "tap", among: names) == "taps")
        #expect(nearestName(to: "window", among: names) == nil)
        #expect(nearestName(to: "xyz", among: names) == nil)
        #expect(nearestName(to: "a", among: [String]()) == nil)
        // The distance of two such texts would take hours.
        let long = String(repeating: "kernel", count: 100_000)
        #expect(nearestName(to: long, among: [long + "s"]) == nil)
    }

    @Test func lines() {
        let line = Diagnostic.error(String(repeating: "é", count: 3_000_000) + "end", at: .file("f")).rendered
        #expect(line.utf8.count < 7000 && line.hasPrefix("error: é") && line.contains("é...é") && line.hasSuffix("end, at file 'f'"))
    }

    @Test func systemErrors() {
        #expect(systemErrorText(28) == "no space left on device")
        #expect(systemErrorText(9999) == "error 9999")
    }
}
