import IR
import Support

extension Pipeline {
    /// before: %h = matmul %x, @w [, bias @b];  %y = average_windows %h    with %h read once, no addend and no activation
    /// after:  %a = average_windows %x;  %y = matmul %a, @w [, bias @b]
    ///
    /// before: %c = concatenate %x1, %x2, ... {axis = 1};  %y = average_windows %c    with %c read once
    /// after:  %a1 = average_windows %x1;  ...;  %y = concatenate %a1, %a2, ... {axis = 1}
    ///
    /// A mean of linear maps is the linear map of the mean, and the map then meets k * k times fewer rows. The other way round, the mean
    /// as a part of the product behind it, would be a k x k convolution: k * k times its multiply-adds and its weight.
    /// Numeric effect: the product is rounded once per window in place of once per token.
    static let averageFirst = Pass(
        "average-first", reason: "a linear map over tokens that are then averaged runs on the averages, k * k times fewer rows"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in
            var rewrites = 0
            while try averageOne(&function, module) { rewrites += 1 }
            return rewrites
        }
    }

    private static func averageOne(_ function: inout Function, _ module: Module) throws(Diagnostic) -> Bool {
        let uses = UseMap(function)
        for (index, average) in function.operations.enumerated() {
            guard case .averageWindows = average.op, let source = uses.soleUseProducer(of: average.operands[0]) else { continue }
            let operation = function.operations[source]
            // Operands that have a row per token.
            let rows: Range<Int>
            if case .matmul(let matmul) = operation.op, !matmul.hasAddend, matmul.activation == nil {
                rows = 0..<1
            } else if case .concatenate(let concatenate) = operation.op, concatenate.axis == 1 {
                rows = operation.operands.indices
            } else {
                continue
            }
            var new = NewOperations(in: function, module.environment(of: function), pass: "average-first")
            // A tap that is named twice is averaged twice here; common-subexpressions shares the two.
            var operands = operation.operands
            for row in rows { operands[row] = try new.append("\(operands[row].name).pooled", average.op, [operands[row]]) }
            _ = try new.append(average.name, exactly: true, operation.op, operands)
            function.operations.replaceSubrange(index...index, with: new.operations)
            function.removeOperations(at: [source])
            return true
        }
        return false
    }
}
