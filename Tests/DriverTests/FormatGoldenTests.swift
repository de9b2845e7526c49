import TestSupport
import Testing

/// The golden checkpoints of the other file formats, compiled and run. Paths among the options are relative to the goldens.
@Suite(.serialized) struct FormatGoldenTests {
    @Test func manifestIsThere() { #expect(GoldenManifest.formats.count >= 7) }

    @Test(arguments: GoldenManifest.formats)
    func executable(_ golden: GoldenManifest.Checkpoint) throws {
        let scratch = try Scratch()
        let compiled = try run(
            [lmmcPath, "compile", golden.checkpoint, "-o", scratch["program"], "--quiet"] + golden.compile, folder: goldens)
        try #require(compiled.status == 0, "\(compiled.errors)")
        for example in golden.cases { try expectGolden(example, program: scratch["program"]) }
    }
}
