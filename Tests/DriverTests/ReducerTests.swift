import TestSupport
import Testing

/// Programs that give their decoder fewer vision rows, against torch (Tests/Golden/reducers.py): the answer, what is chosen and what comes of it.
@Suite(.serialized) struct ReducerTests {
    /// The methods that are built, as `--reduce` names them.
    private static let methods: Set<String> = ["fastv", "llavolta", "prumerge", "prumerge+", "visionzip", "mmtok", "sparsevlm"]

    private static let checkpoints = GoldenManifest.reducers.filter { golden in
        guard let option = golden.compile.firstIndex(of: "--reduce"), option + 1 < golden.compile.count else { return false }
        return methods.contains(String(golden.compile[option + 1].prefix { $0 != ":" }))
    }

    @Test func manifestHasEveryMethod() {
        let names = Self.checkpoints.flatMap(\.compile).map { String($0.prefix { $0 != ":" }) }
        #expect(Self.methods.isSubset(of: names))
        #expect(Self.checkpoints.allSatisfy { $0.cases.allSatisfy { !$0.compare.isEmpty } })
    }

    @Test(arguments: checkpoints) func executable(_ golden: GoldenManifest.Checkpoint) throws {
        let scratch = try Scratch()
        let program = scratch["program"]
        let compiled = try run([lmmcPath, "compile", "\(goldens)/\(golden.checkpoint)", "-o", program, "--quiet"] + golden.compile)
        try #require(compiled.status == 0, "\(compiled.errors)")
        #expect(compiled.errors == "" && compiled.output == "")
        for example in golden.cases { try expectGolden(example, program: program) }
    }
}
