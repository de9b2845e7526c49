import IR
import Support

extension Pipeline {
    /// before: %p = matmul %x, @w [...];  %y = add %p, %z  (or %z, %p; z a vector of biases, or a tensor of p's type), %p read once
    /// after:  %y = matmul %x, @w, [...], bias %z | addend %z
    ///
    /// before: %p = matmul %x, @w [...];  %y = activation %p {function = f}, %p read once
    /// after:  %y = matmul %x, @w, [...] {activation = f}
    ///
    /// Nothing follows an activation: the epilogue is activation(product + bias + addend).
    static let fuseEpilogue = Pass(
        "fuse-epilogue", reason: "bias, residual and activation are applied while the product is still in cache"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in
            var rewrites = 0
            // One step at a time along a chain, in order: product, bias, residual, activation.
            while let dead = fuseOne(&function, module) {
                function.removeOperations(at: [dead])
                rewrites += 1
            }
            return rewrites
        }
    }

    /// Fuses one operation into the product before it; returns the product's old index.
    private static func fuseOne(_ function: inout Function, _ module: Module) -> Int? {
        let uses = UseMap(function)
        let environment = module.environment(of: function)
        for (index, operation) in function.operations.enumerated() {
            let sides: [Int]
            if case .add = operation.op {
                // With two products, the later one takes the other as its addend.
                sides = [0, 1].sorted {
                    (uses.soleUseProducer(of: operation.operands[$0]) ?? -1) > (uses.soleUseProducer(of: operation.operands[$1]) ?? -1)
                }
            } else if case .activation = operation.op {
                sides = [0]
            } else {
                continue
            }
            for side in sides {
                guard let source = uses.soleUseProducer(of: operation.operands[side]),
                    case .matmul(var matmul) = function.operations[source].op, matmul.activation == nil
                else { continue }
                var operands = function.operations[source].operands
                if case .activation(let activation) = operation.op {
                    matmul.activation = activation.function
                } else {
                    let other = operation.operands[1 - side]
                    guard let type = environment[other], let product = function.operations[source].type else { continue }
                    if type == product, !matmul.hasAddend {
                        matmul.hasAddend = true
                        operands.append(other)
                    } else if side == 0, type.rank == 1, !matmul.hasBias {
                        matmul.hasBias = true
                        operands.insert(other, at: 2)
                    } else {
                        continue
                    }
                }
                function.operations[index].op = .matmul(matmul)
                function.operations[index].operands = operands
                return source
            }
        }
        return nil
    }
}
