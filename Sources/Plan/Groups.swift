import IR

/// Consecutive nodes of one section of one layer.
struct Run {
    var model: ModelLayer
    var nodes: Range<Int>
    /// The layer of the timeline plan whose function runs it, nil where the steps stand in the entry point.
    var layer: Int?
}

extension Draft {
    mutating func findRuns() {
        runOfNode = Array(repeating: nil, count: nodes.count)
        for section in sections {
            var start = section.nodes.lowerBound
            while start < section.nodes.upperBound {
                let layer = ModelLayer(of: nodes[start].name)
                var end = start + 1
                while end < section.nodes.upperBound, ModelLayer(of: nodes[end].name) == layer { end += 1 }
                if let layer {
                    for index in start..<end { runOfNode[index] = runs.count }
                    runs.append(Run(model: layer, nodes: start..<end))
                }
                start = end
            }
        }
    }

    /// Root storages that only the nodes of this run touch.
    func localStorages(of run: Run, _ lifetimes: [Int: ClosedRange<Int>]) -> Set<Int> {
        Set(
            lifetimes.filter { storage, life in
                storages[storage].kind == .scratch && run.nodes.contains(life.lowerBound) && run.nodes.contains(life.upperBound)
            }.keys)
    }
}

/// What a run does with everything renamed in the order of first use: equal shapes of two runs mean that one function serves both.
struct RunShape: Hashable {
    enum Root: Hashable {
        /// The n-th storage of the run's own.
        case local(Int)
        /// The n-th pointer from outside.
        case argument(Int)
        case weight(Int)
        case state(Int)
    }

    struct OperandShape: Hashable {
        var root: Root
        var offset: Affine
        var view: View.Shape
    }

    struct NodeShape: Hashable {
        var name: String
        var computation: Computation
        var operands: [OperandShape]
    }

    var section: EntryPoint
    var stem: String
    var nodes: [NodeShape] = []
}

extension View {
    /// A view without its place.
    struct Shape: Hashable {
        var dtypeAndShape: String
        var strides: [Int]
        var storageBytes: Int
    }
}

/// The shape of a run, and what stands for its n-th weight, state, local storage and argument in this run.
struct RunBinding {
    var shape: RunShape
    var weights: [Int] = []
    var states: [Int] = []
    var locals: [Int] = []
    /// Where each argument begins, as the first view that reads or writes it (resolved).
    var arguments: [View] = []
    var isWritten: [Bool] = []

    init(_ run: Run, in draft: Draft, section: EntryPoint, locals localStorages: Set<Int>) {
        shape = RunShape(section: section, stem: run.model.stem)
        var argumentIndex: [View: Int] = [:]
        for index in run.nodes {
            let node = draft.nodes[index]
            var operands: [RunShape.OperandShape] = []
            for (view, isOutput) in node.inputs.map({ ($0, false) }) + [(node.output, true)] {
                let view = draft.resolved(view)
                let storage = draft.storages[view.storage]
                var offset = view.offset
                let root: RunShape.Root
                switch storage.kind {
                case .weight: root = .weight(Self.index(of: view.storage, in: &weights))
                case .state: root = .state(Self.index(of: view.storage, in: &states))
                case .scratch where localStorages.contains(view.storage): root = .local(Self.index(of: view.storage, in: &locals))
                case .scratch, .region:
                    let start = view.start
                    let argument = argumentIndex[start] ?? arguments.count
                    if argument == arguments.count {
                        argumentIndex[start] = argument
                        var named = view
                        if view.offset == 0 { named.name = storage.name }
                        arguments.append(named)
                        isWritten.append(false)
                    }
                    isWritten[argument] = isWritten[argument] || isOutput
                    offset = 0
                    root = .argument(argument)
                }
                let isArgument = if case .argument = root { true } else { false }
                operands.append(
                    RunShape.OperandShape(
                        root: root, offset: offset,
                        view: View.Shape(
                            dtypeAndShape: view.type.description, strides: view.strides, storageBytes: isArgument ? 0 : storage.byteCount)))
            }
            shape.nodes.append(
                RunShape.NodeShape(name: run.model.local(node.name), computation: node.computation, operands: operands))
        }
    }

    private static func index(of storage: Int, in list: inout [Int]) -> Int {
        if let index = list.firstIndex(of: storage) { return index }
        list.append(storage)
        return list.count - 1
    }
}

extension View {
    /// The place without type and strides: equal for all views that begin at the same element.
    var start: View {
        View(name: "", storage: storage, offset: offset, type: .init(.uint8, []), strides: [])
    }
}
