import IR
import OrderedCollections
import Support

extension Pipeline {
    /// before: %h = matmul %x, @v [, bias @c];  %y = matmul %h, @w [, bias @b]   with %h read by such products only, nothing between
    /// after:  %y = matmul %x, @w . @v, bias @w . @c [+ @b]
    ///
    /// Fires where the products behind take fewer multiply-adds per row than with the one before them, which is where their weights
    /// become smaller together too, and where the fold itself takes at most `foldLimit` multiply-adds. Numeric effect: the weight is rounded once, %h no longer.
    static let foldLinear = Pass(
        "fold-linear", reason: "two linear maps in a row with nothing between are one where that is less work"
    ) { module throws(Diagnostic) in
        var rewrites = 0
        for index in module.functions.indices {
            while let chain = candidate(module, index) {
                for second in chain.second { try join(chain.first, second, in: &module, function: index) }
                let weight = module.functions[index].operations[chain.first].operands[1].name
                module.functions[index].removeOperations(at: [chain.first])
                module.removeUnreadFold(weight)
                rewrites += chain.second.count
            }
        }
        return rewrites
    }

    /// Multiply-adds of one fold, computed with float64 sums when the executable is written: half a minute of one core. The widest linear
    /// maps of a 13B model, 5120 x 5120 behind 5120 x 5120, take an eighth.
    private static let foldLimit = 1 << 40

    private typealias Chain = (first: Int, second: [Int])

    private static func candidate(_ module: Module, _ index: Int) -> Chain? {
        let function = module.functions[index]
        let uses = UseMap(function)
        let weightUses = module.weightUses()
        for (first, product) in function.operations.enumerated() {
            guard case .matmul(let inner) = product.op, !inner.hasAddend, inner.activation == nil, !uses.isReturned(product.name),
                let users = uses.users[product.name], let v = shape(ofWeight: product, module, weightUses),
                inner.biasIndex.map({ product.operands[$0].isWeight }) ?? true
            else { continue }
            var widths: [Int] = []
            let second = users.filter { user in
                let operation = function.operations[user]
                guard case .matmul(let outer) = operation.op, operation.operands[0] == .value(product.name),
                    outer.biasIndex.map({ operation.operands[$0].isWeight }) ?? true, let w = shape(ofWeight: operation, module, weightUses)
                else { return false }
                widths.append(w[0])
                return true
            }
            guard !second.isEmpty, second.count == users.count, let outputs = checkedSum(widths),
                let cost = checkedProduct(v[1], v[0], outputs), cost <= foldLimit,
                v[1] * outputs < v[0] * (v[1] + outputs)
            else { continue }
            return (first, second)
        }
        return nil
    }

    /// The shape of the weight that a product multiplies by, if nothing else reads the weight: another reader would keep it in the executable
    /// beside the folded one.
    private static func shape(
        ofWeight product: Operation, _ module: Module, _ uses: OrderedDictionary<String, [WeightUse]>
    ) -> [Int]? {
        guard case .weight(let name) = product.operands[1], uses[name]?.count == 1 else { return nil }
        return module.weights[name]?.type.fixedShape
    }

    /// Makes the second product read what the first one reads.
    private static func join(_ first: Int, _ second: Int, in module: inout Module, function index: Int) throws(Diagnostic) {
        let (inner, outer) = (module.functions[index].operations[first], module.functions[index].operations[second])
        guard case .matmul(let innerOp) = inner.op, case .matmul(let outerOp) = outer.op else { return }
        let (v, w) = (inner.operands[1].name, outer.operands[1].name)
        if let biasIndex = innerOp.biasIndex {
            try module.addToBias(
                outerOp.biasIndex.map { outer.operands[$0].name }, of: [ProductPlace(function: index, operation: second)],
                inner.operands[biasIndex].name, through: w, called: "moved", pass: "fold-linear")
        }
        var builder = WeightBuilder(module, pass: "fold-linear")
        let turned = try builder.append("turned", .transpose(Transpose(permutation: [1, 0])), [builder.read(v)])
        _ = try builder.append("product", .matmul(Matmul()), [builder.read(w), turned])
        module.functions[index].operations[second].operands[0] = inner.operands[0]
        module.replaceWeight(w, at: [WeightUse(function: index, operation: second, operand: 1)], by: builder.operations)
    }
}
