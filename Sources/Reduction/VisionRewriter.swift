import Checkpoint
import IR
import Support

/// Makes `vision` and `project` anew, operation by operation, so that a reducer may merge rows in the tower, between tower and projector, or
/// behind the projector. Types follow from what stands before.
///
/// `rewriteVision` comes first, then `rewriteProject`, then `finish`.
struct VisionRewriter {
    /// The function that is being made.
    private(set) var builder: FunctionBuilder
    private(set) var module: Module
    private let vision: Function
    private let project: Function
    private var replaced: [Operand: Operand] = [:]
    /// What `vision` returns beside its taps.
    private var passed: [(value: Operand, name: String)] = []
    /// What `project` reads beside its results.
    private var regions: [Parameter] = []

    /// Sees an operation that has not been copied. What it gives stands for the operation's result, which is then left out; nil copies it.
    typealias Rewrite = (inout VisionRewriter, Operation) throws(Diagnostic) -> Operand?

    init(_ module: Module) throws(Diagnostic) {
        guard let vision = module.function(.vision), let project = module.function(.project) else {
            throw .error("the module has no vision tower whose tokens could be fewer")
        }
        self.module = module
        (self.vision, self.project) = (vision, project)
        builder = FunctionBuilder(.vision, parameters: vision.parameters, in: module)
    }

    // MARK: - the model

    /// The name of a block, counted from 1.
    static func block(_ index: Int) -> String { "vision.block\(index)" }

    /// An operation of the imported tower.
    func towerOperation(_ name: String) throws(Diagnostic) -> Operation {
        guard let operation = vision.operations.first(where: { $0.name == name }) else {
            throw .error("the tower has no \(quoted(name))", at: .operation(name))
        }
        return operation
    }

    /// The heads of a block's attention, and the scale of their scores.
    func attention(ofBlock index: Int) throws(Diagnostic) -> Attention {
        let name = "\(Self.block(index)).attention"
        guard case .attention(let attention) = try towerOperation(name).op else {
            throw .error("\(quoted(name)) is no attention", at: .operation(name))
        }
        return attention
    }

    /// The parameter of `project` that is the tower's output, [N + 1, C] with the class token in row 0, where that is all that it reads: one
    /// tap, whose patches become a row of the decoder each. With the block that it stands behind, counted from 1; 0 where no block is.
    func tap(for method: String, _ configuration: ModelConfiguration) throws(Diagnostic) -> (tokens: Operand, block: Int) {
        guard let fusion = configuration.fusion, fusion.taps.count == 1, let block = fusion.taps.first, fusion.kernel == 1,
            fusion.tokensPerWindow == 1, fusion.qformer == nil, !fusion.keepsClassToken, let tap = project.parameters.first,
            project.parameters.count == 1
        else {
            throw .error(
                "\(quoted(configuration.name)) does not give each patch behind one block a vision token of its own, which "
                    + "\(quoted(method)) reduces")
        }
        return (.value(tap.name), block)
    }

    // MARK: - rewriting

    /// What stands for a value of the imported function now.
    func current(_ operand: Operand) -> Operand { replaced[operand] ?? operand }

    func type(of operand: Operand) -> TensorType? { builder.type(of: operand) }

    /// Readers behind this place read `replacement` where the imported function says `operand`.
    mutating func replace(_ operand: Operand, by replacement: Operand) { replaced[operand] = replacement }

    /// Appends an operation, and declares the symbol that it counts.
    @discardableResult
    mutating func append(_ name: String, _ op: Op, _ operands: [Operand]) throws(Diagnostic) -> Operand {
        let result = try builder.append(name, op, operands)
        if let count = op.payload.definedCount,
            let symbol = builder.type(of: result)?.shape.first?.symbols.first(where: { $0.name == count })
        {
            _ = module.declare(count, bound: symbol.bound)
        }
        return result
    }

    /// Rows `start` ..< `start + count` of a table, or such entries of a list.
    mutating func rows(_ name: String, of operand: Operand, from start: Int, _ count: Int) throws(Diagnostic) -> Operand {
        try append(name, .slice(Slice(axis: 0, start: start, count: count)), [operand])
    }

