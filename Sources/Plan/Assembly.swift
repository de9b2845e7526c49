import IR
import Support

/// Turns planned timelines into the entry points, layer functions and tables of the plan.
struct Assembly {
    private let weightOffsets: [String: Int]
    private let stateOffsets: [String: Int]
    private let entryOffsets: [EntryPoint.Region: Int]
    private let scratch: Int
    private(set) var tables: [LayerTable] = []
    private(set) var layers: [LayerFunction] = []

    init(weights: [PlacedWeight], regions: [Region], scratch: Int) {
        weightOffsets = Dictionary(uniqueKeysWithValues: weights.map { ($0.name, $0.offset) })
        var (states, entries) = ([String: Int](), [EntryPoint.Region: Int]())
        for region in regions {
            switch region.role {
            case .state: states[region.name] = region.offset
            case .entry(let entry): entries[entry] = region.offset
            case .counts, .scratch: break
            }
        }
        (stateOffsets, entryOffsets) = (states, entries)
        self.scratch = scratch
    }

    mutating func entries(of timeline: TimelinePlan) throws(Diagnostic) -> [EntryFunction] {
        let first = layers.count
        for layer in timeline.layers.indices { try addLayer(layer, of: timeline) }
        let assembly = self
        return timeline.draft.sections.map { section in
            var builder = BodyBuilder(timeline.draft) { storage in assembly.place(of: storage, in: timeline) }
            for item in timeline.items {
                switch item {
                case .node(let node) where section.nodes.contains(node): builder.append(timeline.draft.nodes[node])
                case .call(let run) where section.nodes.contains(timeline.draft.runs[run].nodes.lowerBound):
                    guard let binding = timeline.bindings[run], let layer = timeline.draft.runs[run].layer else { continue }
                    let function = layers[first + layer]
                    let prefix = timeline.draft.runs[run].model.name
                    let row = function.table.flatMap { tables[$0].layers.firstIndex(of: prefix) } ?? 0
                    builder.append(
                        call: first + layer, row: row, name: prefix, order(binding).map { (binding.arguments[$0], binding.isWritten[$0]) })
                case .node, .call: break
                }
            }
            return EntryFunction(entry: section.entry, body: builder.finish())
        }
    }

    private func place(of storage: Int, in timeline: TimelinePlan) -> Buffer.Place {
        switch timeline.draft.storages[storage].kind {
        case .scratch: .arena(scratch + timeline.base + (timeline.offsets[storage] ?? 0))
        case .weight(let name): .weight(name)
        case .state(let name): .arena(offset(ofState: name))
        case .region(let region): .arena(entryOffsets[region] ?? 0)
        }
    }

    /// SlotLayout has refused states that no operation gives a place.
    private func offset(ofState name: String) -> Int {
        guard let offset = stateOffsets[name] else { preconditionFailure("the state '&\(name)' has no place") }
        return offset
    }

    /// Arguments as the function takes them: those that it reads, then those that it writes.
    private func order(_ binding: RunBinding) -> [Int] {
        let indices = binding.arguments.indices
        return indices.filter { !binding.isWritten[$0] } + indices.filter { binding.isWritten[$0] }
    }

    // MARK: - layers

