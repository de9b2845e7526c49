import Checkpoint
import IR
import Support

extension Importer {
    /// The weights of a Q-Former, so that `append` needs no more than the builder.
    struct QFormer {
        typealias Linear = (weight: Operand, bias: Operand)
        struct Attention {
            let query, key, value, output: Linear
            let norm: [Operand]
        }
        struct Layer {
            let selfAttention: Attention
            let crossAttention: Attention?
            let up, down: Linear
            let norm: [Operand]
        }

        let configuration: QFormerConfiguration
        let queries: Operand
        let norm: [Operand]
        let layers: [Layer]
    }

    mutating func qformer(_ configuration: QFormerConfiguration) throws(Diagnostic) -> QFormer {
        let queries = try weight(
            "qformer.queries", from: "qformer.query_tokens", shape: [configuration.queries, configuration.hiddenSize])
        let norm = try norm("qformer.norm", from: "qformer.layernorm")
        var layers: [QFormer.Layer] = []
        for index in 0..<configuration.layerCount {
            let (name, source) = ("qformer.layer\(index)", "qformer.encoder.layer.\(index)")
            layers.append(
                QFormer.Layer(
                    selfAttention: try attention("\(name).attention", from: "\(source).attention"),
                    crossAttention: configuration.hasCrossAttention(layer: index)
                        ? try attention("\(name).cross", from: "\(source).crossattention") : nil,
                    up: try linear("\(name).mlp.up", from: "\(source).intermediate_query.dense"),
                    down: try linear("\(name).mlp.down", from: "\(source).output_query.dense"),
                    norm: try self.norm("\(name).mlp.norm", from: "\(source).output_query.LayerNorm")))
        }
        return QFormer(configuration: configuration, queries: queries, norm: norm, layers: layers)
    }

    private mutating func attention(_ name: String, from source: String) throws(Diagnostic) -> QFormer.Attention {
        QFormer.Attention(
            query: try linear("\(name).query", from: "\(source).attention.query"),
            key: try linear("\(name).key", from: "\(source).attention.key"),
            value: try linear("\(name).value", from: "\(source).attention.value"),
            output: try linear("\(name).output", from: "\(source).output.dense"),
            norm: try norm("\(name).norm", from: "\(source).output.LayerNorm"))
    }

    /// `Blip2QFormerModel` on the learned queries: in each layer self attention, cross attention over `tokens` where the layer has
    /// it, and a GELU network, each with its norm after the residual.
    func append(_ qformer: QFormer, over tokens: Operand, to builder: inout FunctionBuilder) throws(Diagnostic) -> Operand {
        let configuration = qformer.configuration
        let epsilon = LayerNorm(epsilon: configuration.layerNormEpsilon)
        let heads = Attention(
            heads: configuration.headCount, keyValueHeads: configuration.headCount, scale: 1 / Float(configuration.headSize).squareRoot())

        func residual(_ name: String, _ x: Operand, _ input: Operand, _ norm: [Operand]) throws(Diagnostic) -> Operand {
            let sum = try builder.append("\(name).residual", .add(Add()), [x, input])
            return try builder.append("\(name).norm", .layerNorm(epsilon), [sum] + norm)
        }
        func attend(_ name: String, _ layer: QFormer.Attention, _ x: Operand, to keys: Operand) throws(Diagnostic) -> Operand {
            let query = try builder.linear("\(name).query", x, layer.query.weight, bias: layer.query.bias)
            let key = try builder.linear("\(name).key", keys, layer.key.weight, bias: layer.key.bias)
            let value = try builder.linear("\(name).value", keys, layer.value.weight, bias: layer.value.bias)
            let mixed = try builder.append(name, .attention(heads), [query, key, value])
            let output = try builder.linear("\(name).output", mixed, layer.output.weight, bias: layer.output.bias)
            return try residual(name, output, x, layer.norm)
        }
        var x = try builder.append("qformer.norm", .layerNorm(epsilon), [qformer.queries] + qformer.norm)
        for (index, layer) in qformer.layers.enumerated() {
            let name = "qformer.layer\(index)"
            x = try attend("\(name).attention", layer.selfAttention, x, to: x)
            if let cross = layer.crossAttention { x = try attend("\(name).cross", cross, x, to: tokens) }
            let up = try builder.linear("\(name).mlp.up", x, layer.up.weight, bias: layer.up.bias)
            let active = try builder.append("\(name).mlp.activation", .activation(Activation(.gelu)), [up])
            let down = try builder.linear("\(name).mlp.down", active, layer.down.weight, bias: layer.down.bias)
            x = try residual("\(name).mlp", down, x, layer.norm)
        }
        return x
    }
}
