import IR
import Support

extension Pipeline {
    /// before: %a = f(%x, @w);  %b = f(%x, @w);  %y = g(%a, %b)
    /// after:  %a = f(%x, @w);  %y = g(%a, %a)
    ///
    /// What reads a cache is equal only to what reads it between the same two stores; a store stays.
    static let commonSubexpressions = Pass(
        "common-subexpressions", reason: "what a function computes twice, in the model or after other passes, is computed once"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in shareEqualOperations(&function) }
    }

    private static func shareEqualOperations(_ function: inout Function) -> Int {
        struct Expression: Hashable {
            let op: Op
            let operands: [Operand]
        }
        var known: [Expression: Operand] = [:]
        var replacements: [Operand: Operand] = [:]
        var dead: Set<Int> = []
        for index in function.operations.indices {
            let operands = function.operations[index].operands.map { replacements[$0] ?? $0 }
            function.operations[index].operands = operands
            guard !function.operations[index].op.hasEffect, let result = function.operations[index].result else {
                known = known.filter { expression, _ in !expression.operands.contains { $0.isState && operands.contains($0) } }
                continue
            }
            let expression = Expression(op: function.operations[index].op, operands: operands)
            if let first = known[expression] {
                replacements[result] = first
                dead.insert(index)
            } else {
                known[expression] = result
            }
        }
        function.results = function.results.map { replacements[$0] ?? $0 }
        function.removeOperations(at: dead)
        return dead.count
    }
}
