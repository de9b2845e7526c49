import IR
import Support

extension Pipeline {
    /// before: vision: extract_patches {patch = p} in raster order;  project: %g = gather_windows %x {kernel = k};  matmul %g, @w
    /// after:  vision: extract_patches {patch = p, window = k};      project: %g = reshape %x;                      matmul %g, @w'
    ///
    /// Between the two, rows are only computed row by row or mixed by attention, which does not see their order, so that permuting the
    /// position rows is all that the tower needs. @w' has its columns in the order (dy, dx, c) instead of (c, dy, dx).
    /// Does not fire when something else reads rows by their place, or when the window vector does not go into a product.
    ///
    /// before: %r = reshape %g {shape = [windows * E, L]}: each window is split into E chunks of L channel-major entries;  matmul %r, @w
    /// after:  where L is a multiple of k * k and %x one value: each chunk holds L / (k * k) channels of each patch:
    ///         %g = reshape %x {shape = [windows, k * k, E, L / (k * k)]};  %t = transpose %g;  %r = reshape %t;  matmul %r, @w'
    ///         else one product per chunk, patch and concatenated value (`ChunkedProduct`)
    ///
    /// The transpose is the one move that is left: the tokens once, in runs of L / (k * k) floats. Products over strided views in its place
    /// would read and write the result, which is wider, k * k times.
    static let orderWindows = Pass(
        "order-windows", reason: "with the patches made in window order, the window gather is a reshape: no copy at run time"
    ) { module throws(Diagnostic) in
        guard let vision = module.functions.firstIndex(where: { $0.name == EntryPoint.vision.rawValue }),
            let project = module.functions.firstIndex(where: { $0.name == EntryPoint.project.rawValue }),
            let plan = WindowOrder(module, vision: module.functions[vision], project: module.functions[project])
        else { return 0 }
        try plan.rewriteVision(&module, vision)
        try plan.rewriteProject(&module, project)
        return 1
    }
}

/// What the rows of a value are: the patches of the grid alone, or the class token and then the patches.
private enum Rows { case patches, classAndPatches }

private struct WindowOrder {
    let gathers: [Int]
    let window: GatherWindows
    let extract: Int
    /// An operand that is a weight with one row per token.
    typealias TokenWeight = (operation: Int, operand: Int, rows: Rows)
    /// In `vision`.
    let positionWeights: [TokenWeight]

    /// Nil where the rewrite does not apply.
    init?(_ module: Module, vision: Function, project: Function) {
        gathers = project.operations.indices.filter { if case .gatherWindows = project.operations[$0].op { true } else { false } }
        guard let first = gathers.first, case .gatherWindows(let window) = project.operations[first].op, window.kernel > 1,
            gathers.allSatisfy({ project.operations[$0].op == .gatherWindows(window) })
        else { return nil }
        self.window = window
        let tokens = window.height * window.width

        let extracts = vision.operations.indices.filter { if case .extractPatches = vision.operations[$0].op { true } else { false } }
        guard extracts.count == 1, case .extractPatches(let patches) = vision.operations[extracts[0]].op, patches.window == 1,
            vision.operations[extracts[0]].type?.shape.first == .fixed(tokens)
        else { return nil }
        extract = extracts[0]

        var places: [TokenWeight] = []
        guard let taps = Self.follow(vision, module, from: [vision.operations[extract].name: .patches], tokens, weights: &places),
            vision.results.count == project.parameters.count
        else { return nil }
        var inputs: [String: Rows] = [:]
        for (result, parameter) in zip(vision.results, project.parameters) {
            guard case .value(let name) = result, let rows = taps[name] else { return nil }
            inputs[parameter.name] = rows
        }
        positionWeights = places

        var inner: [TokenWeight] = []
        guard let ordered = Self.follow(project, module, from: inputs, tokens, weights: &inner, stop: Set(gathers)), inner.isEmpty else {
            return nil
        }
        for result in project.results {
            if case .value(let name) = result, ordered[name] != nil { return nil }
        }
        for gather in gathers {
            guard case .value(let input) = project.operations[gather].operands[0], ordered[input] == .patches else { return nil }
            guard Self.readersAreProducts(of: gather, project) else { return nil }
        }
    }

