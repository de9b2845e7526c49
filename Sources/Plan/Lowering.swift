import IR
import Support

/// Turns the operations of a timeline's functions into nodes. Reshape, slice and transpose become views; a reader that cannot follow a view's
/// strides gets a copy.
struct Lowering {
    private(set) var draft: Draft
    private let module: Module
    private let slots: SlotLayout
    private var shared: [Storage.Kind: Int] = [:]
    private var values: [String: View] = [:]
    private var copies: [View: View] = [:]
    private var tables: [RotaryKey: View] = [:]
    private var prologue: [Node] = []
    private var function: Function
    private var entry: EntryPoint

    private struct RotaryKey: Hashable {
        var positions: View
        var rotary: Rotary
    }

    /// For a timeline that begins with `entry`.
    init(name: String, entry: EntryPoint, module: Module, slots: SlotLayout) {
        draft = Draft(name: name)
        self.module = module
        self.slots = slots
        function = Function(name: name, parameters: [])
        self.entry = entry
    }

    /// Appends the function of an entry point and returns the views of its results. Its first parameters are `values`, the results of the
    /// function before.
    mutating func append(_ function: Function, of entry: EntryPoint, reading values: [View] = []) throws(Diagnostic) -> [View] {
        self.function = function
        self.entry = entry
        var parameters = values
        for (region, parameter) in zip(entry.inputs, function.parameters.dropFirst(values.count)) {
            parameters.append(try view(of: .region(region), region.rawValue, parameter.type))
        }
        self.values = [:]
        copies = [:]
        tables = [:]
        prologue = []
        let start = draft.nodes.count
        for (parameter, view) in zip(function.parameters, parameters) { self.values[parameter.name] = view }
        for operation in function.operations { try lower(operation) }
        var results: [View] = []
        for result in function.results { results.append(try view(result, at: "\(function.name): return")) }
        draft.nodes.insert(contentsOf: prologue, at: start)
        draft.sections.append(Draft.Section(entry: entry, nodes: start..<draft.nodes.count))
        return results
    }

    /// Makes `value` lie in the region of a result of the entry point from its start on: in place where it has a storage of its own, else by a
    /// copy at the end of the last function.
    mutating func place(_ value: View, in region: EntryPoint.Region, type: TensorType) throws(Diagnostic) {
        let name = region.rawValue
        let target = try storage(.region(region), type: type, name: name)
        if draft.isWhole(value), draft.storages[value.storage].kind == .scratch, draft.storages[value.storage].home == nil {
            draft.storages[value.storage].home = Storage.Home(storage: target, offset: 0)
        } else {
            draft.nodes.append(
                Node(name: name, computation: .copy, inputs: [value], output: whole(target, name: name, type: value.type)))
            let last = draft.sections.count - 1
            draft.sections[last].nodes = draft.sections[last].nodes.lowerBound..<draft.nodes.count
        }
    }

    // MARK: - storages and views

    private func bytes(_ type: TensorType, at place: String) throws(Diagnostic) -> Int {
        guard let count = type.byteCount(), roundedUp(count, to: 64) != nil else {
            throw .error("\(type) passes 2^63 bytes", at: .operation(place))
        }
        return count
    }

    private mutating func storage(_ kind: Storage.Kind, type: TensorType, name: String) throws(Diagnostic) -> Int {
        if kind != .scratch, let index = shared[kind] { return index }
        let place = "\(function.name): %\(name)"
        var (byteCount, strides) = (try bytes(type, at: place), rowMajorStrides(type.shape))
        if let stride = quantizedRows(kind, type) {
            guard let rows = type.shape[0].bound, let total = checkedProduct(rows, stride, type.dtype.byteCount) else {
                throw .error("\(type) passes 2^63 bytes", at: .operation(place))
            }
            (byteCount, strides) = (total, [stride, 1])
        }
        if case .state(let state) = kind, let inSlots = slots.strides(of: state, type) { strides = inSlots }
        draft.storages.append(Storage(name: name, kind: kind, type: type, byteCount: byteCount, strides: strides))
        if kind != .scratch { shared[kind] = draft.storages.count - 1 }
        return draft.storages.count - 1
    }

