import Foundation
import TestSupport
import Testing

/// Programs that give their decoder fewer vision rows, against torch (Tests/Golden/reducers.py): the answer, what is chosen and what comes of it.
@Suite(.serialized) struct ReducerTests {
    /// The methods that are built, as `--reduce` names them.
    private static let methods: Set<String> = [
        "fastv", "llavolta", "prumerge", "prumerge+", "visionzip", "mmtok", "sparsevlm", "tome", "yopo", "mustdrop",
    ]

    /// Those on the small grid, and one published setting on the grid of 24 x 24, whose programs take three times as long to make;
    /// LMMC_REDUCERS=all has all of them.
    private static let checkpoints = GoldenManifest.reducers.filter { golden in
        guard let option = golden.compile.firstIndex(of: "--reduce"), option + 1 < golden.compile.count else { return false }
        let reducer = golden.compile[option + 1]
        let isQuick = !golden.checkpoint.hasSuffix("grid24") || reducer == "sparsevlm:tokens=128"
        return methods.contains(String(reducer.prefix { $0 != ":" }))
            && (isQuick || ProcessInfo.processInfo.environment["LMMC_REDUCERS"] == "all")
    }

    @Test func manifestHasEveryMethod() {
        let names = Self.checkpoints.flatMap(\.compile).map { String($0.prefix { $0 != ":" }) }
        #expect(Self.methods.isSubset(of: names))
        #expect(Self.checkpoints.allSatisfy { $0.cases.allSatisfy { !$0.compare.isEmpty } })
    }

    @Test(arguments: checkpoints) func executable(_ golden: GoldenManifest.Checkpoint) throws {
        let scratch = try Scratch()
        let program = scratch["program"]
        // Paths among the options are relative to the goldens.
        let compiled = try run([lmmcPath, "compile", golden.checkpoint, "-o", program, "--quiet"] + golden.compile, folder: goldens)
        try #require(compiled.status == 0, "\(compiled.errors)")
        #expect(compiled.errors == "" && compiled.output == "")
        for example in golden.cases { try expectGolden(example, program: program) }
    }

    /// Where all stays, programs compute what they do without a reducer, to the bit.
    @Test func keepingAllChangesNothing() throws {
        let scratch = try Scratch()
        func logits(_ options: String...) throws -> Data {
            let compiled = try run(
                [lmmcPath, "compile", "\(goldens)/reducers/grid8", "-o", scratch["program"], "--quiet", "--precision", "f32"] + options)
            try #require(compiled.status == 0, "\(compiled.errors)")
            let answered = try run([
                scratch["program"], "--image", "\(goldens)/images/wide.png", "--prompt", "What is it?", "--max-tokens", "4", "--dump",
                scratch["dump"],
            ])
            try #require(answered.status == 0, "\(answered.errors)")
            return try #require(FileManager.default.contents(atPath: scratch["dump"] + "/logits.npy"))
        }
        let dense = try logits()
        for reducer in [
            "fastv:layer=1,keep=64", "llavolta:layer=2,stride=1", "mustdrop:global=0,individual=0,window=2,similarity=2",
            "sparsevlm:version=2.0,tokens=64,layers=1,keep=63",
        ] {
            let reduced = try logits("--reduce", reducer)
            // SparseVLM always drops a row: that it differs shows that the others could.
            #expect((reduced == dense) == !reducer.hasPrefix("sparsevlm"), "\(reducer)")
        }
    }
}
