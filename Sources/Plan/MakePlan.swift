import IR
import Support

/// The plan of an optimised, verified module whose functions are `vision`, `project` and `step` (any of them may be absent).
///
/// Throws on another function or signature, on a weight that is neither f32 nor panels, and when a size passes 2^63 bytes.
public func makePlan(_ module: Module) throws(Diagnostic) -> Plan {
    let signature = try Signature(module)
    let slots = try SlotLayout(module)
    var timelines: [TimelinePlan] = []
    for draft in try makeDrafts(module, signature, slots) { timelines.append(try TimelinePlan(draft)) }

    var arena = Arena()
    try arena.append(lengths: slots)
    let countsOffset = arena.byteCount
    let isCounted = signature.projected?.isStatic == false
    if !signature.counts.isEmpty {
        try arena.append("counts", .counts, TensorType(.int32, fixed: [signature.counts.count + (isCounted ? 1 : 0)]))
    }
    for (region, type) in signature.regions { try arena.append(region.rawValue, .entry(region), type) }
    // Where there are several slots, others go on with their answers while the tower is at work.
    var activationBytes = 0
    for index in timelines.indices {
        timelines[index].base = slots.count > 1 ? activationBytes : 0
        guard let bytes = roundedUp(timelines[index].byteCount, to: 64), let end = checkedSum([timelines[index].base, bytes]) else {
            throw Arena.overflow
        }
        activationBytes = max(activationBytes, end)
    }
    let scratch = try arena.append("scratch", bytes: activationBytes)
    try arena.append(slots, of: module)

    var weights: [PlacedWeight] = []
    var weightBytes = 0
    for name in module.storedWeights {
        // Large ones begin with a page, as products of few rows stream best.
        guard let type = module.weights[name]?.type, let byteCount = type.byteCount(),
            let offset = roundedUp(weightBytes, to: byteCount < largeWeight ? 64 : 4096), let padded = roundedUp(byteCount, to: 64),
            let end = checkedSum([offset, padded])
        else { throw .error("the weights pass 2^63 bytes", at: .operation("@\(name)")) }
        weights.append(PlacedWeight(name: name, type: type, offset: offset, byteCount: byteCount))
        weightBytes = end
    }

    var assembly = Assembly(weights: weights, regions: arena.regions, scratch: scratch)
    var entries: [EntryFunction] = []
    for timeline in timelines { entries += try assembly.entries(of: timeline) }
    return Plan(
        moduleName: module.name, chunk: signature.rows, wantedRows: signature.wanted, weights: weights, weightBytes: weightBytes,
        counts: Plan.Counts(
            symbols: signature.counts.map(\.name), offset: countsOffset, projected: isCounted ? signature.projected?.shape[0] : nil),
        blockPoints: module.function(.step)?.blockPoints(slots.lengths),
        takesWholePrompts: module.function(.step)?.operations.contains { $0.op.payload.selectsRows } ?? false,
        regions: arena.regions, slots: slots, arenaBytes: arena.byteCount,
        activationBytes: activationBytes,
        timelines: timelines.map { Timeline(name: $0.draft.name, entries: $0.draft.sections.map(\.entry), byteCount: $0.byteCount) },
        tables: assembly.tables, layers: assembly.layers, entries: entries, hidden: signature.hidden, vocabulary: signature.vocabulary)
}

/// In bytes: beside a weight of this size the gap before it, at most a page, does not count.
private let largeWeight = 1 << 20

/// The arena as it grows.
private struct Arena {
    var regions: [Region] = []
    var byteCount = 0

    mutating func append(_ name: String, _ role: Region.Role, _ type: TensorType) throws(Diagnostic) {
        guard let bytes = type.byteCount() else { throw Self.overflow }
        try append(Region(name: name, role: role, type: type, offset: byteCount, byteCount: bytes))
    }

    /// i32 [blocks, slots], side by side, since the runtime copies and clears the lengths of a slot in all blocks.
    mutating func append(lengths slots: SlotLayout) throws(Diagnostic) {
        let type = TensorType(.int32, fixed: [slots.count])
        guard let bytes = type.byteCount(), let all = checkedProduct(bytes, slots.lengths.count), let end = roundedUp(all, to: 64) else {
            throw Self.overflow
        }
        for (block, name) in slots.lengths.enumerated() {
            regions.append(Region(name: name, role: .state, type: type, offset: byteCount + block * bytes, byteCount: bytes))
        }
        byteCount += end
    }

    /// The caches of the first slot, and room for those of the others behind it.
    mutating func append(_ slots: SlotLayout, of module: Module) throws(Diagnostic) {
        if slots.caches.isEmpty { return }
        guard let first = roundedUp(byteCount, to: slots.alignment), let all = checkedProduct(slots.count, slots.byteCount),
            let end = checkedSum([first, all])
        else { throw Self.overflow }
        for cache in slots.caches {
            regions.append(
                Region(
                    name: cache.name, role: .state, type: module.states[cache.name], offset: first + cache.offset,
                    byteCount: cache.rowBytes * slots.context))
        }
        byteCount = end
    }

    mutating func append(_ name: String, bytes: Int) throws(Diagnostic) -> Int {
        let offset = byteCount
        try append(Region(name: name, role: .scratch, type: nil, offset: offset, byteCount: bytes))
        return offset
    }

    private mutating func append(_ region: Region) throws(Diagnostic) {
        guard let padded = roundedUp(region.byteCount, to: 64), let end = checkedSum([byteCount, padded]) else { throw Self.overflow }
        regions.append(region)
        byteCount = end
    }

    static var overflow: Diagnostic { .error("the arena passes 2^63 bytes") }
}

private func makeDrafts(_ module: Module, _ signature: Signature, _ slots: SlotLayout) throws(Diagnostic) -> [Draft] {
    var drafts: [Draft] = []
    if let vision = module.function(.vision) {
        var lowering = Lowering(name: "image", entry: .vision, module: module, slots: slots)
        let taps = try lowering.append(vision, of: .vision)
        if let project = module.function(.project), let type = signature.projected {
            let results = try lowering.append(project, of: .project, reading: taps)
            try lowering.place(results[0], in: .projected, type: type)
            if let selected = signature.selected { try lowering.place(results[1], in: .selected, type: selected) }
            if let keys = signature.keyRows { try lowering.place(results[2], in: .keyRows, type: keys) }
        }
        drafts.append(lowering.draft)
    }
    if let step = module.function(.step), let decode = try module.decodeFunction(), let logits = signature.logits {
        for (function, entry) in [(step, EntryPoint.step), (decode, .decode)] {
            var lowering = Lowering(name: entry.rawValue, entry: entry, module: module, slots: slots)
            let results = try lowering.append(function, of: entry)
            try lowering.place(results[0], in: .logits, type: logits)
            if let kept = signature.kept, results.count > 1 { try lowering.place(results[1], in: .kept, type: kept) }
            drafts.append(lowering.draft)
        }
    }
    return drafts
}
