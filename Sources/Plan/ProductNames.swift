extension Plan {
    /// Names of the results of products and attentions of an entry point, as in the IR and in the order in which they are made.
    public func productNames(of entry: EntryFunction) -> [String] {
        entry.body.steps.flatMap { step -> [String] in
            switch step {
            case .run(let kernel, let name, _, _): kernel.computation.isProduct ? [name] : []
            case .call(let layer, _, let prefix, _):
                layers[layer].body.steps.compactMap { step in
                    if case .run(let kernel, let name, _, _) = step, kernel.computation.isProduct { "\(prefix).\(name)" } else { nil }
                }
            }
        }
    }
}

extension Computation {
    fileprivate var isProduct: Bool {
        switch self {
        case .matmul, .attention: true
        case .normalize, .extractPatches, .gatherWindows, .averageWindows, .embed, .quantize, .add, .multiply, .scale, .activation, .gate,
            .layerNorm, .rmsNorm, .rotaryTable, .rotary, .copy, .storeHeads:
            false
        }
    }
}
