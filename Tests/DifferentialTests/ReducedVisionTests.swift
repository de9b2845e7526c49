import Checkpoint
import IR
import ModelImport
import Passes
import Reduction
import Reference
import Support
import TestSupport
import Testing

/// Reducers between tower and projector, on a random model of LLaVA-1.5's kind: what they read is what the imported model computes, and passes keep
/// it. What they make of it the goldens say (Tests/Golden/reducers).
@Suite struct ReducedVisionTests {
    private static let methods: [TokenReduction] = [
        .visionzip(.init(dominant: 4, contextual: 2)), .prumerge(.init(samplesGrid: false, neighbours: 3)),
        .prumerge(.init(samplesGrid: true, neighbours: 3)), .prumerge(.init(samplesGrid: true, neighbours: 3, ratio: 1.0 / 3)),
    ]

    /// Nine patches, the tap behind the block before the last, several heads.
    private static let model = RandomModel.first(where: isFit)

    private static func isFit(_ model: RandomModel) -> Bool {
        guard let vision = model.configuration.vision, let fusion = model.configuration.fusion else { return false }
        guard model.strategy == .none, vision.layerCount == 3, vision.grid == 3, vision.headCount > 1, vision.headSize > 4 else {
            return false
        }
        return fusion.taps == [2] && !fusion.keepsClassToken
    }

    /// The same with a decoder that is deep enough for MustDrop's first point.
    private static let deepModel: RandomModel? = {
        var widths = RandomModel.Widths()
        widths.layers = [3]
        return RandomModel.first(widths, where: isFit)
    }()

    private func makeModel(for method: TokenReduction? = nil) throws -> (RandomModel, Module) {
        let model = try #require(method?.isDecoderSide == true ? Self.deepModel : Self.model)
        return (model, try importModel(model.configuration, tensors: model.tensors, context: 48))
    }

    /// The results of `vision` and of `project`.
    private func run(_ module: Module, _ model: RandomModel) throws -> (vision: [Tensor], project: [Tensor]) {
        var evaluator = Evaluator(module) { source throws(Diagnostic) in values(source) }
        let vision = try evaluator.call("vision", [model.picture()])
        return (vision, try evaluator.call("project", vision))
    }

    @Test(arguments: methods) func readsTheImportedQueriesAndKeys(_ method: TokenReduction) throws {
        let (model, imported) = try makeModel()
        var module = imported
        try reduceTokens(&module, method, model.configuration)
        var tensors: [String: Tensor] = [:]
        var evaluator = Evaluator(imported) { source throws(Diagnostic) in values(source) }
        evaluator.observer = { tensors[$1] = $2 }
        let tap = try evaluator.call("vision", [model.picture()])[0]
        let block = if case .visionzip = method { 2 } else { 3 }
        let query = try #require(tensors["vision.block\(block).attention.query"]), width = query.shape[1]
        let found = try run(module, model)
        #expect(found.vision[0] == tap)
        #expect(found.vision[1] == Tensor(shape: [1, width], Array(query.floats[..<width])))
        #expect(found.vision[2] == tensors["vision.block\(block).attention.key"])
        // A cache of 48 rows has room for as many images of the rows that there may be.
        let rows =
            switch method {
            case .visionzip: 6
            case .prumerge(let own): own.ratio != nil ? 7 : own.samplesGrid ? 10 : 3
            default: 0
            }
        #expect(found.project[0].shape[0] <= rows)
        #expect(module.function(.step)?.parameters.last?.type.shape[0] == .fixed(48 / rows * rows))
    }

    /// The window of 3 x 3 patches is merged, or it is not.
    private static let merging: [TokenReduction] = [-1.0, 2].map { similarity in
        .mustdrop(.init(global: 0, individual: 0, similarity: similarity, key: 0.3))
    }

