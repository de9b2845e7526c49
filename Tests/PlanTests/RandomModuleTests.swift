import IR
import Support
import Testing

@testable import Plan

@Suite struct RandomModuleTests {
    /// The plan's steps on the arena give what the IR's operations give, call after call: no live buffer is overwritten, every view reads
    /// what it should, every layer gets its own weights and caches, each row the slot and the place that are its own.
    @Test(arguments: 0..<60) func planComputesWhatTheModuleSays(seed: Int) throws {
        let module = try RandomModule.make(seed)
        try module.verify()
        let plan = try makePlan(module)
        var expected = SymbolicModule(module)
        var found = SymbolicPlan(plan)
        if let vision = module.function(.vision) {
            let image = results("image \(seed)", [], count: vision.parameters[0].type.elementCount()!)
            found.fill("image", image)
            let projected = expected.call("project", expected.call("vision", [image]))
            found.call(.vision)
            found.call(.project)
            #expect(found.contents("projected") == projected[0])
        }
        let visionRows = plan.region(.visionRows).map { results("rows", [], count: $0.byteCount / 4) }
        if let visionRows { found.fill("vision_rows", visionRows) }
        var dice = Dice(seed + 1000)
        let vocabulary = 7
        for (turn, (entry, rows, wanted)) in Self.calls.enumerated() {
            let tokens = results("tokens \(turn)", [], count: rows)
            let slots = (0..<rows).map { _ in Symbol(dice.roll(RandomModule.slots)) }
            // Rows of two values, one behind the other.
            let positions = (0..<rows).map { _ in Symbol(dice.roll(2 * rows)) }
            let list = (0..<wanted).map { _ in Symbol(dice.roll(rows)) }
            let inputs = [tokens, slots, positions, list]
            for (region, elements) in zip(["tokens", "slots", "positions", "wanted"], inputs) { found.fill(region, elements) }
            let counts = SymbolValues(["T": rows, "S": wanted])
            let results = expected.call("step", inputs + [visionRows].compactMap(\.self), counts)
            let logits = results[0]
            let before = found.contents("logits")
            found.call(entry, counts)
            let after = found.contents("logits")
            #expect(Array(after.prefix(wanted * vocabulary)) == logits, "\(entry) of \(rows) rows, \(wanted) wanted, call \(turn)")
            if entry == .step, results.count > 1 { #expect(found.contents("kept") == results[1], "call \(turn)") }
            #expect(after.dropFirst(logits.count) == before.dropFirst(logits.count), "logits behind those of call \(turn)")
        }
        for (name, elements) in expected.states { #expect(found.contents(name) == elements, "\(name)") }
        #expect(found.problems.isEmpty, "\(found.problems.prefix(3))")
        // One table per call serves all layers, and one those behind a selection; positions of one row are 0 or 1, so that some calls have the
        // same.
        #expect(found.tables.count > 3 && found.tables.count <= Self.calls.count * (plan.takesWholePrompts ? 2 : 1))
    }

    /// Rows and how many are wanted; no slot gets more than its context has room for.
    private static let calls: [(EntryPoint, rows: Int, wanted: Int)] = [
        (.step, 4, 1), (.step, 1, 1), (.decode, 1, 1), (.step, 3, 3), (.decode, 1, 1), (.step, 2, 0),
    ]

    @Test func theSameModuleGivesTheSamePlan() throws {
        let module = try RandomModule.make(5)
        #expect("\(try makePlan(module))" == "\(try makePlan(module))")
    }

    @Test func someModulesDropRows() throws {
        let dropping = try (0..<60).filter { try makePlan(try RandomModule.make($0)).takesWholePrompts }
        #expect(10..<50 ~= dropping.count)
    }

    /// The layers of most modules are alike, so the test above is about shared functions too.
    @Test func layersAreShared() throws {
        let shared = try (0..<60).filter { seed in
            let plan = try makePlan(try RandomModule.make(seed))
            return plan.entries.contains { $0.body.steps.count { if case .call(_, let row, _, _) = $0 { row > 0 } else { false } } > 0 }
        }
        #expect(shared.count > 30)
    }
}
