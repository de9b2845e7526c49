import IR
import Support

extension Pipeline {
    /// before: %q = matmul %x, @w, bias @b [; rotary];  attention %q, ... {scale = s}
    /// after:  %q = matmul %x, s * @w, bias s * @b [; rotary];  attention %q, ... {scale = 1}
    ///
    /// Rotary turns pairs, so a factor goes through it. Fires where every reader of @w in the module is such a product with the same s,
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
                guard case .attention(let attention) = module.functions[place.function].operations[chain.attention].op else { continue }
                module.functions[place.function].operations[chain.attention].op = .attention(attention.with(scale: 1))
            }
            rewrites += queries.count
        }
        return rewrites
    }

    private struct QueryChain {
        let attention: Int
        let scale: Float
        let bias: String?
    }

    /// The attention whose query alone the product at `place` makes.
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
        while let user = uses.onlyUser(of: value) {
            if case .attention(let attention) = function.operations[user].op {
                guard function.operations[user].operands[0] == .value(value) else { return nil }
                return QueryChain(attention: user, scale: attention.scale, bias: bias)
            }
            guard case .rotary = function.operations[user].op else { return nil }
            value = function.operations[user].name
        }
        return nil
    }

    private static func scaleWeight(_ name: String, at places: [WeightUse], by factor: Float, in module: inout Module) throws(Diagnostic) {
        var builder = WeightBuilder(module, pass: "fold-attention-scale")
        let weight = try builder.read(name)
        _ = try builder.append("scaled", .scale(Scale(factor: factor)), [weight])
        module.replaceWeight(name, at: places, by: builder.operations)
    }
}
