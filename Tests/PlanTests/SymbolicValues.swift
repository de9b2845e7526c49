import IR
import Support

@testable import Plan

/// Values without arithmetic: every element of a result is a number made from the kernel, the contents of its inputs and the element's index.
/// Two runs that agree have read the same elements in the same order everywhere. Lists of rows, slots and places are numbers as they are.
typealias Symbol = UInt64

func mix(_ values: some Sequence<Symbol>) -> Symbol {
    values.reduce(0xCBF2_9CE4_8422_2325) { hash, value in
        var x = (hash ^ value) &* 0x9E37_79B9_7F4A_7C15
        x ^= x >> 29
        return x &* 0xBF58_476D_1CE4_E5B9 ^ (x >> 32)
    }
}

func mix(_ text: String) -> Symbol { mix(text.utf8.map { Symbol($0) }) }

/// The result of a kernel named by `kind`.
func results(_ kind: String, _ inputs: [[Symbol]], count: Int) -> [Symbol] {
    let seed = mix([mix(kind)] + inputs.map { mix($0) })
    return (0..<count).map { mix([seed, Symbol($0)]) }
}

func count(_ shape: [Int]) -> Int { shape.reduce(1, *) }

/// The rows that a selection takes of so many: every second.
func selected(_ rows: Int) -> [Symbol] { stride(from: 0, to: rows, by: 2).map { Symbol($0) } }

/// What moves in the slots' caches where `list` stay of the rows of a call, and how many places each slot gives back.
func cut(
    _ slots: [Symbol], _ list: [Symbol], lengths: (Symbol) -> Symbol
) -> (moves: [(slot: Symbol, from: Symbol, to: Symbol)], released: [Symbol: Symbol]) {
    var moves: [(Symbol, Symbol, Symbol)] = [], released: [Symbol: Symbol] = [:]
    var start = 0
    while start < slots.count {
        let end = slots[start...].firstIndex { $0 != slots[start] } ?? slots.count
        let kept = list.filter { start..<end ~= Int($0) }, first = lengths(slots[start]) - Symbol(end - start)
        for (place, row) in kept.enumerated() { moves.append((slots[start], first + row - Symbol(start), first + Symbol(place))) }
        released[slots[start], default: 0] += Symbol(end - start - kept.count)
        start = end
    }
    return (moves, released)
}

/// Where a row stands among `count` that were selected.
func found(_ row: Symbol, of count: Int) -> Symbol { min(row / 2, Symbol(max(count - 1, 0))) }

/// All indices of a shape in row-major order.
func indices(_ shape: [Int]) -> [[Int]] {
    shape.reduce([[]]) { prefixes, size in prefixes.flatMap { prefix in (0..<size).map { prefix + [$0] } } }
}

func rowMajor(_ shape: [Int]) -> [Int] {
    var strides = Array(repeating: 1, count: shape.count)
    for index in shape.indices.dropLast().reversed() { strides[index] = strides[index + 1] * shape[index + 1] }
    return strides
}

/// What a row of attention over a cache gets: of itself, and of the keys and values that it sees, which `seen` reads.
func attended(_ attention: Attention, row: [Symbol], seen: (Int) -> [Symbol]) -> [Symbol] {
    results("\(Computation.attention(attention))", [row, seen(0), seen(1)], count: row.count)
}

/// Runs the operations of a module as the IR defines them.
struct SymbolicModule {
    let module: Module
    var states: [String: [Symbol]]

    init(_ module: Module) {
        self.module = module
        states = module.states.reduce(into: [:]) { $0[$1.key] = Array(repeating: 0, count: $1.value.elementCount() ?? 0) }
    }

    static func weight(_ name: String, count: Int) -> [Symbol] { results("weight \(name)", [], count: count) }

