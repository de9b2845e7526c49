import Checkpoint
import IR
import Support

extension Module {
    /// YOPO: no row leaves, but vision rows see their window of the image alone, are seen in some heads and blocks alone, and have fewer
    /// channels in the MLP. Text and vision rows are two streams of `step`, whose products read the same weights; `decode` has the text's
    /// alone.
    func reducedByYOPO(_ keys: TokenReduction.YOPO, _ configuration: ModelConfiguration) throws(Diagnostic) -> Module {
        guard let vision = configuration.vision, let fusion = configuration.fusion else {
            throw .error("\(quoted(configuration.name)) has no vision rows")
        }
        let decoder = configuration.decoder
        guard let heads = keys.heads, let layers = keys.layers, let window = keys.window, let ffn = keys.ffn else {
            throw .error("'yopo' is not told what to cut")
        }
        let cuts = Cuts(
            mask: try HeadMask(path: heads, blocks: decoder.layerCount, heads: decoder.headCount), layers: layers,
            channels: Int(Double(decoder.intermediateSize) / ffn), leaves: keys.softmax == .kept)
        var parts = try BlockParts(self, cuts, decoder)
        var blocks: [DividedBlock] = []
        for layer in 0..<decoder.layerCount { blocks.append(try parts.block(layer)) }
        var rewriter = try StreamRewriter(parts.module)
        return try rewriter.run(blocks, window: window, side: vision.grid / fusion.kernel)
    }
}

/// What is cut of the work for vision rows.
private struct Cuts {
    /// In which heads they are seen
    var mask: HeadMask
    /// From this block on nothing sees them.
    var layers: Int
    /// They have the first ones of the MLP.
    var channels: Int
    /// Whether what is cut leaves the softmax.
    var leaves: Bool
}

/// Some heads of a block's attention, with keys and values in caches of their own.
struct DividedHeads {
    /// What their operations are named with, in the block
    var name: String
    var attention: Attention
    var query, key, value, output: Operand
    var keyCache, valueCache, lengths: Operand
    /// Whether vision rows have keys here.
    var seesVision: Bool
    /// Whether vision rows attend in each head.
    var attends: [Bool]
    /// Whether the values of vision rows count in each key head.
    var counts: [Bool]
}

/// Some channels of a block's MLP.
struct DividedChannels {
    var name: String
    var gate, up, down: Operand
    /// Whether vision rows have them too.
    var takesVision: Bool
}

struct DividedBlock {
    var layer: Int
    var heads: [DividedHeads]
    var channels: [DividedChannels]
    /// Whether a later block reads its vision rows.
    var passesVision: Bool
}

/// The weights and caches that blocks are divided into.
private struct BlockParts {
    private(set) var module: Module
    private let cuts: Cuts
    private let decoder: DecoderConfiguration
    private let operations: [String: Operation]

    init(_ module: Module, _ cuts: Cuts, _ decoder: DecoderConfiguration) throws(Diagnostic) {
        guard let step = module.function(.step) else { throw .error("the module has no 'step' to divide") }
        (self.module, self.cuts, self.decoder) = (module, cuts, decoder)
        operations = Dictionary(uniqueKeysWithValues: step.operations.map { ($0.name, $0) })
    }

    private func operation(_ name: String) throws(Diagnostic) -> Operation {
        guard let operation = operations[name] else { throw .error("'step' has no such operation", at: .operation(name)) }
        return operation
    }

    private func weight(_ name: String) throws(Diagnostic) -> Operand { try operation(name).operands[1] }

    mutating func block(_ layer: Int) throws(Diagnostic) -> DividedBlock {
        let (leaves, seesVision) = (cuts.leaves, !cuts.leaves || layer < cuts.layers)
        let passesVision = layer + 1 < (leaves ? min(cuts.layers, decoder.layerCount) : decoder.layerCount)
        return DividedBlock(
            layer: layer, heads: leaves && seesVision ? try keptHeads(layer) : [try allHeads(layer, seesVision)],
            channels: try channels(layer, passesVision), passesVision: passesVision)
    }

    // MARK: - heads

    /// All heads as they are, but that key heads are repeated for their query heads where the mask divides these.
    private mutating func allHeads(_ layer: Int, _ seesVision: Bool) throws(Diagnostic) -> DividedHeads {
        let mask = cuts.mask.blocks[layer], counted = layer < cuts.layers ? mask : mask.map { _ in false }
        let all = Array(0..<decoder.headCount), group = decoder.headCount / decoder.keyValueHeadCount
        let isWhole = !seesVision || (0..<decoder.keyValueHeadCount).allSatisfy { Set(counted[$0 * group..<($0 + 1) * group]).count == 1 }
        let keyHeads = isWhole ? Array(0..<decoder.keyValueHeadCount) : all.map { $0 / group }
        let counts = isWhole ? keyHeads.map { counted[$0 * group] } : counted
        return try heads(layer, "", all, keyHeads, seesVision: seesVision, attends: mask, counts: counts)
    }

