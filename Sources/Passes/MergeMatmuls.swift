import IR
import Support

extension Pipeline {
    /// before: %q = matmul %x, @wq [, bias @bq];  %k = matmul %x, @wk [, bias @bk];  ...  with no addend and no activation, one
    ///         behind the other
    /// after:  %m = matmul %x, [@wq; @wk; ...] [, bias [@bq; @bk; ...]];  %q = slice %m;  %k = slice %m;  ...
    ///
    /// The slices are views. Products that stand apart, such as the keys of all layers of a Q-Former, are not merged: each result would
    /// wait in memory for the last. Nor are those for which the overrides of `policy` choose different precisions.
    static let mergeMatmuls = mergeMatmuls(nil)

    static func mergeMatmuls(_ policy: PrecisionPolicy?) -> Pass {
        Pass(
            "merge-matmuls", reason: "Q, K and V, and gate and up, read their input once and share one call and one thread barrier"
        ) { module throws(Diagnostic) in
            try module.rewriteFunctions { function, module throws(Diagnostic) in
                var rewrites = 0
                while let group = candidate(in: function, { weight in policy.flatMap { $0.chosen(for: $0.names(of: weight, in: module)) } })
                {
                    try merge(group, in: &function, module)
                    rewrites += 1
                }
                return rewrites
            }
        }
    }

    /// Products of one value by different weights that can be one. Between them stands nothing but what makes weights.
    private static func candidate(in function: Function, _ chosen: (String) -> Precision?) -> [Int]? {
        let constants = function.constants
        var group: [Int] = []
        for (index, operation) in function.operations.enumerated() {
            if operation.result.map(constants.contains) == true { continue }
            let isProduct =
                if case .matmul(let matmul) = operation.op, !matmul.hasAddend, matmul.activation == nil {
                    operation.operands.dropFirst().allSatisfy(\.isWeight)
                } else {
                    false
                }
            if isProduct, let first = group.first.map({ function.operations[$0] }), first.operands[0] == operation.operands[0],
                first.op == operation.op, chosen(first.operands[1].name) == chosen(operation.operands[1].name)
            {
                group.append(index)
                continue
            }
            if group.count > 1 { return group }
            group = isProduct ? [index] : []
        }
        return group.count > 1 ? group : nil
    }

    private static func merge(_ group: [Int], in function: inout Function, _ module: Module) throws(Diagnostic) {
        let products = group.map { function.operations[$0] }
        var new = NewOperations(in: function, module.environment(of: function), pass: "merge-matmuls")
        /// Weights of all products, one below the other.
        func stacked(_ operand: Int) throws(Diagnostic) -> Operand {
            let parts = products.map { $0.operands[operand] }
            // That only some are folded says nothing about the whole.
            var names = parts.map(\.name)
            if !names.allSatisfy({ module.weights[$0]?.origin == .replacement }) { names = names.map(Weight.replacedName) }
            return try new.append(mergedName(names), .concatenate(Concatenate(axis: 0)), parts)
        }
        var operands = [products[0].operands[0], try stacked(1)]
        let hasBias = products[0].operands.count > 2
        if hasBias { operands.append(try stacked(2)) }
        let merged = try new.append(mergedName(products.map(\.name)), .matmul(Matmul(hasBias: hasBias)), operands)
        var start = 0
        for product in products {
            guard let width = product.type?.shape[1].fixedValue else { return }
            _ = try new.append(product.name, exactly: true, .slice(Slice(axis: 1, start: start, count: width)), [merged])
            start += width
        }
        let first = group[0]
        function.removeOperations(at: Set(group))
        function.operations.insert(contentsOf: new.operations, at: first)
    }

    /// The parts that differ, joined: `a.query`, `a.key`, `a.value` -> `a.query_key_value`; `a.gate.weight`, `a.up.weight` -> `a.gate_up.weight`
    private static func mergedName(_ names: [String]) -> String {
        let paths = names.map { $0.split(separator: ".", omittingEmptySubsequences: false) }
        let shortest = paths.map(\.count).min() ?? 0
        func shared(_ part: (Int, [Substring]) -> Substring) -> Int {
            (0..<shortest).first { index in Set(paths.map { part(index, $0) }).count > 1 } ?? shortest
        }
        let prefix = shared { $1[$0] }
        let suffix = min(shared { $1[$1.count - 1 - $0] }, shortest - prefix)
        let middle = paths.map { $0.dropFirst(prefix).dropLast(suffix).joined(separator: ".") }.filter { !$0.isEmpty }
        return (paths[0].prefix(prefix).map(String.init) + [middle.joined(separator: "_")] + paths[0].suffix(suffix).map(String.init))
            .filter { !$0.isEmpty }.joined(separator: ".")
    }
}