    mutating func call(_ name: String, _ arguments: [[Symbol]], _ counts: SymbolValues = .bounds) -> [[Symbol]] {
        guard let function = module.function(named: name) else { return [] }
        var counts = counts
        var values: [String: (type: TensorType, elements: [Symbol])] = [:]
        for (parameter, argument) in zip(function.parameters, arguments) { values[parameter.name] = (parameter.type, argument) }
        func shape(_ type: TensorType) -> [Int] { type.shape.map { $0.value(counts)! } }
        func read(_ operand: Operand) -> (type: TensorType, elements: [Symbol]) {
            switch operand {
            case .value(let name): return values[name]!
            case .weight(let name):
                let type = module.weights[name]!.type
                return (type, Self.weight(name, count: type.elementCount()!))
            case .state(let name): return (module.states[name]!, states[name]!)
            }
        }
        for operation in function.operations {
            let inputs = operation.operands.map(read)
            func keep(_ elements: [Symbol]) { values[operation.name] = (operation.type!, elements) }
            func picked(_ place: ([Int]) -> [Int]) -> [Symbol] {
                let strides = rowMajor(shape(inputs[0].type))
                return indices(shape(operation.type!)).map { inputs[0].elements[zip(place($0), strides).map { $0 * $1 }.reduce(0, +)] }
            }
            if let name = operation.op.payload.definedCount {
                counts = counts.with(name, selected(inputs[0].elements.count / (inputs[0].type.rank == 2 ? 2 : 1)).count)
            }
            let size = operation.type.map { count(shape($0)) } ?? 0
            func computed(_ kind: String) { keep(results(kind, inputs.map(\.elements), count: size)) }
            switch operation.op {
            case .reshape: keep(inputs[0].elements)
            case .slice(let slice):
                keep(
                    picked { index in
                        var index = index
                        index[slice.axis] += slice.start
                        return index
                    })
            case .transpose(let transpose):
                keep(
                    picked { index in
                        var place = index
                        for (i, p) in transpose.permutation.enumerated() { place[p] = index[i] }
                        return place
                    })
            case .gatherRows: keep(picked { [Int(inputs[1].elements[$0[0]])] + $0.dropFirst() })
            case .concatenate(let concatenate):
                var starts: [Int] = [0]
                for input in inputs { starts.append(starts.last! + shape(input.type)[concatenate.axis]) }
                keep(
                    indices(shape(operation.type!)).map { index in
                        let part = starts.lastIndex { $0 <= index[concatenate.axis] }!
                        var index = index
                        index[concatenate.axis] -= starts[part]
                        return inputs[part].elements[zip(index, rowMajor(shape(inputs[part].type))).map { $0 * $1 }.reduce(0, +)]
                    })
            case .reserve:
                let name = operation.operands[0].name
                keep(
                    inputs[1].elements.map { slot in
                        defer { states[name]![Int(slot)] += 1 }
                        return states[name]![Int(slot)]
                    })
            case .cacheStore:
                let (context, width) = (shape(inputs[0].type)[1], shape(inputs[0].type)[2])
                for (row, (slot, place)) in zip(inputs[2].elements, inputs[3].elements).enumerated() {
                    let start = (Int(slot) * context + Int(place)) * width
                    states[operation.operands[0].name]!.replaceSubrange(
                        start..<start + width, with: inputs[1].elements[row * width..<(row + 1) * width])
                }
            case .cacheKeep:
                let (context, width) = (shape(inputs[0].type)[1], shape(inputs[0].type)[2])
                for move in cut(inputs[2].elements, inputs[3].elements, lengths: { inputs[1].elements[Int($0)] }).moves {
                    let (from, to) = (
                        (Int(move.slot) * context + Int(move.from)) * width, (Int(move.slot) * context + Int(move.to)) * width
                    )
                    states[operation.operands[0].name]!.replaceSubrange(to..<to + width, with: inputs[0].elements[from..<from + width])
                }
            case .release:
                for (slot, count) in cut(inputs[1].elements, inputs[2].elements, lengths: { inputs[0].elements[Int($0)] }).released {
                    states[operation.operands[0].name]![Int(slot)] -= count
                }
            case .attention(let attention) where attention.isCached:
                let (context, width) = (shape(inputs[1].type)[1], shape(inputs[0].type)[1])
                keep(
                    zip(inputs[3].elements, inputs[4].elements).enumerated().flatMap { row, place in
                        attended(attention, row: Array(inputs[0].elements[row * width..<(row + 1) * width])) { operand in
                            let start = Int(place.0) * context * width
                            return Array(inputs[1 + operand].elements[start..<start + (Int(place.1) + 1) * width])
                        }
                    })
            case .attention(let attention): computed("\(Computation.attention(attention))")
            case .rotary(let rotary):
                let table = results(
                    "table \(rotary.inverseFrequencies)", [inputs[1].elements], count: inputs[1].elements.count * rotary.headSize)
                keep(results("rotary \(rotary.headSize)", [inputs[0].elements, table], count: size))
            case .add: computed("add")
            case .multiply: computed("multiply")
            case .normalize(let normalize): computed("\(Computation.normalize(normalize))")
            case .extractPatches(let extract): computed("\(Computation.extractPatches(extract))")
            case .gatherWindows(let gather): computed("\(Computation.gatherWindows(gather))")
            case .averageWindows(let average): computed("\(Computation.averageWindows(average))")
            case .windowAttention(let attention): computed("\(Computation.windowAttention(attention))")
            case .embed: computed("\(Computation.embed)")
            case .matmul(let matmul): computed("\(Computation.matmul(matmul))")
            case .scale(let scale): computed("\(Computation.scale(scale.factor))")
            case .activation(let activation): computed("\(Computation.activation(activation.function))")
            case .gate(let gate): computed("\(Computation.gate(gate.function))")
            case .layerNorm(let norm): computed("\(Computation.layerNorm(epsilon: norm.epsilon))")
            case .rmsNorm(let norm): computed("\(Computation.rmsNorm(epsilon: norm.epsilon))")
            case .quantize(let quantize): computed("\(Computation.quantize(quantize.type))")
            case .keepRows, .thresholdRows: keep(selected(inputs[0].elements.count))
            case .recycleRows: keep(selected(inputs[1].elements.count))
            case .findRows: keep(inputs[1].elements.map { found($0, of: inputs[0].elements.count) })
            case .rowAttention, .topRows, .complementRows, .meanHeads, .unitRows, .clusterRows, .segmentMeans, .outlierRows, .appendSamples,
                .mergeNeighbours, .padList, .softmaxSimilarity, .greedyCover:
                computed("\(Computation.call(operation.op))")
            case .matchRows, .rowPlaces, .segmentSizes, .log: computed("\(Computation.call(operation.op))")
            case .similarWindows, .windowMeans, .keyRows, .postRows: computed("\(Computation.call(operation.op))")
            case .attentionScores, .visionIndices, .strideRows, .strideMeans, .raterRows, .rotaryScores, .raterAttention, .rankCounts,
                .recycleDensity,
                .recycleMerge, .prefusionRows, .trimRows, .replaceRows, .resizeGrid, .splitRows, .maskHeads,
                .patchAttention:
                computed("\(Computation.call(operation.op))")
            case .pack, .power: preconditionFailure("'\(operation.op.mnemonic)' is for definitions of weights")
            }
        }
        return function.results.map { read($0).elements }
    }
}

