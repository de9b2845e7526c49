import IR
import Support

/// Reproducible choices.
struct Dice {
    private var state: UInt64

    init(_ seed: Int) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func roll(_ count: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int((state >> 33) % UInt64(count))
    }
}

/// Modules of repeated layers with odd insides: slices, joins, transpositions, residuals of all kinds, taps, caches; in the decoder joins and
/// gathers of rows that symbols count.
struct RandomModule {
    private var dice: Dice
    // Not `.optimized`: the plan takes more than the passes leave, joins of columns and window gathers too.
    private var module = Module(name: "random")
    private let width: Int
    static let slots = 3, context = 12
    static let rows = IR.Symbol("T", bound: 4), wanted = IR.Symbol("S", bound: 3), kept = IR.Symbol("K", bound: 4)

    static func make(_ seed: Int) throws(Diagnostic) -> Module {
        var maker = RandomModule(seed)
        return try maker.make(seed)
    }

    private init(_ seed: Int) {
        dice = Dice(seed)
        width = [4, 8, 12][dice.roll(3)]
    }

    private mutating func weight(_ name: String, _ shape: [Int]) -> Operand {
        let type = TensorType(.float32, fixed: shape)
        module.weights[name] = Weight(type: type, definition: .source(SourceTensor(name: name, type: type)))
        return .weight(name)
    }

    private mutating func make(_ seed: Int) throws(Diagnostic) -> Module {
        let layers = 1 + dice.roll(4), vision = dice.roll(2) == 0
        module.symbols = [Self.rows, Self.wanted]
        for layer in 0..<layers {
            for cache in ["key_cache", "value_cache"] {
                module.states["decoder.layer\(layer).\(cache)"] = TensorType(
                    seed % 2 == 0 ? .float32 : .bfloat16, fixed: [Self.slots, Self.context, width])
            }
            module.states["decoder.layer\(layer).lengths"] = TensorType(.int32, fixed: [Self.slots])
        }
        if vision { try addVision(layers, recipe: dice.roll(1 << 30)) }
        let recipe = dice.roll(1 << 30), odd = dice.roll(2 * layers)
        let (rows, wanted) = (Dimension(Self.rows), Dimension(Self.wanted))
        let list = TensorType(.int32, [rows])
        var builder = FunctionBuilder(
            .step,
            parameters: [
                Parameter(.tokens, type: list), Parameter(.slots, type: list), Parameter(.positions, type: list),
                Parameter(.wanted, type: TensorType(.int32, [wanted])),
            ] + (vision ? [Parameter(.visionRows, type: TensorType(.float32, fixed: [6, width]))] : []),
            in: moduleWithWeights(layers))
        var x = try builder.append(
            "decoder.tokens", .embed(Embed(hasVision: vision)),
            [.region(.tokens), weight("embedding", [9, width])] + (vision ? [.region(.visionRows)] : []))
        var taps: [Operand] = []
        var call = CallRows(count: rows, slots: .region(.slots), positions: .region(.positions), order: .region(.positions))
        var shown: Operand?, last = Operand.region(.wanted)
        let selection = dice.roll(2 * layers)
        for layer in 0..<layers {
            // One layer may differ from the others.
            x = try appendLayer("decoder.layer\(layer)", x, call, Dice(layer == odd ? recipe + 1 : recipe), isCached: true, &builder)
            if layer == selection {
                (x, call, last, shown) = try select(x, &builder)
                taps = []
                if Dice(seed).first(2) == 0 { try cut("decoder.layer\(layer)", &builder) }
            }
            if Dice(seed + layer).first(3) == 0 { taps.append(x) }
        }
        for (index, tap) in taps.enumerated() { x = try builder.append("decoder.tap\(index).add", .add(Add()), [x, tap]) }
        let all = x
        x = try builder.append("decoder.wanted", .gatherRows(GatherRows()), [all, last])
        if dice.roll(2) == 0 {
            // S + T rows, of which the first T are taken from.
            let joined = try builder.append("decoder.joined", .concatenate(Concatenate(axis: 0)), [x, all])
            let scaled = try builder.append("decoder.scaled", .scale(Scale(factor: 2)), [joined])
            x = try builder.append("decoder.again", .gatherRows(GatherRows()), [scaled, last])
        }
        let logits = try builder.append("decoder.logits", .matmul(Matmul()), [x, weight("head", [7, width])])
        if shown != nil { module.symbols.append(Self.kept) }
        module.functions.append(builder.finish(returning: [logits] + (shown.map { [$0] } ?? [])))
        return module
    }

