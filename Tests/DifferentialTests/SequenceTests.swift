import Foundation
import IR
import ModelImport
import Passes
import Reference
import Support
import TestSupport
import Testing

@testable import Checkpoint

/// How far float32 logits of a row may be, in relative l2, when other rows are computed with it: OpenBLAS sums a product of few rows in another order
/// than one of many. Some fifty operations with sums of up to some hundred products (2^-24 sqrt(100) = 6e-7 a sum); measured 4e-7 to 8e-7.
/// In every other precision they are the same to the bit.
private let float32Tolerance = 1e-5

/// How far a compiled program may be from the Reference evaluator of the same lowered module: in float32 as in CompiledTests. Else a kernel set without
/// BF16 does not round what attention and bf16 products multiply, and a rounding of activations may fall the other way, which narrow nets carry on:
/// three times the most of seeds 1 to 8, 6.1e-3, 1.9e-2 and 2.1e-2.
private let referenceTolerance: [Precision: Double] = [.float32: 2e-5, .bfloat16: 0.019, .int8: 0.057, .int4: 0.064]

private let environment = ProcessInfo.processInfo.environment
/// Models in the test run are few; LMMC_SEQUENCES=12 makes it a long one of so many seeds from LMMC_SEQUENCES_FROM on, with every chunk, number of
/// threads and precision.
private let longCount = environment["LMMC_SEQUENCES"].flatMap { Int($0) }
private let isLong = longCount != nil
private let firstSeed = environment["LMMC_SEQUENCES_FROM"].flatMap { Int($0) } ?? 1
private let seeds = firstSeed..<firstSeed + (longCount ?? 6)

/// What is compiled. Seeds that divide by 3 are of long sequences and large heads, and every sixth has the same strategy.
private struct Compiled: CustomTestStringConvertible {
    var seed: Int
    var precision: Precision
    var testDescription: String { "seed \(seed) in \(precision.rawValue)" }

    static let all = seeds.flatMap { seed in Precision.allCases.map { Compiled(seed: seed, precision: $0) } }
    private static let few: [(Int, Precision)] = [(1, .float32), (1, .int8), (2, .int4), (3, .bfloat16)]
    static let here = isLong ? all : few.map { Compiled(seed: $0.0, precision: $0.1) }
    static let emulated = isLong ? all : [Compiled(seed: 1, precision: .int8)]
}

private let chunks = [1, 7, 64, 1024]

/// A random model and what is done to its sequences.
private struct SequenceCase {
    let model: RandomModel
    let context: Int
    let script: SlotScript

    /// Heads of 16, which fit no vector of some sets, and widths that fit no block or panel
    private static let odd = RandomModel.Widths(
        keyValueHeads: [1, 2], headsPerKey: [1, 3, 7], headSizes: [16, 24], inner: [96, 200], projector: 96, convolved: [96, 224])
    /// Heads as models have them
    private static let large = RandomModel.Widths(
        keyValueHeads: [1, 2], headsPerKey: [1, 2, 4], headSizes: [64, 80, 128], inner: [192, 352], projector: 96, convolved: [96, 224])

    init(seed: Int) {
        let isLarge = seed % 3 == 0
        context = isLarge ? 1200 : 96
        model = RandomModel(
            seed: UInt64(seed), vocabulary: RandomCheckpoint.vocabulary, widths: isLarge ? Self.large : seed % 3 == 1 ? .init() : Self.odd,
            positions: context)
        let vision = model.configuration.vision!
        var shape = SlotScript.Shape(
            context: context, vocabulary: RandomCheckpoint.vocabulary,
            visionRows: model.configuration.fusion!.visionTokens(grid: vision.imageSize / vision.patchSize))
        if isLarge { (shape.prompts, shape.turns) = (3...600, 10) }
        script = SlotScript(seed: UInt64(seed), shape)
    }