/// Runs the steps of a plan on its arena, byte by byte.
struct SymbolicPlan {
    let plan: Plan
    /// The element that begins at each byte.
    var arena: [Symbol?]
    private(set) var problems: [String] = []

    init(_ plan: Plan) {
        self.plan = plan
        arena = Array(repeating: nil, count: plan.arenaBytes)
        for region in plan.regions where region.role == .state {
            for slot in 0..<slots(region) {
                for index in 0..<region.byteCount / region.type!.dtype.byteCount {
                    write(0, at: place(region, slot) + index * region.type!.dtype.byteCount, size: region.type!.dtype.byteCount)
                }
            }
        }
    }

    /// Slots that hold a region each; of another than a cache there is one.
    private func slots(_ region: Region) -> Int { plan.slots.caches.contains { $0.name == region.name } ? plan.slots.count : 1 }

    private func place(_ region: Region, _ slot: Int) -> Int { region.offset + slot * plan.slots.byteCount }

    mutating func fill(_ region: String, _ elements: [Symbol]) {
        guard let region = plan.regions.first(where: { $0.name == region }), let size = region.type?.dtype.byteCount else { return }
        for (index, element) in elements.enumerated() { write(element, at: region.offset + index * size, size: size) }
    }

    func contents(_ region: String) -> [Symbol?] {
        guard let region = plan.regions.first(where: { $0.name == region }), let size = region.type?.dtype.byteCount else { return [] }
        return (0..<slots(region)).flatMap { slot in
            stride(from: place(region, slot), to: place(region, slot) + region.byteCount, by: size).map { arena[$0] }
        }
    }

