import Checkpoint
import IR
import Support

/// What a weight is beside the tensor that the checkpoint stores for it.
struct Derivation {
    /// How many heads the stored rows have, when a GGUF file has the pairs of the rotary embedding next to each other.
    var interleavedHeads: Int?
    /// A LoRA adapter's tensors A [rank, in] and B [out, rank], and what their product is scaled by. It is B A, of an embedding its transpose.
    var update: (down: SourceTensor, up: SourceTensor, scale: Float, isEmbedding: Bool)?

    var isNothing: Bool { interleavedHeads == nil && update == nil }
}

extension Importer {
    /// The definition of weight `name` over the stored tensors, whose weights are made beside it. Nothing is evaluated here.
    mutating func define(
        _ name: String, _ source: SourceTensor, _ type: TensorType, _ role: WeightRole, _ derivation: Derivation
    ) throws(Diagnostic) {
        module.weights["\(name).stored"] = Weight(type: type, definition: .source(source), role: role)
        if let update = derivation.update {
            for (part, source) in [("down", update.down), ("up", update.up)] {
                module.weights["\(name).\(part)"] = Weight(
                    type: TensorType(.float32, source.type.shape), definition: .source(source), role: role)
            }
        }
        var chain = DefinitionBuilder(name, in: module)
        var value = Operand.weight("\(name).stored")
        if let heads = derivation.interleavedHeads, let shape = type.fixedShape {
            // Row 2i + j of a head is row i + j * half of the half-split layout.
            let pairs = try chain.append("pairs", .reshape(Reshape(shape: [heads, shape[0] / heads / 2, 2, shape[1]])), [value])
            let halves = try chain.append("halves", .transpose(Transpose(permutation: [0, 2, 1, 3])), [pairs])
            value = try chain.append("split", .reshape(Reshape(shape: shape)), [halves])
        }
        if let update = derivation.update {
            let (down, up) = (Operand.weight("\(name).down"), Operand.weight("\(name).up"))
            // A product takes its second operand's rows: B (A^T)^T, or A^T B^T.
            let columns = try chain.append("columns", .transpose(Transpose(permutation: [1, 0])), [down])
            let product = try chain.append("product", .matmul(Matmul()), update.isEmbedding ? [columns, up] : [up, columns])
            let scaled = try chain.append("update", .scale(Scale(factor: update.scale)), [product])
            value = try chain.append("merged", .add(Add()), [value, scaled])
        }
        module.weights[name] = Weight(type: type, definition: .folded(chain.operations), role: role)
    }

    /// The weight `name`: `count` rows of another from row `start` on. Torch keeps the maps of query, key and value in one tensor.
    mutating func rows(_ name: String, of weight: Operand, from start: Int, count: Int) throws(Diagnostic) -> Operand {
        var chain = DefinitionBuilder(name, in: module)
        _ = try chain.append("rows", .slice(Slice(axis: 0, start: start, count: count)), [weight])
        if let type = chain.operations[0].type { module.weights[name] = Weight(type: type, definition: .folded(chain.operations)) }
        return .weight(name)
    }

    /// The maps of query, key and value of an attention of torch, each of `width` rows of `in_proj_weight` and `in_proj_bias`.
    mutating func stackedMaps(
        _ name: String, from canonical: String, width: Int
    ) throws(Diagnostic) -> [(weight: Operand, bias: Operand)] {
        let weight = try weight("\(name).in.weight", from: "\(canonical).in_proj_weight")
        let bias = try self.weight("\(name).in.bias", from: "\(canonical).in_proj_bias")
        var maps: [(weight: Operand, bias: Operand)] = []
        for (index, part) in ["query", "key", "value"].enumerated() {
            maps.append(
                (
                    try rows("\(name).\(part).weight", of: weight, from: index * width, count: width),
                    try rows("\(name).\(part).bias", of: bias, from: index * width, count: width)
                ))
        }
        return maps
    }
}
