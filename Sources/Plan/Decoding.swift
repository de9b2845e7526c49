import IR
import Support

extension Module {
    /// `decode`: what `step` computes of one row of text whose logits are wanted; nil without a `step`.
    ///
    /// T and S are 1, so the wanted rows are all rows and their gathering is left out, and so are selections of rows: that of one row of text
    /// is all of them, or none where no row of text is ever in it; and nothing leaves a cache. Weights are those of `step`. It is no stage of the IR, because it says nothing that `step` does not; a program has it
    /// because loops over one row are none.
    func decodeFunction() throws(Diagnostic) -> Function? {
        guard let step = function(.step) else { return nil }
        let ones = Dictionary(uniqueKeysWithValues: EntryPoint.step.counts.map { ($0.rawValue, 1) })
        let parameters = step.parameters.map { parameter in
            Parameter(
                name: parameter.name, type: TensorType(parameter.type.dtype, parameter.type.shape.map { $0.replacing(ones) ?? $0 }))
        }
        var builder = FunctionBuilder(.decode, parameters: parameters, in: self)
        var replaced: [Operand: Operand] = [:]
        let selections = Set(step.operations.filter(\.op.payload.selectsRows).map { Operand.value($0.name) }).union(step.absentOfText)
        let results = step.results.prefix(1).map { $0 }
        for operation in step.operationsNeeded(for: results, without: selections) {
            let operands = operation.operands.map { replaced[$0] ?? $0 }
            if let passed = operation.op.payload.passedOperand, operation.operands.contains(where: selections.contains) {
                replaced[.value(operation.name)] = operands[passed]
            } else if case .gatherRows = operation.op, operands[1] == .region(.wanted),
                builder.type(of: operands[0])?.shape.first == .fixed(1)
            {
                replaced[.value(operation.name)] = operands[0]
            } else {
                try builder.append(operation.name, operation.op, operands)
            }
        }
        return builder.finish(returning: results.map { replaced[$0] ?? $0 })
    }
}

extension Function {
    /// What is made of rows that a call of text has none of: the results of operations, and those that only write a state.
    fileprivate var absentOfText: Set<Operand> {
        var absent: Set<Operand> = []
        var counts: Set<String> = []
        for operation in operations {
            let payload = operation.op.payload
            let readsAbsent = operation.operands.contains(where: absent.contains)
            if let count = payload.definedCount, payload.leavesText || readsAbsent { counts.insert(count) }
            let isAbsent = operation.type.map { $0.shape.contains { $0.symbols.contains { counts.contains($0.name) } } } ?? readsAbsent
            if isAbsent { absent.insert(.value(operation.name)) }
        }
        return absent
    }

    /// Those that the results are made of, or that write a state, where nothing is read of `selections` or of what passes one of its operands on.
    fileprivate func operationsNeeded(for results: [Operand], without selections: Set<Operand>) -> [Operation] {
        if selections.isEmpty { return operations }
        var needed = Set(results)
        var kept: [Operation] = []
        for operation in operations.reversed() where operation.op.hasEffect || needed.contains(.value(operation.name)) {
            if selections.contains(.value(operation.name)) || operation.op.payload.cutsCaches { continue }
            kept.append(operation)
            let passes = operation.operands.contains(where: selections.contains)
            if passes, let passed = operation.op.payload.passedOperand {
                needed.insert(operation.operands[passed])
            } else {
                needed.formUnion(operation.operands)
            }
        }
        return kept.reversed()
    }
}
