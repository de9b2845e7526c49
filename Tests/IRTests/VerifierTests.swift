import IR
import Support
import Testing

/// A module that verifies, which each test breaks at one place.
func soundModule() throws -> Module {
    var module = Module(name: "sound")
    for dimension in [T, S] { module.symbols.append(dimension.symbols[0]) }
    module.weights["w"] = Weight(type: f32(4, 4), definition: .source(SourceTensor(name: "a.b", type: TensorType(.bfloat16, [2, 8]))))
    module.weights["v"] = Weight(
        type: f32(4, 4),
        definition: .folded([Operation(name: "x", op: .add(Add()), operands: [.weight("w"), .weight("w")], type: f32(4, 4))]))
    module.states["n"] = i32(2)
    module.states["c"] = f32(2, 16, 4)
    let parameters = [("x", f32(T, 4)), ("s", i32(T)), ("w", i32(S))].map { Parameter(name: $0, type: $1) }
    var builder = FunctionBuilder("f", parameters: parameters, in: module)
    let slots = Operand.value("s")
    let q = try builder.append("q", .matmul(Matmul()), [.value("x"), .weight("v")])
    let p = try builder.append("p", .reserve(Reserve()), [.state("n"), slots])
    try builder.append("store", .cacheStore(CacheStore()), [.state("c"), q, slots, p])
    let attention = Op.attention(Attention(heads: 2, keyValueHeads: 2, scale: 1, isCached: true))
    let a = try builder.append("a", attention, [q, .state("c"), .state("c"), slots, p])
    let r = try builder.append("r", .rotary(Rotary(headSize: 2, theta: 10)), [a, slots])
    let g = try builder.append("g", .gatherRows(GatherRows()), [r, .value("w")])
    module.functions.append(builder.finish(returning: [g]))
    return module
}

struct Breakage: Sendable, CustomTestStringConvertible {
    let name, message, place: String
    let change: @Sendable (inout Module) -> Void

    init(_ name: String, _ message: String, at place: String, _ change: @escaping @Sendable (inout Module) -> Void) {
        (self.name, self.message, self.place, self.change) = (name, message, place, change)
    }

    var testDescription: String { name }
}

/// a - b + c
private func difference(_ a: Dimension, _ b: Dimension, plus c: Dimension) -> Dimension {
    a.adding(b.multiplied(by: -1)!)!.adding(c)!
}

