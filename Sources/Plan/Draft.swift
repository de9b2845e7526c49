import IR

/// Memory that values lie in. Before allocation only its size is known.
struct Storage {
    enum Kind: Hashable {
        case scratch
        case weight(String)
        case state(String)
        /// A part of the arena that the runtime reads or writes
        case region(EntryPoint.Region)
    }

    /// Where a storage lives that shares the memory of another: from element `offset` of it on.
    struct Home {
        var storage: Int
        var offset: Affine
    }

    var name: String
    var kind: Kind
    var type: TensorType
    var byteCount: Int
    /// Elements from one entry of each dimension to the next.
    var strides: [Int]
    var home: Home?
}

/// A tensor inside a storage: element (i, j, ...) lies at `offset + i * strides[0] + ...`. Strides are numbers, since storages have room for
/// the bounds of symbols.
struct View: Hashable {
    var name: String
    var storage: Int
    var offset: Affine = 0
    var type: TensorType
    var strides: [Int]

    var shape: [Dimension] { type.shape }
    var rowLayout: RowLayout? { RowLayout(shape: shape, strides: strides) }
}

/// One computation on views, in execution order.
struct Node {
    /// The name of the operation that it belongs to.
    var name: String
    var computation: Computation
    var inputs: [View]
    var output: View
}

/// Entry points that run one after another on the same values: `vision` and `project`, `step`, or `decode`.
struct Draft {
    struct Section {
        var entry: EntryPoint
        var nodes: Range<Int>
    }

    var name: String
    var storages: [Storage] = []
    var nodes: [Node] = []
    var sections: [Section] = []
    /// Repeated groups; set once the storages are shared.
    var runs: [Run] = []
    /// For each node the index of its run, nil outside of one.
    var runOfNode: [Int?] = []

    /// The storage that `storage` finally lies in, and the element where it begins there.
    func root(_ storage: Int) -> Storage.Home {
        var place = Storage.Home(storage: storage, offset: 0)
        while let home = storages[place.storage].home {
            place = Storage.Home(storage: home.storage, offset: place.offset + home.offset)
        }
        return place
    }

    /// The same tensor as a view of its root storage.
    func resolved(_ view: View) -> View {
        let place = root(view.storage)
        var view = view
        view.storage = place.storage
        view.offset = view.offset + place.offset
        return view
    }

    /// First and last node that touches each root storage.
    func lifetimes() -> [Int: ClosedRange<Int>] {
        var result: [Int: ClosedRange<Int>] = [:]
        for (index, node) in nodes.enumerated() {
            for view in node.inputs + [node.output] {
                let storage = root(view.storage).storage
                result[storage] = (result[storage]?.lowerBound ?? index)...index
            }
        }
        return result
    }

    /// The view covers its storage from the first element to the last, in row-major order.
    func isWhole(_ view: View) -> Bool {
        let storage = storages[view.storage]
        return view.offset == 0 && view.type.dtype == storage.type.dtype && view.strides == rowMajorStrides(view.shape)
            && view.type.byteCount() == storage.byteCount
    }
}
