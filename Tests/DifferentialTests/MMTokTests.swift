import Checkpoint
import Glibc
import IR
import ModelImport
import Passes
import Reduction
import Reference
import Support
import TestSupport
import Testing

/// MMTok on a random model of LLaVA-1.5's kind, against its formulas written out: what it compares is what the imported model computes, and passes
/// keep it.
@Suite struct MMTokTests {
    /// Nine patches, the tap behind the block before the last, images that are padded.
    private static let model = RandomModel.first(where: isFit)

    private static func isFit(_ model: RandomModel) -> Bool {
        guard let vision = model.configuration.vision, let fusion = model.configuration.fusion else { return false }
        return model.strategy == .none && vision.grid == 3 && fusion.taps == [vision.layerCount - 1] && !fusion.keepsClassToken
    }

    private func makeModel() throws -> (RandomModel, Module) {
        let model = try #require(Self.model)
        return (model, try importModel(model.configuration, tensors: model.tensors, context: 48))
    }

    private let question: [Int32] = [3, 1, 4, 1]

    private func project(_ module: Module, _ model: RandomModel, bars: [Int32]? = nil) throws -> [Tensor] {
        var evaluator = Evaluator(module) { source throws(Diagnostic) in values(source) }
        let taps = try evaluator.call("vision", [model.picture()])
        let regions = [Tensor(shape: [question.count], question)] + (bars.map { [Tensor(shape: [4], $0)] } ?? [])
        return try evaluator.call("project", taps + regions)
    }

    private func list(_ rows: [Int]) -> Tensor { Tensor(shape: [rows.count], rows.map { Int32($0) }) }

    /// The rows of a matrix, each over its length.
    private func units(_ values: [Float], _ columns: Int) -> [[Double]] {
        stride(from: 0, to: values.count, by: columns).map { start in
            let row = values[start..<start + columns].map { Double($0) }
            let length = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return row.map { $0 / max(length, 1e-8) }
        }
    }

    private func shares(_ a: [[Double]], _ b: [[Double]], _ temperature: Double) -> [[Double]] {
        a.map { row in
            let weights = b.map { other in exp(zip(row, other).reduce(0) { $0 + $1.0 * $1.1 } / temperature) }
            let sum = weights.reduce(0, +)
            return weights.map { $0 / sum / Double(a.count) }
        }
    }

    private func cover(_ rows: [[Double]], _ keep: Int, without barred: Set<Int>) -> [Int] {
        var best = rows.map { _ in 0.0 }
        var chosen: [Int] = []
        for _ in 0..<keep {
            let open = rows[0].indices.filter { !barred.contains($0) && !chosen.contains($0) }
            let gains = open.map { column in zip(rows, best).reduce(0.0) { $0 + max(0, $1.0[column] - $1.1) } }
            guard let most = gains.max(), let place = gains.firstIndex(of: most) else { break }
            chosen.append(open[place])
            best = zip(rows, best).map { max($0[open[place]], $1) }
        }
        return chosen.sorted()
    }

    /// What the keys ask for, of the imported model's own values.
    private func expected(_ keys: TokenReduction.MMTok, _ module: Module, _ model: RandomModel, without barred: Set<Int> = []) throws
        -> (projected: [Float], selected: [Int])
    {
        var evaluator = Evaluator(module) { source throws(Diagnostic) in values(source) }
        let tap = try evaluator.call("vision", [model.picture()])[0]
        let projected = try evaluator.call("project", [tap])[0]
        let table = try evaluator.weight("decoder.embedding"), hidden = table.shape[1], width = tap.shape[1]
        let words = question.flatMap { token in table.floats[Int(token) * hidden..<(Int(token) + 1) * hidden] }
        let patches = units(Array(tap.floats.dropFirst(width)), width)
        let text = shares(units(words, hidden), units(projected.floats, hidden), keys.textTemperature)
        let vision = shares(patches, patches, keys.visionTemperature).map { $0.map { $0 * keys.alpha } }
        let selected = cover(text + vision, keys.keep, without: barred)
        return (selected.flatMap { projected.floats[$0 * hidden..<($0 + 1) * hidden] }, selected)
    }

    @Test(arguments: [
        TokenReduction.MMTok(keep: 4, padding: .off),
        .init(keep: 7, alpha: 3, textTemperature: 0.5, visionTemperature: 0.05, padding: .off),
    ])
    func takesWhatTheFormulasSay(_ keys: TokenReduction.MMTok) throws {
        let (model, imported) = try makeModel()
        var module = imported
        try reduceTokens(&module, .mmtok(keys), model.configuration)
        let found = try project(module, model), expected = try expected(keys, imported, model)
        #expect(found[1] == list(expected.selected))
        #expect(found[0].floats == expected.projected)
        #expect(module.function(.step)?.parameters.last?.type.shape[0] == .fixed(48 / keys.keep * keys.keep))
    }

    @Test func leavesBarsAlone() throws {
        let (model, imported) = try makeModel()
        let patch = Int32(try #require(model.configuration.vision).patchSize), keys = TokenReduction.MMTok(keep: 3, padding: .on)
        var module = imported
        try reduceTokens(&module, .mmtok(keys), model.configuration)
        let found = try project(module, model, bars: [patch, patch - 1, 0, 0])
        #expect(found[1] == list(try expected(keys, imported, model, without: [0, 1, 2]).selected))
    }

    /// Which patches may be taken is asked where the model pads its images, or where the option says so.
    @Test func barsAreReadWhereImagesArePadded() throws {
        let (model, imported) = try makeModel()
        func parameters(_ padding: TokenReduction.MMTok.Padding, pads: Bool) throws -> [String] {
            var (module, configuration) = (imported, model.configuration)
            configuration.preprocessing?.mode = pads ? .pad : .shortestEdgeCrop(resize: 9, crop: 9)
            try reduceTokens(&module, .mmtok(.init(keep: 4, padding: padding)), configuration)
            return try #require(module.function(.project)).parameters.dropFirst().map(\.name)
        }
        #expect(try parameters(.auto, pads: true) == ["question", "bars"])
        #expect(try parameters(.auto, pads: false) == ["question"])
        #expect(try parameters(.on, pads: false) == ["question", "bars"])
        #expect(try parameters(.off, pads: true) == ["question"])
    }

    @Test func passesKeepWhatIsChosen() throws {
        let (model, imported) = try makeModel()
        var reduced = imported
        try reduceTokens(&reduced, .mmtok(.init(keep: 4, padding: .off)), model.configuration)
        let expected = try project(reduced, model)
        for precision in [Precision.float32, .bfloat16, .int8] {
            var module = reduced
            try Pipeline.run(Pipeline.passes(for: PrecisionPolicy(precision)), on: &module)
            module.stage = .optimized
            try module.verify(after: "the pipeline")
            let found = try project(module, model)
            #expect(found[0].shape == expected[0].shape)
            guard precision == .float32 else { continue }
            #expect(found[1] == expected[1] && relativeDistance(expected[0].floats, found[0].floats) <= 2e-5)
        }
    }

    /// All patches are no choice, and more there are not.
    @Test func keepsNoMoreThanThereIs() throws {
        let (model, imported) = try makeModel()
        var module = imported
        try reduceTokens(&module, .mmtok(.init(keep: 9)), model.configuration)
        #expect(module == imported)
        #expect(throws: Diagnostic.self) { try reduceTokens(&module, .mmtok(.init(keep: 10)), model.configuration) }
    }
}
