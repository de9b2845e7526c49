extension Plan {
    /// Names of the results of products and attentions of an entry point, as in the IR and in the order in which they are made.
    public func productNames(of entry: EntryFunction) -> [String] {
        entry.body.steps.flatMap { step -> [String] in
            switch step {
            case .run(let kernel, let name, _, _): kernel.computation.traits.isProduct ? [name] : []
            case .call(let layer, _, let prefix, _):
                layers[layer].body.steps.compactMap { step in
                    guard case .run(let kernel, let name, _, _) = step, kernel.computation.traits.isProduct else { return nil }
                    return "\(prefix).\(name)"
                }
            }
        }
    }
}
