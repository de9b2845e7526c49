import IR
import Support

@testable import Plan

/// Values without arithmetic: every element of a result is a number made from the kernel, the contents of its inputs and the element's index.
/// Two runs that agree have read the same elements in the same order everywhere.
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

/// All indices of a shape in row-major order.
func indices(_ shape: [Int]) -> [[Int]] {
    shape.reduce([[]]) { prefixes, size in prefixes.flatMap { prefix in (0..<size).map { prefix + [$0] } } }
}

func rowMajor(_ shape: [Int]) -> [Int] {
    var strides = Array(repeating: 1, count: shape.count)
    for index in shape.indices.dropLast().reversed() { strides[index] = strides[index + 1] * shape[index + 1] }
    return strides
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

    mutating func call(_ name: String, _ arguments: [[Symbol]], sequence: Int, position: Int) -> [[Symbol]] {
        guard let function = module.function(named: name) else { return [] }
        var values: [String: (type: TensorType, elements: [Symbol])] = [:]
        for (parameter, argument) in zip(function.parameters, arguments) { values[parameter.name] = (parameter.type, argument) }
        func shape(_ type: TensorType) -> [Int] { type.shape.map { $0.fixedValue ?? sequence } }
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
            case .lastRow: keep(picked { [shape(inputs[0].type)[0] - 1, $0[1]] })
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
            case .cacheStore:
                let width = shape(inputs[0].type)[1]
                states[operation.operands[0].name]!.replaceSubrange(
                    position * width..<position * width + inputs[1].elements.count, with: inputs[1].elements)
            case .attention(let attention):
                let isCached = if case .state = operation.operands[1] { true } else { false }
                let rows = isCached ? position + shape(inputs[0].type)[0] : shape(inputs[1].type)[0]
                let width = shape(inputs[1].type)[1]
                keep(
                    results(
                        "\(Computation.attention(attention, isCached: isCached))",
                        [inputs[0].elements] + inputs.dropFirst().map { Array($0.elements[..<(rows * width)]) }, count: size))
            case .rotary(let rotary): keep(results("rotary \(rotary.headSize)", [inputs[0].elements], count: size))
            case .add: computed("add")
            case .multiply: computed("multiply")
            case .normalize(let normalize): computed("\(Computation.normalize(normalize))")
            case .extractPatches(let extract): computed("\(Computation.extractPatches(extract))")
            case .gatherWindows(let gather): computed("\(Computation.gatherWindows(gather))")
            case .averageWindows(let average): computed("\(Computation.averageWindows(average))")
            case .embed: computed("\(Computation.embed)")
            case .matmul(let matmul): computed("\(Computation.matmul(matmul))")
            case .scale(let scale): computed("\(Computation.scale(scale.factor))")
            case .activation(let activation): computed("\(Computation.activation(activation.function))")
            case .gate(let gate): computed("\(Computation.gate(gate.function))")
            case .layerNorm(let norm): computed("\(Computation.layerNorm(epsilon: norm.epsilon))")
            case .rmsNorm(let norm): computed("\(Computation.rmsNorm(epsilon: norm.epsilon))")
            case .quantize(let quantize): computed("\(Computation.quantize(quantize.type))")
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
            fill(region.name, Array(repeating: 0, count: region.byteCount / (region.type?.dtype.byteCount ?? 4)))
        }
    }

    mutating func fill(_ region: String, _ elements: [Symbol]) {
        guard let region = plan.regions.first(where: { $0.name == region }), let size = region.type?.dtype.byteCount else { return }
        for (index, element) in elements.enumerated() { write(element, at: region.offset + index * size, size: size) }
    }

    func contents(_ region: String) -> [Symbol?] {
        guard let region = plan.regions.first(where: { $0.name == region }), let size = region.type?.dtype.byteCount else { return [] }
        return stride(from: region.offset, to: region.offset + region.byteCount, by: size).map { arena[$0] }
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

    mutating func call(_ name: String, sequence: Int, position: Int) {
        guard let entry = plan.entries.first(where: { $0.entry.rawValue == name }) else { return }
        run(entry.body, arguments: [], function: nil, row: 0, sequence, position)
    }

    private mutating func run(_ body: Body, arguments: [Bound], function: LayerFunction?, row: Int, _ sequence: Int, _ position: Int) {
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
            case .inside(let parent, let offset, let lastRow, let p):
                let elements = offset + lastRow * (sequence - 1) + p * position
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
                run(kernel.computation, name, inputs.map { bound[$0] }, bound[output], sequence, position)
            case .call(let layer, let row, _, let arguments):
                let function = plan.layers[layer]
                run(function.body, arguments: arguments.map { bound[$0] }, function: function, row: row, sequence, position)
            }
        }
    }

    private func places(_ bound: Bound, _ sequence: Int, rows: Int? = nil) -> [Int] {
        var shape = bound.type.shape.map { $0.fixedValue ?? sequence }
        if let rows { shape[0] = rows }
        return indices(shape).map { zip($0, bound.strides).map { $0 * $1 }.reduce(0, +) }
    }

    private mutating func read(_ bound: Bound, _ sequence: Int, rows: Int? = nil, for name: String) -> [Symbol] {
        let places = places(bound, sequence, rows: rows)
        switch bound.start {
        case .weight(let weight, let base):
            let all = SymbolicModule.weight(weight, count: plan.weights.first { $0.name == weight }!.type.elementCount()!)
            return places.map { all[base + $0] }
        case .arena(let base):
            return places.map { place in
                let byte = base + place * bound.type.dtype.byteCount
                if byte < arena.count, let element = arena[byte] { return element }
                problems.append("\(name) reads byte \(byte), where nothing is")
                return 0
            }
        }
    }

    private mutating func run(
        _ computation: Computation, _ name: String, _ inputs: [Bound], _ output: Bound, _ sequence: Int, _ position: Int
    ) {
        let targets = places(output, sequence)
        guard case .arena(let base) = output.start else { return problems.append("\(name) writes to a weight") }
        checkOverlap(computation, name, inputs, output, sequence)
        var elements: [Symbol]
        switch computation {
        case .copy: elements = read(inputs[0], sequence, for: name)
        case .rotaryTable(let frequencies): elements = results("table \(frequencies) \(position)", [], count: targets.count)
        case .rotary(let headSize):
            elements = results("rotary \(headSize)", [read(inputs[0], sequence, for: name)], count: targets.count)
            tables.insert(mix(read(inputs[1], sequence, for: name)))
        case .attention(_, let isCached):
            let rows = isCached ? position + (output.type.shape[0].fixedValue ?? sequence) : nil
            let keys = read(inputs[1], sequence, rows: rows, for: name), values = read(inputs[2], sequence, rows: rows, for: name)
            elements = results("\(computation)", [read(inputs[0], sequence, for: name), keys, values], count: targets.count)
        default: elements = results("\(computation)", inputs.map { read($0, sequence, for: name) }, count: targets.count)
        }
        for (element, target) in zip(elements, targets) {
            write(element, at: base + target * output.type.dtype.byteCount, size: output.type.dtype.byteCount)
        }
    }

    /// Contents of every table that a rotary step has read.
    private(set) var tables: Set<Symbol> = []

    /// A result may lie over an input only where the step reads each element before it writes it, and then exactly.
    private mutating func checkOverlap(_ computation: Computation, _ name: String, _ inputs: [Bound], _ output: Bound, _ sequence: Int) {
        guard case .arena(let base) = output.start else { return }
        let written = Set(places(output, sequence).map { base + $0 * output.type.dtype.byteCount })
        for (index, input) in inputs.enumerated() {
            guard case .arena(let start) = input.start else { continue }
            let read = places(input, sequence).map { start + $0 * input.type.dtype.byteCount }
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
