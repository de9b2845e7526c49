import Foundation
import IR
import ModelImport
import Passes
import Reference
import Support
import TestSupport
import Testing

@testable import Checkpoint

/// How far a compiled float32 program may be from the Reference evaluator, as in CompiledTests.
private let referenceTolerance = 2e-5

/// LLaVA-Mini: two prompts with an image come in one call with the next row of a third sequence, and all go on beside each other. Some tokens are 0,
/// which is not fused.
@Suite(.serialized) struct PrefusedSequenceTests {
    private static let context = 192, slots = 3
    private let checkpoint: Checkpoint
    /// What each slot is fed, call by call
    private let turns: [[SlotScript.Piece]]

    init() throws {
        checkpoint = try Checkpoint.open(path: repository + "/Tests/Golden/llava-mini-s2")
        let image = (0..<68).map { Int32(-1 - $0) }
        func piece(_ slot: Int, _ tokens: [Int32]) -> SlotScript.Piece { SlotScript.Piece(slot: slot, tokens: tokens, wanted: .last) }
        turns = [
            [piece(2, [1, 70, 0, 72, 73])],
            [piece(0, [1, 17, 0, 30] + image + [31, 0, 33, 40, 55]), piece(2, [74]), piece(1, [1] + image + [50, 0, 12, 60, 80])],
            [piece(2, [75]), piece(1, [20]), piece(0, [0])], [piece(0, [90]), piece(1, [91]), piece(2, [92])],
        ]
    }

    private func alone(_ slot: Int) -> [[SlotScript.Piece]] { turns.flatMap(\.self).filter { $0.slot == slot }.map { [$0] } }

    /// What comes of the calls by slot, from what they give in their order.
    private func bySlot(_ logits: [[Float]]) -> [[[Float]]] {
        let order = turns.flatMap(\.self).map(\.slot)
        return (0..<Self.slots).map { slot in zip(order, logits).filter { $0.0 == slot }.map(\.1) }
    }

    private func imported() throws -> Module {
        try importModel(checkpoint, context: Self.context, sequences: Self.slots, wholePrompts: true)
    }

    private func evaluator(_ module: Module) -> Evaluator {
        Evaluator(module) { source throws(Diagnostic) in checkpoint.tensors.values.first { $0.sourceName == source.name }!.floats() }
    }

    @Test func referenceGivesPromptsWhatTheyHaveAlone() throws {
        var module = try imported()
        let visionRows = someVisionRows(module)
        var whole = evaluator(module)
        let expected = try whole.feed(turns, visionRows: visionRows)
        // The decoder has all tokens and four rows of the image, the prefusion what is not 0.
        guard case .int32(let lengths) = try whole.state("decoder.layer2.lengths").elements,
            case .int32(let fused) = try whole.state("prefusion.lengths").elements
        else {
            Issue.record("no lengths")
            return
        }
        // Words and rows of the image: 9 and 4, 6 and 4; then two tokens of each answer.
        #expect(lengths == [15, 12, 8])
        #expect(fused == [75, 73, 0])

        try Pipeline.run(Pipeline.passes(for: PrecisionPolicy(.float32)), on: &module)
        let empty = evaluator(module)
        var beside = empty
        let found = try beside.feed(turns, visionRows: visionRows)
        #expect(relativeDistance(expected.flatMap(\.self), found.flatMap(\.self)) <= referenceTolerance)
        for (slot, found) in bySlot(found).enumerated() {
            var alone = empty
            #expect(try alone.feed(self.alone(slot), visionRows: visionRows) == found, "slot \(slot)")
        }
    }

    @Test func programsGivePromptsWhatTheyHaveAlone() throws {
        let folder = TemporaryFolder()
        let program = folder.file("program")
        let compiled = try run(
            [
                lmmcPath, "compile", checkpoint.path, "-o", program, "--quiet", "--precision", "f32", "--context", "\(Self.context)",
                "--sequences", "\(Self.slots)", "--cc", repository + "/Tests/Runtime/session/play_cc.sh",
            ], environment: ["PLAY_CC": "gcc"])
        try #require(compiled.status == 0, "\(compiled.errors)")
        let pixels: [UInt8] = SeededGenerator.noise("image", 32 * 32 * 3).map { UInt8(127 + 127 * $0) }
        let player = Player(
            path: program, folder: folder, vocabulary: checkpoint.configuration.decoder.vocabularySize,
            picture: ("picture \(folder.write("picture", pixels))\n", 68 * checkpoint.configuration.decoder.hiddenSize))
        func play(_ calls: [[SlotScript.Piece]]) throws -> (vision: [Float], logits: [[Float]]) {
            try player.play(calls.map { .feed($0) }, on: Machine(), chunk: 1024, threads: 2)
        }
        let found = try play(turns)
        for (slot, found) in bySlot(found.logits).enumerated() {
            expectSame(found, try play(alone(slot)).logits, precision: .float32, "slot \(slot)")
        }
        let module = try imported()
        var reference = evaluator(module)
        let shape = module.function(.step)!.parameters[4].type.fixedShape!
        let rows = Tensor(shape: shape, found.vision + Array(repeating: 0, count: shape[0] * shape[1] - found.vision.count))
        let expected = try reference.feed(turns, visionRows: rows)
        #expect(relativeDistance(expected.flatMap(\.self), found.logits.flatMap(\.self)) <= referenceTolerance)
    }
}
