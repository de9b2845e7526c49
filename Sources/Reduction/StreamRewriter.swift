import IR
import Support

/// Makes `step` anew with two streams through its blocks, one of text rows and one of vision rows.
struct StreamRewriter {
    private let module: Module
    private let step: Function
    private let operations: [String: Operation]
    private var builder: FunctionBuilder

    /// The rows of one kind: the list of them, what a call gives of each, and the residual stream.
    private struct Stream {
        var list, slots, positions, rows: Operand
    }

    /// `module`: with the weights and the caches of divided blocks.
    init(_ module: Module) throws(Diagnostic) {
        guard let step = module.function(.step), let rows = step.parameters.first?.type.shape.first?.bound else {
            throw .error("the module has no 'step' to divide")
        }
        var module = module
        for kind in SplitRows.Kind.allCases { _ = module.declare(Self.count(kind), bound: rows) }
        self.module = module
        self.step = step
        operations = Dictionary(uniqueKeysWithValues: step.operations.map { ($0.name, $0) })
        builder = FunctionBuilder(.step, parameters: step.parameters, in: module)
    }

    private static func count(_ kind: SplitRows.Kind) -> String { kind == .text ? "X" : "W" }

    /// `side`: patches along an edge of a grid.
    mutating func run(_ blocks: [DividedBlock], window: Int, side: Int) throws(Diagnostic) -> Module {
        let embedded = "decoder.tokens"
        let tokens = try copy(embedded, operation(embedded).operands)
        var text = try stream(.text, of: tokens)
        var vision = try stream(.vision, of: tokens)
        for block in blocks {
            let own = PatchWindow(window: window, side: side)
            try append(block, &text, &vision, own)
        }
        var normOperands = try operation("decoder.norm").operands
        normOperands[0] = text.rows
        let normed = try copy("decoder.norm", normOperands)
        let wanted = try builder.append("yopo.wanted", .findRows(FindRows()), [text.list, .region(.wanted)])
        let rows = try copy("decoder.wanted", [normed, wanted])
        var headOperands = try operation("decoder.logits").operands
        headOperands[0] = rows
        let logits = try copy("decoder.logits", headOperands)
        var module = module
        guard let index = module.functions.firstIndex(where: { $0.name == step.name }) else { return module }
        module.functions[index] = builder.finish(returning: [logits])
        try module.verify(after: "token reduction")
        return module
    }

    private struct PatchWindow {
        let window, side: Int
    }

    private func operation(_ name: String) throws(Diagnostic) -> Operation {
        guard let operation = operations[name] else { throw .error("'step' has no such operation", at: .operation(name)) }
        return operation
    }

    /// An imported operation, on other operands and perhaps under another name.
    private mutating func copy(_ name: String, as other: String? = nil, _ operands: [Operand]) throws(Diagnostic) -> Operand {
        try builder.append(other ?? name, try operation(name).op, operands)
    }

    private mutating func linear(_ name: String, _ x: Operand, _ weight: Operand) throws(Diagnostic) -> Operand {
        try builder.append(name, .matmul(Matmul()), [x, weight])
    }

    private mutating func stream(_ kind: SplitRows.Kind, of tokens: Operand) throws(Diagnostic) -> Stream {
        let name = "yopo.\(kind.rawValue)"
        let list = try builder.append(
            name, .splitRows(SplitRows(kind, count: Self.count(kind))), [.region(.tokens), .region(.slots)])
        func rows(_ part: String, of value: Operand) throws(Diagnostic) -> Operand {
            try builder.append("\(name).\(part)", .gatherRows(GatherRows()), [value, list])
        }
        return Stream(
            list: list, slots: try rows("slots", of: .region(.slots)), positions: try rows("positions", of: .region(.positions)),
            rows: try rows("rows", of: tokens))
    }

    /// A block's norm of a stream.
    private mutating func norm(_ imported: String, as name: String, _ x: Operand) throws(Diagnostic) -> Operand {
        var operands = try operation(imported).operands
        operands[0] = x
        return try copy(imported, as: name, operands)
    }