    /// Elements from one row to the next in a storage that `quantize` fills, since it fills rows up to whole blocks; nil for other storages.
    private func quantizedRows(_ kind: Storage.Kind, _ type: TensorType) -> Int? {
        guard kind == .scratch, type.rank == 2, let columns = type.shape[1].fixedValue else { return nil }
        switch type.dtype {
        case .int8Rows: return BlockFormat.int8RowBytes(columns)
        case .bfloat16: return BlockFormat.paddedColumns(columns)
        case .float32, .float16, .int32, .uint8, .int8Heads, .bfloat16Panels, .int8Panels, .int4Panels: return nil
        }
    }

    private func whole(_ storage: Int, name: String, type: TensorType) -> View {
        let home = draft.storages[storage]
        return View(
            name: name, storage: storage, type: type,
            strides: home.type.shape == type.shape ? home.strides : rowMajorStrides(type.shape))
    }

    private mutating func view(of kind: Storage.Kind, _ name: String, _ type: TensorType) throws(Diagnostic) -> View {
        let index = try storage(kind, type: type, name: name)
        return whole(index, name: name, type: type)
    }

    private mutating func fresh(_ name: String, _ type: TensorType) throws(Diagnostic) -> View {
        try view(of: .scratch, name, type)
    }

    private mutating func view(_ operand: Operand, at place: String) throws(Diagnostic) -> View {
        switch operand {
        case .value(let name):
            if let view = values[name] { return view }
        case .weight(let name):
            if let weight = module.weights[name] {
                guard weight.type.dtype == .float32 || weight.type.dtype.isPanels else {
                    throw .error("weight '@\(name)' is \(weight.type)", at: .operation(place), expected: "f32 or panels")
                }
                return try view(of: .weight(name), name, weight.type)
            }
        case .state(let name):
            if let type = module.states[name] {
                var view = try view(of: .state(name), name, type)
                // For the plan a row of a cache is the elements of all its heads.
                if type.dtype == .int8Heads, let shape = type.fixedShape {
                    view.type = TensorType(.int8Heads, fixed: [shape[0], shape[1], shape[2] * shape[3]])
                }
                return view
            }
        }
        throw .error("'\(operand)' is not defined", at: .operation(place))
    }

    // MARK: - what readers ask of a view

    private func isContiguous(_ view: View) -> Bool { view.strides == rowMajorStrides(view.shape) }

    private mutating func contiguous(_ view: View) throws(Diagnostic) -> View {
        if isContiguous(view) { return view }
        if let copy = copies[view] { return copy }
        let copy = try fresh(view.name + ".copy", view.type)
        draft.nodes.append(Node(name: view.name, computation: .copy, inputs: [view], output: copy))
        copies[view] = copy
        return copy
    }

    private mutating func rows(_ view: View) throws(Diagnostic) -> View {
        view.rowLayout == nil ? try contiguous(view) : view
    }

    // MARK: - operations