    /// The window vector goes into products by weights, or in chunks into one without addend.
    private static func readersAreProducts(of gather: Int, _ function: Function) -> Bool {
        let uses = UseMap(function)
        let name = function.operations[gather].name
        if let reader = uses.onlyUser(of: name), case .reshape(let reshape) = function.operations[reader].op {
            let chunks = function.operations[reader].name
            guard reshape.shape.count == 2, let rows = function.operations[gather].type?.shape[0].fixedValue, reshape.shape[0] % rows == 0,
                let product = uses.onlyUser(of: chunks), case .matmul(let matmul) = function.operations[product].op
            else { return false }
            return !matmul.hasAddend && function.operations[product].operands[0] == .value(chunks)
                && function.operations[product].operands[1].isWeight
        }
        return !uses.isReturned(name)
            && (uses.users[name] ?? []).allSatisfy { user in
                let operation = function.operations[user]
                guard case .matmul = operation.op else { return false }
                return operation.operands[0] == .value(name) && operation.operands[1].isWeight
                    && !operation.operands.dropFirst().contains(.value(name))
            }
    }

    /// Every value whose rows follow the patch order, starting from `seeds`; nil as soon as one is read in a way that depends on the order.
    /// Weights with a row per token are noted in `weights`; operations in `stop` end the walk.
    private static func follow(
        _ function: Function, _ module: Module, from seeds: [String: Rows], _ tokens: Int,
        weights: inout [TokenWeight], stop: Set<Int> = []
    ) -> [String: Rows]? {
        var kinds = seeds
        let environment = module.environment(of: function)
        func kind(_ operand: Operand) -> Rows? { if case .value(let name) = operand { kinds[name] } else { nil } }
        for (index, operation) in function.operations.enumerated() where !stop.contains(index) {
            let read = operation.operands.indices.filter { kind(operation.operands[$0]) != nil }
            guard let firstRead = read.first, let rows = kind(operation.operands[firstRead]) else { continue }
            guard read.allSatisfy({ kind(operation.operands[$0]) == rows }) else { return nil }
            var result: Rows? = rows
            if let local = operation.op.payload.rowOperands {
                // An ordered value may stand only where it is taken row by row.
                guard Set(read).isSubset(of: local) else { return nil }
                for position in local where !read.contains(position) {
                    guard case .weight(let name) = operation.operands[position] else {
                        // An unordered value beside ordered rows is fine only as a repeated vector.
                        if operation.op.payload.operandLabels(count: operation.operands.count)[position] == nil,
                            environment[operation.operands[position]]?.rank == 1
                        {
                            continue
                        }
                        return nil
                    }
                    if environment[.weight(name)]?.rank == 2 { weights.append((index, position, rows)) }
                }
            } else if operation.op.payload.keepsRowOrder {
                guard read.count == operation.operands.count else { return nil }
            } else if case .concatenate = operation.op {
                // Class token and patches.
                guard rows == .patches, operation.operands.count == 2, operation.operands[0].isWeight, read == [1],
                    operation.type?.shape.first == .fixed(tokens + 1)
                else { return nil }
                result = .classAndPatches
            } else if case .slice(let slice) = operation.op, rows == .classAndPatches {
                if slice.start == 1, slice.count == tokens {
                    result = .patches
                } else if slice.start == 0, slice.count == 1 {
                    result = nil
                } else {
                    return nil
                }
            } else {
                return nil
            }
            if let result { kinds[operation.name] = result }
        }
        return kinds
    }

    func rewriteVision(_ module: inout Module, _ index: Int) throws(Diagnostic) {
        var function = module.functions[index]
        var environment = module.environment(of: function)
        if case .extractPatches(let patches) = function.operations[extract].op {
            function.operations[extract].op = .extractPatches(ExtractPatches(patch: patches.patch, window: window.kernel))
        }
        // From the back, so that earlier indices stay true.
        for place in positionWeights.reversed() {
            let operand = function.operations[place.operation].operands[place.operand]
            var new = NewOperations(in: function, environment, pass: "order-windows")
            let name = "\(operand.name).windowed"
            let ordered: Operand
            switch place.rows {
            case .patches: ordered = try permute(operand, name, &new)
            case .classAndPatches:
                let classRow = try new.append("\(name).class", .slice(Slice(axis: 0, start: 0, count: 1)), [operand])
                let patchRows = try new.append(
                    "\(name).patches", .slice(Slice(axis: 0, start: 1, count: window.height * window.width)), [operand])
                ordered = try new.append(name, .concatenate(Concatenate(axis: 0)), [classRow, try permute(patchRows, name, &new)])
            }
            environment = new.environment
            function.operations[place.operation].operands[place.operand] = ordered
            function.operations.insert(contentsOf: new.operations, at: place.operation)
        }
        module.functions[index] = function
    }