    // MARK: - a block

    /// Rotated queries and keys, and values, of a stream's rows in some heads. Vision rows may have no queries.
    private struct Projected {
        var query: Operand?
        var key, value: Operand
    }

    private mutating func append(
        _ block: DividedBlock, _ text: inout Stream, _ vision: inout Stream, _ window: PatchWindow
    ) throws(Diagnostic) {
        let name = "decoder.layer\(block.layer)"
        let words = try norm("\(name).attention.norm", as: "\(name).attention.norm", text.rows)
        let patches: Operand? =
            block.heads.contains(where: \.seesVision)
            ? try norm("\(name).attention.norm", as: "\(name).vision.attention.norm", vision.rows) : nil
        for heads in block.heads {
            let places = try reserve(heads, name, text, vision)
            let own = try projectText(heads, block, words, text)
            try store(own, heads, "\(name).attention.\(heads.name)", text, places.text)
            var seen: Operand?
            if let patches, let visionPlaces = places.vision {
                let image = try projectVision(heads, block, patches, vision)
                try store(image, heads, "\(name).vision.attention.\(heads.name)", vision, visionPlaces)
                seen = try attend(image, own, heads, name, vision, text, window)
            }
            guard let query = own.query else { continue }
            let mixed = try builder.append(
                name + ".attention" + (heads.name.isEmpty ? "" : ".\(heads.name.dropLast())"), .attention(heads.attention),
                [query, heads.keyCache, heads.valueCache, text.slots, places.text])
            text.rows = try add("\(name).attention.\(heads.name)", mixed, heads.output, to: text.rows)
            if let seen { vision.rows = try add("\(name).vision.attention.\(heads.name)", seen, heads.output, to: vision.rows) }
        }
        try feed(.text, block, &text)
        if block.passesVision { try feed(.vision, block, &vision) }
    }

    /// The places of both kinds of rows in the caches of some heads.
    private mutating func reserve(
        _ heads: DividedHeads, _ block: String, _ text: Stream, _ vision: Stream
    ) throws(Diagnostic) -> (text: Operand, vision: Operand?) {
        let name = "\(block).attention.\(heads.name)places"
        guard heads.seesVision else { return (try builder.append(name, .reserve(Reserve()), [heads.lengths, text.slots]), nil) }
        let all = try builder.append(name, .reserve(Reserve()), [heads.lengths, .region(.slots)])
        return (
            try builder.append(name + ".text", .gatherRows(GatherRows()), [all, text.list]),
            try builder.append(name + ".vision", .gatherRows(GatherRows()), [all, vision.list])
        )
    }

    /// Products that vision rows have too stand side by side for both, and the others apart, so that what is merged of their weights is the
    /// same.
    private mutating func projectText(
        _ heads: DividedHeads, _ block: DividedBlock, _ x: Operand, _ stream: Stream
    ) throws(Diagnostic) -> Projected {
        let name = "decoder.layer\(block.layer).attention.", part = name + heads.name
        let product = try linear(part + "query", x, heads.query)
        var query: Operand?
        if heads.seesVision, !heads.hasQueries(in: block) { query = try rotate(part + "query", product, stream, block) }
        let keyProduct = try linear(part + "key", x, heads.key)
        var key: Operand?
        if heads.seesVision, !heads.hasValues { key = try rotate(part + "key", keyProduct, stream, block) }
        let value = try linear(part + "value", x, heads.value)
        if query == nil { query = try rotate(part + "query", product, stream, block) }
        let turnedKey: Operand
        if let key { turnedKey = key } else { turnedKey = try rotate(part + "key", keyProduct, stream, block) }
        return Projected(query: query, key: turnedKey, value: value)
    }

