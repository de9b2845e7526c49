import Checkpoint
import IR
import Support

extension Importer {
    /// The weights of LLaVA-Mini's compressor, so that `append` needs no more than the builder.
    struct Compressor {
        typealias Linear = (weight: Operand, bias: Operand)

        let configuration: PrefusionConfiguration
        let queries, positions: Operand
        let queryNorm, keyNorm: [Operand]
        /// The maps of its attention
        let queryMap, keyMap, valueMap, output: Linear
    }

    mutating func compressor(_ configuration: PrefusionConfiguration) throws(Diagnostic) -> Compressor {
        let maps = try stackedMaps("compressor.attention", from: "compressor.attn", width: configuration.width)
        return Compressor(
            configuration: configuration, queries: try weight("compressor.queries", from: "compressor.query"),
            positions: try weight("compressor.positions", from: "compressor.pos_embed"),
            queryNorm: try norm("compressor.query.norm", from: "compressor.ln_q"),
            keyNorm: try norm("compressor.key.norm", from: "compressor.ln_kv"), queryMap: maps[0], keyMap: maps[1], valueMap: maps[2],
            output: try linear("compressor.attention.output", from: "compressor.attn.out_proj"))
    }

    /// A row per learned query, from its attention over `patches`, a row for each cell of a grid of `grid` x `grid`. Positions are added to
    /// queries and, resized to that grid, to keys.
    func append(
        _ compressor: Compressor, over patches: Operand, grid: Int, to builder: inout FunctionBuilder
    ) throws(Diagnostic) -> Operand {
        let configuration = compressor.configuration
        let epsilon = LayerNorm(epsilon: configuration.layerNormEpsilon)
        func mapped(_ part: String, _ x: Operand, _ map: Compressor.Linear) throws(Diagnostic) -> Operand {
            try builder.linear("compressor.attention.\(part)", x, map.weight, bias: map.bias)
        }
        let queryNorm = try builder.append("compressor.query.norm", .layerNorm(epsilon), [compressor.queries] + compressor.queryNorm)
        let query = try builder.append("compressor.query", .add(Add()), [queryNorm, compressor.positions])
        let value = try builder.append("compressor.key.norm", .layerNorm(epsilon), [patches] + compressor.keyNorm)
        let resized = try builder.append("compressor.key.positions", .resizeGrid(ResizeGrid(to: grid)), [compressor.positions])
        let key = try builder.append("compressor.key", .add(Add()), [value, resized])
        let attention = Attention(
            heads: configuration.headCount, keyValueHeads: configuration.headCount, scale: 1 / Float(configuration.headSize).squareRoot())
        let operands = [
            try mapped("query", query, compressor.queryMap), try mapped("key", key, compressor.keyMap),
            try mapped("value", value, compressor.valueMap),
        ]
        let mixed = try builder.append("compressor.attention", .attention(attention), operands)
        return try mapped("output", mixed, compressor.output)
    }
}