    private mutating func lower(_ operation: Operation) throws(Diagnostic) {
        let place = "\(function.name): %\(operation.name)"
        var inputs: [View] = []
        for operand in operation.operands { inputs.append(try view(operand, at: place)) }
        for type in inputs.map(\.type) + [operation.type].compactMap(\.self) {
            if let symbolic = type.shape.dropFirst().first(where: { $0.fixedValue == nil }) {
                throw .error(
                    "\(type) has '\(symbolic)' in a dimension after the first", at: .operation(place), expected: "symbols in the first only"
                )
            }
        }
        let foreign = EntryPoint.Count.allCases.map(\.rawValue).filter { name in !entry.counts.contains { $0.rawValue == name } }
        if entry != .decode, let symbol = inputs.flatMap(\.type.symbols).first(where: { foreign.contains($0.name) }) {
            throw .error("'\(function.name)' reads a tensor of \(symbol.name) rows", at: .operation(place), expected: "T in 'step' only")
        }
        if let count = operation.op.payload.definedCount {
            guard ModelLayer(of: operation.name) == nil else {
                throw .error("'\(count)' is counted in a layer", at: .operation(place), expected: "a name outside of the repeated layers")
            }
            guard count.first?.isUppercase == true else {
                throw .error(
                    "the symbol '\(count)' is counted", at: .operation(place), expected: "a name that begins with a capital letter")
            }
        }
        guard let type = operation.type else {
            try lowerEffect(operation, inputs)
            return
        }

        func viewing(_ change: (inout View) -> Void = { _ in }) -> View {
            var view = inputs[0]
            view.name = operation.name
            view.type = type
            change(&view)
            return view
        }
        switch operation.op {
        case .reshape:
            inputs[0] = try contiguous(inputs[0])
            values[operation.name] = viewing { $0.strides = rowMajorStrides(type.shape) }
        case .slice(let slice):
            values[operation.name] = viewing { $0.offset = $0.offset + Affine(slice.start) * $0.strides[slice.axis] }
        case .transpose(let transpose):
            values[operation.name] = viewing { view in view.strides = transpose.permutation.map { view.strides[$0] } }
        case .gatherRows where type.rank == 1:
            // Entries of a vector are rows of one column.
            func column(_ view: View) -> View {
                var view = view
                view.type.shape.append(1)
                view.strides.append(1)
                return view
            }
            let result = try fresh(operation.name, type)
            draft.nodes.append(
                Node(
                    name: operation.name, computation: .gatherRows, inputs: [column(try contiguous(inputs[0])), try contiguous(inputs[1])],
                    output: column(result)))
            values[operation.name] = result
        case .gatherRows: try append(.gatherRows, operation.name, type, inputs)
        case .concatenate(let concatenate):
            values[operation.name] = inputs.count == 1 ? viewing() : try joined(inputs, axis: concatenate.axis, operation.name, type)
        case .normalize(let normalize): try append(.normalize(normalize), operation.name, type, [try contiguous(inputs[0])])
        case .extractPatches(let extract): try append(.extractPatches(extract), operation.name, type, [try contiguous(inputs[0])])
        case .gatherWindows(let gather): try append(.gatherWindows(gather), operation.name, type, inputs)
        case .averageWindows(let average): try append(.averageWindows(average), operation.name, type, inputs)
        case .windowAttention(let attention): try append(.windowAttention(attention), operation.name, type, inputs)
        case .embed: try append(.embed, operation.name, type, inputs)
        case .matmul(let matmul): try append(.matmul(matmul), operation.name, type, inputs)
        case .add: try append(.add, operation.name, type, inputs)
        case .multiply: try append(.multiply, operation.name, type, inputs)
        case .scale(let scale): try append(.scale(scale.factor), operation.name, type, inputs)
        case .activation(let activation): try append(.activation(activation.function), operation.name, type, inputs)
        case .gate(let gate): try append(.gate(gate.function), operation.name, type, inputs)
        case .layerNorm(let norm): try append(.layerNorm(epsilon: norm.epsilon), operation.name, type, inputs)
        case .rmsNorm(let norm): try append(.rmsNorm(epsilon: norm.epsilon), operation.name, type, inputs)
        case .quantize(let quantize): try append(.quantize(quantize.type), operation.name, type, inputs)
        case .pack, .power:
            throw .error(
                "'\(operation.op.mnemonic)' is for definitions of weights", at: .operation(place),
                expected: "a weight that is defined by it")
        case .rotary(let rotary):
            let table = try table(rotary, positions: inputs[1], in: ModelLayer(of: operation.name))
            try append(.rotary(headSize: rotary.headSize), operation.name, type, [inputs[0], table])
        case .attention(let attention): try append(.attention(attention), operation.name, type, inputs)
        case .reserve: try append(.reserve, operation.name, type, inputs)
        case .attentionScores, .keepRows, .findRows, .visionIndices, .strideRows, .strideMeans, .rowAttention, .topRows, .complementRows,
            .meanHeads, .unitRows, .clusterRows, .segmentMeans, .outlierRows, .appendSamples, .mergeNeighbours, .padList,
            .matchRows, .rowPlaces, .segmentSizes, .log, .softmaxSimilarity, .greedyCover, .raterRows, .rotaryScores, .raterAttention,
            .rankCounts, .recycleDensity,
            .recycleRows, .recycleMerge, .prefusionRows, .trimRows, .replaceRows, .resizeGrid, .splitRows, .maskHeads,
            .patchAttention, .similarWindows, .windowMeans, .keyRows, .postRows, .thresholdRows:
            try appendCall(operation.op, operation.name, type, inputs)
        case .cacheStore, .cacheKeep, .release: break
        }
    }

