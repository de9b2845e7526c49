import Checkpoint
import IR
import Support

extension Importer {
    /// The weights of a TokenPacker, so that `append` needs no more than the builder.
    struct TokenPacker {
        typealias Linear = (weight: Operand, bias: Operand)
        struct Side {
            let first, second: Linear
            let norm: [Operand]
        }

        let configuration: TokenPackerConfiguration
        let queryProjection: Operand
        let queryNorm: [Operand]
        let key, value: Side
        /// The maps of its attention
        let queryMap, keyMap, valueMap, output: Linear
    }

    mutating func tokenPacker(_ configuration: TokenPackerConfiguration) throws(Diagnostic) -> TokenPacker {
        let width = configuration.width
        let queryProjection = try weight("tokenpacker.query.projection.weight", from: "tokenpacker.q_proj_1.weight")
        let queryNorm = try norm("tokenpacker.query.norm", from: "tokenpacker.ln_q_1")
        let key = try side("key", "k"), value = try side("value", "v")
        let maps = try stackedMaps("tokenpacker.attention", from: "tokenpacker.clip_attn", width: width)
        return TokenPacker(
            configuration: configuration, queryProjection: queryProjection, queryNorm: queryNorm, key: key, value: value, queryMap: maps[0],
            keyMap: maps[1], valueMap: maps[2],
            output: try linear("tokenpacker.attention.output", from: "tokenpacker.clip_attn.out_proj"))
    }

    private mutating func side(_ name: String, _ letter: String) throws(Diagnostic) -> TokenPacker.Side {
        TokenPacker.Side(
            first: try linear("tokenpacker.\(name).linear1", from: "tokenpacker.\(letter)_proj_1.0"),
            second: try linear("tokenpacker.\(name).linear2", from: "tokenpacker.\(letter)_proj_1.2"),
            norm: try norm("tokenpacker.\(name).norm", from: "tokenpacker.ln_\(letter)_1"))
    }

    /// `taps`: side by side, a row per token. `tokens`: those of the tap that the queries are made of, by `resize`. A row per window, from its
    /// query's attention over the window's own tokens, without a residual.
    func append(
        _ packer: TokenPacker, over taps: Operand, queriesFrom tokens: Operand, _ resize: AverageWindows, to builder: inout FunctionBuilder
    ) throws(Diagnostic) -> Operand {
        let configuration = packer.configuration, windows = resize.windows
        let epsilon = LayerNorm(epsilon: configuration.layerNormEpsilon)

        func side(_ name: String, _ side: TokenPacker.Side) throws(Diagnostic) -> Operand {
            let first = try builder.linear("\(name).linear1", taps, side.first.weight, bias: side.first.bias)
            let active = try builder.append("\(name).activation", .activation(Activation(.gelu)), [first])
            let second = try builder.linear("\(name).linear2", active, side.second.weight, bias: side.second.bias)
            return try builder.append("\(name).norm", .layerNorm(epsilon), [second] + side.norm)
        }
        func mapped(_ part: String, _ x: Operand, _ map: TokenPacker.Linear) throws(Diagnostic) -> Operand {
            try builder.linear("tokenpacker.attention.\(part)", x, map.weight, bias: map.bias)
        }
        let key = try side("tokenpacker.key", packer.key)
        let value = try side("tokenpacker.value", packer.value)
        let resized = try builder.append("tokenpacker.query.tokens", .averageWindows(resize), [tokens])
        let projected = try builder.linear("tokenpacker.query.projection", resized, packer.queryProjection)
        let query = try builder.append("tokenpacker.query.norm", .layerNorm(epsilon), [projected] + packer.queryNorm)
        let attention = WindowAttention(
            heads: configuration.headCount, scale: 1 / Float(configuration.headSize).squareRoot(), height: windows.height,
            width: windows.width, kernel: windows.kernel)
        let operands = [
            try mapped("query", query, packer.queryMap), try mapped("key", key, packer.keyMap), try mapped("value", value, packer.valueMap),
        ]
        let mixed = try builder.append("tokenpacker.attention", .windowAttention(attention), operands)
        return try mapped("output", mixed, packer.output)
    }
}
