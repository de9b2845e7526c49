import IR
import OrderedCollections
import Support

extension Pipeline {
    /// before: %c = f(@a, @b);  %y = g(%x, %c)
    /// after:  weight @c = fold { f(@a, @b) };  %y = g(%x, @c)
    ///
    /// A whole subgraph over weights becomes one weight per value that something else reads. The definition is evaluated when the
    /// weight is written into the executable, in blocks of rows, so that no fold needs the memory of its result.
    static let foldConstants = Pass(
        "fold-constants", reason: "what depends on weights alone is computed once, at compile time"
    ) { module throws(Diagnostic) in
        var rewrites = 0
        for index in module.functions.indices { rewrites += try fold(&module, function: index) }
        return rewrites
    }

    private static func fold(_ module: inout Module, function index: Int) throws(Diagnostic) -> Int {
        let function = module.functions[index]
        let constants = function.constants
        // Operations that make each constant value, in order.
        var chains: OrderedDictionary<String, [Operation]> = [:]
        for operation in function.operations where operation.result.map(constants.contains) == true {
            var chain: OrderedSet<Operation> = []
            for case .value(let name) in operation.operands { chain.append(contentsOf: chains[name]!) }
            chain.append(operation)
            chains[operation.name] = Array(chain)
        }
        if chains.isEmpty { return 0 }

        var weights: [String: String] = [:]
        func weight(_ operand: Operand, _ module: inout Module) -> Operand {
            guard case .value(let name) = operand, let chain = chains[name] else { return operand }
            if weights[name] == nil { weights[name] = module.defineWeight(name, Weight(of: chain, in: module)) }
            return .weight(weights[name]!)
        }
        var operations: [Operation] = []
        for var operation in function.operations where chains[operation.name] == nil {
            operation.operands = operation.operands.map { weight($0, &module) }
            operations.append(operation)
        }
        module.functions[index].results = function.results.map { weight($0, &module) }
        module.functions[index].operations = operations
        return chains.count
    }
}

extension Weight {
    /// What `chain` makes. Replacements that are only joined stay one.
    fileprivate init(of chain: [Operation], in module: Module) {
        let parts = chain.flatMap(\.operands).filter(\.isWeight).compactMap { module.weights[$0.name] }
        let joins = if chain.count == 1, case .concatenate = chain[0].op { true } else { false }
        self.init(
            type: chain.last!.type!, definition: .folded(chain), role: WeightRole(of: parts.map(\.role)),
            origin: joins && parts.allSatisfy { $0.origin == .replacement } ? .replacement : .model)
    }
}
