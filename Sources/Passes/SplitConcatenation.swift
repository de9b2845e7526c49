import IR
import Support

extension Pipeline {
    /// before: %c = concatenate %x1, ..., %xM {axis = 1};  %y = matmul %c, @w, bias @b {activation = f}, %c read by products
    /// after:  %s1 = matmul %x1, @w1, bias @b;  ...;  %y = matmul %xM, @wM, addend %s(M-1) {activation = f}
    ///         with @wi the columns of @w that met %xi
    ///
    /// before: %c = concatenate ...;  %r = reshape %c {shape = [N / n, n * C]};  matmul %r, @w: the n patches of a window in a row
    /// after:  the same with %ri = reshape %xi, whose rows stand together too
    ///
    /// before: %c = concatenate ...;  %r = reshape %c {shape = [N * E, C / E]};  matmul %r, @w: E chunks of each row
    /// after:  one product per chunk and operand (`ChunkedProduct`)
    static let splitConcatenation = Pass(
        "split-concatenation", reason: "the concatenated taps, M times a hidden state, are never written: one accumulating product per tap"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in
            var rewrites = 0
            while try splitOne(&function, module) { rewrites += 1 }
            return rewrites
        }
    }

    /// Splits one product that reads a concatenation, which goes with its last reader.
    private static func splitOne(_ function: inout Function, _ module: Module) throws(Diagnostic) -> Bool {
        let uses = UseMap(function)
        let constants = function.constants
        for (index, operation) in function.operations.enumerated() {
            guard case .concatenate(let concatenate) = operation.op, concatenate.axis == 1, operation.operands.count > 1,
                operation.type?.rank == 2, !uses.isReturned(operation.name), let users = uses.users[operation.name]
            else { continue }
            let readers = users.compactMap { reader($0, of: operation.name, function, uses, constants) }
            // A reader that needs the concatenation keeps it for all.
            guard readers.count == users.count, let reader = readers.first,
                let operations = try split(operation, reader, function, module.environment(of: function))
            else { continue }
            function.operations.replaceSubrange(reader.product...reader.product, with: operations)
            function.removeOperations(at: Set((readers.count == 1 ? [index] : []) + (reader.reshape.map { [$0] } ?? [])))
            return true
        }
        return false
    }

    /// A product by a weight, and the windows or chunks of rows as which it reads a concatenation.
    private struct Reader {
        let product: Int
        let reshape: Int?
    }

    private static func reader(
        _ user: Int, of concatenation: String, _ function: Function, _ uses: UseMap, _ constants: Set<Operand>
    ) -> Reader? {
        var reader = Reader(product: user, reshape: nil)
        if case .reshape(let op) = function.operations[user].op, op.shape.count == 2,
            let product = uses.onlyUser(of: function.operations[user].name)
        {
            reader = Reader(product: product, reshape: user)
        }
        let operands = function.operations[reader.product].operands
        let input = reader.reshape.map { function.operations[$0].name } ?? concatenation
        guard case .matmul = function.operations[reader.product].op, operands[0] == .value(input), constants.contains(operands[1]),
            !operands.dropFirst().contains(.value(input))
        else { return nil }
        return reader
    }

    private static func split(
        _ concatenation: Operation, _ reader: Reader, _ function: Function, _ environment: TypeEnvironment
    ) throws(Diagnostic) -> [Operation]? {
        let product = function.operations[reader.product]
        let reshape = reader.reshape.map { function.operations[$0] }
        guard let shape = reshape?.type?.fixedShape, let rows = concatenation.type?.fixedShape, shape[0] > rows[0] else {
            return try split(concatenation, reshape, product, function, environment)
        }
        guard shape[0] % rows[0] == 0 else { return nil }
        return try ChunkedProduct(
            parts: concatenation.operands, kernel: 1, windows: rows[0], chunks: shape[0] / rows[0], product: product,
            pass: "split-concatenation"
        ).operations(function, environment)
    }

    private static func split(
        _ concatenation: Operation, _ reshape: Operation?, _ original: Operation, _ function: Function, _ environment: TypeEnvironment
    ) throws(Diagnostic) -> [Operation]? {
        let parts = concatenation.operands
        guard case .matmul(let matmul) = original.op, let rows = original.type?.shape[0],
            let channels = concatenation.type?.shape[1].fixedValue, let weight = environment[original.operands[1]]?.fixedShape
        else { return nil }
        // Rows of the concatenation in a row of the product.
        let group = weight[1] / channels
        guard group * channels == weight[1], reshape == nil || rows.fixedValue.map({ .fixed($0 * group) }) == concatenation.type?.shape[0]
        else { return nil }
        var new = NewOperations(in: function, environment, pass: "split-concatenation")
        var start = 0
        var sum: Operand?
        for (index, part) in parts.enumerated() {
            guard let width = environment[part]?.shape[1].fixedValue else { return nil }
            let (columns, x): (Operand, Operand)
            if group == 1 {
                columns = try new.append(
                    "\(original.name).weight\(index)", .slice(Slice(axis: 1, start: start, count: width)), [original.operands[1]])
                x = part
            } else {
                let name = "\(original.name).weight\(index)"
                let grid = try new.append("\(name).grid", .reshape(Reshape(shape: [weight[0], group, channels])), [original.operands[1]])
                let slice = try new.append("\(name).slice", .slice(Slice(axis: 2, start: start, count: width)), [grid])
                columns = try new.append(name, .reshape(Reshape(shape: [weight[0], group * width])), [slice])
                x = try new.append(
                    "\(part.name).windows", .reshape(Reshape(shape: [rows.fixedValue ?? 0, group * width])), [part])
            }
            start += width
            var step = Matmul()
            var operands = [x, columns]
            if index == 0 {
                step.hasBias = matmul.hasBias
                step.hasAddend = matmul.hasAddend
                operands += original.operands.dropFirst(2)
            } else {
                step.hasAddend = true
                operands.append(sum!)
            }
            let isLast = index == parts.count - 1
            if isLast { step.activation = matmul.activation }
            sum = try new.append(isLast ? original.name : "\(original.name).sum\(index)", exactly: isLast, .matmul(step), operands)
        }
        return new.operations
    }
}