    @Test(arguments: merging) func likeWindowsAreMergedBehindTheFirstBlock(_ method: TokenReduction) throws {
        let (model, imported) = try makeModel(for: method)
        var module = imported
        try reduceTokens(&module, method, model.configuration)
        let plain = try run(imported, model), found = try run(module, model)
        let rows = found.project[0].shape[0]
        #expect(rows == (method == Self.merging[0] ? 1 : 9) && found.vision[0].shape[0] == rows + 1)
        // What is not merged is as it was, and three of nine rows, or the one that there is, never leave.
        if rows == 9 { #expect(found.project[0] == plain.project[0] && found.vision[0] == plain.vision[0]) }
        guard case .int32(let keys) = found.project[2].elements, case .int32(let selected) = found.project[1].elements else {
            Issue.record("no lists")
            return
        }
        #expect(keys.count == rows && keys.reduce(0, +) == (rows == 9 ? 3 : 1))
        #expect(selected == (rows == 9 ? Array(0..<9) : [0] + Array(repeating: -1, count: 8)))
    }

    /// Folds change no more than roundings of what is read, and nothing of what is chosen.
    @Test(arguments: methods + merging) func passesKeepWhatIsRead(_ method: TokenReduction) throws {
        let (model, imported) = try makeModel(for: method)
        var reduced = imported
        try reduceTokens(&reduced, method, model.configuration)
        let expected = try run(reduced, model)
        for (precision, tolerance) in [(Precision.float32, 2e-5), (.bfloat16, 2e-2), (.int8, 4e-2)] {
            var module = reduced
            try Pipeline.run(Pipeline.passes(for: PrecisionPolicy(precision)), on: &module)
            module.stage = .optimized
            try module.verify(after: "the pipeline")
            let found = try run(module, model)
            for (index, name) in ["tap", "query", "key"].enumerated() {
                let distance = relativeDistance(expected.vision[index].floats, found.vision[index].floats)
                #expect(distance <= tolerance, "\(method) in \(precision.rawValue): \(name)")
            }
            guard precision == .float32 else { continue }
            #expect(found.project[1] == expected.project[1], "\(method)")
            #expect(found.project[0].shape == expected.project[0].shape)
            #expect(relativeDistance(expected.project[0].floats, found.project[0].floats) <= tolerance, "\(method)")
        }
    }

    /// Without a dominant patch every third patch stands for three, which have joined by their keys.
    @Test func classTokenAloneMayBeDominant() throws {
        let (model, imported) = try makeModel()
        var module = imported
        try reduceTokens(&module, .visionzip(.init(dominant: 1, contextual: 3)), model.configuration)
        let found = try run(module, model)
        #expect(found.project[0].shape[0] == 4 && found.project[1] == Tensor(shape: [3], [0, 3, 6] as [Int32]))
    }

    /// What is behind the tap goes, but for what a method reads of the last block.
    @Test func lastBlockIsReadAsFarAsNeeded() throws {
        let (model, imported) = try makeModel()
        func last(_ method: TokenReduction) throws -> [String] {
            var module = imported
            try reduceTokens(&module, method, model.configuration)
            try Pipeline.run([try Pipeline.pass(named: "dead-code")], on: &module)
            let operations = try #require(module.function(.vision)).operations
            return operations.map(\.name).filter { $0.hasPrefix("vision.block3") || $0.hasPrefix("prumerge") }
        }
        #expect(try last(Self.methods[0]) == [])
        #expect(
            try last(Self.methods[1])
                == ["vision.block3.attention.norm", "prumerge.query.norm", "prumerge.query", "vision.block3.attention.key"])
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let (model, imported) = try makeModel()
        func error(_ method: TokenReduction, _ change: (inout ModelConfiguration) -> Void = { _ in }) -> String? {
            var (module, configuration) = (imported, model.configuration)
            change(&configuration)
            do throws(Diagnostic) {
                try reduceTokens(&module, method, configuration)
                return nil
            } catch {
                return error.message
            }
        }
        #expect(error(Self.methods[0]) == nil)
        #expect(
            error(Self.methods[0]) { $0.fusion?.kernel = 3 }?.contains("does not give each patch behind one block a vision token") == true)
        #expect(error(Self.methods[1]) { $0.fusion?.taps = [1, 2] }?.contains("behind one block") == true)
        #expect(
            error(.visionzip(.init(dominant: 9, contextual: 2))) == "'visionzip' is to keep 9 dominant and 2 contextual rows")
        #expect(error(.visionzip(.init(dominant: 0, contextual: 2))) == "'visionzip' is to keep 0 dominant and 2 contextual rows")
        #expect(error(.prumerge(.init(samplesGrid: true, ratio: 0.5))) == "'prumerge+' is to keep a share of 0.5 of 9 patches")
        #expect(error(.prumerge(.init(samplesGrid: false, ratio: 0.1))) == "'prumerge' is to keep 0 of 9 patches")
        #expect(error(.prumerge(.init(samplesGrid: false, neighbours: 1025))) == "'prumerge' is to merge 1025 neighbours")
    }
}
