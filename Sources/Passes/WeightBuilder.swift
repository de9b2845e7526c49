import IR
import OrderedCollections
import Support

/// An operand of an operation of a function that is a weight.
struct WeightUse: Hashable {
    let function, operation, operand: Int
}

/// A product of a function.
struct ProductPlace: Hashable {
    let function, operation: Int
}

/// The definition of a weight over other weights. A weight that a pass has folded before is written out, so that a weight that
/// several passes change has one definition from the checkpoint's tensors on.
struct WeightBuilder {
    private let module: Module
    private let pass: String
    private var environment: TypeEnvironment
    private(set) var operations: [Operation] = []

    init(_ module: Module, pass: String) {
        self.module = module
        self.pass = pass
        environment = TypeEnvironment(module)
    }

    mutating func append(_ name: String, _ op: Op, _ operands: [Operand]) throws(Diagnostic) -> Operand {
        let name = freeName(name)
        operations.append(try derived(name, op, operands, &environment, pass: pass))
        return .value(name)
    }

    /// The weight, or the operations that a pass made it with.
    mutating func read(_ weight: String) throws(Diagnostic) -> Operand {
        guard let read = module.weights[weight], read.origin == .replacement, case .folded(let chain) = read.definition else {
            return .weight(weight)
        }
        var names: [Operand: Operand] = [:]
        var last = Operand.weight(weight)
        for operation in chain {
            last = try append(operation.name, operation.op, operation.operands.map { names[$0] ?? $0 })
            names[.value(operation.name)] = last
        }
        return last
    }

    func shape(of operand: Operand) -> [Int]? { environment[operand]?.fixedShape }

    private func freeName(_ wanted: String) -> String {
        func isTaken(_ name: String) -> Bool { operations.contains { $0.name == name } }
        if !isTaken(wanted) { return wanted }
        return (2...).lazy.map { "\(wanted)\($0)" }.first { !isTaken($0) }!
    }
}

extension Module {
    /// Where functions read each weight, in execution order.
    func weightUses() -> OrderedDictionary<String, [WeightUse]> {
        var uses: OrderedDictionary<String, [WeightUse]> = [:]
        for (function, body) in functions.enumerated() {
            for (index, operation) in body.operations.enumerated() {
                for (operand, read) in operation.operands.enumerated() {
                    if case .weight(let name) = read {
                        uses[name, default: []].append(WeightUse(function: function, operation: index, operand: operand))
                    }
                }
            }
            // A result is a reader that no rewrite knows.
            for case .weight(let name) in body.results {
                uses[name, default: []].append(WeightUse(function: function, operation: body.operations.count, operand: -1))
            }
        }
        return uses
    }

    /// Makes `places` read a weight with the definition `chain` in the place of `old`, after which it is called, and whose role it has; for a
    /// weight that was not there, `role`. A replacement that nothing reads any more goes.
    mutating func replaceWeight(_ old: String, at places: [WeightUse], by chain: [Operation], role: WeightRole = .other) {
        let role = weights[old]?.role ?? role
        for place in places { functions[place.function].operations[place.operation].operands[place.operand] = .weight("") }
        removeUnreadFold(old)
        let name = defineWeight(
            Weight.replacedName(old) + Weight.replacementSuffix,
            Weight(type: chain.last!.type!, definition: .folded(chain), role: role, origin: .replacement))
        for place in places { functions[place.function].operations[place.operation].operands[place.operand] = .weight(name) }
    }

    /// Adds what `vector`, added to the left operand of `products`, would make of them: `weight` . `vector`, to the bias that they share
    /// or, for nil, that they get. `name` is the added row's in the definition.
    mutating func addToBias(
        _ bias: String?, of products: [ProductPlace], _ vector: String, through weight: String, called name: String, pass: String
    ) throws(Diagnostic) {
        var builder = WeightBuilder(self, pass: pass)
        let factor = try builder.read(weight)
        guard let size = builder.shape(of: factor) else { return }
        let row = try builder.append("row", .reshape(Reshape(shape: [1, size[1]])), [builder.read(vector)])
        let product = try builder.append("product", .matmul(Matmul()), [row, factor])
        let added = try builder.append(name, .reshape(Reshape(shape: [size[0]])), [product])
        if let bias { _ = try builder.append("bias", .add(Add()), [builder.read(bias), added]) }
        for place in products where bias == nil {
            guard case .matmul(var matmul) = functions[place.function].operations[place.operation].op else { continue }
            matmul.hasBias = true
            functions[place.function].operations[place.operation].op = .matmul(matmul)
            // Replaced below; the name is that of no weight.
            functions[place.function].operations[place.operation].operands.insert(.weight(""), at: 2)
        }
        let stem = weight.hasSuffix(".weight") ? String(weight.dropLast(".weight".count)) : weight
        replaceWeight(
            bias ?? "\(stem).bias", at: products.map { WeightUse(function: $0.function, operation: $0.operation, operand: 2) },
            by: builder.operations, role: weights[weight]?.role ?? .other)
    }

    /// Removes a replacement when neither a function nor another weight reads it.
    mutating func removeUnreadFold(_ name: String) {
        guard weights[name]?.origin == .replacement, weightUses()[name] == nil,
            !weights.values.contains(where: { $0.operands.contains(name) })
        else { return }
        weights[name] = nil
    }

    /// The weight with this definition: one that has it under this name already, or a new one.
    mutating func defineWeight(_ name: String, _ weight: Weight) -> String {
        var candidate = name
        var number = 2
        while let existing = weights[candidate], existing != weight {
            candidate = "\(name).\(number)"
            number += 1
        }
        weights[candidate] = weight
        return candidate
    }
}

extension Function {
    /// Values that are computed from weights alone, and the weights that are read.
    var constants: Set<Operand> {
        var constants: Set<Operand> = []
        for operation in operations {
            for operand in operation.operands where operand.isWeight { constants.insert(operand) }
            if let result = operation.result, operation.type?.isStatic == true, !operation.op.hasEffect,
                !operation.operands.isEmpty, operation.operands.allSatisfy({ constants.contains($0) })
            {
                constants.insert(result)
            }
        }
        return constants
    }
}