    var label: String {
        let decoder = model.configuration.decoder
        return "\(model.strategy), \(decoder.headCount) heads of \(decoder.headSize) on \(decoder.keyValueHeadCount)"
            + (decoder.ropeScaling == nil ? "" : ", scaled rotary")
    }

    /// What `compile` makes of the module, up to its plan.
    func lowered(_ imported: Module, to precision: Precision) throws -> Module {
        var module = imported
        try Pipeline.run(Pipeline.passes(for: PrecisionPolicy(precision)), on: &module)
        return module
    }
}

// MARK: - Reference

extension Evaluator {
    /// Gives slot `to` the first rows of slot `from`, which may be the same.
    fileprivate mutating func copy(to: Int, from: Int, rows: Int) throws(Diagnostic) {
        for (name, type) in module.states {
            let (state, shape) = (try state(name), type.fixedShape!)
            if case .int32(var lengths) = state.elements {
                lengths[to] = Int32(rows)
                try setState(name, Tensor(shape: shape, lengths))
                continue
            }
            let width = shape[2...].reduce(1, *), slot = shape[1] * width
            func copied(_ values: [Float]) -> [Float] {
                var values = values
                values.replaceSubrange(to * slot..<to * slot + rows * width, with: Array(values[from * slot..<from * slot + rows * width]))
                return values
            }
            switch state.elements {
            case .float32(let values): try setState(name, Tensor(shape: shape, copied(values)))
            case .rounded(let dtype, let values): try setState(name, Tensor(shape: shape, elements: .rounded(dtype, copied(values))))
            case .int32, .uint8: break
            }
        }
    }

    /// The logits of the wanted rows, in their order. `chunk`: most rows of one call.
    fileprivate mutating func play(_ script: SlotScript, chunk: Int, visionRows: Tensor) throws(Diagnostic) -> [[Float]] {
        var (logits, lengths): ([[Float]], [Int]) = ([], Array(repeating: 0, count: script.shape.slots))
        for event in script.events {
            switch event {
            case .feed(let pieces):
                var rows: [StepRow] = []
                for piece in pieces {
                    rows += StepRow.rows(piece.tokens, slot: Int32(piece.slot), at: lengths[piece.slot], wanted: piece.wanted)
                    lengths[piece.slot] += piece.tokens.count
                }
                logits += try feed(rows, chunk: chunk, visionRows: visionRows)
            case .copy(let to, let from, let rows):
                try copy(to: to, from: from, rows: rows)
                lengths[to] = rows
            case .cut(let slot, let rows):
                try copy(to: slot, from: slot, rows: rows)
                lengths[slot] = rows
            case .renew(let slot):
                try copy(to: slot, from: slot, rows: 0)
                lengths[slot] = 0
            }
        }
        return logits
    }

    mutating func feed(_ rows: [StepRow], chunk: Int, visionRows: Tensor, protected: [Int32] = []) throws(Diagnostic) -> [[Float]] {
        var logits: [[Float]] = []
        for start in stride(from: 0, to: rows.count, by: chunk) {
            let result = try step(Array(rows[start..<min(start + chunk, rows.count)]), visionRows: visionRows, protectedRows: protected)
            let (values, width) = (result.float32!, result.shape[1])
            logits += (0..<result.shape[0]).map { Array(values[$0 * width..<($0 + 1) * width]) }
        }
        return logits
    }

    /// The same of a sequence for itself in an empty program.
    fileprivate mutating func play(alone sequence: SlotScript.Sequence, slot: Int, visionRows: Tensor) throws(Diagnostic) -> [[Float]] {
        var rows = StepRow.rows(sequence.tokens, slot: Int32(slot), wanted: .none)
        for (row, _) in sequence.wanted { rows[row].isWanted = true }
        return try feed(rows, chunk: rows.count, visionRows: visionRows)
    }
}

/// Rows that a tower could have given.
func someVisionRows(_ module: Module) -> Tensor {
    let shape = module.function(.step)!.parameters[4].type.fixedShape!
    return Tensor(shape: shape, SeededGenerator.noise("vision rows", shape.reduce(1, *)))
}

