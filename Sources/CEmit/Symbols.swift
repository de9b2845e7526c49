import IR
import Plan

/// The C names at file level.
struct Symbols {
    private(set) var names: Set<String>
    /// The C names of `Plan.tables`, of their structure types and fields, and of `Plan.layers`.
    private(set) var tables: [String] = []
    private(set) var tableTypes: [String] = []
    private(set) var fields: [[String]] = []
    private(set) var layers: [String] = []
    private let arenaNames: [Int: String]
    private var scratch = (name: "SCRATCH", offset: 0)
    private let weightNames: [String: String]
    /// Tables of rotary frequencies in the order of their names.
    private(set) var rotary: [(name: String, values: [Float])] = []
    /// Weights that are read outside of layer functions and in no table: each has a constant.
    private(set) var constants: [(name: String, weight: PlacedWeight)] = []
    /// All regions but the states.
    private(set) var regions: [(name: String, region: Region)] = []

    init(_ plan: Plan) {
        var scope = NameScope(reserved: Set(EntryPoint.allCases.map(\.rawValue) + ["lmmc_program"] + plan.counts.symbols))
        for table in plan.tables {
            tables.append(scope.unique(table.name + "s"))
            tableTypes.append(scope.unique(table.name))
            var fieldScope = NameScope()
            fields.append(table.fields.map { fieldScope.unique($0.name) })
        }
        for layer in plan.layers { layers.append(scope.unique(layer.name)) }

        var arenaNames: [Int: String] = [:]
        for region in plan.regions where region.role == .state { arenaNames[region.offset] = "\(region.offset)" }
        for region in plan.regions where region.role != .state {
            let name = scope.unique(region.name.uppercased())
            regions.append((name, region))
            if region.role == .scratch { scratch = (name, region.offset) } else { arenaNames[region.offset] = name }
        }
        let bodies = plan.entries.map(\.body) + plan.layers.map(\.body)
        let placed = Dictionary(uniqueKeysWithValues: plan.weights.map { ($0.name, $0) })
        var weightNames: [String: String] = [:]
        var cells: [Int: String] = [:]
        for (table, symbol) in zip(plan.tables.indices, tables) {
            for (row, offsets) in plan.tables[table].rows.enumerated() {
                for (column, offset) in offsets.enumerated() {
                    let cell = "\(symbol)[\(row)].\(fields[table][column])"
                    if plan.tables[table].fields[column].kind == .weight { cells[offset] = cell } else { arenaNames[offset] = cell }
                }
            }
        }
        for buffer in bodies.flatMap(\.buffers) {
            guard case .weight(let name) = buffer.place, weightNames[name] == nil, let weight = placed[name] else { continue }
            if let cell = cells[weight.offset] {
                weightNames[name] = cell
            } else {
                let constant = scope.unique(name.uppercased())
                weightNames[name] = constant
                constants.append((constant, weight))
            }
        }
        var seen: Set<[Float]> = []
        for step in bodies.flatMap(\.steps) {
            if case .run(let kernel, _, _, _) = step, case .rotaryAngles(let values) = kernel.routine, seen.insert(values).inserted {
                rotary.append((scope.unique("rotary_frequencies"), values))
            }
        }
        self.arenaNames = arenaNames
        self.weightNames = weightNames
        names = scope.names
    }

    /// The C expression for an offset in the arena: the name of a region or a cache, else a place in the scratch region.
    func arena(_ offset: Int) -> String {
        if let name = arenaNames[offset] { return name }
        return offset == scratch.offset ? scratch.name : "\(scratch.name) + \(offset - scratch.offset)"
    }

    func weight(_ name: String) -> String { weightNames[name] ?? "0" }

    func frequencies(_ values: [Float]) -> String { rotary.first { $0.values == values }?.name ?? "NULL" }
}
