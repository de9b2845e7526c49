import Foundation
import IR
import ModelImport
import Passes
import Reduction
import Reference
import Support
import TestSupport
import Testing

@testable import Checkpoint

/// How far a compiled float32 program may be from the Reference evaluator, as in CompiledTests.
private let referenceTolerance = 2e-5

/// Reducers of the decoder, on a model of four blocks and 25 or 26 vision rows.
private let reductions = [
    "fastv:layer=2,keep=9", "llavolta:layer=1,stride=4", "sparsevlm:layers=0+2,keep=14+6",
    "sparsevlm:version=2.0,layers=0+2,keep=14+6", "sparsevlm:version=1.0,tokens=64,layers=0+2",
    "mustdrop:global=0.04,individual=0.04,similarity=2,key=0.1",
]

/// Those that cut what vision rows do, on a model with a grid of 5 x 5; HEADS is a file.
private let cuts = ["yopo:heads=HEADS,layers=3,window=3,ffn=2", "yopo:heads=HEADS,layers=3,window=3,ffn=2,softmax=kept"]

/// Two prompts with an image come in one call with the next row of a third sequence, and all go on beside each other.
private struct ReducedCase {
    static let context = 96, slots = 3
    let model: RandomModel
    let reduction: TokenReduction
    /// As `--reduce` has it
    let text: String
    private let folder = TemporaryFolder()
    /// What each slot is fed, call by call
    let turns: [[SlotScript.Piece]]

    init(_ text: String, seed: UInt64 = 4) throws {
        let isMerged = text.hasPrefix("mustdrop")
        var widths = RandomModel.Widths()
        // MustDrop's windows are of 3 x 3 patches, each of which has a row of its own, and its tower has more than the one block in front of them.
        (widths.windows, widths.layers) = (isMerged ? [6] : [5], [4])
        let models = stride(from: seed, through: 200, by: 6).lazy.map { seed in
            RandomModel(seed: seed, vocabulary: RandomCheckpoint.vocabulary, widths: widths, positions: Self.context)
        }
        let isFit = { (model: RandomModel) in
            guard isMerged, let vision = model.configuration.vision, let fusion = model.configuration.fusion else { return true }
            return vision.layerCount > 1 && fusion.lastTap > 0 && !fusion.keepsClassToken
        }
        model =
            isMerged
            ? try #require(models.first(where: isFit))
            : RandomModel(seed: seed, vocabulary: RandomCheckpoint.vocabulary, widths: widths, positions: Self.context)
        let decoder = model.configuration.decoder
        // The first block sees the image in all heads, others divide groups of query heads.
        let heads = (0..<decoder.layerCount).map { block in (0..<decoder.headCount).map { block == 0 || ($0 + block) % 3 != 1 } }
        self.text = text.replacing("HEADS", with: folder.write("heads.npy", headMaskFile(heads)))
        reduction = try #require(try TokenReduction.parse(self.text))
        let vision = model.configuration.vision!
        let image = (0..<model.configuration.fusion!.visionTokens(grid: vision.imageSize / vision.patchSize)).map { Int32(-1 - $0) }
        func piece(_ slot: Int, _ tokens: [Int32]) -> SlotScript.Piece { SlotScript.Piece(slot: slot, tokens: tokens, wanted: .last) }
        turns = [
            [piece(2, [1, 70, 71, 72, 73])],
            [piece(0, [1, 17, 30] + image + [31, 33, 40, 55, 61]), piece(2, [74]), piece(1, [1] + image + [50, 12, 60, 80])],
            [piece(2, [75]), piece(1, [20]), piece(0, [21])], [piece(0, [90]), piece(1, [91]), piece(2, [92])],
        ]
    }

    func reduced() throws -> Module {
        var module = try importModel(
            model.configuration, tensors: model.tensors, context: Self.context, sequences: Self.slots, wholePrompts: true)
        try reduceTokens(&module, reduction, model.configuration)
        return module
    }

    func alone(_ slot: Int) -> [SlotScript.Piece] { turns.flatMap(\.self).filter { $0.slot == slot } }

    /// What comes of the calls by slot, from what they give in their order.
    func bySlot(_ logits: [[Float]]) -> [[[Float]]] {
        let order = turns.flatMap(\.self).map(\.slot)
        return (0..<Self.slots).map { slot in zip(order, logits).filter { $0.0 == slot }.map(\.1) }
    }
}