/// Rows of several slots, in any pieces and any order, copied and cut back, have the logits that each sequence has alone: the evaluator computes every
/// row for itself, so they are equal in every precision.
@Test(arguments: seeds.filter { $0 % 3 != 0 }) func referenceGivesEachSequenceWhatItHasAlone(seed: Int) throws {
    let test = SequenceCase(seed: seed)
    let slots = test.script.shape.slots
    let imported = try importModel(test.model.configuration, tensors: test.model.tensors, context: test.context, sequences: slots)
    for precision in Precision.allCases {
        let module = try test.lowered(imported, to: precision)
        let visionRows = someVisionRows(module)
        var empty = Evaluator(module) { source throws(Diagnostic) in values(source) }
        // The weights are evaluated once.
        for name in module.weights.keys { _ = try empty.weight(name) }
        var expected = [[Float]](repeating: [], count: test.script.wantedCount)
        for (index, sequence) in test.script.sequences.enumerated() {
            var evaluator = empty
            let logits = try evaluator.play(alone: sequence, slot: index % slots, visionRows: visionRows)
            for ((_, output), row) in zip(sequence.wanted, logits) { expected[output] = row }
        }
        for chunk in isLong ? chunks : [chunks[seed % chunks.count], 1024] {
            var evaluator = empty
            let found = try evaluator.play(test.script, chunk: chunk, visionRows: visionRows)
            expectSame(
                found, expected, precision: .int8, "seed \(seed), \(test.label), \(precision.rawValue) in chunks of \(chunk), Reference")
        }
    }
}

/// Every wanted row, to the bit, or in float32 as near as OpenBLAS allows.
func expectSame(
    _ found: [[Float]], _ expected: [[Float]], precision: Precision, _ label: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(found.count == expected.count, "\(label)", sourceLocation: sourceLocation)
    let distances = zip(expected, found).map { precision == .float32 || $0 != $1 ? relativeDistance($0, $1) : 0 }
    let wrong = distances.indices.filter { !(distances[$0] <= (precision == .float32 ? float32Tolerance : 0)) }
    #expect(
        wrong.isEmpty,
        "\(label): \(wrong.count) of \(found.count) rows differ, the first is \(wrong[0]), up to \(wrong.map { distances[$0] }.max()!)",
        sourceLocation: sourceLocation)
}

// MARK: - compiled

/// A CPU that a program runs on: the words before its name, and LMMC_ISA.
struct Machine: CustomStringConvertible {
    var words: [String] = []
    var isa = ""

    var description: String { words.isEmpty ? isa : "\(words.last!)\(isa)" }
}

struct Target {
    var name: String
    var compiler: String
    var machines: [Machine]
    /// Why it has no programs here; nil when it has.
    var obstacle: String?

