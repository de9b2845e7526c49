import IR
import Support

extension Pipeline {
    /// before: %y = f(%x, ...);  %z = last_row %y, with f computing each row from the same row of its operands, %y read once
    /// after:  %x' = last_row %x; %z = f(%x', ...)
    static let sinkLastRow = Pass(
        "sink-last-row",
        reason: "prefill needs the logits of one row only: what follows the last attention runs on one row instead of T"
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
            guard case .lastRow = function.operations[index].op,
                let source = uses.soleUseProducer(of: function.operations[index].operands[0])
            else { return false }
            return function.operations[source].rowOperands != nil
        }
    }

    private static func sink(_ index: Int, in function: inout Function, _ module: Module) throws(Diagnostic) {
        let uses = UseMap(function)
        var environment = module.environment(of: function)
        let last = function.operations[index]
        let sourceIndex = uses.soleUseProducer(of: last.operands[0])!
        let source = function.operations[sourceIndex]
        let rank2 = source.rowOperands!.filter { environment[source.operands[$0]]?.rank == 2 }
        var replacement: [Operation] = []
        var operands = source.operands
        var taken: Set<String> = []
        for position in rank2 {
            let name = function.freeName("\(source.operands[position].name).last", beside: taken)
            taken.insert(name)
            replacement.append(
                try derived(name, .lastRow(LastRow()), [source.operands[position]], &environment, pass: "sink-last-row"))
            operands[position] = .value(name)
        }
        // The result keeps the reader's name, so nothing after it changes.
        replacement.append(try derived(last.name, source.op, operands, &environment, pass: "sink-last-row"))
        function.operations.replaceSubrange(index...index, with: replacement)
        function.removeOperations(at: [sourceIndex])
    }
}
