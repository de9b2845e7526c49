import Checkpoint
import IR
import Support

extension Importer {
    /// `project(tap...)`: the taps without their class token, concatenated in the configured order, through MBTF, then the k x k windows
    /// as vectors with or without their convolution, split into E tokens each, or as means, or a Q-Former over all tokens, or TokenPacker's
    /// queries over the windows; and through the aligner. LLaVA-Mini's compressed rows go through it behind the patches.
    mutating func addFusion(_ fusion: FusionConfiguration, _ vision: VisionConfiguration) throws(Diagnostic) {
        let grid = vision.grid
        let tapType = TensorType(.float32, fixed: [vision.positionCount, vision.hiddenSize])
        let parameters = Set(fusion.taps).sorted().map { Parameter(name: "tap\($0)", type: tapType) }
        let mbtf = try layers(fusion.mbtf)
        let windowConvolution = try fusion.windowConvolution.map { layer throws(Diagnostic) in try self.layer(layer) }
        let qformer = try fusion.qformer.map { qformer throws(Diagnostic) in try self.qformer(qformer) }
        let packer = try fusion.tokenPacker.map { packer throws(Diagnostic) in try tokenPacker(packer) }
        let compressor = try fusion.prefusion.map { prefusion throws(Diagnostic) in try self.compressor(prefusion) }
        let aligner = try layers(fusion.aligner)

        var builder = FunctionBuilder(.project, parameters: parameters, in: module)
        // A tap may stand in the order more than once; its rows are taken once.
        var rows: [Int: Operand] = [:]
        for tap in Set(fusion.taps).sorted() {
            let input = Operand.value("tap\(tap)")
            rows[tap] =
                fusion.keepsClassToken
                ? input
                : try builder.append("project.tokens\(tap)", .slice(Slice(axis: 0, start: 1, count: grid * grid)), [input])
        }
        var tokens = rows[fusion.taps[0]]!
        if fusion.taps.count > 1 {
            tokens = try builder.append(
                packer == nil ? "mbtf.taps" : "tokenpacker.taps", .concatenate(Concatenate(axis: 1)), fusion.taps.map { rows[$0]! })
        }
        for layer in mbtf { tokens = try append(layer, to: &builder, tokens) }
        if let packer {
            let resize = AverageWindows(height: grid, width: grid, kernel: fusion.kernel, margin: (fusion.kernel - 1) / 2)
            tokens = try append(packer, over: tokens, queriesFrom: rows[packer.configuration.queryTap]!, resize, to: &builder)
        } else if fusion.kernel > 1 {
            tokens =
                fusion.averagesWindow
                ? try builder.append(
                    "stf.pooled", .averageWindows(AverageWindows(height: grid, width: grid, kernel: fusion.kernel)), [tokens])
                : try builder.append(
                    "stf.windows", .gatherWindows(GatherWindows(height: grid, width: grid, kernel: fusion.kernel)), [tokens])
        }
        if let qformer { tokens = try append(qformer, over: tokens, to: &builder) }
        if let windowConvolution { tokens = try append(windowConvolution, to: &builder, tokens) }
        if fusion.tokensPerWindow > 1, let shape = builder.type(of: tokens)?.fixedShape {
            let split = [shape[0] * fusion.tokensPerWindow, shape[1] / fusion.tokensPerWindow]
            tokens = try builder.append("stf.tokens", .reshape(Reshape(shape: split)), [tokens])
        }
        if let compressor {
            let compressed = try append(compressor, over: tokens, grid: grid, to: &builder)
            tokens = try builder.append("compressor.rows", .concatenate(Concatenate(axis: 0)), [tokens, compressed])
        }
        for layer in aligner { tokens = try append(layer, to: &builder, tokens) }
        module.functions.append(builder.finish(returning: [tokens]))
    }

    private struct Layer {
        let name: String
        let weight, bias: Operand
        let activation: ActivationFunction?
    }

    private mutating func layers(_ layers: [ProjectionLayer]) throws(Diagnostic) -> [Layer] {
        var result: [Layer] = []
        for layer in layers { result.append(try self.layer(layer)) }
        return result
    }

    /// A k x k convolution weight [out, in, k, k] read as [out, in*k*k] has its columns in the window vector's channel-major order.
    private mutating func layer(_ layer: ProjectionLayer) throws(Diagnostic) -> Layer {
        Layer(
            name: String(layer.weight.dropLast(".weight".count)),
            weight: try weight(
                layer.weight, from: layer.weight,
                shape: [layer.outputChannels, layer.inputChannels * layer.kernel * layer.kernel]),
            bias: try weight(layer.bias, from: layer.bias), activation: layer.activation?.irFunction)
    }

    private func append(_ layer: Layer, to builder: inout FunctionBuilder, _ input: Operand) throws(Diagnostic) -> Operand {
        let product = try builder.linear(layer.name, input, layer.weight, bias: layer.bias)
        guard let activation = layer.activation else { return product }
        return try builder.append("\(layer.name).activation", .activation(Activation(activation)), [product])
    }
}
