import Checkpoint
import IR
import Support

extension Importer {
    /// CLIP's vision tower: `vision(image u8[S, S, 3])` returns the distinct taps in ascending order, each with its class token in row 0.
    /// Blocks are numbered from 1, so that tap l is the output of block l; tap 0 is the pre-layernorm's.
    /// Every block that the checkpoint has is imported, needed or not.
    mutating func addVision(
        _ vision: VisionConfiguration, taps: [Int], _ preprocessing: PreprocessingConfiguration
    ) throws(Diagnostic) {
        let (size, width) = (vision.imageSize, vision.hiddenSize)
        let patchWidth = 3 * vision.patchSize * vision.patchSize
        let patchWeight = try weight(
            "vision.patch_embedding.weight", from: "vision.embeddings.patch_embedding.weight", shape: [width, patchWidth])
        let classToken = try weight("vision.class_token", from: "vision.embeddings.class_embedding", shape: [1, width])
        let positions = try weight("vision.positions", from: "vision.embeddings.position_embedding.weight")
        let preNorm = try norm("vision.pre_layernorm", from: "vision.pre_layernorm")
        var blocks: [Block] = []
        while has("vision.layers.\(blocks.count).layer_norm1.weight") { blocks.append(try block(blocks.count)) }
        let postNorm = has("vision.post_layernorm.weight") ? try norm("vision.post_layernorm", from: "vision.post_layernorm") : nil

        let epsilon = LayerNorm(epsilon: vision.layerNormEpsilon)
        var builder = FunctionBuilder(
            .vision, parameters: [Parameter(.image, type: TensorType(.uint8, fixed: [size, size, 3]))], in: module)
        let pixels = try builder.append(
            "vision.pixels", .normalize(Normalize(mean: preprocessing.mean, std: preprocessing.std)), [.region(.image)])
        let patches = try builder.append("vision.patches", .extractPatches(ExtractPatches(patch: vision.patchSize)), [pixels])
        let embedded = try builder.linear("vision.patch_embedding", patches, patchWeight)
        let tokens = try builder.append("vision.tokens", .concatenate(Concatenate(axis: 0)), [classToken, embedded])
        let placed = try builder.append("vision.embedding", .add(Add()), [tokens, positions])
        var hidden = try builder.append("vision.pre_layernorm", .layerNorm(epsilon), [placed] + preNorm)
        var states = [hidden]
        for (index, block) in blocks.enumerated() {
            hidden = try append(block, to: &builder, "vision.block\(index + 1)", hidden, vision, epsilon)
            states.append(hidden)
        }
        if let postNorm {
            let pooled = try builder.append("vision.pooled", .slice(Slice(axis: 0, start: 0, count: 1)), [hidden])
            try builder.append("vision.post_layernorm", .layerNorm(epsilon), [pooled] + postNorm)
        }
        module.functions.append(builder.finish(returning: Set(taps).sorted().map { states[$0] }))
    }

    private struct Block {
        let norm1, norm2: [Operand]
        let query, key, value, output, up, down: (weight: Operand, bias: Operand)
    }

    mutating func norm(_ name: String, from canonical: String) throws(Diagnostic) -> [Operand] {
        [try weight("\(name).scale", from: "\(canonical).weight"), try weight("\(name).bias", from: "\(canonical).bias")]
    }

    mutating func linear(_ name: String, from canonical: String) throws(Diagnostic) -> (weight: Operand, bias: Operand) {
        (try weight("\(name).weight", from: "\(canonical).weight"), try weight("\(name).bias", from: "\(canonical).bias"))
    }

    private mutating func block(_ index: Int) throws(Diagnostic) -> Block {
        let (name, layer) = ("vision.block\(index + 1)", "vision.layers.\(index)")
        return Block(
            norm1: try norm("\(name).attention.norm", from: "\(layer).layer_norm1"),
            norm2: try norm("\(name).mlp.norm", from: "\(layer).layer_norm2"),
            query: try linear("\(name).attention.query", from: "\(layer).self_attn.q_proj"),
            key: try linear("\(name).attention.key", from: "\(layer).self_attn.k_proj"),
            value: try linear("\(name).attention.value", from: "\(layer).self_attn.v_proj"),
            output: try linear("\(name).attention.output", from: "\(layer).self_attn.out_proj"),
            up: try linear("\(name).mlp.up", from: "\(layer).mlp.fc1"),
            down: try linear("\(name).mlp.down", from: "\(layer).mlp.fc2"))
    }

    private func append(
        _ block: Block, to builder: inout FunctionBuilder, _ name: String, _ input: Operand, _ vision: VisionConfiguration,
        _ epsilon: LayerNorm
    ) throws(Diagnostic) -> Operand {
        let attention = Attention(
            heads: vision.headCount, keyValueHeads: vision.headCount, scale: 1 / Float(vision.headSize).squareRoot())
        let normed = try builder.append("\(name).attention.norm", .layerNorm(epsilon), [input] + block.norm1)
        let query = try builder.linear("\(name).attention.query", normed, block.query.weight, bias: block.query.bias)
        let key = try builder.linear("\(name).attention.key", normed, block.key.weight, bias: block.key.bias)
        let value = try builder.linear("\(name).attention.value", normed, block.value.weight, bias: block.value.bias)
        let mixed = try builder.append("\(name).attention", .attention(attention), [query, key, value])
        let output = try builder.linear("\(name).attention.output", mixed, block.output.weight, bias: block.output.bias)
        let middle = try builder.append("\(name).attention.residual", .add(Add()), [output, input])
        let normed2 = try builder.append("\(name).mlp.norm", .layerNorm(epsilon), [middle] + block.norm2)
        let up = try builder.linear("\(name).mlp.up", normed2, block.up.weight, bias: block.up.bias)
        let active = try builder.append(
            "\(name).mlp.activation", .activation(Activation(vision.activation.irFunction)), [up])
        let down = try builder.linear("\(name).mlp.down", active, block.down.weight, bias: block.down.bias)
        return try builder.append("\(name).output", .add(Add()), [down, middle])
    }
}