    /// The lists of the rows that a layer of the decoder works on, and one of as many whose entries are rows of twice as many.
    private struct CallRows {
        var count: Dimension
        var slots, positions: Operand
        var order: Operand?
    }

    /// Drops rows: what stays of x and of the lists, where the wanted ones stand then, and what is shown of it.
    private func select(
        _ x: Operand, _ builder: inout FunctionBuilder
    ) throws(Diagnostic) -> (rows: Operand, call: CallRows, wanted: Operand, shown: Operand) {
        let lists: [Operand] = [.region(.tokens), .region(.slots)]
        let scores = try builder.append(
            "kept.scores", .attentionScores(AttentionScores(heads: 2, keyValueHeads: 2, scale: 0.5)), [x, x] + lists)
        let list = try builder.append("kept.list", .keepRows(KeepRows(top: 2, count: Self.kept.name)), [scores] + lists)
        func gathered(_ name: String, _ value: Operand) throws(Diagnostic) -> Operand {
            try builder.append("kept.\(name)", .gatherRows(GatherRows()), [value, list])
        }
        let call = CallRows(
            count: Dimension(Self.kept), slots: try gathered("slots", .region(.slots)),
            positions: try gathered("positions", .region(.positions)), order: nil)
        let tokens = try gathered("tokens", .region(.tokens))
        let shown = try builder.append("kept.shown", .visionIndices(VisionIndices(lists: 1, bound: 3)), [tokens])
        return (
            try gathered("rows", x), call, try builder.append("kept.wanted", .findRows(FindRows()), [list, .region(.wanted)]), shown
        )
    }

    /// Leaves in a layer's caches the rows that `select` has left.
    private func cut(_ layer: String, _ builder: inout FunctionBuilder) throws(Diagnostic) {
        let (lengths, lists) = (Operand.state("\(layer).lengths"), [Operand.region(.slots), .value("kept.list")])
        for cache in ["key_cache", "value_cache"] {
            try builder.append("kept.\(cache)", .cacheKeep(CacheKeep()), [.state("\(layer).\(cache)"), lengths] + lists)
        }
        try builder.append("kept.lengths", .release(Release()), [lengths] + lists)
    }

    /// The builder takes the types of weights from a module, so all of them are there before a function is built.
    private mutating func moduleWithWeights(_ layers: Int) -> Module {
        _ = weight("embedding", [9, width])
        _ = weight("head", [7, width])
        for layer in 0..<layers { addLayerWeights("decoder.layer\(layer)") }
        return module
    }

    private mutating func addLayerWeights(_ prefix: String) {
        for name in ["a", "b", "c", "d"] { _ = weight("\(prefix).\(name).weight", [width, width]) }
        _ = weight("\(prefix).wide.weight", [3 * width, width])
        for name in ["scale", "bias"] { _ = weight("\(prefix).norm.\(name)", [width]) }
        let packed = TensorType(.int8Panels, fixed: [width, width])
        module.weights["\(prefix).c.q8"] = Weight(
            type: packed,
            definition: .folded([
                Operation(name: "packed", op: .pack(Pack(.int8)), operands: [.weight("\(prefix).c.weight")], type: packed)
            ]))
    }

