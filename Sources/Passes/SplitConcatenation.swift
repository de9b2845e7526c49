import IR
import Support

extension Pipeline {
    /// before: %c = concatenate %x1, ..., %xM {axis = 1};  %y = matmul %c, @w, bias @b {activation = f}, %c read once
    /// after:  %s1 = matmul %x1, @w1, bias @b;  ...;  %y = matmul %xM, @wM, addend %s(M-1) {activation = f}
    ///         with @wi the columns of @w that met %xi
    static let splitConcatenation = Pass(
        "split-concatenation", reason: "the concatenated taps, M times a hidden state, are never written: one accumulating product per tap"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in
            var rewrites = 0
            while let (concatenation, product) = candidate(in: function) {
                try split(concatenation, product, in: &function, module)
                rewrites += 1
            }
            return rewrites
        }
    }

    private static func candidate(in function: Function) -> (Int, Int)? {
        let uses = UseMap(function)
        for (index, operation) in function.operations.enumerated() {
            guard case .concatenate(let concatenate) = operation.op, concatenate.axis == 1, operation.operands.count > 1,
                let user = uses.onlyUser(of: operation.name), case .matmul = function.operations[user].op,
                function.operations[user].operands[0] == .value(operation.name), function.operations[user].operands[1].isWeight
            else { continue }
            return (index, user)
        }
        return nil
    }

    private static func split(_ concatenation: Int, _ product: Int, in function: inout Function, _ module: Module) throws(Diagnostic) {
        var environment = module.environment(of: function)
        let parts = function.operations[concatenation].operands
        let original = function.operations[product]
        guard case .matmul(let matmul) = original.op else { return }
        var operations: [Operation] = []
        var start = 0
        var sum: Operand?
        for (index, part) in parts.enumerated() {
            guard let width = environment[part]?.shape[1].fixedValue else { return }
            let columns = try derived(
                function.freeName("\(original.name).weight\(index)"), .slice(Slice(axis: 1, start: start, count: width)),
                [original.operands[1]], &environment, pass: "split-concatenation")
            start += width
            var step = Matmul()
            var operands = [part, Operand.value(columns.name)]
            if index == 0 {
                step.hasBias = matmul.hasBias
                step.hasAddend = matmul.hasAddend
                operands += original.operands.dropFirst(2)
            } else {
                step.hasAddend = true
                operands.append(sum!)
            }
            let isLast = index == parts.count - 1
            if isLast { step.activation = matmul.activation }
            let name = isLast ? original.name : function.freeName("\(original.name).sum\(index)")
            operations += [columns, try derived(name, .matmul(step), operands, &environment, pass: "split-concatenation")]
            sum = .value(name)
        }
        function.operations.replaceSubrange(product...product, with: operations)
        function.removeOperations(at: [concatenation])
    }
}