extension Evaluator {
    /// The logits of the last row of each piece. Slots are 0 to 2.
    mutating func feed(
        _ calls: [[SlotScript.Piece]], visionRows: Tensor, protected: [Int32] = []
    ) throws(Diagnostic) -> [[Float]] {
        var (logits, lengths): ([[Float]], [Int]) = ([], [0, 0, 0])
        for pieces in calls {
            var rows: [StepRow] = []
            for piece in pieces {
                rows += StepRow.rows(piece.tokens, slot: Int32(piece.slot), at: lengths[piece.slot])
                lengths[piece.slot] += piece.tokens.count
            }
            logits += try feed(rows, chunk: rows.count, visionRows: visionRows, protected: protected)
        }
        return logits
    }
}

/// A model without a class token whose query heads share key heads.
private let gridSeed: UInt64 = stride(from: UInt64(4), to: 400, by: 6).first { seed in
    guard let decoder = (try? ReducedCase(reductions[0], seed: seed))?.model.configuration.decoder,
        let fusion = (try? ReducedCase(reductions[0], seed: seed))?.model.configuration.fusion
    else { return false }
    return !fusion.keepsClassToken && decoder.keyValueHeadCount > 1 && decoder.headCount / decoder.keyValueHeadCount == 3
}!

@Test(arguments: reductions + cuts) func referenceGivesReducedPromptsWhatTheyHaveAlone(text: String) throws {
    let test = try ReducedCase(text, seed: cuts.contains(text) ? gridSeed : 4)
    let reduced = try test.reduced()
    let visionRows = someVisionRows(reduced), protected = (0..<36).map { Int32($0 % 7 == 3 ? 1 : 0) }
    var whole = Evaluator(reduced) { source throws(Diagnostic) in values(source) }
    let expected = try whole.feed(test.turns, visionRows: visionRows, protected: protected)
    // Vision rows have left the last block, and nothing else.
    guard case .int32(let lengths) = try whole.state("decoder.layer3.lengths").elements else { return }
    let fed = (0..<ReducedCase.slots).map { slot in test.alone(slot).reduce(0) { $0 + $1.tokens.count } }
    let leave = text.hasPrefix("yopo") && !text.hasSuffix("kept") ? 0 : 9
    #expect(lengths[0] <= fed[0] - leave && lengths[1] <= fed[1] - leave && lengths[2] == fed[2], "\(text): \(lengths)")
    #expect(leave > 0 || lengths[0] == fed[0])
    if test.reduction.method == .mustdrop {
        // Behind the prompts the block in front of the point has lost the same rows, and those before it none.
        #expect(try whole.state("decoder.layer2.lengths") == whole.state("decoder.layer3.lengths"), "\(text)")
        #expect(try whole.state("decoder.layer1.lengths") == Tensor(shape: [fed.count], fed.map { Int32($0) }), "\(text)")
        #expect(lengths[0] > fed[0] - 36, "\(text): nothing is protected")
    }

    for precision in [Precision.float32, .int8] {
        var module = reduced
        try Pipeline.run(Pipeline.passes(for: PrecisionPolicy(precision)), on: &module)
        let empty = Evaluator(module) { source throws(Diagnostic) in values(source) }
        var beside = empty
        let found = try beside.feed(test.turns, visionRows: visionRows, protected: protected)
        if precision == .float32 {
            #expect(relativeDistance(expected.flatMap(\.self), found.flatMap(\.self)) <= referenceTolerance, "\(text) behind the passes")
        }
        for (slot, found) in test.bySlot(found).enumerated() {
            var alone = empty
            let expected = try alone.feed(test.alone(slot).map { [$0] }, visionRows: visionRows, protected: protected)
            #expect(found == expected, "\(text) in \(precision.rawValue), slot \(slot)")
        }
    }
}

