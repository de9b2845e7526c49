import IR
import Support
import Testing

@testable import Plan

@Suite struct RandomModuleTests {
    /// The plan's steps on the arena give what the IR's operations give, call after call: no live buffer is overwritten, every view reads
    /// what it should, every layer gets its own weights and caches.
    @Test(arguments: 0..<60) func planComputesWhatTheModuleSays(seed: Int) throws {
        let module = try RandomModule.make(seed)
        try module.verify()
        let plan = try makePlan(module, chunk: 4)
        var expected = SymbolicModule(module)
        var found = SymbolicPlan(plan)
        if let vision = module.function(named: "vision") {
            let image = results("image \(seed)", [], count: vision.parameters[0].type.elementCount()!)
            found.fill("image", image)
            let taps = expected.call("vision", [image], sequence: 1, position: 0)
            let projected = expected.call("project", taps, sequence: 1, position: 0)
            found.call("vision", sequence: 1, position: 0)
            found.call("project", sequence: 1, position: 0)
            #expect(found.contents("projected") == projected[0])
        }
        let rows = plan.region(.visionRows).map { results("rows", [], count: $0.byteCount / 4) }
        if let rows { found.fill("vision_rows", rows) }
        var position = 0
        for (name, length) in [("prefill", 4), ("prefill", 1), ("decode", 1), ("decode", 1), ("prefill", 3)] {
            let tokens = results("tokens \(position)", [], count: length)
            found.fill("tokens", tokens)
            let arguments = [tokens] + (name == "prefill" ? [rows].compactMap(\.self) : [])
            let logits = expected.call(name, arguments, sequence: length, position: position)
            found.call(name, sequence: length, position: position)
            #expect(found.contents("logits") == logits[0], "\(name) of \(length) at \(position)")
            position += length
        }
        for (name, elements) in expected.states { #expect(found.contents(name) == elements) }
        #expect(found.problems.isEmpty, "\(found.problems.prefix(3))")
        // One table per call position and length.
        #expect(found.tables.count == 5)
    }

    @Test func theSameModuleGivesTheSamePlan() throws {
        let module = try RandomModule.make(5)
        #expect("\(try makePlan(module, chunk: 4))" == "\(try makePlan(module, chunk: 4))")
    }

    /// The layers of most modules are alike, so the test above is about shared functions too.
    @Test func layersAreShared() throws {
        let shared = try (0..<60).filter { seed in
            let plan = try makePlan(try RandomModule.make(seed), chunk: 4)
            return plan.entries.contains { $0.body.steps.count { if case .call(_, let row, _, _) = $0 { row > 0 } else { false } } > 0 }
        }
        #expect(shared.count > 30)
    }
}
