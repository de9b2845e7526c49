import IR
import Support

extension Pipeline {
    /// before: %y = f(%x, ...);  %z = gather_rows %y, %rows, with f computing each row from the same row of its operands, %y read once
    /// after:  %x' = gather_rows %x, %rows; %z = f(%x', ...)
    static let sinkGatherRows = Pass(
        "sink-gather-rows",
        reason: "a step needs the logits of the wanted rows only: what follows the last attention runs on S rows instead of T"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in
            var rewrites = 0
            while let index = candidate(in: function) {
                try sink(index, in: &function, module)
                rewrites += 1
            }
            return rewrites
        }
    }

    private static func candidate(in function: Function) -> Int? {
        let uses = UseMap(function)
        return function.operations.indices.first { index in
            guard case .gatherRows = function.operations[index].op,
                let source = uses.soleUseProducer(of: function.operations[index].operands[0])
            else { return false }
            // A vector has no rows that its operands have.
            return function.operations[source].op.payload.rowOperands != nil && function.operations[source].type?.rank == 2
        }
    }

    private static func sink(_ index: Int, in function: inout Function, _ module: Module) throws(Diagnostic) {
        let gather = function.operations[index]
        guard let sourceIndex = UseMap(function).soleUseProducer(of: gather.operands[0]) else { return }
        let source = function.operations[sourceIndex]
        var environment = module.environment(of: function)
        function.removeOperations(at: [sourceIndex, index])
        var operands = source.operands
        var place = sourceIndex
        for position in source.op.payload.rowOperands ?? [] where environment[operands[position]]?.rank == 2 {
            let (rows, isNew) = try gathered(operands[position], gather.operands[1], for: source, at: place, in: &function, &environment)
            operands[position] = rows
            place += isNew ? 1 : 0
        }
        // The list of rows, or the gathered rows, may be made behind the place of what is computed of them now.
        place = max(place, (function.operations.lastIndex { $0.result.map(operands.contains) ?? false } ?? -1) + 1)
        // The result keeps the reader's name, so nothing after it changes.
        function.operations.insert(try derived(gather.name, source.op, operands, &environment, pass: "sink-gather-rows"), at: place)
    }

    /// These rows of `operand`, gathered once for all readers. They stand directly behind the operation that makes it, so that they can sink
    /// further; those of another layer's result stand in the layer that reads them, so that layers stay alike.
    private static func gathered(
        _ operand: Operand, _ rows: Operand, for reader: Operation, at place: Int, in function: inout Function,
        _ environment: inout TypeEnvironment
    ) throws(Diagnostic) -> (rows: Operand, isNew: Bool) {
        let existing = function.operations.firstIndex { operation in
            if case .gatherRows = operation.op { operation.operands == [operand, rows] } else { false }
        }
        let isForeign = reader.layer != nil && reader.layer != ModelLayer(of: operand.name)
        let behind = (function.operations.lastIndex { $0.result == operand || $0.result == rows } ?? -1) + 1
        let after = isForeign ? max(behind, min(place, existing ?? place)) : behind
        if let existing {
            let operation = function.operations.remove(at: existing)
            function.operations.insert(operation, at: after)
            return (.value(operation.name), existing > after)
        }
        let name = isForeign ? "\(reader.layer?.name ?? "").input.\(rows.name)" : "\(operand.name).\(rows.name)"
        let gather = try derived(
            function.freeName(name), .gatherRows(GatherRows()), [operand, rows], &environment, pass: "sink-gather-rows")
        function.operations.insert(gather, at: after)
        return (.value(gather.name), true)
    }
}
