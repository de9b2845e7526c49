import IR

/// Names the buffers of a body and refers the steps to them.
struct BodyBuilder {
    private let draft: Draft
    private let layer: ModelLayer?
    /// Where a root storage lies.
    private let place: (Int) -> Buffer.Place
    private var body = Body(buffers: [], steps: [])
    /// The place, form and name of each buffer.
    private var indices: [View: Int] = [:]
    /// The first buffer of each place and form, whatever its name.
    private var unnamed: [View: Int] = [:]
    /// The layer arguments by the place where they begin.
    private var arguments: [View: Int] = [:]
    private var written: Set<Int> = []

    init(_ draft: Draft, layer: ModelLayer? = nil, place: @escaping (Int) -> Buffer.Place) {
        self.draft = draft
        self.layer = layer
        self.place = place
    }

    /// Adds a buffer for a pointer that the caller passes. `view` is what is passed for the first layer of the group.
    mutating func append(argument view: View, name: String) -> Int {
        body.buffers.append(Buffer(name: name, type: view.type, strides: view.strides, place: .argument, isConstant: true))
        let index = body.buffers.count - 1
        arguments[view.start] = index
        return index
    }

    mutating func append(_ node: Node) {
        let inputs = node.inputs.map { buffer($0, isInput: true) }
        let output = buffer(node.output, isInput: false)
        written.insert(output)
        if let updated = node.computation.traits.updatedInput { written.insert(inputs[updated]) }
        let kernel = Kernel(node.computation, inputs: inputs.map { body.buffers[$0] }, output: body.buffers[output])
        body.steps.append(.run(kernel, name: local(node.name), inputs: inputs, output: output))
    }

    mutating func append(call layer: Int, row: Int, name: String, _ arguments: [(view: View, isWritten: Bool)]) {
        let indices = arguments.map { buffer($0.view, isInput: true) }
        for (index, argument) in zip(indices, arguments) where argument.isWritten { written.insert(index) }
        body.steps.append(.call(layer: layer, row: row, name: name, arguments: indices))
    }

    /// Ends the body. A buffer that a step writes, whole or in part, is not constant.
    mutating func finish() -> Body {
        for index in body.buffers.indices.reversed() {
            body.buffers[index].isConstant = !written.contains(index)
            if case .inside(let parent, _) = body.buffers[index].place, written.contains(index) { written.insert(parent) }
        }
        return body
    }

    private func local(_ name: String) -> String { layer?.local(name) ?? name }

    private func form(_ view: View) -> View {
        var form = view
        form.name = ""
        return form
    }

    /// The buffer of a view, added where there is none. An input may have one under another name: a chain of layers updates one buffer, and each
    /// layer has its own name for it.
    private mutating func buffer(_ view: View, isInput: Bool) -> Int {
        let resolved = draft.resolved(view)
        if let index = indices[resolved] { return index }
        if isInput, let index = unnamed[form(resolved)] { return index }
        if let argument = arguments[resolved.start] {
            let buffer = body.buffers[argument]
            let isOutside = layer.map { !view.name.hasPrefix($0.name + ".") } ?? false
            if isOutside || buffer.name == local(view.name), buffer.type == view.type, buffer.strides == view.strides { return argument }
            return append(view, resolved, .inside(argument, offset: 0))
        }
        let storage = draft.storages[view.storage]
        let whole = View(name: storage.name, storage: view.storage, type: storage.type, strides: storage.strides)
        if form(view) != form(whole) || isNamedView(view, storage) {
            let parent = buffer(whole, isInput: false)
            return append(view, resolved, .inside(parent, offset: view.offset))
        }
        if let home = storage.home {
            let target = draft.storages[home.storage]
            let parent = buffer(View(name: target.name, storage: home.storage, type: target.type, strides: target.strides), isInput: false)
            if case .region = target.kind, view.type == target.type { return parent }
            return append(view, resolved, .inside(parent, offset: home.offset))
        }
        return append(view, resolved, place(view.storage))
    }

    /// A weight or region is printed under its own name whatever a view of it is called.
    private func isNamedView(_ view: View, _ storage: Storage) -> Bool { view.name != storage.name && storage.kind == .scratch }

    private mutating func append(_ view: View, _ resolved: View, _ place: Buffer.Place) -> Int {
        body.buffers.append(Buffer(name: local(view.name), type: view.type, strides: view.strides, place: place, isConstant: true))
        let index = body.buffers.count - 1
        indices[resolved] = index
        if unnamed[form(resolved)] == nil { unnamed[form(resolved)] = index }
        return index
    }
}
