import IR
import Support

extension Pipeline {
    /// before: %p = matmul %patches, @w;  %t = concatenate @class, %p {axis = 0};  %y = add %t, @positions
    /// after:  %c = add @class, @positions[first rows];  %p = matmul %patches, @w, addend @positions[other rows];
    ///         %y = concatenate %c, %p {axis = 0}
    ///
    /// The first sum and the slices depend on weights alone; the other sum is the product's epilogue.
    static let foldEmbedding = Pass(
        "fold-embedding", reason: "position rows are added in the patch embedding's epilogue: no pass of its own over all tokens"
    ) { module throws(Diagnostic) in
        try module.rewriteFunctions { function, module throws(Diagnostic) in
            var rewrites = 0
            while try foldOne(&function, module) { rewrites += 1 }
            return rewrites
        }
    }

    private static func foldOne(_ function: inout Function, _ module: Module) throws(Diagnostic) -> Bool {
        let uses = UseMap(function)
        let constants = function.constants
        let environment = module.environment(of: function)
        for (index, sum) in function.operations.enumerated() {
            guard case .add = sum.op, environment[sum.operands[0]] == environment[sum.operands[1]], sum.type?.rank == 2,
                constants.contains(sum.operands[1]), let join = uses.soleUseProducer(of: sum.operands[0]),
                case .concatenate(let concatenate) = function.operations[join].op, concatenate.axis == 0,
                function.operations[join].operands.count == 2
            else { continue }
            let (first, rest) = (function.operations[join].operands[0], function.operations[join].operands[1])
            guard constants.contains(first), let firstRows = environment[first]?.shape[0].fixedValue,
                let restRows = environment[rest]?.shape[0].fixedValue, let source = uses.soleUseProducer(of: rest),
                case .matmul(var matmul) = function.operations[source].op, !matmul.hasAddend, matmul.activation == nil
            else { continue }
            let product = function.operations[source]
            let positions = sum.operands[1]
            matmul.hasAddend = true
            function.removeOperations(at: [source, join, index])
            var new = NewOperations(in: function, environment, pass: "fold-embedding")
            let row = try new.append("\(positions.name).first", .slice(Slice(axis: 0, start: 0, count: firstRows)), [positions])
            let placed = try new.append("\(first.name).placed", .add(Add()), [first, row])
            let rows = try new.append("\(positions.name).rest", .slice(Slice(axis: 0, start: firstRows, count: restRows)), [positions])
            let embedded = try new.append(product.name, exactly: true, .matmul(matmul), product.operands + [rows])
            _ = try new.append(sum.name, exactly: true, .concatenate(concatenate), [placed, embedded])
            // The last of the three was the sum, which may read what stands between them.
            function.operations.insert(contentsOf: new.operations, at: index - 2)
            return true
        }
        return false
    }
}
