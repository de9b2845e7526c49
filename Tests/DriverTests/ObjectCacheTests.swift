import Foundation
import TestSupport
import Testing

@Suite struct ObjectCacheTests {
    /// A cache that is refused is one line, and the program is made.
    @Test func compilesWithoutIt() throws {
        let scratch = try Scratch()
        try FileManager.default.createDirectory(atPath: scratch["open"], withIntermediateDirectories: true)
        try #require(chmod(scratch["open"], 0o777) == 0)
        let compiler = try scratch.write(
            "cc", "#!/bin/sh\nfor a do shift; [ \"$a\" = -O3 ] && a=-O0; set -- \"$@\" \"$a\"; done\nexec gcc \"$@\"\n", executable: true)
        let result = try lmmc(
            "compile", goldens + "/decoder-tied", "-o", scratch["program"], "--cc", compiler, "--target", "native",
            environment: ["LMMC_CACHE": scratch["open"]])
        #expect(result.status == 0, "\(result.errors)")
        let lines = result.errors.split(separator: "\n").filter { $0.hasPrefix("warning: ") }
        #expect(
            lines == [
                "warning: compiled files are not kept in '\(scratch["open"])': '\(scratch["open"])' can be written by everybody; expected a folder that nobody else owns or can write"
            ])
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch["open"]) == [])
    }
}
