import IR
import Support

/// The types at the borders of the entry points, checked.
struct Signature {
    private(set) var image: TensorType?
    /// i32 [Q] and i32 [4], of a projector that chooses by the question
    private(set) var question: TensorType?
    private(set) var bars: TensorType?
    private(set) var projected: TensorType?
    /// i32 [N] and i32 [R], of a reducer that protects rows
    private(set) var keyRows: TensorType?
    private(set) var visionRows: TensorType?
    private(set) var protectedRows: TensorType?
    /// f32 [S, V]
    private(set) var logits: TensorType?
    /// i32, of what a reducer chose of an image and kept of a prompt
    private(set) var selected: TensorType?
    private(set) var kept: TensorType?
    /// Symbols that operations count and that of the question, in the module's order
    let counts: [Symbol]
    /// The bounds of T and S; 0 without `step`
    private(set) var rows = 0
    private(set) var wanted = 0

    init(_ module: Module) throws(Diagnostic) {
        let names = EntryPoint.ofModule.map(\.rawValue)
        let counted = Set(module.functions.flatMap(\.operations).compactMap(\.op.payload.definedCount))
        let asks = module.function(.project)?.parameters.contains { $0.name == EntryPoint.Region.question.rawValue } ?? false
        counts = module.symbols.filter { counted.contains($0.name) || asks && $0.name == EntryPoint.question }
        for function in module.functions where !names.contains(function.name) {
            throw .error(
                "function '\(function.name)' is not an entry point", at: .operation(function.name),
                expected: names.dropLast().joined(separator: ", ") + " or " + names[names.count - 1])
        }
        if let vision = module.function(.vision) { try check(vision) }
        if let project = module.function(.project) { try check(project, module) }
        if let step = module.function(.step) { try check(decoder: step, module) }
    }

    var hidden: Int { (projected ?? visionRows)?.shape[1].fixedValue ?? embeddingWidth }
    var vocabulary: Int { logits?.shape[1].fixedValue ?? 0 }
    private var embeddingWidth = 0

    /// Inputs and results in the order in which they stand in the arena.
    var regions: [(region: EntryPoint.Region, type: TensorType)] {
        var regions: [(EntryPoint.Region, TensorType)] = []
        if let image { regions.append((.image, image)) }
        if let question { regions.append((.question, TensorType(.int32, fixed: [question.shape[0].bound ?? 0]))) }
        if let bars { regions.append((.bars, bars)) }
        if let projected { regions.append((.projected, projected)) }
        if let selected { regions.append((.selected, selected)) }
        if let keyRows { regions.append((.keyRows, keyRows)) }
        if let visionRows { regions.append((.visionRows, visionRows)) }
        if let protectedRows { regions.append((.protectedRows, protectedRows)) }
        if let logits {
            let list = TensorType(.int32, fixed: [rows])
            regions += [
                (.tokens, list), (.slots, list), (.positions, list), (.wanted, TensorType(.int32, fixed: [wanted])), (.logits, logits),
            ]
        }
        if let kept { regions.append((.kept, kept)) }
        return regions
    }

    private func wrong(_ function: Function, expected: String) -> Diagnostic {
        let parameters = function.parameters.map { "\($0.type)" }.joined(separator: ", ")
        return .error("'\(function.name)' takes (\(parameters))", at: .operation(function.name), expected: expected)
    }

    private func resultType(_ function: Function, _ module: Module, _ operand: Operand) -> TensorType? {
        switch operand {
        case .value(let name):
            function.operations.first { $0.name == name }?.type ?? function.parameters.first { $0.name == name }?.type
        case .weight(let name): module.weights[name]?.type
        case .state(let name): module.states[name]
        }
    }

    private mutating func check(_ vision: Function) throws(Diagnostic) {
        guard vision.parameters.count == 1, let type = vision.parameters.first?.type, type.dtype == .uint8, type.rank == 3, type.isStatic
        else {
            throw wrong(vision, expected: "one u8 image of static shape")
        }
        image = type
    }

