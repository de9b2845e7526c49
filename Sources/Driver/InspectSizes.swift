import IR
import Passes
import Plan
import Support

/// What a binary of one precision stores, and what each of its functions reads of that.
struct PrecisionSizes {
    var name: String
    var weightBytes: Int
    /// By function: the weights that a call reads. A table that is only looked up in gives single rows, which do not count.
    var readBytes: [String: Int]
    /// Keys and values of one position, in what the caches hold.
    var cacheName: String
    var cacheBytesPerPosition: Int
    var activationBytes: Int

    func total(context: Int) -> Int { weightBytes + context * cacheBytesPerPosition + activationBytes }
}

extension FrontEnd {
    func with(_ policy: PrecisionPolicy) -> FrontEnd { FrontEnd(checkpoint: checkpoint, context: context, policy: policy, templateName: templateName, template: template) }

    /// The sizes of a binary in each precision, by the module that it would be made of.
    func sizes() throws(Diagnostic) -> [PrecisionSizes] {
        var sizes: [PrecisionSizes] = []
        for precision in Precision.allCases {
            // Caches as chosen, where the choice differs from what the base gives.
            let isOwn = policy.cache == PrecisionPolicy(policy.base).cache
            let policy = PrecisionPolicy(precision, cache: isOwn ? nil : policy.cache, overrides: policy.overrides)
            let module = try with(policy).run { _ throws(Diagnostic) in true }
            func bytes(_ names: some Sequence<String>) -> Int { names.reduce(0) { $0 + (module.weights[$1]?.type.byteCount() ?? 0) } }
            let caches = module.states.values.reduce(0) { $0 + ($1.byteCount() ?? 0) }
            sizes.append(PrecisionSizes(
                name: precision.rawValue, weightBytes: bytes(module.storedWeights),
                readBytes: Dictionary(uniqueKeysWithValues: module.functions.map { ($0.name, bytes($0.weightsReadWhole)) }),
                cacheName: policy.cache.rawValue, cacheBytesPerPosition: caches / context,
                activationBytes: try makePlan(module, chunk: chunk).activationBytes))
        }
        return sizes
    }
}

extension Function {
    fileprivate var weightsReadWhole: Set<String> {
        var names: Set<String> = []
        for operation in operations {
            for (index, operand) in operation.operands.enumerated() {
                if case .weight(let name) = operand, !(operation.op.mnemonic == Embed.mnemonic && index == 1) { names.insert(name) }
            }
        }
        return names
    }
}
