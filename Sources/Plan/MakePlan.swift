import IR
import Support

/// The plan of an optimised, verified module whose functions are `vision`, `project`, `prefill` and `decode` (any of them may be absent).
///
/// `chunk` is the longest sequence of one `prefill` call, at least 1. Throws on another function or signature, on a weight that is neither f32 nor
/// panels, and when a size passes 2^63 bytes.
/// `scoring` adds the entry point `score`.
public func makePlan(_ module: Module, chunk: Int, scoring: Bool = false) throws(Diagnostic) -> Plan {
    guard chunk > 0 else { throw .error("a chunk of \(chunk) tokens", expected: "at least 1") }
    let signature = try Signature(module, chunk: chunk)
    var timelines: [TimelinePlan] = []
    for draft in try makeDrafts(module, signature, chunk: chunk) { timelines.append(try TimelinePlan(draft, chunk: chunk)) }
    var scores: TensorType?
    if scoring, let score = try module.scoreFunction() {
        let rows = scoreRowCount(vocabulary: signature.vocabulary, chunk: chunk)
        let type = TensorType(.float32, fixed: [rows, signature.vocabulary])
        timelines.append(try TimelinePlan(makeDraft(score, of: .score, type, module, chunk: rows), chunk: rows))
        scores = type
    }

    var arena = Arena()
    for (name, type) in module.states { try arena.append(name, .state, type, chunk: chunk) }
    for (region, type) in signature.regions { try arena.append(region.rawValue, .entry(region), type, chunk: chunk) }
    if let scores { try arena.append(EntryPoint.Region.scores.rawValue, .entry(.scores), scores, chunk: chunk) }
    let activationBytes = timelines.map(\.byteCount).max() ?? 0
    let scratch = try arena.append("scratch", bytes: activationBytes)

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
        moduleName: module.name, chunk: chunk, weights: weights, weightBytes: weightBytes, regions: arena.regions,
        arenaBytes: arena.byteCount,
        activationBytes: activationBytes,
        timelines: timelines.map { Timeline(name: $0.draft.name, entries: $0.draft.sections.map(\.entry), byteCount: $0.byteCount) },
        tables: assembly.tables, layers: assembly.layers, entries: entries, hidden: signature.hidden, vocabulary: signature.vocabulary,
        scoreRows: scores?.shape[0].fixedValue ?? 0)
}

/// In bytes: beside a weight of this size the gap before it, at most a page, does not count.
private let largeWeight = 1 << 20

/// The arena as it grows.
private struct Arena {
    var regions: [Region] = []
    var byteCount = 0

    mutating func append(_ name: String, _ role: Region.Role, _ type: TensorType, chunk: Int) throws(Diagnostic) {
        guard let bytes = type.byteCount(sequence: chunk) else { throw Self.overflow }
        try append(Region(name: name, role: role, type: type, offset: byteCount, byteCount: bytes))
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

    private static var overflow: Diagnostic { .error("the arena passes 2^63 bytes") }
}

private func makeDrafts(_ module: Module, _ signature: Signature, chunk: Int) throws(Diagnostic) -> [Draft] {
    var drafts: [Draft] = []
    if let vision = module.function(.vision) {
        var lowering = Lowering(name: "image", entry: .vision, module: module, chunk: chunk)
        let taps = try lowering.append(vision, of: .vision)
        if let project = module.function(.project), let type = signature.projected {
            let result = try lowering.append(project, of: .project, reading: taps)
            try lowering.place(result[0], of: .project, type: type)
        }
        drafts.append(lowering.draft)
    }
    for entry in [EntryPoint.prefill, .decode] {
        guard let function = module.function(entry), let logits = signature.logits else { continue }
        drafts.append(try makeDraft(function, of: entry, logits, module, chunk: chunk))
    }
    return drafts
}

/// `prefill`, `decode` or `score`, with its result in a region of the given type.
private func makeDraft(
    _ function: Function, of entry: EntryPoint, _ type: TensorType, _ module: Module, chunk: Int
) throws(Diagnostic) -> Draft {
    var lowering = Lowering(name: entry.rawValue, entry: entry, module: module, chunk: chunk)
    let result = try lowering.append(function, of: entry)
    try lowering.place(result[0], of: entry, type: type)
    return lowering.draft
}