    private mutating func check(_ project: Function, _ module: Module) throws(Diagnostic) {
        guard let vision = module.function(.vision) else {
            throw .error("'project' stands without 'vision'", at: .operation("project"))
        }
        let taps = vision.results.map { resultType(vision, module, $0) }
        guard project.parameters.prefix(taps.count).map({ Optional($0.type) }) == taps else {
            throw wrong(project, expected: "the results of 'vision'")
        }
        try check(regions: project.parameters.dropFirst(taps.count), of: project, module)
        guard let result = project.results.first, let type = resultType(project, module, result), areCounted(type), type.rank == 2,
            type.dtype == .float32
        else { throw .error("'project' does not return an f32 matrix of rows that it counts", at: .operation("project")) }
        projected = type
        if project.results.count == EntryPoint.project.results.count {
            guard resultType(project, module, project.results[2]) == TensorType(.int32, [type.shape[0]]) else {
                throw .error(
                    "'project' does not say which rows are protected", at: .operation("project"), expected: "i32[\(type.shape[0])]")
            }
            keyRows = TensorType(.int32, [type.shape[0]])
        }
        selected = try list(of: project, module, "patches", of: keyRows == nil ? 2 : 3)
    }

    /// What `project` reads beside the results of `vision`: a question, and perhaps the bars of the image.
    private mutating func check(regions: ArraySlice<Parameter>, of project: Function, _ module: Module) throws(Diagnostic) {
        guard let first = regions.first else { return }
        let symbol = module.symbols.first { $0.name == EntryPoint.question }
        let types = Array([symbol.map { TensorType(.int32, [Dimension($0)]) }, TensorType(.int32, fixed: [4])].prefix(regions.count))
        guard regions.map(\.name) == EntryPoint.project.inputs.prefix(regions.count).map(\.rawValue),
            regions.map({ Optional($0.type) }) == types
        else {
            throw wrong(project, expected: "the results of 'vision', then perhaps 'question' i32[\(EntryPoint.question)] and 'bars' i32[4]")
        }
        question = first.type
        bars = regions.dropFirst().first?.type
    }

    private func areCounted(_ type: TensorType) -> Bool { type.symbols.allSatisfy(counts.contains) }

    /// The type of the second result, where there is one: of what a reducer kept. `count`: the most results.
    private func list(of function: Function, _ module: Module, _ what: String, of count: Int = 2) throws(Diagnostic) -> TensorType? {
        guard function.results.count > 1 else { return nil }
        guard function.results.count == count, let type = resultType(function, module, function.results[1]), type.isStatic,
            type.dtype == .int32
        else {
            throw .error(
                "'\(function.name)' has \(function.results.count) results", at: .operation(function.name),
                expected: "at most one behind the first, a static i32 tensor of \(what)")
        }
        return type
    }

    private mutating func check(decoder function: Function, _ module: Module) throws(Diagnostic) {
        func symbol(_ count: EntryPoint.Count) throws(Diagnostic) -> Dimension {
            guard let symbol = module.symbols.first(where: { $0.name == count.rawValue }) else {
                throw .error("the module has no symbol '\(count.rawValue)'", at: .operation(function.name), expected: "one with its bound")
            }
            return Dimension(symbol)
        }
        let (rows, wanted) = (try symbol(.rows), try symbol(.wanted))
        let lists = Array(repeating: TensorType(.int32, [rows]), count: 3) + [TensorType(.int32, [wanted])]
        guard function.parameters.prefix(4).map(\.type) == lists, function.parameters.count <= 6 else {
            throw wrong(function, expected: "i32[T] three times, i32[S] and perhaps the vision rows")
        }
        if function.parameters.count > 4 {
            let type = function.parameters[4].type
            guard type.isStatic, type.rank == 2, type.dtype == .float32 else {
                throw wrong(function, expected: "a static f32 matrix as vision rows")
            }
            visionRows = type
            let list = TensorType(.int32, [type.shape[0]])
            if function.parameters.count > 5 {
                guard function.parameters[5].type == list else { throw wrong(function, expected: "\(list) of protected vision rows") }
                protectedRows = list
            }
        }
        guard let result = function.results.first, let type = resultType(function, module, result), type.dtype == .float32,
            type.rank == 2, type.shape[0] == wanted, type.shape[1].fixedValue != nil
        else {
            throw .error(
                "'\(function.name)' does not return the logits of the wanted rows", at: .operation(function.name), expected: "f32[S, V]")
        }
        (self.rows, self.wanted, logits) = (rows.bound ?? 0, wanted.bound ?? 0, type)
        kept = try list(of: function, module, "vision rows")
        for operation in function.operations {
            for symbol in operation.type?.symbols ?? []
            where !EntryPoint.step.counts.contains(where: { $0.rawValue == symbol.name }) && !counts.contains(symbol) {
                throw .error(
                    "the symbol '\(symbol.name)' is no count of a call", at: .operation("\(function.name): %\(operation.name)"),
                    expected: "T or S")
            }
            guard case .embed = operation.op, let width = operation.type?.shape.last?.fixedValue else { continue }
            embeddingWidth = width
        }
    }
}