    /// Copies an operation of the imported function; it reads what stands for its operands now.
    @discardableResult
    mutating func copy(_ operation: Operation) throws(Diagnostic) -> Operand {
        try builder.append(operation.name, operation.op, operation.operands.map(current))
    }

    /// Lets `vision` return a value beside its taps, which `project` then reads under `name`.
    mutating func pass(_ value: Operand, as name: String) { passed.append((value, name)) }

    /// Lets `project` read a region. Regions stand in the order of `EntryPoint.project.inputs`.
    mutating func read(_ region: EntryPoint.Region, _ type: TensorType) { regions.append(Parameter(region, type: type)) }

    mutating func declare(_ symbol: String, bound: Int) -> Dimension { module.declare(symbol, bound: bound) }

    mutating func rewriteVision(_ rewrite: Rewrite = { _, _ throws(Diagnostic) in nil }) throws(Diagnostic) {
        try rewriteAll(of: vision, rewrite)
        let results = vision.results.map(current) + passed.map(\.value)
        var parameters: [Parameter] = []
        for (name, result) in zip(project.parameters.map(\.name) + passed.map(\.name), results) {
            guard let type = builder.type(of: result) else { throw .error("\(quoted("\(result)")) is not defined", at: .operation(name)) }
            parameters.append(Parameter(name: name, type: type))
        }
        put(builder.finish(returning: results))
        builder = FunctionBuilder(.project, parameters: parameters + regions, in: module)
        replaced = [:]
    }

    mutating func rewriteProject(_ rewrite: Rewrite) throws(Diagnostic) { try rewriteAll(of: project, rewrite) }

    /// Makes `project` of what stands for the patches that it takes from its tap.
    mutating func reduceTokens(
        of tap: Operand, to reduced: (inout VisionRewriter) throws(Diagnostic) -> ReducedTokens
    ) throws(Diagnostic) -> Module {
        var patches: Operand?
        try rewriteProject { rewriter, operation throws(Diagnostic) in
            guard operation.operands == [tap] else { return nil }
            let tokens = try reduced(&rewriter)
            patches = tokens.patches
            return tokens.rows
        }
        guard let patches else { throw .error("'project' does not take patches from its tap", at: .operation("project")) }
        return try finish(selected: patches)
    }

    /// What the imported `project` returns now.
    var projected: Operand { current(project.results[0]) }

    /// The module; `project` returns `rows`, by default what stands for its result now, the list of the patches that they are, where each
    /// is one, and which of them no threshold of the decoder drops, where some do.
    mutating func finish(
        returning rows: Operand? = nil, selected: Operand? = nil, protected: Operand? = nil
    ) throws(Diagnostic) -> Module {
        let rows = rows ?? projected
        put(builder.finish(returning: [rows] + [selected, protected].compactMap(\.self)))
        if let most = builder.type(of: rows)?.shape.first?.bound { giveRoom(forImagesOf: most) }
        try module.verify(after: "token reduction")
        return module
    }

    /// Lets the decoder take as many whole images as its caches have rows for now, one at least.
    private mutating func giveRoom(forImagesOf rows: Int) {
        guard var step = module.function(.step), rows > 0,
            let index = step.parameters.firstIndex(where: { $0.name == EntryPoint.Region.visionRows.rawValue }),
            let context = module.states.values.first(where: { $0.rank == 3 })?.shape[1].fixedValue
        else { return }
        step.parameters[index].type.shape[0] = .fixed(max(1, context / rows) * rows)
        put(step)
    }

    private mutating func rewriteAll(of function: Function, _ rewrite: Rewrite) throws(Diagnostic) {
        for operation in function.operations {
            if let result = try rewrite(&self, operation) {
                // An operation that `rewrite` copied itself may stand for itself.
                if result != .value(operation.name) { replaced[.value(operation.name)] = result }
            } else {
                try copy(operation)
            }
        }
    }

    private mutating func put(_ function: Function) {
        guard let index = module.functions.firstIndex(where: { $0.name == function.name }) else { return }
        module.functions[index] = function
    }
}

/// What a reducer gives the projector in place of the tap's patches.
struct ReducedTokens {
    /// f32 [rows, C]
    let rows: Operand
    /// i32: the patches that the rows are, -1 behind the last
    let patches: Operand
}
