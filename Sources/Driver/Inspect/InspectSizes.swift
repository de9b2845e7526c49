import IR
import Passes
import Plan
import Support

/// What a binary of one precision stores, and what each of its functions reads of that.
struct PrecisionSizes {
    var precision: Precision
    var weightBytes: Int
    /// The weights that a call reads. A table that is only looked up in gives single rows, which do not count.
    var readBytes: [EntryPoint: Int]
    /// Keys and values of one position of one slot, in what the caches hold.
    var cache: KeyValueType
    var cacheBytesPerPosition: Int
    /// Slots
    var sequences: Int
    /// Activations of a chunk or an image, the image, its vision tokens and the logits of a row of each sequence.
    var activationBytes: Int
    /// The part of `weightBytes` in tables from which single rows are read.
    var tableBytes: Int
    /// Code, tokenizer, stacks and libraries, as measured: 2.0 MB, and 3.7 MB with OpenBLAS's buffers.
    var programBytes: Int

    /// A row that is taken brings the 16 pages around it, and of a text's tokens about a quarter are new.
    private static let bytesPerToken = 65536 / 4

    /// Bytes of tables that full contexts of text leave alone.
    func untouched(context: Int) -> Int { max(0, tableBytes - sequences * context * Self.bytesPerToken) }

    /// Keys and values of so many positions in every slot.
    func cacheBytes(context: Int) -> Int { sequences * context * cacheBytesPerPosition }

    /// What is resident when the context of every slot is full.
    func total(context: Int) -> Int {
        weightBytes - untouched(context: context) + cacheBytes(context: context) + activationBytes + programBytes
    }
}

extension FrontEnd {
    func with(_ policy: PrecisionPolicy) -> FrontEnd {
        var front = self
        front.policy = policy
        return front
    }

    /// The sizes of a binary in each precision, by the module that it would be made of.
    func sizes() throws(Diagnostic) -> [PrecisionSizes] {
        var sizes: [PrecisionSizes] = []
        for precision in Precision.allCases {
            // Caches as chosen, where the choice differs from what the base gives.
            let isOwn = policy.cache == PrecisionPolicy(policy.base).cache
            let policy = PrecisionPolicy(precision, cache: isOwn ? nil : policy.cache, overrides: policy.overrides)
            let module = try with(policy).run { _ throws(Diagnostic) in true }
            func bytes(_ names: some Sequence<String>) -> Int { names.reduce(0) { $0 + (module.weights[$1]?.type.byteCount() ?? 0) } }
            let plan = try makePlan(module), resident = plan.resident
            sizes.append(
                PrecisionSizes(
                    precision: precision, weightBytes: bytes(module.storedWeights),
                    readBytes: Dictionary(
                        uniqueKeysWithValues: EntryPoint.ofModule.compactMap { entry in
                            module.function(entry).map { (entry, bytes($0.weightsReadWhole)) }
                        }),
                    cache: policy.cache, cacheBytesPerPosition: resident.cache / context, sequences: sequences,
                    // Those of several slots have memory for an image beside that for a chunk.
                    activationBytes: resident.image + resident.chunk
                        + ((visionTokens ?? 0) * plan.hidden + (sequences - 1) * plan.vocabulary) * 4,
                    tableBytes: resident.tables,
                    programBytes: plan.hasFloat32Products ? 4_900_000 : 3_100_000))
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