    private func appendLayer(
        _ prefix: String, _ input: Operand, _ call: CallRows, _ dice: Dice, isCached: Bool, _ builder: inout FunctionBuilder
    ) throws(Diagnostic) -> Operand {
        var dice = dice
        let rows = call.count
        let attention = Attention(heads: 2, keyValueHeads: 2, scale: 0.5, isCached: isCached)
        func w(_ name: String) -> Operand { .weight("\(prefix).\(name)") }
        var number = 0
        func name(_ text: String) -> String {
            number += 1
            return "\(prefix).\(text)_\(number)"
        }
        let normed = try builder.append(name("norm"), .layerNorm(LayerNorm(epsilon: 1e-5)), [input, w("norm.scale"), w("norm.bias")])
        let wide = try builder.append(name("wide"), .matmul(Matmul()), [normed, w("wide.weight")])
        var parts: [Operand] = []
        for part in 0..<3 {
            parts.append(try builder.append(name("part"), .slice(Slice(axis: 1, start: part * width, count: width)), [wide]))
        }
        var pool = parts + [normed, input]
        if isCached {
            let rotary = Op.rotary(Rotary(headSize: width / 2, theta: 10000))
            let keys = dice.roll(2) == 0 ? parts[1] : try builder.append(name("key"), .matmul(Matmul()), [normed, w("a.weight")])
            let turned = try builder.append(name("rotary"), rotary, [keys, call.positions])
            let values = dice.roll(2) == 0 ? parts[2] : try builder.append(name("value"), .matmul(Matmul()), [parts[0], w("b.weight")])
            let caches: [Operand] = [.state("\(prefix).key_cache"), .state("\(prefix).value_cache")]
            let places = try builder.append(name("places"), .reserve(Reserve()), [.state("\(prefix).lengths"), call.slots])
            for (cache, rows) in zip(caches, [turned, values]) {
                try builder.append(name("store"), .cacheStore(CacheStore()), [cache, rows, call.slots, places])
            }
            let query = try builder.append(name("rotary"), rotary, [parts[0], call.positions])
            pool.append(try builder.append(name("attention"), .attention(attention), [query] + caches + [call.slots, places]))
            if dice.roll(2) == 0 { pool.append(turned) }
            if dice.roll(2) == 0 { pool.append(values) }
        } else {
            pool.append(try builder.append(name("attention"), .attention(attention), parts))
        }
        for _ in 0..<3 + dice.roll(6) {
            let x = pool[dice.roll(pool.count)], y = pool[dice.roll(pool.count)]
            let value: Operand
            switch dice.roll(rows.fixedValue == nil ? 10 : 12) {
            case 0: value = try builder.append(name("add"), .add(Add()), [x, y])
            case 1: value = try builder.append(name("biased"), .add(Add()), [x, w("norm.bias")])
            case 2: value = try builder.append(name("product"), .matmul(Matmul(hasAddend: true)), [x, w("c.weight"), y])
            case 3: value = try builder.append(name("activation"), .activation(Activation(.silu)), [x])
            case 4: value = try builder.append(name("gate"), .gate(Gate(.silu)), [x, y])
            case 5: value = try builder.append(name("norm"), .rmsNorm(RMSNorm(epsilon: 1e-5)), [x, w("norm.scale")])
            case 6:
                let joined = try builder.append(name("joined"), .concatenate(Concatenate(axis: 1)), [x, y])
                value = try builder.append(name("middle"), .slice(Slice(axis: 1, start: width / 2, count: width)), [joined])
            case 7: value = try builder.append(name("scale"), .scale(Scale(factor: 2)), [x])
            case 8:
                let codes = try builder.append(name("codes"), .quantize(Quantize(.int8)), [x])
                value = try builder.append(name("product"), .matmul(Matmul(hasAddend: true)), [codes, w("c.q8"), y])
            case 9:
                let joined = try builder.append(name("stack"), .concatenate(Concatenate(axis: 0)), [x, y])
                if let count = rows.fixedValue {
                    value = try builder.append(name("rows"), .slice(Slice(axis: 0, start: count / 2, count: count)), [joined])
                } else if let order = call.order {
                    // Positions of the call stand for rows of both.
                    let scaled = try builder.append(name("scaled"), .scale(Scale(factor: 3)), [joined])
                    value = try builder.append(name("rows"), .gatherRows(GatherRows()), [scaled, order])
                } else {
                    value = x
                }
            case 10:
                let count = rows.fixedValue ?? 1
                let turned = try builder.append(name("turned"), .transpose(Transpose(permutation: [1, 0])), [x])
                value = try builder.append(name("flat"), .reshape(Reshape(shape: [count, width])), [turned])
            default:
                let count = rows.fixedValue ?? 1
                let cube = try builder.append(name("cube"), .reshape(Reshape(shape: [count, 2, width / 2])), [x])
                let turned = try builder.append(name("turned"), .transpose(Transpose(permutation: [1, 0, 2])), [cube])
                value = try builder.append(name("flat"), .reshape(Reshape(shape: [count, width])), [turned])
            }
            pool.append(value)
        }
        let last = pool[pool.count - 1]
        return dice.roll(2) == 0
            ? try builder.append("\(prefix).output", .add(Add()), [last, input])
            : try builder.append("\(prefix).output", .matmul(Matmul(hasAddend: true)), [last, w("d.weight"), input])
    }

