import Checkpoint
import IR
import ModelImport
import Passes
import Reduction
import Support
import TestSupport
import Testing

@testable import Reference

/// ToMe on a random model of LLaVA-1.5's kind. What it makes of a whole image the goldens say (Tests/Golden/reducers).
@Suite struct ToMeTests {
    /// Nine patches and a tap behind the second block, several heads.
    private static let model = RandomModel.first { model in
        guard model.strategy == .none, let vision = model.configuration.vision, let fusion = model.configuration.fusion else {
            return false
        }
        if fusion.keepsClassToken || fusion.taps != [2] { return false }
        return vision.layerCount == 3 && vision.grid == 3 && vision.headCount > 1 && vision.headSize > 4
    }

    private func reduced(
        _ schedule: TokenReduction.ToMe.Schedule, _ change: (inout ModelConfiguration) -> Void = { _ in }
    ) throws -> (RandomModel, Module) {
        let model = try #require(Self.model)
        var module = try importModel(model.configuration, tensors: model.tensors, context: 48)
        var configuration = model.configuration
        change(&configuration)
        try reduceTokens(&module, .tome(.init(schedule)), configuration)
        return (model, module)
    }

    /// All values of `vision` and `project`.
    private func run(_ module: Module, _ model: RandomModel) throws -> [String: Tensor] {
        var evaluator = Evaluator(module) { source throws(Diagnostic) in values(source) }
        var tensors: [String: Tensor] = [:]
        evaluator.observer = { tensors[$1] = $2 }
        let taps = try evaluator.call("vision", [model.picture()])
        let results = try evaluator.call("project", taps)
        tensors["projected"] = results[0]
        if results.count > 1 { tensors["selected"] = results[1] }
        return tensors
    }

    /// A merged row is the mean of the rows that it stands for, whenever they merged, and the class token is never one of them.
    @Test func sizesCountPatches() throws {
        let (model, module) = try reduced(.list([3, 2]))
        let tensors = try run(module, model)
        let first = try #require(tensors["vision.block1.merge.rows"]).integers,
            second = try #require(tensors["vision.block2.merge.rows"]).integers
        #expect(first.count == 10 && second.count == 7 && first[0] == 0 && second[0] == 0)
        #expect(first.count { $0 == 0 } == 1 && second.count { $0 == 0 } == 1)
        let sizes = (0..<5).map { row in Float(first.count { second[Int($0)] == row }) }
        #expect(tensors["vision.block2.merge.sizes"]?.floats == sizes && sizes.reduce(0, +) == 10)
        #expect(sizes.contains { $0 > 1 })
        let middle = try #require(tensors["vision.block2.attention.residual"]), width = middle.shape[1]
        let earlier = try #require(tensors["vision.block1.merge.sizes"]).floats
        let merged = try #require(tensors["vision.block2.merge"]).floats
        for row in 0..<5 {
            let parts = second.indices.filter { second[$0] == row }
            for column in 0..<width {
                let sum = parts.reduce(Float(0)) { $0 + earlier[$1] * middle.floats[$1 * width + column] }
                #expect(abs(merged[row * width + column] - sum / sizes[row]) <= 1e-5)
            }
        }
        #expect(tensors["projected"]?.shape[0] == 4)
        // Shown is where the target stood, which is odd in its block, or what nothing joined.
        let shown = (1..<5).map { row in
            let parts = second.indices.filter { second[$0] == row }
            let kept = parts.first { $0 % 2 == 1 } ?? parts[0]
            let origins = first.indices.filter { first[$0] == kept }
            return Int32((origins.first { $0 % 2 == 1 } ?? origins[0]) - 1)
        }
        #expect(tensors["selected"]?.integers == shown)
    }

    /// Only blocks behind one that merges have biases, and they have those of the last that did.
    @Test func attentionHasTheBiasesOfTheRowsBefore() throws {
        let (_, module) = try reduced(.list([0, 2]))
        let vision = try #require(module.function(.vision))
        let biases = vision.operations.compactMap { operation in
            if case .attention(let attention) = operation.op { attention.hasBias ? operation.operands[3].name : "" } else { nil as String? }
        }
        #expect(biases == ["", "", "vision.block2.merge.bias"])
        let (_, both) = try reduced(.list([1, 0]))
        let names = try #require(both.function(.vision)).operations.map(\.name)
        #expect(names.contains("vision.block1.merge") && !names.contains("vision.block2.merge"))
    }

    /// Folds change no more than roundings, and nothing of what merges; what is behind the tap goes.
    @Test func passesKeepWhatMerges() throws {
        let (model, module) = try reduced(.keep(5))
        var optimized = module
        try Pipeline.run(Pipeline.passes(for: PrecisionPolicy(.float32)), on: &optimized)
        optimized.stage = .optimized
        try optimized.verify(after: "the pipeline")
        let expected = try run(module, model), found = try run(optimized, model)
        for block in 1...2 {
            let rows = "vision.block\(block).merge.rows"
            #expect(expected[rows] != nil && expected[rows] == found[rows])
        }
        let (a, b) = (try #require(expected["projected"]), try #require(found["projected"]))
        #expect(expected["selected"] != nil && expected["selected"] == found["selected"])
        #expect(a.shape[0] == 5 && a.shape == b.shape && relativeDistance(a.floats, b.floats) <= 2e-5)
        #expect(found["vision.block2.merge.bias"] == nil && found["vision.block3.attention"] == nil)
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let changes: [(inout ModelConfiguration) -> Void] = [
            { $0.fusion?.kernel = 3 }, { $0.fusion?.taps = [1, 2] }, { $0.fusion?.keepsClassToken = true }, { $0.fusion = nil },
        ]
        for change in changes {
            let error = #expect(throws: Diagnostic.self) { try reduced(.constant(1), change) }
            #expect(
                error?.message.hasSuffix("does not give each patch behind one block a vision token of its own, which 'tome' merges") == true
            )
        }
    }
}