private let breakages: [Breakage] = [
    Breakage("symbolic state", "state '&c' is f32[T, 4]; expected f32, bf16, f16, i32 or q8h in a static shape", at: "&c") {
        $0.states["c"] = f32(T, 4)
    },
    Breakage("symbol declared twice", "symbol 'T' is declared twice", at: "T") { $0.symbols.append(Symbol("T", bound: 7)) },
    Breakage("symbol without a bound", "symbol 'U' is at most 0; expected 1 to 2147483647", at: "U") {
        $0.symbols.append(Symbol("U", bound: 0))
    },
    Breakage("symbol past 32 bits", "symbol 'U' is at most 2147483648; expected 1 to 2147483647", at: "U") {
        $0.symbols.append(Symbol("U", bound: 1 << 31))
    },
    Breakage(
        "symbol without a name", "symbol '2U' has no name for a dimension; expected a letter, then letters, digits and '_'", at: "2U"
    ) {
        $0.symbols.append(Symbol("2U", bound: 1))
    },
    Breakage(
        "symbol of another module",
        "parameter '%y' is f32[U]; expected a shape of the module's symbols that is never negative, of at most 2^63 bytes", at: "f"
    ) {
        $0.functions[0].parameters.append(Parameter(name: "y", type: f32(Dimension(Symbol("U", bound: 4)))))
    },
    Breakage(
        "symbol of another bound",
        "parameter '%y' is f32[T]; expected a shape of the module's symbols that is never negative, of at most 2^63 bytes", at: "f"
    ) {
        $0.functions[0].parameters.append(Parameter(name: "y", type: f32(Dimension(Symbol("T", bound: 4)))))
    },
    Breakage(
        "dimension that may be negative",
        "parameter '%y' is f32[T + 15 - S]; expected a shape of the module's symbols that is never negative, of at most 2^63 bytes",
        at: "f"
    ) {
        $0.functions[0].parameters.append(Parameter(name: "y", type: f32(difference(T, S, plus: 15))))
    },
    Breakage("state of bytes", "state '&c' is u8[16, 4]; expected f32, bf16, f16, i32 or q8h in a static shape", at: "&c") {
        $0.states["c"] = u8(16, 4)
    },
    Breakage("empty state", "state '&c' is f32[0, 4]; expected f32, bf16, f16, i32 or q8h in a static shape", at: "&c") {
        $0.states["c"] = f32(0, 4)
    },
    Breakage("two functions", "function 'f' is defined twice", at: "f") { $0.functions.append($0.functions[0]) },
    Breakage("symbolic weight", "weight '@w' is f32[T, 4]; expected a static shape of at most 2^63 bytes", at: "@w") {
        $0.weights["w"]!.type = f32(T, 4)
    },
    Breakage("huge weight", "weight '@w' is f32[4611686018427387904]; expected a static shape of at most 2^63 bytes", at: "@w") {
        $0.weights["w"]!.type = f32(.fixed(1 << 62))
    },
    Breakage("negative weight", "weight '@w' is f32[-4, -4]; expected a static shape of at most 2^63 bytes", at: "@w") {
        $0.weights["w"]!.type = f32(-4, -4)
    },
    Breakage("source of another size", "weight '@w' is f32[4, 4], but its source 'a.b' is bf16[3, 5]", at: "@w") {
        $0.weights["w"]!.definition = .source(SourceTensor(name: "a.b", type: TensorType(.bfloat16, [3, 5])))
    },
    Breakage("negative source", "weight '@w' is f32[4, 4], but its source 'a.b' is f32[-4, -4]", at: "@w") {
        $0.weights["w"]!.definition = .source(SourceTensor(name: "a.b", type: f32(-4, -4)))
    },
    Breakage("symbolic source", "weight '@w' is f32[4, 4], but its source 'a.b' is f32[T, 16]", at: "@w") {
        $0.weights["w"]!.definition = .source(SourceTensor(name: "a.b", type: f32(T, 16)))
    },
    Breakage("empty definition", "weight '@v' is f32[4, 4], but its definition ends in nothing", at: "@v") {
        $0.weights["v"]!.definition = .folded([])
    },
    Breakage("definition of another type", "weight '@v' is f32[16], but its definition ends in f32[4, 4]", at: "@v") {
        $0.weights["v"]!.type = f32(16)
    },
    Breakage("definition reads a later weight", "definition of '@v' reads '@z', which is not defined before it", at: "@v") {
        $0.weights["z"] = $0.weights["w"]
        $0.weights["v"]!.definition = .folded([
            Operation(name: "x", op: .add(Add()), operands: [.weight("z"), .weight("z")], type: f32(4, 4))
        ])
    },
    Breakage("definition reads itself", "definition of '@v' reads '@v', which is not defined before it", at: "@v") {
        $0.weights["v"]!.definition = .folded([
            Operation(name: "x", op: .add(Add()), operands: [.weight("v"), .weight("v")], type: f32(4, 4))
        ])
    },
    Breakage("definition reads a parameter", "'add' reads '%x', which is not defined", at: "@v") {
        $0.weights["v"]!.definition = .folded([
            Operation(name: "y", op: .add(Add()), operands: [.value("x"), .value("x")], type: f32(4, 4))
        ])
    },
    Breakage("definition with an effect", "'cache_store' has an effect and may not stand in a weight", at: "@v") {
        let list = Weight(type: i32(4), definition: .source(SourceTensor(name: "i", type: i32(4))))
        $0.weights.updateValue(list, forKey: "i", insertingAt: 0)
        $0.weights["v"]!.definition = .folded([
            Operation(
                name: "s", op: .cacheStore(CacheStore()), operands: [.state("c"), .weight("w"), .weight("i"), .weight("i")], type: nil),
            Operation(name: "x", op: .add(Add()), operands: [.weight("w"), .weight("w")], type: f32(4, 4)),
        ])
    },
    Breakage("definition that reserves", "'reserve' has an effect and may not stand in a weight", at: "@v") {
        let list = Weight(type: i32(4), definition: .source(SourceTensor(name: "i", type: i32(4))))
        $0.weights.updateValue(list, forKey: "i", insertingAt: 0)
        $0.weights["v"] = Weight(
            type: i32(4),
            definition: .folded([Operation(name: "x", op: .reserve(Reserve()), operands: [.state("n"), .weight("i")], type: i32(4))]))
    },
    Breakage("two parameters", "two parameters of 'f' share a name", at: "f") {
        $0.functions[0].parameters.append(Parameter(name: "x", type: f32(2)))
    },
    Breakage(
        "huge parameter",
        "parameter '%y' is f32[4611686018427387904]; expected a shape of the module's symbols that is never negative, of at most 2^63 bytes",
        at: "f"
    ) {
        $0.functions[0].parameters.append(Parameter(name: "y", type: f32(.fixed(1 << 62))))
    },
    Breakage("undefined result", "result '%nothing' is not defined", at: "f") { $0.functions[0].results = [.value("nothing")] },
    Breakage("state as a result", "result '&c' is a state; expected a value", at: "f") { $0.functions[0].results = [.state("c")] },
    Breakage("undefined operand", "'matmul' reads '@nothing', which is not defined", at: "f: %q") {
        $0.functions[0].operations[0].operands[1] = .weight("nothing")
    },
    Breakage("use before definition", "'attention' reads '%q', which is not defined", at: "f: %a") {
        $0.functions[0].operations.swapAt(0, 3)
    },
    Breakage("operands that do not fit", "'matmul' f32[T, 4] and weight f32[16, 1] differ in K", at: "f: %q") {
        $0.weights["v"] = Weight(type: f32(16, 1), definition: $0.weights["w"]!.definition)
    },
    Breakage("another result type", "'matmul' has type f32[T, 5]; expected f32[T, 4]", at: "f: %q") {
        $0.functions[0].operations[0].type = f32(T, 5)
    },
    Breakage("missing result type", "'matmul' has type none; expected f32[T, 4]", at: "f: %q") { $0.functions[0].operations[0].type = nil },
    Breakage("attribute that is not finite", "'attention' attribute 'scale' is 'inf', not a finite number", at: "f: %a") {
        $0.functions[0].operations[3].op = .attention(Attention(heads: 2, keyValueHeads: 2, scale: .infinity, isCached: true))
    },
    Breakage("value in place of a state", "operand 0 is '%y'; expected a state", at: "f: %store") {
        $0.functions[0].parameters.append(Parameter(name: "y", type: f32(2, 16, 4)))
        $0.functions[0].operations[2].operands[0] = .value("y")
    },
    Breakage("value in place of the lengths", "operand 0 is '%s'; expected a state", at: "f: %p") {
        $0.functions[0].operations[1].operands[0] = .value("s")
    },
    Breakage("state in place of a value", "'matmul' does not take the state '&d'", at: "f: %q") {
        $0.states["d"] = f32(16, 4)
        $0.functions[0].operations[0].operands[0] = .state("d")
        $0.functions[0].operations[0].type = f32(16, 4)
    },
    Breakage("attention over a state and a value", "operand 2 is '@k'; expected a state", at: "f: %a") {
        $0.weights["k"] = Weight(type: f32(2, 16, 4), definition: .source(SourceTensor(name: "k", type: f32(2, 16, 4))))
        $0.functions[0].operations[3].operands[2] = .weight("k")
    },
    Breakage("attention over values that reads a state", "'attention' does not take the state '&k'", at: "f: %a") {
        $0.states["k"] = f32(16, 4)
        $0.functions[0].operations[3].op = .attention(Attention(heads: 2, keyValueHeads: 2, scale: 1))
        $0.functions[0].operations[3].operands = [.value("q"), .state("k"), .state("k")]
    },
    Breakage("slots of another count", "'reserve' has type i32[T]; expected i32[S]", at: "f: %p") {
        $0.functions[0].operations[1].operands[1] = .value("w")
    },
    Breakage("name defined twice", "name '%q' is defined twice", at: "f: %q") { $0.functions[0].operations[4].name = "q" },
    Breakage("name of a parameter", "name '%x' is defined twice", at: "f: %x") { $0.functions[0].operations[4].name = "x" },
    Breakage("name of an effect", "name '%store' is defined twice", at: "f: %store") { $0.functions[0].operations[4].name = "store" },
    Breakage("two effects of one name", "name '%store' is defined twice", at: "f: %store") {
        $0.functions[0].operations.insert($0.functions[0].operations[2], at: 3)
    },
]