    private mutating func addVision(_ layers: Int, recipe: Int) throws(Diagnostic) {
        let patch = weight("patch.weight", [width, 12])
        let classRow = weight("class", [1, width])
        for block in 1...layers { addLayerWeights("vision.block\(block)") }
        let last = weight("project.weight", [width, width])
        var builder = FunctionBuilder(
            .vision, parameters: [Parameter(.image, type: TensorType(.uint8, fixed: [4, 4, 3]))], in: module)
        let pixels = try builder.append("pixels", .normalize(Normalize(mean: [0, 0, 0], std: [1, 1, 1])), [.value("image")])
        let patches = try builder.append("patches", .extractPatches(ExtractPatches(patch: 2)), [pixels])
        let embedded = try builder.append("embedded", .matmul(Matmul()), [patches, patch])
        var x = try builder.append("tokens", .concatenate(Concatenate(axis: 0)), [classRow, embedded])
        var taps: [Operand] = []
        for block in 1...layers {
            let call = CallRows(count: 5, slots: .value(""), positions: .value(""), order: .value(""))
            x = try appendLayer("vision.block\(block)", x, call, Dice(recipe), isCached: false, &builder)
            if block == layers || dice.roll(2) == 0 { taps.append(x) }
        }
        module.functions.append(builder.finish(returning: taps))
        let parameters = taps.indices.map { Parameter(name: "tap\($0)", type: TensorType(.float32, fixed: [5, width])) }
        var project = FunctionBuilder(.project, parameters: parameters, in: module)
        var rows: [Operand] = []
        for index in taps.indices {
            rows.append(try project.append("rows\(index)", .slice(Slice(axis: 0, start: 1, count: 4)), [.value("tap\(index)")]))
        }
        var sum = try project.append("first", .matmul(Matmul()), [rows[0], last])
        for (index, row) in rows.enumerated().dropFirst() {
            sum = try project.append("sum\(index)", .matmul(Matmul(hasAddend: true)), [row, last, sum])
        }
        let windows = try project.append("windows", .gatherWindows(GatherWindows(height: 2, width: 2, kernel: 2)), [sum])
        let result = try project.append("projected", .reshape(Reshape(shape: [4, width])), [windows])
        module.functions.append(project.finish(returning: [result]))
    }
}

extension Dice {
    func first(_ count: Int) -> Int {
        var dice = self
        return dice.roll(count)
    }
}
