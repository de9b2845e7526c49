import IR
import Support

extension Pipeline {
    /// before: %n = rms_norm %x, @s;          %y = matmul %n, @w
    /// after:  %n = rms_norm %x, |@s|^0.5;    %y = matmul %n, @w * (@s * |@s|^-0.5)
    ///
    /// For products whose rows will be rounded to 8 bits. The few channels of a LLaMA's residual stream that are many times the others have
    /// small scales: with the whole scale in the weight they leave the rest of their block few of its steps, with the whole scale on the row
    /// the weight's columns differ as much; the geometric mean (SmoothQuant's choice between the two, arXiv 2211.10438, without activations
    /// to look at) takes nine tenths off what int8 costs SmolLM2 in perplexity. Fires where `fold-norm-scale` would.
    /// Numeric effect: two roundings more per weight, one more per element of a row.
    static let splitNormScale = Pass(
        "split-norm-scale", reason: "outliers of the residual stream and columns of the weights share a norm's scale, so that both fit 8 bits better"
    ) { module throws(Diagnostic) in
        var rewrites = 0
        let uses = module.functions.map { UseMap($0) }
        for (name, places) in module.weightUses() {
            guard let group = NormGroup(module, scale: name, places, uses), group.shift == nil else { continue }
            try group.split(in: &module)
            rewrites += places.count
        }
        return rewrites
    }
}

extension Weight {
    /// Whether it is defined as a power of another weight.
    var isPower: Bool {
        if case .folded(let chain) = definition, case .power = chain.last?.op { true } else { false }
    }
}

extension NormGroup {
    /// Of a norm without a shift.
    fileprivate func split(in module: inout Module) throws(Diagnostic) {
        let pass = "split-norm-scale"
        for (name, readers) in products {
            var builder = WeightBuilder(module, pass: pass)
            let factors = try builder.read(scale)
            let inverse = try builder.append("inverse_root", .power(Power(exponent: -0.5)), [factors])
            let rest = try builder.append("signed_root", .multiply(Multiply()), [factors, inverse])
            _ = try builder.append("scaled", .multiply(Multiply()), [builder.read(name), rest])
            module.replaceWeight(name, at: readers.map { WeightUse(function: $0.function, operation: $0.operation, operand: 1) }, by: builder.operations)
        }
        var builder = WeightBuilder(module, pass: pass)
        _ = try builder.append("root", .power(Power(exponent: 0.5)), [builder.read(scale)])
        module.replaceWeight(scale, at: norms, by: builder.operations)
    }
}
