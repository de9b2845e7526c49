import IR
import Support

extension Pipeline {
    /// before: %n = normalize %image {mean, std};  %p = extract_patches %n {patch = p};  %y = matmul %p, @w
    /// after:  %p = extract_patches %image {patch = p, center = 255 mean};  %y = matmul %p, @w / (255 std)
    ///
    /// The mean is taken off while bytes become floats, which costs nothing, and not folded into a bias: the product of patches that
    /// are not centred and the bias that undoes it are several times the size of their sum, and so is the rounding error then.
    /// Numeric effect: one rounding more per weight (2^-24), one less per pixel.
    static let foldNormalization = Pass(
        "fold-normalization", reason: "patches are read straight from the image: no normalised copy of it, deviations in the weight"
    ) { module throws(Diagnostic) in
        var rewrites = 0
        for index in module.functions.indices {
            while let chain = candidate(module.functions[index]) {
                try fold(chain, in: &module, function: index)
                rewrites += 1
            }
        }
        return rewrites
    }

    private typealias Chain = (normalize: Int, extract: Int, product: Int)

    private static func candidate(_ function: Function) -> Chain? {
        let uses = UseMap(function)
        for (index, operation) in function.operations.enumerated() {
            guard case .normalize = operation.op, let extract = uses.onlyUser(of: operation.name),
                case .extractPatches = function.operations[extract].op,
                let product = uses.onlyUser(of: function.operations[extract].name), case .matmul = function.operations[product].op,
                function.operations[product].operands[0] == .value(function.operations[extract].name),
                function.operations[product].operands[1].isWeight
            else { continue }
            return (index, extract, product)
        }
        return nil
    }

    private static func fold(_ chain: Chain, in module: inout Module, function index: Int) throws(Diagnostic) {
        let function = module.functions[index]
        guard case .normalize(let normalize) = function.operations[chain.normalize].op,
            case .extractPatches(let patches) = function.operations[chain.extract].op
        else { return }
        let name = function.operations[chain.product].operands[1].name
        var builder = WeightBuilder(module, pass: "fold-normalization")
        let weight = try builder.read(name)
        let columns = patches.patch * patches.patch
        var parts: [Operand] = []
        for (channel, std) in normalize.std.enumerated() {
            let part = try builder.append(
                "channel\(channel)", .slice(Slice(axis: 1, start: channel * columns, count: columns)), [weight])
            parts.append(try builder.append("scaled\(channel)", .scale(Scale(factor: Float(1 / (255 * Double(std))))), [part]))
        }
        _ = try builder.append("weight", .concatenate(Concatenate(axis: 1)), parts)
        let center = normalize.mean.map { Float(255 * Double($0)) }
        module.functions[index].operations[chain.extract].op = .extractPatches(
            ExtractPatches(patch: patches.patch, window: patches.window, center: center))
        module.functions[index].operations[chain.extract].operands = function.operations[chain.normalize].operands
        module.replaceWeight(name, at: [WeightUse(function: index, operation: chain.product, operand: 1)], by: builder.operations)
        module.functions[index].removeOperations(at: [chain.normalize])
    }
}
