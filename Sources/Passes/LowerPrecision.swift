import IR
import OrderedCollections
import Support

extension Pipeline {
    /// before: %y = matmul %x, @w, bias @b {...};  state &k : f32[slots, C, W];  attention %q, &k, &v, ...
    /// after:  weight @w.q8 = fold { pack @w {type = q8} };  %x.q8 = quantize %x {type = q8}
    ///         %y = matmul %x.q8, @w.q8, bias @b {...};  state &k : bf16[slots, C, W];  attention %q, &k, &v, ... {products = bf16}
    ///
    /// Norms, softmax, rotary, residuals and epilogues stay f32. A value is quantised once for all products that read it.
    /// Numeric effect: a relative error of about 2^-9 per product in bf16, of 1/254 of a block's largest value per element in int8.
    static func lower(_ policy: PrecisionPolicy) -> Pass {
        Pass("lower-\(policy.base.rawValue)", reason: reason(policy.base)) { module throws(Diagnostic) in
            var lowering = PrecisionLowering(policy: policy, module: module)
            for index in module.functions.indices { try lowering.lower(&module.functions[index], in: module) }
            for (name, weight) in lowering.packed { module.weights[name] = weight }
            return lowering.rewrites + lowerCaches(&module, policy)
        }
    }

    private static func reason(_ precision: Precision) -> String {
        switch precision {
        case .float32: "products by the weights that '--precision-for' names are lowered"
        case .bfloat16: "half the bytes of f32 and twice its arithmetic: products, attention and caches in bf16, sums in f32"
        case .int8:
            "a quarter of the bytes and four times the arithmetic of f32: weights and activations in 8 bits, a scale per 64 of a row"
        case .int4: "half of int8's bytes where decoding reads them: the decoder's layers in 4 bits with scale and offset per 64 of a row"
        }
    }

    private static func lowerCaches(_ module: inout Module, _ policy: PrecisionPolicy) -> Int {
        var rewrites = 0
        /// Key heads of the attention that reads a cache
        var heads: [String: Int] = [:]
        for operation in module.functions.flatMap(\.operations) {
            guard case .attention(let attention) = operation.op else { continue }
            for case .state(let name) in operation.operands { heads[name] = attention.keyValueHeads }
        }
        for (name, type) in module.states where type.dtype == .float32 && policy.cache != .float32 {
            if policy.cache == .int8, let heads = heads[name], let shape = type.fixedShape, shape.count == 3 {
                module.states[name] = TensorType(.int8Heads, fixed: [shape[0], shape[1], heads, shape[2] / heads])
            } else {
                module.states[name]?.dtype = .bfloat16
            }
            rewrites += 1
        }
        guard policy.base != .float32 else { return rewrites }
        for function in module.functions.indices {
            for index in module.functions[function].operations.indices {
                guard case .attention(let attention) = module.functions[function].operations[index].op, attention.products == .float32
                else {
                    continue
                }
                module.functions[function].operations[index].op = .attention(attention.with(products: .bfloat16))
                rewrites += 1
            }
        }
        return rewrites
    }
}

private struct PrecisionLowering {
    let policy: PrecisionPolicy
    /// New weights.
    private(set) var packed: OrderedDictionary<String, Weight> = [:]
    private(set) var rewrites = 0
    private var names: [PackKey: String] = [:]
    /// What a product makes of its weight, for a table that is a head too.
    private var headTypes: [String: PanelType] = [:]

    private struct PackKey: Hashable {
        let weight: String
        let type: PanelType
    }

    private struct RowKey: Hashable {
        let value: Operand
        let type: RowType
    }

    init(policy: PrecisionPolicy, module: Module) {
        self.policy = policy
        for operation in module.functions.flatMap(\.operations) {
            guard case .matmul = operation.op, case .weight(let name) = operation.operands[1], let forms = forms(of: name, module) else {
                continue
            }
            headTypes[name] = forms.panels
        }
    }

    /// How a product by the f32 weight is lowered; nil for not at all.
    private func forms(of weight: String, _ module: Module) -> (panels: PanelType, rows: RowType)? {
        guard let read = module.weights[weight], read.type.dtype == .float32, read.type.rank == 2, let count = read.type.elementCount()
        else {
            return nil
        }
        return policy.precision(of: weight, role: read.role, elementCount: count, names: policy.names(of: weight, in: module)).forms
    }

    private func tableType(of weight: String, _ module: Module) -> PanelType? {
        guard module.weights[weight]?.type.dtype == .float32 else { return nil }
        return headTypes[weight] ?? policy.embeddingPrecision(of: weight, names: policy.names(of: weight, in: module)).forms?.panels
    }

    mutating func lower(_ function: inout Function, in module: Module) throws(Diagnostic) {
        var operations: [Operation] = []
        var quantized: [RowKey: Operand] = [:]
        var names = function.names
        var environment = TypeEnvironment(module, function)
        for var operation in function.operations {
            if case .matmul = operation.op, case .weight(let weight) = operation.operands[1], let forms = forms(of: weight, module) {
                let key = RowKey(value: operation.operands[0], type: forms.rows)
                if quantized[key] == nil {
                    let wanted = "\(key.value.name).\(forms.rows.rawValue)"
                    let name = names.contains(wanted) ? "\(operation.name).input.\(forms.rows.rawValue)" : wanted
                    names.insert(name)
                    operations.append(try derived(name, .quantize(Quantize(forms.rows)), [key.value], &environment, pass: "lower"))
                    quantized[key] = .value(name)
                }
                operation.operands[0] = quantized[key]!
                operation.operands[1] = .weight(try pack(weight, forms.panels, module))
                rewrites += 1
            } else if case .embed = operation.op, case .weight(let table) = operation.operands[1], let type = tableType(of: table, module) {
                operation.operands[1] = .weight(try pack(table, type, module))
                rewrites += 1
            }
            _ = environment.define(operation)
            operations.append(operation)
        }
        function.operations = operations
    }

    private mutating func pack(_ weight: String, _ type: PanelType, _ module: Module) throws(Diagnostic) -> String {
        let key = PackKey(weight: weight, type: type)
        if let name = names[key] { return name }
        var environment = TypeEnvironment(module)
        var name = "\(Weight.replacedName(weight)).\(type.rawValue)"
        while module.weights[name] != nil || packed[name] != nil { name += ".2" }
        let operation = try derived("packed", .pack(Pack(type)), [.weight(weight)], &environment, pass: "lower")
        guard let result = operation.type else { return weight }
        packed[name] = Weight(type: result, definition: .folded([operation]), role: module.weights[weight]?.role ?? .other)
        names[key] = name
        return name
    }
}