    private mutating func projectVision(
        _ heads: DividedHeads, _ block: DividedBlock, _ x: Operand, _ stream: Stream
    ) throws(Diagnostic) -> Projected {
        let part = "decoder.layer\(block.layer).vision.attention.\(heads.name)", hasQueries = heads.hasQueries(in: block)
        let query = hasQueries ? try linear(part + "query", x, heads.query) : nil
        let key = try linear(part + "key", x, heads.key)
        // Where no value counts, any table of their size is masked.
        let value = heads.hasValues ? try linear(part + "value", x, heads.value) : key
        var turned: Operand?
        if let query { turned = try rotate(part + "query", query, stream, block) }
        let masked =
            heads.counts.contains(false)
            ? try builder.append(part + "value.masked", .maskHeads(MaskHeads(mask: heads.counts)), [value]) : value
        return Projected(query: turned, key: try rotate(part + "key", key, stream, block), value: masked)
    }

    private mutating func rotate(_ name: String, _ x: Operand, _ stream: Stream, _ block: DividedBlock) throws(Diagnostic) -> Operand {
        try copy("decoder.layer\(block.layer).attention.query.rotary", as: name + ".rotary", [x, stream.positions])
    }

    private mutating func store(
        _ rows: Projected, _ heads: DividedHeads, _ part: String, _ stream: Stream, _ places: Operand
    ) throws(Diagnostic) {
        try builder.append(part + "key.store", .cacheStore(CacheStore()), [heads.keyCache, rows.key, stream.slots, places])
        try builder.append(part + "value.store", .cacheStore(CacheStore()), [heads.valueCache, rows.value, stream.slots, places])
    }

    /// What vision rows attend to; nil where no later block asks for it.
    private mutating func attend(
        _ image: Projected, _ words: Projected, _ heads: DividedHeads, _ block: String, _ vision: Stream, _ text: Stream,
        _ window: PatchWindow
    ) throws(Diagnostic) -> Operand? {
        guard let query = image.query else { return nil }
        let attention = PatchAttention(
            mask: heads.attends, keyValueHeads: heads.attention.keyValueHeads, scale: heads.attention.scale, window: window.window,
            side: window.side)
        return try builder.append(
            block + ".vision.attention" + (heads.name.isEmpty ? "" : ".\(heads.name.dropLast())"), .patchAttention(attention),
            [query, image.key, image.value, vision.list, vision.slots, words.key, words.value, text.list, text.slots])
    }

    /// The residual stream with the product of `x`.
    private mutating func add(_ part: String, _ x: Operand, _ weight: Operand, to rows: Operand) throws(Diagnostic) -> Operand {
        try builder.append(part + "residual", .add(Add()), [try linear(part + "output", x, weight), rows])
    }

    private mutating func feed(_ kind: SplitRows.Kind, _ block: DividedBlock, _ stream: inout Stream) throws(Diagnostic) {
        let name = "decoder.layer\(block.layer)", stem = kind == .text ? "\(name)." : "\(name).vision."
        let own = block.channels.filter { kind == .text || $0.takesVision }
        guard let last = own.last else { return }
        let normed = try norm("\(name).mlp.norm", as: stem + "mlp.norm", stream.rows)
        for channels in own {
            let part = stem + "mlp." + channels.name
            let gate = try linear(part + "gate", normed, channels.gate)
            let up = try linear(part + "up", normed, channels.up)
            let active = try copy("\(name).mlp.activation", as: part + "activation", [gate])
            let product = try builder.append(part + "product", .multiply(Multiply()), [active, up])
            let down = try linear(part + "down", product, channels.down)
            stream.rows = try builder.append(
                channels.name == last.name ? stem + "output" : part + "residual", .add(Add()), [down, stream.rows])
        }
    }
}

extension DividedHeads {
    /// Whether vision rows have queries: something reads what they attend to.
    fileprivate func hasQueries(in block: DividedBlock) -> Bool { block.passesVision && attends.contains(true) }

    /// Whether vision rows have values that count.
    fileprivate var hasValues: Bool { counts.contains(true) }
}
