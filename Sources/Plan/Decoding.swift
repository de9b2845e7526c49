import IR
import Support

extension Module {
    /// `decode`: what `step` computes of one row whose logits are wanted; nil without a `step`.
    ///
    /// T and S are 1, so the wanted rows are all rows and their gathering is left out; weights are those of `step`. It is no stage of the
    /// IR, because it says nothing that `step` does not; a program has it because loops over one row are none.
    func decodeFunction() throws(Diagnostic) -> Function? {
        guard let step = function(.step) else { return nil }
        let ones = Dictionary(uniqueKeysWithValues: EntryPoint.step.counts.map { ($0.rawValue, 1) })
        let parameters = step.parameters.map { parameter in
            Parameter(
                name: parameter.name, type: TensorType(parameter.type.dtype, parameter.type.shape.map { $0.replacing(ones) ?? $0 }))
        }
        var builder = FunctionBuilder(.decode, parameters: parameters, in: self)
        var replaced: [Operand: Operand] = [:]
        for operation in step.operations {
            let operands = operation.operands.map { replaced[$0] ?? $0 }
            if case .gatherRows = operation.op, operands[1] == .region(.wanted), builder.type(of: operands[0])?.shape.first == .fixed(1) {
                replaced[.value(operation.name)] = operands[0]
            } else {
                try builder.append(operation.name, operation.op, operands)
            }
        }
        return builder.finish(returning: step.results.map { replaced[$0] ?? $0 })
    }
}
