import IR
import Support

/// Makes `step` anew, operation by operation, so that a reducer may drop rows on the way. What stands behind a selection reads the rows that stay:
/// its operands are replaced, and its types follow.
struct StepRewriter {
    private(set) var builder: FunctionBuilder
    private(set) var module: Module
    private let step: Function
    private var replaced: [Operand: Operand] = [:]
    /// The tokens of the rows that each selection so far leaves.
    private(set) var points: [Operand] = []
    /// From here on rows stand at their places in the caches of a block, whatever their positions in the prompt.
    var renumbers = false

    /// `regions` are read beside those of the imported function.
    init(_ module: Module, reading regions: [Parameter] = []) throws(Diagnostic) {
        guard let step = module.function(.step) else { throw .error("the module has no 'step' to drop rows in") }
        self.module = module
        self.step = step
        builder = FunctionBuilder(.step, parameters: step.parameters + regions, in: module)
    }

    /// What stands for a value of the imported function now: rows that stay of it, behind a selection.
    func current(_ operand: Operand) -> Operand { replaced[operand] ?? operand }
    func current(_ region: EntryPoint.Region) -> Operand { current(.region(region)) }

    /// Readers behind this place read `replacement` where the imported function says `operand`.
    mutating func replace(_ operand: Operand, by replacement: Operand) { replaced[operand] = replacement }

    @discardableResult
    mutating func append(_ name: String, _ op: Op, _ operands: [Operand]) throws(Diagnostic) -> Operand {
        if let count = op.payload.definedCount, let rows = operands.first.flatMap({ builder.type(of: $0)?.shape.first?.bound }) {
            _ = module.declare(count, bound: rows)
        }
        return try builder.append(name, op, operands)
    }

    /// Drops all rows but those of `list` from what follows: of `values`, of the call's lists, and of those whose logits are wanted.
    /// `name` begins the names of what is added, which stand in no layer, and `point` ends them where a method has several.
    mutating func select(_ list: Operand, of values: [Operand], _ name: String, _ point: String = "") throws(Diagnostic) {
        for value in values {
            let rows = try append("\(name).\(spelledShort(value.name))\(point)", .gatherRows(GatherRows()), [current(value), list])
            replace(value, by: rows)
        }
        try selectLists(list, name, point)
    }

    /// The same of the call's lists alone.
    mutating func selectLists(_ list: Operand, _ name: String, _ point: String = "") throws(Diagnostic) {
        for region in [EntryPoint.Region.tokens, .slots, .positions] {
            let rows = try append("\(name).\(region.rawValue)\(point)", .gatherRows(GatherRows()), [current(region), list])
            replace(.region(region), by: rows)
            if region == .tokens { points.append(rows) }
        }
        replace(.region(.wanted), by: try append("\(name).wanted\(point)", .findRows(FindRows()), [list, current(.wanted)]))
    }

    /// A name of this function by its last part: `output` for `decoder.layer3.output`.
    private func spelledShort(_ name: String) -> String { String(name.split(separator: ".").last ?? "rows") }

    private func reserve(of layer: ModelLayer) -> Operation? {
        step.operations.first { operation in
            if case .reserve = operation.op { operation.layer == layer } else { false }
        }
    }

    /// Copies the imported function; `behind` is called with the name of each operation when it has been copied. `bound`: the most vision rows
    /// that stay behind a selection, as many as `kept` has room for.
    mutating func run(
        keeping bound: Int, behind: (inout StepRewriter, String) throws(Diagnostic) -> Void
    ) throws(Diagnostic) -> Module {
        var reserved: [ModelLayer: Operation] = [:]
        for operation in step.operations {
            if let layer = operation.layer, reserved[layer] == operation { continue }
            var operands = operation.operands.map(current)
            if renumbers, case .rotary = operation.op, let layer = operation.layer {
                // Its places first, which stand behind it in the imported block.
                if reserved[layer] == nil, let reserve = reserve(of: layer) {
                    try builder.append(reserve.name, reserve.op, reserve.operands.map(current))
                    reserved[layer] = reserve
                }
                if let reserve = reserved[layer] { operands[1] = .value(reserve.name) }
            }
            try builder.append(operation.name, operation.op, operands)
            try behind(&self, operation.name)
        }
        var results = step.results.map(current)
        if !points.isEmpty {
            results.append(try append("reduction.kept", .visionIndices(VisionIndices(lists: points.count, bound: bound)), points))
        }
        guard let index = module.functions.firstIndex(where: { $0.name == step.name }) else { return module }
        module.functions[index] = builder.finish(returning: results)
        try module.verify(after: "token reduction")
        return module
    }
}
