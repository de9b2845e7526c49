import IR
import Support

extension Pipeline {
    /// before: %y = f(%x, ...);  %z = last_row %y, with f computing each row from the same row of its operands, %y read once
    /// after:  %x' = last_row %x; %z = f(%x', ...)
    ///
    /// before: %z = last_row %x, with %x of one row
    /// after:  %x in the place of %z
    static let sinkLastRow = Pass(
        "sink-last-row",
        reason: "prefill needs the logits of one row only: what follows the last attention runs on one row instead of T"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in
            var rewrites = removeOnlyRows(&function, module)
            while let index = candidate(in: function) {
                try sink(index, in: &function, module)
                rewrites += 1
            }
            return rewrites
        }
    }

    private static func removeOnlyRows(_ function: inout Function, _ module: Module) -> Int {
        let environment = module.environment(of: function)
        var dead: Set<Int> = []
        for (index, operation) in function.operations.enumerated() {
            guard case .lastRow = operation.op, let result = operation.result,
                environment[operation.operands[0]]?.shape.first == .fixed(1)
            else { continue }
            // A chain of them is followed, because earlier ones have already been replaced.
            function.replaceUses(of: result, by: function.operations[index].operands[0])
            dead.insert(index)
        }
        function.removeOperations(at: dead)
        return dead.count
    }

    private static func candidate(in function: Function) -> Int? {
        let uses = UseMap(function)
        return function.operations.indices.first { index in
            guard case .lastRow = function.operations[index].op,
                let source = uses.soleUseProducer(of: function.operations[index].operands[0])
            else { return false }
            return function.operations[source].op.payload.rowOperands != nil
        }
    }

    private static func sink(_ index: Int, in function: inout Function, _ module: Module) throws(Diagnostic) {
        let last = function.operations[index]
        guard let sourceIndex = UseMap(function).soleUseProducer(of: last.operands[0]) else { return }
        let source = function.operations[sourceIndex]
        var environment = module.environment(of: function)
        function.removeOperations(at: [sourceIndex, index])
        var operands = source.operands
        var place = sourceIndex
        for position in source.op.payload.rowOperands ?? [] where environment[operands[position]]?.rank == 2 {
            let (row, isNew) = try lastRow(of: operands[position], in: &function, &environment)
            operands[position] = row
            place += isNew ? 1 : 0
        }
        // The result keeps the reader's name, so nothing after it changes.
        function.operations.insert(try derived(last.name, source.op, operands, &environment, pass: "sink-last-row"), at: place)
    }

    /// The last row of `operand`, directly behind the operation that makes it: one for all readers, so that it can sink further.
    private static func lastRow(
        of operand: Operand, in function: inout Function, _ environment: inout TypeEnvironment
    ) throws(Diagnostic) -> (row: Operand, isNew: Bool) {
        let after = (function.operations.firstIndex { $0.result == operand } ?? -1) + 1
        let existing = function.operations.firstIndex { operation in
            if case .lastRow = operation.op { operation.operands[0] == operand } else { false }
        }
        if let existing {
            let operation = function.operations.remove(at: existing)
            function.operations.insert(operation, at: after)
            return (.value(operation.name), existing > after)
        }
        let name = function.freeName("\(operand.name).last")
        function.operations.insert(try derived(name, .lastRow(LastRow()), [operand], &environment, pass: "sink-last-row"), at: after)
        return (.value(name), true)
    }
}