@Suite struct VerifierTests {
    @Test func soundModuleVerifies() throws { try soundModule().verify() }

    @Test(arguments: breakages) func breaks(_ breakage: Breakage) throws {
        var module = try soundModule()
        breakage.change(&module)
        #expect(throws: Diagnostic.error(breakage.message, at: .operation(breakage.place))) { try module.verify() }
    }

    @Test func failureNamesThePass() throws {
        var module = try soundModule()
        module.functions[0].results = [.state("c")]
        let error = #expect(throws: Diagnostic.self) { try module.verify(after: "fuse-gate") }
        #expect(error?.rendered == "error: result '&c' is a state; expected a value, at operation 'f'; note: after pass 'fuse-gate'")
    }

    @Test func optimizedModulesMaterialiseNothing() throws {
        var builder = FunctionBuilder(
            "f", parameters: [Parameter(name: "x", type: f32(4, 4)), Parameter(name: "y", type: f32(4, 4))], in: try soundModule())
        let (x, y) = (Operand.value("x"), Operand.value("y"))
        let sound = builder
        func refuse(_ message: String, _ build: (inout FunctionBuilder) throws -> Void) throws {
            builder = sound
            try build(&builder)
            var module = try soundModule()
            module.functions = [builder.finish(returning: [])]
            try module.verify()
            module.stage = .optimized
            #expect(throws: Diagnostic.error(message, at: .operation("f: %z"))) { try module.verify() }
        }
        try refuse("'gather_windows' at stage 'optimized'; expected patches in window order") {
            try $0.append("z", .gatherWindows(GatherWindows(height: 2, width: 2, kernel: 2)), [x])
        }
        try refuse("'concatenate' along dimension 1 at stage 'optimized'; expected rows only") {
            try $0.append("z", .concatenate(Concatenate(axis: 1)), [x, y])
        }
        try refuse("'matmul' by '%y' at stage 'optimized'; expected a weight") { try $0.append("z", .matmul(Matmul()), [x, y]) }

        builder = sound
        let rows = try builder.append("rows", .concatenate(Concatenate(axis: 0)), [x, y])
        try builder.append("product", .matmul(Matmul()), [rows, .weight("v")])
        var module = try soundModule()
        // A definition is evaluated at compile time and may hold anything.
        module.weights["u"] = Weight(
            type: f32(4, 8),
            definition: .folded([
                Operation(name: "u", op: .concatenate(Concatenate(axis: 1)), operands: [.weight("w"), .weight("w")], type: f32(4, 8))
            ]))
        module.functions = [builder.finish(returning: [])]
        module.stage = .optimized
        try module.verify()
    }