    /// Those that look at the image, with all rows, and the others, with rows of text alone.
    private mutating func keptHeads(_ layer: Int) throws(Diagnostic) -> [DividedHeads] {
        let mask = cuts.mask.blocks[layer], group = decoder.headCount / decoder.keyValueHeadCount
        let isWhole = (0..<decoder.keyValueHeadCount).allSatisfy { Set(mask[$0 * group..<($0 + 1) * group]).count == 1 }
        var parts: [DividedHeads] = []
        for isKept in [true, false] {
            let own = mask.indices.filter { mask[$0] == isKept }
            if own.isEmpty { continue }
            let keyHeads = own.filter { !isWhole || $0 % group == 0 }.map { $0 / group }
            let name = own.count == mask.count ? "" : isKept ? "seeing." : "blind."
            let ones = { (list: [Int]) in list.map { _ in true } }
            parts.append(
                try heads(layer, name, own, keyHeads, seesVision: isKept, attends: ones(own), counts: ones(keyHeads)))
        }
        return parts
    }

    private mutating func heads(
        _ layer: Int, _ name: String, _ own: [Int], _ keyHeads: [Int], seesVision: Bool, attends: [Bool], counts: [Bool]
    ) throws(Diagnostic) -> DividedHeads {
        let block = "decoder.layer\(layer)", size = decoder.headSize
        guard case .attention(let attention) = try operation("\(block).attention").op else {
            throw .error("'\(block)' has no attention", at: .operation(block))
        }
        // The caches of a block's second heads come behind those of all blocks.
        let stem = name == "blind." ? "\(block).blind." : "\(block)."
        let context = module.states["\(block).key_cache"]?.shape ?? []
        guard context.count == 3 else { throw .error("'\(block)' has no caches", at: .operation(block)) }
        for cache in ["lengths", "key_cache", "value_cache"] {
            module.states[stem + cache] =
                cache == "lengths"
                ? TensorType(.int32, [context[0]]) : TensorType(.float32, [context[0], context[1], .fixed(keyHeads.count * size)])
        }
        func columns(_ heads: [Int]) -> [Range<Int>] { heads.map { $0 * size..<($0 + 1) * size } }
        return DividedHeads(
            name: name,
            attention: Attention(
                heads: own.count, keyValueHeads: keyHeads.count, scale: attention.scale, products: attention.products, isCached: true),
            query: try rows(of: weight("\(block).attention.query"), columns(own), name),
            key: try rows(of: weight("\(block).attention.key"), columns(keyHeads), name),
            value: try rows(of: weight("\(block).attention.value"), columns(keyHeads), name),
            output: try rows(of: weight("\(block).attention.output"), columns(own), name, axis: 1),
            keyCache: .state(stem + "key_cache"), valueCache: .state(stem + "value_cache"), lengths: .state(stem + "lengths"),
            seesVision: seesVision, attends: attends, counts: counts)
    }

    // MARK: - channels

    private mutating func channels(_ layer: Int, _ passesVision: Bool) throws(Diagnostic) -> [DividedChannels] {
        let all = decoder.intermediateSize, narrow = passesVision ? min(all, cuts.channels) : all
        var parts: [DividedChannels] = []
        for (name, range) in [(narrow < all ? "narrow." : "", 0..<narrow), ("rest.", narrow..<all)] where !range.isEmpty {
            let mlp = "decoder.layer\(layer).mlp"
            parts.append(
                DividedChannels(
                    name: name, gate: try rows(of: weight("\(mlp).gate"), [range], name),
                    up: try rows(of: weight("\(mlp).up"), [range], name),
                    down: try rows(of: weight("\(mlp).down"), [range], name, axis: 1),
                    takesVision: passesVision && range.upperBound <= narrow))
        }
        return parts
    }

    // MARK: - weights

    /// A weight of rows of another, or of columns with axis 1; all of them in their order are the other itself.
    private mutating func rows(
        of weight: Operand, _ ranges: [Range<Int>], _ name: String, axis: Int = 0
    ) throws(Diagnostic) -> Operand {
        guard let source = module.weights[weight.name], let shape = source.type.fixedShape, shape.count == 2 else {
            throw .error("'\(weight)' is no matrix", at: .operation("\(weight)"))
        }
        var runs: [Range<Int>] = []
        for range in ranges {
            if let last = runs.last, last.upperBound == range.lowerBound {
                runs[runs.count - 1] = last.lowerBound..<range.upperBound
            } else {
                runs.append(range)
            }
        }
        if runs == [0..<shape[axis]] { return weight }
        // decoder.layer3.attention.seeing.query.weight
        var parts = weight.name.split(separator: ".").map(String.init)
        parts.insert(name.isEmpty ? "repeated" : String(name.dropLast()), at: max(0, parts.count - 2))
        let part = parts.joined(separator: ".")
        var definition = DefinitionBuilder(part, in: module)
        var slices: [Operand] = []
        for (index, run) in runs.enumerated() {
            slices.append(
                try definition.append("part\(index)", .slice(Slice(axis: axis, start: run.lowerBound, count: run.count)), [weight]))
        }
        if slices.count > 1 { _ = try definition.append("all", .concatenate(Concatenate(axis: axis)), slices) }
        guard let type = definition.operations.last?.type else { return weight }
        module.weights[part] = Weight(type: type, definition: .folded(definition.operations), role: source.role)
        return .weight(part)
    }
}
