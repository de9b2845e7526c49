import IR
import Support

extension Pipeline {
    /// before: %a = activation %x {function = f};  %y = multiply %a, %z   (or %z, %a), same types, %a read once
    /// after:  %y = gate %x, %z {function = f}
    static let fuseGate = Pass(
        "fuse-gate", reason: "SwiGLU in one loop: the activated gate is never written to memory"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in
            let uses = UseMap(function)
            let environment = module.environment(of: function)
            var dead: Set<Int> = []
            for index in function.operations.indices {
                guard case .multiply = function.operations[index].op else { continue }
                let operands = function.operations[index].operands
                guard environment[operands[0]] == environment[operands[1]] else { continue }
                for side in 0...1 {
                    guard let source = uses.soleUseProducer(of: operands[side]), !dead.contains(source),
                        case .activation(let activation) = function.operations[source].op
                    else { continue }
                    function.operations[index].op = .gate(Gate(activation.function))
                    function.operations[index].operands = [function.operations[source].operands[0], operands[1 - side]]
                    dead.insert(source)
                    break
                }
            }
            function.removeOperations(at: dead)
            return dead.count
        }
    }
}