    @Test func attentionOverValuesNeedsNoState() throws {
        var module = Module(name: "tower")
        var builder = FunctionBuilder("f", parameters: [Parameter(name: "x", type: f32(4, 4))], in: module)
        let a = try builder.append(
            "a", .attention(Attention(heads: 2, keyValueHeads: 2, scale: 1)), [.value("x"), .value("x"), .value("x")])
        module.functions.append(builder.finish(returning: [a, .value("x")]))
        try module.verify()
    }

    @Test func builderRefusesAtTheOperation() throws {
        let module = try soundModule()
        var builder = FunctionBuilder("g", parameters: [Parameter(name: "x", type: f32(T, 3))], in: module)
        #expect(throws: Diagnostic.error("'matmul' f32[T, 3] and weight f32[4, 4] differ in K", at: .operation("g: %y"))) {
            try builder.append("y", .matmul(Matmul()), [.value("x"), .weight("w")])
        }
        #expect(throws: Diagnostic.error("name '%x' is defined twice", at: .operation("g"))) {
            try builder.append("x", .scale(Scale(factor: 2)), [.value("x")])
        }
        #expect(builder.function.operations.isEmpty)
    }

    /// What is never negative may take a symbol away.
    @Test func dimensionsMayTakeAway() throws {
        var module = try soundModule()
        module.functions[0].parameters.append(Parameter(name: "y", type: f32(difference(T, S, plus: 16))))
        try module.verify()
    }

    @Test func storedWeightsAreThoseThatFunctionsRead() throws {
        var module = try soundModule()
        #expect(Array(module.storedWeights) == ["v"])
        module.functions[0].results.append(.weight("w"))
        #expect(Array(module.storedWeights) == ["v", "w"])
        #expect(module.weights["v"]?.operands == ["w", "w"])
        #expect(module.weights["w"]?.operands == [])
    }
}
