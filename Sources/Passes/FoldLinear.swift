import IR
import Support

extension Pipeline {
    /// before: %h = matmul %x, @v [, bias @c];  %y = matmul %h, @w [, bias @b]   with %h read once and no activation between
    /// after:  %y = matmul %x, @w . @v, bias @w . @c [+ @b]
    ///
    /// Fires where the one product takes fewer multiply-adds per row than the two and makes no weight larger than both together, and
    /// where the fold itself takes at most `foldLimit` multiply-adds. Numeric effect: the weight is rounded once, %h no longer.
    static let foldLinear = Pass(
        "fold-linear", reason: "two linear maps in a row with nothing between are one where that is less work"
    ) { module throws(Diagnostic) in
        var rewrites = 0
        for index in module.functions.indices {
            while let (first, second) = candidate(module, index) {
                try join(first, second, in: &module, function: index)
                rewrites += 1
            }
        }
        return rewrites
    }

    /// Multiply-adds of one fold, computed with float64 sums when the executable is written: half a minute of one core. The widest linear
    /// maps of a 13B model, 5120 x 5120 behind 5120 x 5120, take an eighth.
    private static let foldLimit = 1 << 40

    private static func candidate(_ module: Module, _ index: Int) -> (Int, Int)? {
        let function = module.functions[index]
        let uses = UseMap(function)
        let weightUses = module.weightUses()
        for (second, product) in function.operations.enumerated() {
            guard case .matmul(let outer) = product.op, let first = uses.soleUseProducer(of: product.operands[0]),
                case .matmul(let inner) = function.operations[first].op, !inner.hasAddend, inner.activation == nil,
                let v = weightShape(function.operations[first], 1, module), let w = weightShape(product, 1, module),
                inner.biasIndex.map({ function.operations[first].operands[$0].isWeight }) ?? true,
                outer.biasIndex.map({ product.operands[$0].isWeight }) ?? true,
                // Another reader would keep a weight in the executable beside the folded one.
                [function.operations[first].operands[1].name, product.operands[1].name].allSatisfy({ weightUses[$0]?.count == 1 })
            else { continue }
            guard let cost = checkedProduct(v[1], v[0], w[0]), cost <= foldLimit, v[1] * w[0] < v[0] * (v[1] + w[0]) else { continue }
            return (first, second)
        }
        return nil
    }

    private static func weightShape(_ operation: Operation, _ operand: Int, _ module: Module) -> [Int]? {
        guard case .weight(let name) = operation.operands[operand] else { return nil }
        return module.weights[name]?.type.fixedShape
    }

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
        module.functions[index].removeOperations(at: [first])
        module.removeUnreadFold(v)
    }
}
