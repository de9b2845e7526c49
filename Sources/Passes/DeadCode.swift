import IR
import OrderedCollections
import Support

extension Pipeline {
    /// before: operations whose results nobody reads, weights that nothing reads, caches that nothing reads or writes
    /// after: none of them
    ///
    /// Takes the blocks of the vision tower after the last tap and its post-layernorm with it.
    static let deadCode = Pass(
        "dead-code", reason: "the vision tower is computed only up to the last tap; later blocks and the post-layernorm have no reader"
    ) { module throws(Diagnostic) in
        var rewrites = 0
        for index in module.functions.indices { rewrites += removeDeadOperations(&module.functions[index]) }
        return rewrites + removeDeadSymbols(&module)
    }

    private static func removeDeadOperations(_ function: inout Function) -> Int {
        var live: Set<String> = []
        for case .value(let name) in function.results { live.insert(name) }
        var dead: Set<Int> = []
        for (index, operation) in function.operations.enumerated().reversed() {
            guard operation.op.hasEffect || live.contains(operation.name) else {
                dead.insert(index)
                continue
            }
            for case .value(let name) in operation.operands { live.insert(name) }
        }
        function.removeOperations(at: dead)
        return dead.count
    }

    private static func removeDeadSymbols(_ module: inout Module) -> Int {
        var weights = Set(module.storedWeights)
        var pending = Array(weights)
        while let name = pending.popLast() {
            for operand in module.weights[name]?.operands ?? [] where weights.insert(operand).inserted { pending.append(operand) }
        }
        var states: Set<String> = []
        for case .state(let name) in module.functions.flatMap(\.operations).flatMap(\.operands) { states.insert(name) }
        let before = module.weights.count + module.states.count
        module.weights.removeAll { !weights.contains($0.key) }
        module.states.removeAll { !states.contains($0.key) }
        return before - module.weights.count - module.states.count
    }
}