    #if arch(x86_64)
        static let hosts = Target(
            name: "x86-64", compiler: "gcc",
            machines: ["plain", "sse4.2", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16"].map { Machine(isa: $0) })
    #else
        static let hosts = Target(
            name: "aarch64", compiler: "gcc", machines: ["", "-i8mm", "-bf16", "-i8mm,-bf16"].map { Machine(isa: $0) })
    #endif
    static let emulated = Target(
        name: "aarch64", compiler: "aarch64-linux-gnu-gcc",
        machines: [("cortex-a53", ""), ("neoverse-n1", ""), ("max", ""), ("max", "-i8mm"), ("max", "-bf16")].map {
            Machine(words: ["/usr/bin/env", "qemu-aarch64", "-cpu", $0.0], isa: $0.1)
        }, obstacle: missing)

    private static var missing: String? {
        if hosts.name != "x86-64" { return "this machine is no x86-64" }
        for program in ["aarch64-linux-gnu-gcc", "qemu-aarch64"] {
            let folders = (environment["PATH"] ?? "").split(separator: ":")
            if !folders.contains(where: { FileManager.default.isExecutableFile(atPath: "\($0)/\(program)") }) {
                return "there is no '\(program)'"
            }
        }
        let library = "/usr/lib/aarch64-linux-gnu/libpng.a"
        return FileManager.default.fileExists(atPath: library) ? nil : "there is no '\(library)'"
    }
}

/// A program with Tests/Runtime/session/play.c in the place of its main.
struct Player {
    struct Failure: Error, CustomStringConvertible { var description: String }

    let path: String
    let folder: TemporaryFolder
    let vocabulary: Int
    /// Before the events of every script, and the floats that it gives
    let picture: (text: String, count: Int)

    func play(_ events: [SlotScript.Event], on machine: Machine, chunk: Int, threads: Int) throws -> (vision: [Float], logits: [[Float]]) {
        let script = folder.write("script-\(UUID().uuidString)", picture.text + text(events))
        let output = script + ".out"
        let result = try run(
            machine.words + [path, script, output, "\(chunk)", "\(threads)"],
            environment: ["LMMC_ISA": machine.isa, "OMP_WAIT_POLICY": "passive"])
        guard result.status == 0 else { throw Failure(description: "\(machine): \(result.errors)") }
        let values = try Data(contentsOf: URL(filePath: output)).withUnsafeBytes { data in
            (0..<data.count / 4).map {
                Float(bitPattern: UInt32(littleEndian: data.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self)))
            }
        }
        for file in [script, output] { unlink(file) }
        let rows = stride(from: picture.count, to: values.count, by: vocabulary).map { Array(values[$0..<$0 + vocabulary]) }
        return (Array(values.prefix(picture.count)), rows)
    }

    private func text(_ events: [SlotScript.Event]) -> String {
        func number(_ wanted: StepRow.Wanted) -> Int {
            switch wanted {
            case .none: 0
            case .last: 1
            case .all: 2
            }
        }
        return events.map { event in
            switch event {
            case .feed(let pieces):
                "feed \(pieces.count)\n"
                    + pieces.map { piece in
                        "\(piece.slot) \(number(piece.wanted)) \(piece.tokens.count) \(piece.tokens.map(String.init).joined(separator: " "))\n"
                    }.joined()
            case .copy(let to, let from, let rows): "copy \(to) \(from) \(rows)\n"
            case .cut(let slot, let rows): "cut \(slot) \(rows)\n"
            case .renew(let slot): "renew \(slot)\n"
            }
        }.joined()
    }
}

/// Programs of random models give each sequence what the same program gives to it alone: in any slot, beside any others, in chunks of any size, with any
/// number of threads.
@Suite(.serialized) struct CompiledSequenceTests {
    @Test(arguments: Compiled.here) fileprivate func here(_ what: Compiled) throws { try check(what.seed, what.precision, .hosts) }

    @Test(arguments: Compiled.emulated) fileprivate func emulated(_ what: Compiled) throws {
        if let obstacle = Target.emulated.obstacle { return print("not run: sequences on aarch64: \(obstacle)") }
        try check(what.seed, what.precision, .emulated)
    }

