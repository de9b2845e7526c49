import IR
import Support

/// A draft with its repeated groups and the place of every scratch storage.
struct TimelinePlan {
    enum Item {
        case node(Int)
        case call(run: Int)
    }

    /// Runs of one shape, or a transformer layer: they share a function.
    struct Layer {
        var runs: [Int]
        /// Byte offsets in the frame of the storages that only the layer's own nodes touch, in the order of `RunBinding.locals`
        var locals: [Int]
        /// The frame's
        var byteCount: Int
        /// Where the layer's frame (its locals) begins, in bytes from the start of the scratch region.
        var offset = 0
    }

    var draft: Draft
    /// The draft before layers were told to write results over their inputs: the arguments of a layer are all distinct in it.
    private(set) var layerDraft: Draft
    var bindings: [Int: RunBinding] = [:]
    var layers: [Layer] = []
    var items: [Item] = []
    /// Offsets in the scratch region of root storages, but for those local to a layer.
    var offsets: [Int: Int] = [:]
    var byteCount = 0
    /// Where these begin in the scratch region
    var base = 0

    init(_ draft: Draft) throws(Diagnostic) {
        self.draft = draft
        self.draft.findRuns()
        self.draft.shareCopies()
        self.draft.shareInPlace()
        self.draft.shareColumns()
        layerDraft = self.draft
        try findLayers()
        layerDraft = self.draft
        self.draft.shareArguments(bindings)
        listItems()
        try allocateScratch()
    }

    /// A transformer layer has a function of its own even where no other run is like it: the last layer of a step may be alone of its kind.
    private func isTransformerLayer(_ run: Run) -> Bool {
        run.nodes.contains { if case .attention = draft.nodes[$0].computation { true } else { false } }
    }

    private mutating func findLayers() throws(Diagnostic) {
        let lifetimes = draft.lifetimes()
        for (index, run) in draft.runs.enumerated() {
            guard let section = draft.sections.first(where: { $0.nodes.contains(run.nodes.lowerBound) }) else { continue }
            bindings[index] = RunBinding(run, in: draft, section: section.entry, locals: draft.localStorages(of: run, lifetimes))
        }
        var groups: [RunShape: [Int]] = [:]
        for index in draft.runs.indices {
            if let shape = bindings[index]?.shape { groups[shape, default: []].append(index) }
        }
        for runs in groups.values.filter({ $0.count > 1 || isTransformerLayer(draft.runs[$0[0]]) }).sorted(by: { $0[0] < $1[0] }) {
            for run in runs { draft.runs[run].layer = layers.count }
            let nodes = draft.runs[runs[0]].nodes
            let requests = (bindings[runs[0]]?.locals ?? []).map { storage in
                Request(byteCount: draft.storages[storage].byteCount, live: [lifetimes[storage] ?? nodes.lowerBound...nodes.lowerBound])
            }
            guard let (offsets, byteCount) = allocate(requests) else { throw Self.overflow(draft.name) }
            layers.append(Layer(runs: runs, locals: offsets, byteCount: byteCount))
        }
    }

    private mutating func listItems() {
        var node = 0
        while node < draft.nodes.count {
            if let run = draft.runOfNode[node], draft.runs[run].layer != nil {
                items.append(.call(run: run))
                node = draft.runs[run].nodes.upperBound
            } else {
                items.append(.node(node))
                node += 1
            }
        }
    }

    /// Layer frames count as blocks that are live at the calls.
    private mutating func allocateScratch() throws(Diagnostic) {
        var itemOfNode = Array(repeating: 0, count: draft.nodes.count)
        var calls: [Int: [Int]] = [:]
        var locals: Set<Int> = []
        for (position, item) in items.enumerated() {
            switch item {
            case .node(let node): itemOfNode[node] = position
            case .call(let run):
                for node in draft.runs[run].nodes { itemOfNode[node] = position }
                if let layer = draft.runs[run].layer { calls[layer, default: []].append(position) }
                locals.formUnion(bindings[run]?.locals ?? [])
            }
        }
        let lifetimes = draft.lifetimes()
        let roots = lifetimes.keys.filter { draft.storages[$0].kind == .scratch && !locals.contains($0) }.sorted()
        var requests = roots.map { storage in
            let life = lifetimes[storage] ?? 0...0
            return Request(
                byteCount: draft.storages[storage].byteCount, live: [itemOfNode[life.lowerBound]...itemOfNode[life.upperBound]])
        }
        for index in layers.indices {
            requests.append(Request(byteCount: layers[index].byteCount, live: (calls[index] ?? []).map { $0...$0 }))
        }
        guard let (places, total) = allocate(requests) else { throw Self.overflow(draft.name) }
        for (storage, place) in zip(roots, places) { offsets[storage] = place }
        for index in layers.indices { layers[index].offset = places[roots.count + index] }
        byteCount = total
    }

    private static func overflow(_ name: String) -> Diagnostic { .error("the scratch memory of '\(name)' passes 2^63 bytes") }
}