    private mutating func write(_ element: Symbol, at byte: Int, size: Int) {
        guard byte >= 0, byte + size <= arena.count else { return problems.append("byte \(byte) is outside of the arena") }
        for index in byte..<byte + size { arena[index] = nil }
        arena[byte] = element
    }

    /// Where the first element of each buffer lies: in the arena or in a weight.
    private enum Start {
        case arena(Int)
        case weight(String, Int)
    }

    private struct Bound {
        var start: Start
        var type: TensorType
        var strides: [Int]
    }

    mutating func call(_ entry: EntryPoint, _ counts: SymbolValues = .bounds) {
        guard let function = plan.entries.first(where: { $0.entry == entry }) else { return }
        self.counts = counts
        run(function.body, arguments: [], function: nil, row: 0)
    }
    /// Those of the call that runs
    private var counts = SymbolValues.bounds

    private mutating func run(_ body: Body, arguments: [Bound], function: LayerFunction?, row: Int) {
        var bound: [Bound] = []
        for (index, buffer) in body.buffers.enumerated() {
            let start: Start
            switch buffer.place {
            case .arena(let offset): start = .arena(offset)
            case .weight(let name): start = .weight(name, 0)
            case .field(let column):
                let table = plan.tables[function!.table!]
                let offset = table.rows[row][column]
                if table.fields[column].kind == .state {
                    start = .arena(offset)
                } else {
                    start = .weight(plan.weights.first { $0.offset == offset }!.name, 0)
                }
            case .argument: start = arguments[function!.arguments.firstIndex(of: index)!].start
            case .inside(let parent, let offset):
                let elements = offset.value(counts)!
                switch bound[parent].start {
                case .arena(let base): start = .arena(base + elements * buffer.type.dtype.byteCount)
                case .weight(let name, let base): start = .weight(name, base + elements)
                }
            }
            bound.append(Bound(start: start, type: buffer.type, strides: buffer.strides))
        }
        for step in body.steps {
            switch step {
            case .run(let kernel, let name, let inputs, let output):
                run(kernel.computation, name, inputs.map { bound[$0] }, bound[output])
            case .call(let layer, let row, _, let arguments):
                let function = plan.layers[layer]
                run(function.body, arguments: arguments.map { bound[$0] }, function: function, row: row)
            }
        }
    }

    private func shape(_ bound: Bound) -> [Int] { bound.type.shape.map { $0.value(counts)! } }

    private func places(_ bound: Bound) -> [Int] {
        indices(shape(bound)).map { zip($0, bound.strides).map { $0 * $1 }.reduce(0, +) }
    }

    private mutating func read(_ bound: Bound, for name: String) -> [Symbol] { read(bound, at: places(bound), for: name) }

    private mutating func read(_ bound: Bound, at places: [Int], for name: String) -> [Symbol] {
        switch bound.start {
        case .weight(let weight, let base):
            let all = SymbolicModule.weight(weight, count: plan.weights.first { $0.name == weight }!.type.elementCount()!)
            return places.map { all[base + $0] }
        case .arena(let base):
            return places.map { place in
                let byte = base + place * bound.type.dtype.byteCount
                if byte >= 0, byte < arena.count, let element = arena[byte] { return element }
                problems.append("\(name) reads byte \(byte), where nothing is")
                return 0
            }
        }
    }

    /// Rows of a cache, whole
    private func places(_ cache: Bound, _ rows: [(slot: Symbol, place: Symbol)]) -> [Int] {
        rows.flatMap { row in
            (0..<cache.type.shape[2].fixedValue!).map { Int(row.slot) * cache.strides[0] + Int(row.place) * cache.strides[1] + $0 }
        }
    }

