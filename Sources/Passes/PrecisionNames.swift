import IR

/// Overrides of a precision name weights as they are before any pass; passes fold and merge these, and a product keeps to what was said of the
/// weights that its own is made of.
extension PrecisionPolicy {
    /// The names by which a pattern may mean the weight: its own, and those of the imported weights of products that it is made of.
    func names(of weight: String, in module: Module) -> [String] {
        var found = [weight]
        var seen: Set<String> = []
        func visit(_ name: String) {
            guard seen.insert(name).inserted else { return }
            if let known = names[name] { found += known } else { module.weights[name]?.operands.forEach(visit) }
        }
        if !overrides.isEmpty { visit(weight) }
        return found
    }

    /// What the last override that fits one of the names says.
    func chosen(for names: [String]) -> Precision? {
        overrides.last { override in names.contains { Self.fits($0, override.pattern) } }?.precision
    }

    /// The first pattern that fits none of the names.
    public func unfitPattern(among names: some Sequence<String>) -> String? {
        overrides.map(\.pattern).first { pattern in !names.contains { Self.fits($0, pattern) } }
    }
}

extension Module {
    /// The weights of products and the tables of embeddings, as they are before they are packed, in the order in which functions read them.
    public var productWeights: [String] {
        var found: [String] = []
        var seen: Set<String> = []
        for operation in functions.flatMap(\.operations) {
            let hasWeight = if case .matmul = operation.op { true } else if case .embed = operation.op { true } else { false }
            guard hasWeight, case .weight(var name) = operation.operands[1] else { continue }
            if case .folded(let chain) = weights[name]?.definition, chain.count == 1, case .pack = chain[0].op {
                name = chain[0].operands[0].name
            }
            if seen.insert(name).inserted { found.append(name) }
        }
        return found
    }
}