    /// Rows of the grid in raster order -> rows in window order.
    private func permute(_ rows: Operand, _ name: String, _ new: inout NewOperations) throws(Diagnostic) -> Operand {
        let k = window.kernel
        guard let width = new.environment[rows]?.shape[1].fixedValue else { return rows }
        let grid = try new.append(
            "\(name).grid", .reshape(Reshape(shape: [window.height / k, k, window.width / k, k, width])), [rows])
        let turned = try new.append("\(name).turned", .transpose(Transpose(permutation: [0, 2, 1, 3, 4])), [grid])
        return try new.append("\(name).rows", .reshape(Reshape(shape: [window.height * window.width, width])), [turned])
    }

    func rewriteProject(_ module: inout Module, _ index: Int) throws(Diagnostic) {
        var function = module.functions[index]
        // From the back, so that earlier indices stay true.
        for gather in gathers.reversed() {
            let uses = UseMap(function)
            if let reader = uses.onlyUser(of: function.operations[gather].name), case .reshape = function.operations[reader].op,
                let product = uses.onlyUser(of: function.operations[reader].name)
            {
                try rewriteChunks(&function, module, gather, reader, product, uses)
                continue
            }
            guard let shape = function.operations[gather].type?.fixedShape else { continue }
            for product in (uses.users[function.operations[gather].name] ?? []).reversed() {
                try orderColumns(of: product, in: &function, module)
            }
            function.operations[gather].op = .reshape(Reshape(shape: shape))
        }
        module.functions[index] = function
    }

    /// The weight of a product with its columns in the order (dy, dx, c).
    private func orderColumns(of product: Int, in function: inout Function, _ module: Module) throws(Diagnostic) {
        let weight = function.operations[product].operands[1]
        var new = NewOperations(in: function, module.environment(of: function), pass: "order-windows")
        guard let shape = new.environment[weight]?.fixedShape else { return }
        let area = window.kernel * window.kernel
        let name = "\(weight.name).windowed"
        let split = try new.append("\(name).columns", .reshape(Reshape(shape: [shape[0], shape[1] / area, area])), [weight])
        let turned = try new.append("\(name).turned", .transpose(Transpose(permutation: [0, 2, 1])), [split])
        function.operations[product].operands[1] = try new.append(name, .reshape(Reshape(shape: shape)), [turned])
        function.operations.insert(contentsOf: new.operations, at: product)
    }

    private func rewriteChunks(
        _ function: inout Function, _ module: Module, _ gather: Int, _ reshape: Int, _ product: Int, _ uses: UseMap
    ) throws(Diagnostic) {
        let area = window.kernel * window.kernel
        guard let windows = function.operations[gather].type?.shape[0].fixedValue,
            let chunkShape = function.operations[reshape].type?.fixedShape
        else { return }
        let (chunks, length) = (chunkShape[0] / windows, chunkShape[1])
        let input = function.operations[gather].operands[0]
        var parts = [input]
        var dead: Set<Int> = [gather, reshape]
        if let join = uses.soleUseProducer(of: input), case .concatenate(let concatenate) = function.operations[join].op,
            concatenate.axis == 1
        {
            parts = function.operations[join].operands
            dead.insert(join)
        }
        if length % area == 0, parts.count == 1 {
            try orderColumns(of: product, in: &function, module)
            let name = function.operations[gather].name
            var new = NewOperations(in: function, module.environment(of: function), pass: "order-windows")
            let grid = try new.append("\(name).grid", .reshape(Reshape(shape: [windows, area, chunks, length / area])), [input])
            let turned = try new.append("\(name).turned", .transpose(Transpose(permutation: [0, 2, 1, 3])), [grid])
            function.operations[reshape].operands = [turned]
            function.operations.replaceSubrange(gather...gather, with: new.operations)
            return
        }
        let split = ChunkedProduct(
            parts: parts, kernel: window.kernel, windows: windows, chunks: chunks, product: function.operations[product],
            pass: "order-windows")
        guard let operations = try split.operations(function, module.environment(of: function)) else { return }
        function.operations.replaceSubrange(product...product, with: operations)
        function.removeOperations(at: dead)
    }
}
