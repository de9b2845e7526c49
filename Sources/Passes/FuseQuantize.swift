import IR
import Support

extension Pipeline {
    /// before: %n = rms_norm %x {...};  %q = quantize %n {type = q8}, %n read once
    /// after:  %q = rms_norm %x {..., type = q8}
    ///
    /// Likewise for layer_norm and gate.
    static let fuseQuantize = Pass(
        "fuse-quantize", reason: "a row is quantised while it is in the cache: its f32 form is never written to memory"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in
            let uses = UseMap(function)
            var dead: Set<Int> = []
            for index in function.operations.indices {
                guard case .quantize(let quantize) = function.operations[index].op,
                    let source = uses.soleUseProducer(of: function.operations[index].operands[0]),
                    let op = function.operations[source].op.payload.quantizing(to: quantize.type)
                else { continue }
                function.operations[index].op = op
                function.operations[index].operands = function.operations[source].operands
                dead.insert(source)
            }
            function.removeOperations(at: dead)
            return dead.count
        }
    }
}
