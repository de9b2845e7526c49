import IR
import OrderedCollections
import Support

extension Pipeline {
    /// before: %n = rms_norm %x, @s;           %y = matmul %n, @w [, bias @b]
    /// after:  %n = rms_norm %x;               %y = matmul %n, @w * @s [, bias @b]
    ///
    /// before: %n = layer_norm %x, @s, @t;     %y = matmul %n, @w [, bias @b]
    /// after:  %n = layer_norm %x;             %y = matmul %n, @w * @s, bias @w . @t [+ @b]
    ///
    /// Fires where only products read the norms with @s and only those products read their weights, in all functions, so that no weight
    /// is stored twice; a tied head keeps its embedding table as it is. A root that `split-norm-scale` left stays. Numeric effect: one rounding more per weight, one less per row.
    static let foldNormScale = Pass(
        "fold-norm-scale", reason: "a norm's scale and bias cost a pass over each row and nothing inside the next product's weight"
    ) { module throws(Diagnostic) in
        var rewrites = 0
        let uses = module.functions.map { UseMap($0) }
        for (name, places) in module.weightUses() {
            guard let group = NormGroup(module, scale: name, places, uses) else { continue }
            try group.fold(into: &module)
            rewrites += places.count
        }
        return rewrites
    }
}

/// The norms of all functions that share a scale, and the products that read them.
struct NormGroup {
    let scale: String
    /// The weight that layer norms add; nil for RMS norms
    let shift: String?
    let norms: [WeightUse]
    /// The readers of each weight and of the bias beside it.
    var products: OrderedDictionary<String, [ProductPlace]> = [:]

    init?(_ module: Module, scale: String, _ norms: [WeightUse], _ uses: [UseMap]) {
        if module.weights[scale]?.isPower == true { return nil }
        self.scale = scale
        self.norms = norms
        var shifts: Set<String?> = []
        var readers: OrderedSet<ProductPlace> = []
        for norm in norms {
            guard norm.operand == 1 else { return nil }
            let operation = module.functions[norm.function].operations[norm.operation]
            if case .rmsNorm = operation.op {
                shifts.insert(nil)
            } else if case .layerNorm = operation.op, case .weight(let name) = operation.operands[2] {
                shifts.insert(name)
            } else {
                return nil
            }
            guard Self.collect(operation.name, norm.function, module, uses[norm.function], &readers) else { return nil }
        }
        guard shifts.count == 1, let shift = shifts.first, !readers.isEmpty else { return nil }
        self.shift = shift
        for reader in readers {
            products[module.functions[reader.function].operations[reader.operation].operands[1].name, default: []].append(reader)
        }
        let allUses = module.weightUses()
        for (weight, readers) in products where allUses[weight]?.count != readers.count { return nil }
    }

    /// The products that read `value` or rows of it; false where anything else does.
    private static func collect(
        _ value: String, _ function: Int, _ module: Module, _ uses: UseMap, _ readers: inout OrderedSet<ProductPlace>
    ) -> Bool {
        if uses.isReturned(value) { return false }
        for user in uses.users[value] ?? [] {
            let operation = module.functions[function].operations[user]
            if case .matmul(let matmul) = operation.op {
                let others = operation.operands.dropFirst()
                guard operation.operands[0] == .value(value), operation.operands[1].isWeight, !others.contains(.value(value)),
                    matmul.biasIndex.map({ operation.operands[$0].isWeight }) ?? true
                else { return false }
                readers.append(ProductPlace(function: function, operation: user))
                continue
            }
            let takesRows =
                if case .gatherRows = operation.op { true } else if case .slice(let slice) = operation.op { slice.axis == 0 } else { false }
            guard takesRows, collect(operation.name, function, module, uses, &readers) else { return false }
        }
        return true
    }

    func fold(into module: inout Module) throws(Diagnostic) {
        let pass = "fold-norm-scale"
        for (name, readers) in products {
            if let shift {
                // Readers that share a bias share the new one.
                var biases: OrderedDictionary<String?, [ProductPlace]> = [:]
                for reader in readers {
                    let operation = module.functions[reader.function].operations[reader.operation]
                    guard case .matmul(let matmul) = operation.op else { continue }
                    biases[matmul.biasIndex.map { operation.operands[$0].name }, default: []].append(reader)
                }
                for (bias, readers) in biases {
                    try module.addToBias(bias, of: readers, shift, through: name, called: "shift", pass: pass)
                }
            }
            var builder = WeightBuilder(module, pass: pass)
            let factors = try builder.read(scale)
            _ = try builder.append("scaled", .multiply(Multiply()), [builder.read(name), factors])
            module.replaceWeight(
                name, at: readers.map { WeightUse(function: $0.function, operation: $0.operation, operand: 1) }, by: builder.operations)
        }
        for norm in norms {
            module.functions[norm.function].operations[norm.operation].operands.removeLast(shift == nil ? 1 : 2)
        }
    }
}