/// The same of compiled programs, which in float32 also agree with the evaluator.
@Suite(.serialized) struct CompiledReducedSequenceTests {
    @Test(
        arguments: reductions.enumerated().map { ($0.element, $0.offset == 2 ? Precision.int8 : .float32) }
            + [(reductions[2], .float32), (cuts[1], .float32)])
    fileprivate func reducedPromptsHaveWhatTheyHaveAlone(text: String, precision: Precision) throws {
        let test = try ReducedCase(text, seed: cuts.contains(text) ? gridSeed : 4)
        let folder = TemporaryFolder()
        try RandomCheckpoint(model: test.model).write(to: folder, values: values)
        let program = folder.file("program")
        let compiled = try run(
            [
                lmmcPath, "compile", folder.path, "-o", program, "--quiet", "--precision", precision.rawValue, "--context",
                "\(ReducedCase.context)", "--sequences", "\(ReducedCase.slots)", "--reduce", test.text, "--cc",
                repository + "/Tests/Runtime/session/play_cc.sh",
            ], environment: ["PLAY_CC": "gcc"])
        try #require(compiled.status == 0, "\(compiled.errors)")
        let size = test.model.configuration.vision!.imageSize
        let pixels: [UInt8] = SeededGenerator.noise("image", size * size * 3).map { UInt8(127 + 127 * $0) }
        let visionRows = test.turns[1][0].tokens.count { $0 < 0 }, hidden = test.model.configuration.decoder.hiddenSize
        let player = Player(
            path: program, folder: folder, vocabulary: RandomCheckpoint.vocabulary,
            picture: ("picture \(folder.write("picture", pixels))\n", visionRows * hidden))
        func play(_ calls: [[SlotScript.Piece]]) throws -> (vision: [Float], logits: [[Float]]) {
            try player.play(calls.map { .feed($0) }, on: Machine(), chunk: 1024, threads: 2)
        }
        let found = try play(test.turns)
        for (slot, found) in test.bySlot(found.logits).enumerated() {
            let expected = try play(test.alone(slot).map { [$0] })
            expectSame(found, expected.logits, precision: precision, "\(text) in \(precision.rawValue), slot \(slot)")
        }
        guard precision == .float32 else { return }
        let checkpoint = try Checkpoint.open(path: folder.path)
        var module = try importModel(checkpoint, context: ReducedCase.context, sequences: ReducedCase.slots, wholePrompts: true)
        try reduceTokens(&module, test.reduction, checkpoint.configuration)
        var evaluator = Evaluator(module) { source throws(Diagnostic) in
            checkpoint.tensors.values.first { $0.sourceName == source.name }!.floats()
        }
        let shape = try #require(module.function(.step)?.parameters[4].type.fixedShape)
        let rows = Tensor(
            shape: shape, found.vision + Array(repeating: 0, count: shape[0] * shape[1] - found.vision.count))
        var protected: [Int32] = []
        if test.reduction.method == .mustdrop {
            let taps = try evaluator.call("vision", [Tensor(shape: [size, size, 3], pixels)])
            guard case .int32(let keys) = try evaluator.call("project", taps)[2].elements else {
                Issue.record("no list")
                return
            }
            #expect(keys.contains(0) && keys.contains(1))
            protected = keys
        }
        let expected = try evaluator.feed(test.turns, visionRows: rows, protected: protected)
        let distance = relativeDistance(expected.flatMap(\.self), found.logits.flatMap(\.self))
        #expect(distance <= referenceTolerance, "\(text): \(distance)")
    }
}

/// With nothing cut both readings of YOPO are one: vision rows see each other both ways, and all else is as it was. A prompt without an
/// image is that of the model.
@Test func uncutStreamsAgree() throws {
    let folder = TemporaryFolder()
    let test = try ReducedCase(reductions[0], seed: gridSeed), decoder = test.model.configuration.decoder
    let all = folder.write(
        "all.npy", headMaskFile(Array(repeating: Array(repeating: true, count: decoder.headCount), count: decoder.layerCount)))
    func logits(_ reduction: String?) throws -> [Float] {
        var module = try importModel(
            test.model.configuration, tensors: test.model.tensors, context: ReducedCase.context, sequences: ReducedCase.slots,
            wholePrompts: true)
        if let reduction { try reduceTokens(&module, #require(try TokenReduction.parse(reduction)), test.model.configuration) }
        var evaluator = Evaluator(module) { source throws(Diagnostic) in values(source) }
        return try evaluator.feed(test.turns, visionRows: someVisionRows(module)).flatMap(\.self)
    }
    let dense = try logits(nil), width = RandomCheckpoint.vocabulary
    let uncut = try logits("yopo:heads=\(all),layers=4,window=9,ffn=1")
    #expect(relativeDistance(uncut, try logits("yopo:heads=\(all),layers=4,window=9,ffn=1,softmax=kept")) <= 1e-6)
    // The third slot has no image: it comes first, third and so on.
    #expect(relativeDistance(Array(dense.prefix(width)), Array(uncut.prefix(width))) <= 1e-6)
    #expect(relativeDistance(dense, uncut) > 1e-4)
    // A window of the patch alone, and no channels to speak of.
    #expect(relativeDistance(uncut, try logits("yopo:heads=\(all),layers=4,window=1,ffn=1")) > 1e-4)
    #expect(relativeDistance(uncut, try logits("yopo:heads=\(all),layers=4,window=9,ffn=3")) > 1e-4)
}
