import IR
import Support

extension Module {
    /// `score`: what `prefill` computes, with the logits of all its rows, f32[T, V]; nil without a `prefill`.
    ///
    /// Every last_row of T rows is left out. Whatever a pass moved behind one is row-local, so it runs on all rows instead; weights are
    /// those of `prefill`. Perplexity needs it; it is no stage of the IR, because it says nothing that `prefill` does not.
    func scoreFunction() throws(Diagnostic) -> Function? {
        guard let prefill = function(.prefill) else { return nil }
        var builder = FunctionBuilder(.score, parameters: prefill.parameters, in: self)
        var replaced: [Operand: Operand] = [:]
        for operation in prefill.operations {
            let operands = operation.operands.map { replaced[$0] ?? $0 }
            if case .lastRow = operation.op, builder.type(of: operands[0])?.shape.first == .sequence {
                replaced[.value(operation.name)] = operands[0]
            } else {
                try builder.append(operation.name, operation.op, operands)
            }
        }
        return builder.finish(returning: prefill.results.map { replaced[$0] ?? $0 })
    }
}

/// Rows of one call of `score`: so many that the weights are read seldom, so few that their logits take little memory.
func scoreRowCount(vocabulary: Int, chunk: Int) -> Int {
    let logits = 1 << 22  // 16 MiB of f32, touched only when something is scored
    return min(chunk, max(16, min(256, logits / vocabulary)))
}