    /// An operation without a result.
    private mutating func lowerEffect(_ operation: Operation, _ inputs: [View]) throws(Diagnostic) {
        func append(_ computation: Computation, _ inputs: [View], _ output: View) {
            draft.nodes.append(Node(name: operation.name, computation: computation, inputs: inputs, output: output))
        }
        if case .cacheStore = operation.op {
            var heads: Int?
            if case .state(let name) = operation.operands[0], let cache = module.states[name], cache.dtype == .int8Heads {
                heads = cache.shape[2].fixedValue
            }
            append(.storeRows(heads: heads), [try rows(inputs[1]), inputs[2], inputs[3]], inputs[0])
        }
        if case .cacheKeep = operation.op {
            append(.keepStoredRows, [inputs[1], try contiguous(inputs[2]), try contiguous(inputs[3])], inputs[0])
        }
        if case .release = operation.op { append(.release, [try contiguous(inputs[1]), try contiguous(inputs[2])], inputs[0]) }
    }

    /// A routine that takes tables, and lists as tables of one column.
    private mutating func appendCall(_ op: Op, _ name: String, _ type: TensorType, _ inputs: [View]) throws(Diagnostic) {
        var tables: [View] = []
        for input in inputs { tables.append(input.type.rank == 1 ? try contiguous(input) : try rows(input)) }
        let result = try fresh(name, type)
        draft.nodes.append(Node(name: name, computation: .call(op), inputs: tables, output: result))
        values[name] = result
    }

    /// A computation that reads rows and writes a value of its own.
    private mutating func append(_ computation: Computation, _ name: String, _ type: TensorType, _ inputs: [View]) throws(Diagnostic) {
        let result = try fresh(name, type)
        var node = Node(name: name, computation: computation, inputs: inputs, output: result)
        if computation == .add || computation == .multiply { try broadcast(&node) }
        // A cache has rows in slots, and those that take one know it.
        for index in node.inputs.indices where !isState(node.inputs[index]) { node.inputs[index] = try rows(node.inputs[index]) }
        draft.nodes.append(node)
        values[name] = result
    }

    private func isState(_ view: View) -> Bool { if case .state = draft.storages[view.storage].kind { true } else { false } }

    /// Copies of the parts, one after another; parts that can be made in place are so later (`shareCopies`).
    private mutating func joined(_ parts: [View], axis: Int, _ name: String, _ type: TensorType) throws(Diagnostic) -> View {
        let result = try fresh(name, type)
        var start: Affine = 0
        for (index, part) in parts.enumerated() {
            var target = result
            target.name = "\(name).part\(index)"
            target.offset = start * result.strides[axis]
            target.type = part.type
            draft.nodes.append(Node(name: name, computation: .copy, inputs: [part], output: target))
            start = start + part.shape[axis]
        }
        return result
    }

    /// Brings a repeated right operand to one row that is as long as the rows of the left one.
    private mutating func broadcast(_ node: inout Node) throws(Diagnostic) {
        let (left, right) = (node.inputs[0], node.inputs[1])
        if left.shape == right.shape || right.type.rank == 1 { return }
        let lead = left.shape.dropLast(right.type.rank)
        let length = Dimension.fixed(right.shape.reduce(1) { $0 * ($1.bound ?? 1) })
        func flattened(_ view: View, _ shape: [Dimension]) -> View {
            var view = view
            view.type.shape = shape
            view.strides = rowMajorStrides(shape)
            return view
        }
        node.inputs = [flattened(try contiguous(left), lead + [length]), flattened(try contiguous(right), [length])]
        node.output = flattened(node.output, lead + [length])
    }

    /// The angles depend only on the positions and the head size: one table per call serves all layers.
    private mutating func table(_ rotary: Rotary, positions: View, in layer: ModelLayer?) throws(Diagnostic) -> View {
        let key = RotaryKey(positions: positions, rotary: rotary)
        if let table = tables[key] { return table }
        var name = tables.isEmpty ? "rotary_table" : "rotary_table\(tables.count)"
        // That of positions that a layer makes is the layer's own.
        if let layer, ModelLayer(of: positions.name) == layer { name = "\(layer.name).rotary_table" }
        let table = try fresh(name, TensorType(.float32, [positions.shape[0], .fixed(rotary.headSize)]))
        let node = Node(name: name, computation: .rotaryTable(frequencies: rotary.inverseFrequencies), inputs: [positions], output: table)
        // Ahead of all layers, where the positions are given; behind what makes them, where that stands between layers.
        if case .region = draft.storages[positions.storage].kind {
            prologue.append(node)
        } else if let maker = draft.nodes.lastIndex(where: { $0.output.storage == positions.storage }),
            ModelLayer(of: draft.nodes[maker].name) == nil
        {
            draft.nodes.insert(node, at: maker + 1)
        } else {
            draft.nodes.append(node)
        }
        tables[key] = table
        return table
    }
}
