import IR
import Support

extension Pipeline {
    /// before: %q = matmul %x, @wq [, bias @bq];  %k = matmul %x, @wk [, bias @bk];  ...  with no addend and no activation
    /// after:  %m = matmul %x, [@wq; @wk; ...] [, bias [@bq; @bk; ...]];  %q = slice %m;  %k = slice %m;  ...
    ///
    /// The slices are views.
    static let mergeMatmuls = Pass(
        "merge-matmuls", reason: "Q, K and V, and gate and up, read their input once and share one call and one thread barrier"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in
            var rewrites = 0
            while let group = candidate(in: function) {
                try merge(group, in: &function, module)
                rewrites += 1
            }
            return rewrites
        }
    }

    /// Products of one value by different weights that can be one.
    private static func candidate(in function: Function) -> [Int]? {
        struct Key: Hashable { let input: Operand, hasBias: Bool }
        var groups: [Key: [Int]] = [:]
        for (index, operation) in function.operations.enumerated() {
            guard case .matmul(let matmul) = operation.op, !matmul.hasAddend, matmul.activation == nil,
                operation.operands.dropFirst().allSatisfy(\.isWeight)
            else { continue }
            groups[Key(input: operation.operands[0], hasBias: matmul.hasBias), default: []].append(index)
        }
        return groups.values.filter { $0.count > 1 }.min { $0[0] < $1[0] }
    }

    private static func merge(_ group: [Int], in function: inout Function, _ module: Module) throws(Diagnostic) {
        var environment = module.environment(of: function)
        let products = group.map { function.operations[$0] }
        let name = function.freeName(mergedName(products.map(\.name)))
        let pass = "merge-matmuls"
        let weights = try derived(
            function.freeName("\(name).weight"), .concatenate(Concatenate(axis: 0)), products.map { $0.operands[1] }, &environment,
            pass: pass)
        var operations = [weights]
        var operands = [products[0].operands[0], Operand.value(weights.name)]
        let hasBias = products[0].operands.count > 2
        if hasBias {
            let biases = try derived(
                function.freeName("\(name).bias"), .concatenate(Concatenate(axis: 0)), products.map { $0.operands[2] }, &environment,
                pass: pass)
            operations.append(biases)
            operands.append(.value(biases.name))
        }
        operations.append(try derived(name, .matmul(Matmul(hasBias: hasBias)), operands, &environment, pass: pass))
        var start = 0
        for product in products {
            guard let width = product.type?.shape[1].fixedValue else { return }
            operations.append(
                try derived(product.name, .slice(Slice(axis: 1, start: start, count: width)), [.value(name)], &environment, pass: pass))
            start += width
        }
        let first = group[0]
        function.removeOperations(at: Set(group))
        function.operations.insert(contentsOf: operations, at: first)
    }

    /// `a.b.query`, `a.b.key`, `a.b.value` -> `a.b.query_key_value`
    private static func mergedName(_ names: [String]) -> String {
        let paths = names.map { $0.split(separator: ".", omittingEmptySubsequences: false) }
        let scope = paths[0].dropLast()
        guard paths.allSatisfy({ $0.dropLast() == scope }) else { return "\(names[0]).merged" }
        return (scope + [paths.map { $0.last! }.joined(separator: "_")[...]]).joined(separator: ".")
    }
}
