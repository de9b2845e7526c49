import IR

/// Values that may lie in the memory of another, so that nothing is copied or moved.
extension Draft {
    /// Both nodes are in one run, or both in none: only then every layer of a repeated group takes the same decision.
    private func isSameRun(_ a: Int, _ b: Int) -> Bool { runOfNode[a] == runOfNode[b] }

    /// A storage that nothing has been decided about: scratch, in no other storage.
    private func isFree(_ storage: Int) -> Bool { storages[storage].kind == .scratch && storages[storage].home == nil }

    private mutating func removeNodes(_ removed: Set<Int>) {
        guard !removed.isEmpty else { return }
        for index in sections.indices {
            let range = sections[index].nodes
            let before = removed.count { $0 < range.lowerBound }
            let inside = removed.count { range.contains($0) }
            sections[index].nodes = range.lowerBound - before..<range.upperBound - before - inside
        }
        runOfNode = runOfNode.indices.filter { !removed.contains($0) }.map { runOfNode[$0] }
        nodes = nodes.indices.filter { !removed.contains($0) }.map { nodes[$0] }
        runs = []
        findRuns()
    }

    /// before: x = f(...); copy x into a part of a concatenation
    /// after:  f writes there
    ///
    /// Holds where f writes the whole of x in the same run. Parts do not overlap and nothing else writes there.
    mutating func shareCopies() {
        var removed: Set<Int> = []
        for (index, node) in nodes.enumerated() where node.computation == .copy {
            let (source, target) = (node.inputs[0], node.output)
            guard isFree(source.storage), isWhole(source), source.strides == target.strides, source.type.dtype == target.type.dtype else {
                continue
            }
            let place = root(target.storage).storage
            let uses = nodes.indices.filter { touches(nodes[$0], source.storage) }
            guard place != source.storage, let first = uses.first, first < index, isSameRun(first, index) else { continue }
            storages[source.storage].home = Storage.Home(storage: target.storage, offset: target.offset)
            removed.insert(index)
        }
        removeNodes(removed)
    }

    private func touches(_ node: Node, _ storage: Int) -> Bool {
        (node.inputs + [node.output]).contains { root($0.storage).storage == storage }
    }

    /// Whether the node may write its result over input `index`, which has the type and strides of the result and memory that no other input reads.
    func mayOverwrite(_ node: Node, input index: Int) -> Bool {
        guard node.computation.traits.overwritableInputs.contains(index) else { return false }
        let (input, output) = (node.inputs[index], node.output)
        let storage = root(input.storage).storage
        return input.type == output.type && input.strides == output.strides
            && !node.inputs.indices.contains { $0 != index && root(node.inputs[$0].storage).storage == storage }
    }

    /// before: y = f(x), the last use of x
    /// after:  y is written over x
    mutating func shareInPlace() {
        for (index, node) in nodes.enumerated() {
            guard isWhole(node.output) else { continue }
            for candidate in node.inputs.indices where mayOverwrite(node, input: candidate) {
                let input = node.inputs[candidate]
                let place = root(node.output.storage)
                guard isFree(input.storage), isWhole(input), place.storage != input.storage else { continue }
                let lifetimes = lifetimes()
                guard let life = lifetimes[input.storage], life.upperBound == index, isSameRun(life.lowerBound, index) else { continue }
                if case .state = storages[place.storage].kind { continue }
                storages[input.storage].home = Storage.Home(storage: node.output.storage, offset: 0)
                break
            }
        }
    }

    /// before: y = layer(x), the last use of x, and the layer reads x for the last time before it writes y
    /// after:  the layer's result is written over x, so that a chain of layers updates one buffer
    ///
    /// Decided for each call, since a tap keeps some x alive: a layer function is told both places.
    mutating func shareArguments(_ bindings: [Int: RunBinding]) {
        for (index, run) in runs.enumerated() where run.layer != nil {
            guard let binding = bindings[index] else { continue }
            for (output, result) in binding.arguments.enumerated() where binding.isWritten[output] {
                let candidates = binding.arguments.indices.filter { !binding.isWritten[$0] }
                guard isFree(result.storage), result.offset == 0,
                    let input = candidates.first(where: { mayReplace(binding.arguments[$0], by: result, in: run) })
                else { continue }
                storages[result.storage].home = Storage.Home(
                    storage: root(binding.arguments[input].storage).storage, offset: 0)
            }
        }
    }

    /// The whole storage of `input`, which dies in the run, may hold `output`, which is born there.
    private func mayReplace(_ input: View, by output: View, in run: Run) -> Bool {
        let source = resolved(input)
        guard isFree(source.storage), source.offset == 0, source.storage != output.storage,
            storages[source.storage].byteCount == storages[output.storage].byteCount,
            canReplace(source.storage, by: output.storage, in: run)
        else { return false }
        let lifetimes = lifetimes()
        guard let life = lifetimes[source.storage], let born = lifetimes[output.storage] else { return false }
        return run.nodes.contains(life.upperBound) && run.nodes.contains(born.lowerBound)
    }

    /// Every read of storage `input` comes before the first touch of storage `output`, or is by a computation that may overwrite what it reads.
    private func canReplace(_ input: Int, by output: Int, in run: Run) -> Bool {
        guard let last = run.nodes.last(where: { touches(nodes[$0], input) }),
            let first = run.nodes.first(where: { touches(nodes[$0], output) })
        else { return false }
        if last != first { return last < first }
        let node = nodes[last]
        let reads = node.inputs.indices.filter { root(node.inputs[$0].storage).storage == input }
        return reads.count == 1 && resolved(node.inputs[reads[0]]).offset == 0 && mayOverwrite(node, input: reads[0])
    }
}
