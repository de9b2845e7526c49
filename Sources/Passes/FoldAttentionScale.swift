import IR
import Support

extension Pipeline {
    /// before: %q = matmul %x, @w, bias @b [; rotary];  attention %q, ... {scale = s}
    /// after:  %q = matmul %x, s * @w, bias s * @b [; rotary];  attention %q, ... {scale = 1}
    ///
    /// Rotary turns pairs, so a factor goes through it; what scores rows by the same query for a reducer reads the scaled one too. Fires where
    /// every reader of @w in the module is such a product with the same s,
    /// so that no weight is stored twice. Numeric effect: one rounding more per weight, none where s is a power of 2.
    static let foldAttentionScale = Pass(
        "fold-attention-scale", reason: "scores need no multiplication of their own: the query's weight carries the scale"
    ) { module throws(Diagnostic) in
        var rewrites = 0
        let uses = module.functions.map { UseMap($0) }
        for (name, places) in module.weightUses() {
            var queries: [QueryChain] = []
            for place in places {
                guard let chain = query(place, module, uses[place.function]) else { break }
                queries.append(chain)
            }
            guard queries.count == places.count, let scale = queries.first?.scale, scale != 1, queries.allSatisfy({ $0.scale == scale })
            else { continue }
            try scaleWeight(name, at: places, by: scale, in: &module)
            var biases: [String: [WeightUse]] = [:]
            for (chain, place) in zip(queries, places) {
                guard let bias = chain.bias else { continue }
                biases[bias, default: []].append(WeightUse(function: place.function, operation: place.operation, operand: 2))
            }
            for (bias, places) in biases.sorted(by: { $0.key < $1.key }) { try scaleWeight(bias, at: places, by: scale, in: &module) }
            for (chain, place) in zip(queries, places) {
                for reader in chain.readers {
                    guard let scaled = module.functions[place.function].operations[reader].op.payload.scalingQuery(by: 1) else { continue }
                    module.functions[place.function].operations[reader].op = scaled
                }
            }
            rewrites += queries.count
        }
        return rewrites
    }

    private struct QueryChain {
        /// The attention, and what scores rows by its query
        let readers: [Int]
        let scale: Float
        let bias: String?
    }

    /// What reads the query that the product at `place` makes, where all take it for a query.
    private static func query(_ place: WeightUse, _ module: Module, _ uses: UseMap) -> QueryChain? {
        guard place.operand == 1 else { return nil }
        let function = module.functions[place.function]
        let product = function.operations[place.operation]
        guard case .matmul(let matmul) = product.op, !matmul.hasAddend, matmul.activation == nil else { return nil }
        var bias: String?
        if matmul.hasBias {
            guard case .weight(let name) = product.operands[2] else { return nil }
            bias = name
        }
        var value = product.name
        while let user = uses.onlyUser(of: value), case .rotary = function.operations[user].op { value = function.operations[user].name }
        guard let readers = uses.users[value], !uses.isReturned(value), Set(readers).count == readers.count,
            let scale = readers.first.flatMap({ function.operations[$0].op.payload.queryScale }),
            readers.allSatisfy({ reader in
                function.operations[reader].op.payload.queryScale == scale && function.operations[reader].operands[0] == .value(value)
            })
        else { return nil }
        return QueryChain(readers: readers, scale: scale, bias: bias)
    }

    private static func scaleWeight(_ name: String, at places: [WeightUse], by factor: Float, in module: inout Module) throws(Diagnostic) {
        var builder = WeightBuilder(module, pass: "fold-attention-scale")
        let weight = try builder.read(name)
        _ = try builder.append("scaled", .scale(Scale(factor: factor)), [weight])
        module.replaceWeight(name, at: places, by: builder.operations)
    }
}