    private func check(_ seed: Int, _ precision: Precision, _ target: Target) throws {
        let test = SequenceCase(seed: seed)
        let (script, slots) = (test.script, test.script.shape.slots)
        let folder = TemporaryFolder()
        try RandomCheckpoint(model: test.model).write(to: folder, values: values)
        let program = folder.file("program")
        let compiled = try run(
            [
                lmmcPath, "compile", folder.path, "-o", program, "--quiet", "--precision", precision.rawValue, "--context",
                "\(test.context)",
                "--sequences", "\(slots)", "--target", target.name, "--cc", repository + "/Tests/Runtime/session/play_cc.sh",
            ], environment: ["PLAY_CC": target.compiler])
        try #require(compiled.status == 0, "\(compiled.errors)")

        let size = test.model.configuration.vision!.imageSize
        let pixels: [UInt8] = SeededGenerator.noise("image \(seed)", size * size * 3).map { UInt8(127 + 127 * $0) }
        let picture = folder.write("picture", pixels)
        let player = Player(
            path: program, folder: folder, vocabulary: script.shape.vocabulary,
            picture: ("picture \(picture)\n", script.shape.visionRows * test.model.configuration.decoder.hiddenSize))
        for (index, machine) in target.machines.enumerated() {
            let label = "seed \(seed), \(test.label), \(precision.rawValue) on \(target.name) \(machine)"
            // Each in a program of its own, or in a short run one after another in a slot that is taken anew.
            func alone(_ sequences: [SlotScript.Sequence], slot: Int, chunk: Int, threads: Int) throws -> (
                vision: [Float], logits: [[Float]]
            ) {
                let events = sequences.map { [SlotScript.Event.feed($0.pieces(slot: slot)), .renew(slot)] }
                var found: (vision: [Float], logits: [[Float]]) = ([], [])
                for events in isLong ? events : [events.flatMap(\.self)] {
                    let result = try player.play(events, on: machine, chunk: chunk, threads: threads)
                    found = (result.vision, found.logits + result.logits)
                }
                return found
            }
            let found: (vision: [Float], logits: [[Float]])
            do {
                found = try alone(script.sequences, slot: 0, chunk: 1024, threads: 1)
            } catch let failure as Player.Failure where failure.description.contains("which this CPU lacks") {
                print("not run: sequences on \(target.name): \(failure)")
                continue
            }
            let vision = found.vision
            var expected = [[Float]](repeating: [], count: script.wantedCount)
            for ((_, output), row) in zip(script.sequences.flatMap(\.wanted), found.logits) { expected[output] = row }
            if index == 0, test.context < 256 { try expectReference(test, folder, precision, pixels, vision, expected, label) }

            let all = chunks.flatMap { chunk in [1, 2, 3].map { (chunk, $0) } }
            // In a short run each CPU has others.
            for (chunk, threads) in isLong ? all : [all[(5 * index) % 12], all[(5 * index + 7) % 12]] {
                let found = try player.play(script.events, on: machine, chunk: chunk, threads: threads)
                let setting = "\(label), chunks of \(chunk), \(threads) threads"
                expectSame([found.vision], [vision], precision: precision, setting + ": vision rows")
                expectSame(found.logits, expected, precision: precision, setting)
            }
            for slot in isLong ? Array(1..<slots) : [1 + index % (slots - 1)] {
                let again = try alone(script.sequences, slot: slot, chunk: chunks[slot], threads: slot)
                expectSame(
                    again.logits, found.logits, precision: precision,
                    "\(label), alone in slot \(slot), chunks of \(chunks[slot]), \(slot) threads")
            }
        }
    }

    /// What programs give is also what the Reference evaluator gives, so that alone and beside others are not wrong alike.
    private func expectReference(
        _ test: SequenceCase, _ folder: TemporaryFolder, _ precision: Precision, _ pixels: [UInt8], _ vision: [Float], _ found: [[Float]],
        _ label: String
    ) throws {
        let checkpoint = try Checkpoint.open(path: folder.path)
        let imported = try importModel(checkpoint, context: test.context, sequences: test.script.shape.slots)
        var evaluator = Evaluator(try test.lowered(imported, to: precision)) { source throws(Diagnostic) in
            checkpoint.tensors.values.first { $0.sourceName == source.name }!.floats()
        }
        let shape = evaluator.module.function(.step)!.parameters[4].type.fixedShape!
        let rows = Tensor(shape: shape, vision + Array(repeating: 0, count: shape[0] * shape[1] - vision.count))
        let logits = try evaluator.play(test.script, chunk: 1024, visionRows: rows)
        let distance = relativeDistance(logits.flatMap(\.self), found.flatMap(\.self))
        if isLong { print("\(label): sequences in \(precision.rawValue): \(distance)") }
        #expect(distance <= referenceTolerance[precision]!, "\(label): \(distance)")
    }
}