    private mutating func addLayer(_ index: Int, of timeline: TimelinePlan) throws(Diagnostic) {
        let (draft, layer) = (timeline.layerDraft, timeline.layers[index])
        let run = draft.runs[layer.runs[0]]
        guard let binding = timeline.bindings[layer.runs[0]] else { return }
        let members = layer.runs.compactMap { timeline.bindings[$0] }
        let section = binding.shape.section

        // What differs from layer to layer comes from the table.
        var fields: [Int: LayerTable.Field] = [:]
        var columns: [(field: LayerTable.Field, offsets: [Int], storage: Int)] = []
        func addColumns(_ slots: [Int], _ kind: LayerTable.Field.Kind, _ storages: (RunBinding) -> [Int], _ offsets: [String: Int]) {
            for (slot, storage) in slots.enumerated() {
                let names = members.map { draft.storages[storages($0)[slot]].name }
                if Set(names).count == 1 { continue }
                let field = LayerTable.Field(name: run.model.local(names[0]), kind: kind, type: draft.storages[storage].type)
                columns.append((field, names.map { offsets[$0] ?? 0 }, storage))
            }
        }
        addColumns(binding.weights, .weight, \.weights, weightOffsets)
        addColumns(binding.states, .state, \.states, stateOffsets)
        var table: Int?
        if !columns.isEmpty {
            let rows = layer.runs.indices.map { row in columns.map { $0.offsets[row] } }
            let prefixes = layer.runs.map { draft.runs[$0].model.name }
            let (found, columnIndex) = addTable(run.model.stem, columns.map(\.field), prefixes, rows)
            table = found
            for (column, entry) in columns.enumerated() { fields[entry.storage] = tables[found].fields[columnIndex[column]] }
        }
        let tableFields = table.map { tables[$0].fields } ?? []

        let assembly = self
        let columnOf = fields.mapValues { field in tableFields.firstIndex(of: field) ?? 0 }
        var builder = BodyBuilder(draft, layer: run.model) { storage in
            if let column = columnOf[storage] { return .field(column) }
            if let local = binding.locals.firstIndex(of: storage) {
                return .arena(assembly.scratch + timeline.base + layer.offset + layer.locals[local])
            }
            return assembly.place(of: storage, in: timeline)
        }
        let order = order(binding)
        let inputs = order.filter { !binding.isWritten[$0] }
        var arguments: [Int] = []
        for (position, argument) in order.enumerated() {
            let names = Set(members.map { $0.arguments[argument].name })
            let view = binding.arguments[argument]
            let isInput = position < inputs.count
            let name =
                names.count == 1 || !isInput
                ? run.model.local(view.name) : inputs.count(where: { $0 <= argument }) == 1 ? "input" : "input\(position)"
            arguments.append(builder.append(argument: view, name: name))
        }
        for node in run.nodes { builder.append(draft.nodes[node]) }
        layers.append(
            LayerFunction(
                name: unique(
                    "\(section.rawValue).\(layer.runs.count > 1 ? run.model.stem : run.model.name)", among: layers.map(\.name)),
                table: table, arguments: arguments,
                resultCount: order.count - inputs.count, body: builder.finish()))
    }

    /// `name`, or `name.2`, `name.3`, ... where it is taken.
    private func unique(_ name: String, among names: [String]) -> String {
        if !names.contains(name) { return name }
        return (2...).lazy.map { "\(name).\($0)" }.first { !names.contains($0) } ?? name
    }

    /// A table that holds these cells: one that is there and fits, or grows to fit without a hole, or a new one.
    private mutating func addTable(
        _ name: String, _ fields: [LayerTable.Field], _ prefixes: [String], _ rows: [[Int]]
    ) -> (table: Int, columns: [Int]) {
        for (index, table) in tables.enumerated() where table.name == name && Set(table.fields) == Set(fields) {
            let columns = fields.compactMap { table.fields.firstIndex(of: $0) }
            var grown = table
            var fits = columns.count == fields.count
            for (prefix, row) in zip(prefixes, rows) {
                var ordered = row
                for (column, value) in zip(columns, row) { ordered[column] = value }
                if let present = table.layers.firstIndex(of: prefix) {
                    fits = fits && table.rows[present] == ordered
                } else {
                    grown.layers.append(prefix)
                    grown.rows.append(ordered)
                }
            }
            guard fits else { continue }
            tables[index] = grown
            return (index, columns)
        }
        tables.append(LayerTable(name: unique(name, among: tables.map(\.name)), fields: fields, layers: prefixes, rows: rows))
        return (tables.count - 1, Array(fields.indices))
    }
}
