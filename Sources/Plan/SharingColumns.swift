import IR

/// Values that may lie in some columns of a wider one.
extension Draft {
    /// before: ab = x . [wa; wb]; a = columns of ab; b = other columns of ab; y = f(a, b), the last use of ab
    /// after:  y is written over a, and its readers step over the columns of b
    ///
    /// So the product of gate and up needs no memory where one matmul makes both. Holds where every reader of y takes rows at any stride.
    mutating func shareColumns() {
        for (index, node) in nodes.enumerated() {
            let result = node.output
            guard storages[result.storage].kind == .scratch, storages[result.storage].home == nil, isWhole(result) else {
                continue
            }
            for candidate in node.computation.traits.overwritableInputs {
                let input = node.inputs[candidate]
                guard input.type == result.type, input.rowLayout != nil, !isWhole(input), input.storage != result.storage,
                    storages[input.storage].kind == .scratch, storages[input.storage].home == nil,
                    node.inputs.indices.allSatisfy({ $0 == candidate || isBeside(node.inputs[$0], input) }),
                    let life = lifetimes()[input.storage], life.upperBound == index, runOfNode[life.lowerBound] == runOfNode[index],
                    let readers = readers(of: result, from: index)
                else { continue }
                func moved(_ view: View) -> View {
                    var view = view
                    (view.storage, view.offset, view.strides) = (input.storage, input.offset, input.strides)
                    return view
                }
                nodes[index].output = moved(result)
                for reader in readers {
                    for (operand, view) in nodes[reader].inputs.enumerated() where view.storage == result.storage {
                        nodes[reader].inputs[operand] = moved(view)
                    }
                }
                break
            }
        }
    }

    /// The nodes after `index` that touch the storage of `result`; nil where one writes it, reads another view of it or wants it in one piece.
    private func readers(of result: View, from index: Int) -> [Int]? {
        // What shares the storage's memory has views of its own there.
        if storages.contains(where: { $0.home?.storage == result.storage }) { return nil }
        var readers: [Int] = []
        for (other, node) in nodes.enumerated() where other != index {
            if node.output.storage == result.storage { return nil }
            let views = node.inputs.filter { $0.storage == result.storage }
            if views.isEmpty { continue }
            guard other > index, node.computation.traits.readsStridedRows,
                views.allSatisfy({ $0.type == result.type && $0.strides == result.strides && $0.start == result.start })
            else { return nil }
            readers.append(other)
        }
        return readers
    }

    /// Both views lie in rows of one storage, in columns that they do not share; or in different memory.
    private func isBeside(_ a: View, _ b: View) -> Bool {
        if root(a.storage).storage != root(b.storage).storage { return true }
        guard a.storage == b.storage, a.type == b.type, a.strides == b.strides, let layout = a.rowLayout,
            layout.rows.isMany, let left = a.offset.fixedValue, let right = b.offset.fixedValue
        else { return false }
        let (first, second) = (min(left, right) % layout.stride, max(left, right) % layout.stride)
        return left / layout.stride == right / layout.stride && second - first >= layout.columns
            && second + layout.columns <= layout.stride
    }
}