    private mutating func run(_ computation: Computation, _ name: String, _ inputs: [Bound], _ output: Bound) {
        guard case .arena(let base) = output.start else { return problems.append("\(name) writes to a weight") }
        checkOverlap(computation, name, inputs, output)
        var targets = places(output)
        let elements: [Symbol]
        switch computation {
        case .copy: elements = read(inputs[0], for: name)
        case .gatherRows:
            let rows = read(inputs[1], for: name), columns = inputs[0].type.rank == 1 ? 1 : shape(inputs[0])[1]
            elements = read(
                inputs[0], at: rows.flatMap { row in (0..<columns).map { Int(row) * inputs[0].strides[0] + $0 } }, for: name)
        case .reserve:
            guard case .arena(let lengths) = inputs[0].start else { return problems.append("\(name) counts in a weight") }
            elements = read(inputs[1], for: name).map { slot in
                let place = arena[lengths + 4 * Int(slot)] ?? 0
                write(place + 1, at: lengths + 4 * Int(slot), size: 4)
                return place
            }
        case .call(.keepRows(let keep)):
            elements = selected(places(inputs[0]).count)
            counts = counts.with(keep.count, elements.count)
            targets = places(output)
        case .call(.recycleRows(let recycle)):
            elements = selected(places(inputs[1]).count)
            counts = counts.with(recycle.count, elements.count)
            targets = places(output)
        case .call(.findRows):
            let rows = places(inputs[0]).count
            elements = read(inputs[1], for: name).map { found($0, of: rows) }
        case .storeRows:
            elements = read(inputs[0], for: name)
            targets = places(output, Array(zip(read(inputs[1], for: name), read(inputs[2], for: name))))
        case .keepStoredRows:
            let lengths = read(inputs[0], for: name)
            let moves = cut(read(inputs[1], for: name), read(inputs[2], for: name), lengths: { lengths[Int($0)] }).moves
            elements = read(output, at: places(output, moves.map { ($0.slot, $0.from) }), for: name)
            targets = places(output, moves.map { ($0.slot, $0.to) })
        case .release:
            var lengths = read(output, for: name)
            let released = cut(read(inputs[0], for: name), read(inputs[1], for: name), lengths: { lengths[Int($0)] }).released
            for (slot, count) in released { lengths[Int(slot)] -= count }
            elements = lengths
        case .rotaryTable(let frequencies):
            elements = results("table \(frequencies)", [read(inputs[0], for: name)], count: targets.count)
        case .rotary(let headSize):
            let table = read(inputs[1], for: name)
            elements = results("rotary \(headSize)", [read(inputs[0], for: name), table], count: targets.count)
            tables.insert(mix(table))
        case .attention(let attention) where attention.isCached:
            let queries = read(inputs[0], for: name), width = shape(inputs[0])[1]
            let rows = Array(zip(read(inputs[3], for: name), read(inputs[4], for: name)))
            elements = rows.enumerated().flatMap { index, row in
                let seen = (0...row.1).map { (row.0, $0) }
                let caches = (1...2).map { read(inputs[$0], at: places(inputs[$0], seen), for: name) }
                return attended(attention, row: Array(queries[index * width..<(index + 1) * width])) { caches[$0] }
            }
        default: elements = results("\(computation)", inputs.map { read($0, for: name) }, count: targets.count)
        }
        for (element, target) in zip(elements, targets) {
            write(element, at: base + target * output.type.dtype.byteCount, size: output.type.dtype.byteCount)
        }
    }

    /// Contents of every table that a rotary step has read.
    private(set) var tables: Set<Symbol> = []

    /// A result may lie over an input only where the step reads each element before it writes it, and then exactly.
    private mutating func checkOverlap(_ computation: Computation, _ name: String, _ inputs: [Bound], _ output: Bound) {
        guard case .arena(let base) = output.start else { return }
        let written = Set(places(output).map { base + $0 * output.type.dtype.byteCount })
        for (index, input) in inputs.enumerated() {
            guard case .arena(let start) = input.start else { continue }
            let read = places(input).map { start + $0 * input.type.dtype.byteCount }
            if written.isDisjoint(with: read) { continue }
            let isAllowed =
                switch computation {
                case .matmul(let matmul): matmul.addendIndex == index
                case .add, .multiply, .gate: true
                case .scale, .activation, .layerNorm, .rmsNorm, .rotary: index == 0
                default: false
                }
            let isSame = start == base && input.strides == output.strides && input.type == output.type
            if !isAllowed || !isSame { problems.append("\(name) overwrites its input \(index)") }
        }
    }
}
