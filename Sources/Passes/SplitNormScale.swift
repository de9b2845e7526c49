import IR
import Support

extension Pipeline {
    /// before: %n = rms_norm %x, @s;             %y = matmul %n, @w
    /// after:  %n = rms_norm %x, |@s / @m|^0.5;  %y = matmul %n, @w * (@s * |@s / @m|^-0.5)
    ///
    /// @m: the magnitudes of the channels of %x where they were measured (`lmmc calibrate`), else 1.
    ///
    /// For products whose rows will be rounded to 8 bits. Some channels of a LLaMA's residual stream are many times the others, and mostly have
    /// small scales. With the whole scale in the weight they leave the rest of their block few of its steps; with the whole scale on the row
    /// the weight's columns differ as much: both sides share the range (SmoothQuant's choice, arXiv 2211.10438, with the weight's columns
    /// taken to be alike). Fires where `fold-norm-scale` would. Numeric effect: two roundings more per weight, one more per element of a row.
    static let splitNormScale = splitNormScale([:])

    static func splitNormScale(_ calibration: [String: SourceTensor]) -> Pass {
        Pass(
            "split-norm-scale",
            reason: "outliers of the residual stream and columns of the weights share a norm's scale, so that both fit 8 bits better"
        ) { module throws(Diagnostic) in
            var rewrites = 0
            let uses = module.functions.map { UseMap($0) }
            for (name, places) in module.weightUses() {
                guard let group = NormGroup(module, scale: name, places, uses), group.shift == nil else { continue }
                let norm = name.hasSuffix(".scale") ? String(name.dropLast(".scale".count)) : name
                let magnitudes = calibration[norm].map { source in
                    module.defineWeight(
                        "\(norm).magnitude",
                        Weight(type: source.type, definition: .source(source), role: module.weights[name]?.role ?? .other))
                }
                try group.split(in: &module, magnitudes: magnitudes)
                rewrites += places.count
            }
            return rewrites
        }
    }
}

extension Weight {
    /// Whether it is defined by a power of another weight.
    var isPower: Bool {
        guard case .folded(let chain) = definition else { return false }
        return chain.contains { if case .power = $0.op { true } else { false } }
    }
}

extension NormGroup {
    /// Splits the scale of norms that have no shift.
    fileprivate func split(in module: inout Module, magnitudes: String?) throws(Diagnostic) {
        let pass = "split-norm-scale"
        /// The row's factor to the power of `sign`
        func root(_ builder: inout WeightBuilder, sign: Float) throws(Diagnostic) -> Operand {
            let name = sign > 0 ? "root" : "inverse_root"
            let factors = try builder.read(scale)
            let own = try builder.append(name, .power(Power(exponent: sign * 0.5)), [factors])
            guard let magnitudes else { return own }
            let measured = try builder.append("magnitude_root", .power(Power(exponent: sign * -0.5)), [.weight(magnitudes)])
            return try builder.append("balanced", .multiply(Multiply()), [own, measured])
        }
        for (name, readers) in products {
            var builder = WeightBuilder(module, pass: pass)
            let inverse = try root(&builder, sign: -1)
            let rest = try builder.append("rest", .multiply(Multiply()), [builder.read(scale), inverse])
            _ = try builder.append("scaled", .multiply(Multiply()), [builder.read(name), rest])
            module.replaceWeight(
                name, at: readers.map { WeightUse(function: $0.function, operation: $0.operation, operand: 1) }, by: builder.operations)
        }
        var builder = WeightBuilder(module, pass: pass)
        _ = try root(&builder, sign: 1)
        module.replaceWeight(scale, at: norms, by: builder.operations)
    }
}
