import IR
import Plan
import Support

/// What a binary of one precision stores, and what each of its functions reads of that.
struct PrecisionSizes {
    var name: String
    var weightBytes: Int
    /// By function: the weights of its products, and the rows of a table that it takes.
    var readBytes: [String: Int]
    /// Keys and values of one position, in what the caches hold.
    var cacheName: String
    var cacheBytesPerPosition: Int
    var activationBytes: Int

    func total(context: Int) -> Int { weightBytes + context * cacheBytesPerPosition + activationBytes }
}

extension FrontEnd {
    /// The sizes of a binary in each precision, by the optimised module in 32 bits.
    func sizes(_ module: Module) throws(Diagnostic) -> [PrecisionSizes] {
        let activations = try makePlan(module, chunk: chunk).activationBytes
        let matrices = module.matrices
        return PackedSize.allCases.map { precision in
            func bytes(_ name: String) -> Int {
                guard let type = module.weights[name]?.type, let shape = type.fixedShape else { return 0 }
                guard matrices.contains(name), shape.count == 2 else { return type.byteCount() ?? .max }
                return precision.forWeight(name, elements: shape[0] * shape[1]).bytes(rows: shape[0], columns: shape[1])
            }
            let cache = precision == .f32 ? 4 : 2
            let widths = module.states.values.reduce(0) { $0 + ($1.fixedShape.map { $0.dropFirst().reduce(1, *) } ?? 0) }
            return PrecisionSizes(
                name: precision.rawValue, weightBytes: module.storedWeights.reduce(0) { $0 + bytes($1) },
                readBytes: Dictionary(uniqueKeysWithValues: module.functions.map { ($0.name, module.weights(readBy: $0).reduce(0) { $0 + bytes($1) }) }),
                cacheName: precision == .f32 ? "f32" : "bf16", cacheBytesPerPosition: widths * cache, activationBytes: activations)
        }
    }
}

extension Module {
    /// Weights that products read, and tables.
    fileprivate var matrices: Set<String> {
        var names: Set<String> = []
        for operation in functions.flatMap(\.operations) {
            guard [Matmul.mnemonic, Embed.mnemonic].contains(operation.op.mnemonic), case .weight(let name) = operation.operands[1] else { continue }
            names.insert(name)
        }
        return names
    }

    /// What a call reads as a whole: a table that is only looked up in gives single rows, which do not count.
    fileprivate func weights(readBy function: Function) -> Set<String> {
        var names: Set<String> = []
        for operation in function.operations {
            for (index, operand) in operation.operands.enumerated() {
                if case .weight(let name) = operand, !(operation.op.mnemonic == Embed.mnemonic && index == 1) { names.insert(name) }
            }
        }
        return names
    }
}

/// The formats that weight matrices are packed in: panels of 32 rows, whose columns are padded to blocks of 64.
private enum PackedSize: String, CaseIterable {
    case f32, bf16, int8, int4

    /// The decoder's layers are read per token; what is not stays int8 where the others are int4, unless it is huge.
    func forWeight(_ name: String, elements: Int) -> PackedSize {
        self == .int4 && !name.hasPrefix("decoder.layer") && elements < 1 << 28 ? .int8 : self
    }

    func bytes(rows: Int, columns: Int) -> Int {
        let blocks = (columns + 63) / 64, panels = (rows + 31) / 32
        func panel(_ block: Int) -> Int { (blocks * block + 63) / 64 * 64 * panels }
        switch self {
        case .f32: return rows * columns * 4
        case .bf16: return panel(64 * 32 * 2)
        // Codes, a float16 scale a row; in 4 bits an 8-bit offset too.
        case .int8: return panel(64 * 32 + 32 * 2)
        case .int4: return panel(64 * 32 / 2 + 32 * 2 + 32)
        }
    }
}
