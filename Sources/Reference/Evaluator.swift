import IR
import Support

/// A slow, exact evaluator of modules: float32 elements, double sums, each result of an operation rounded once.
///
/// Weights are evaluated when first read and kept; states begin as zeros and are kept between calls.
public struct Evaluator {
    public let module: Module
    /// Called with the function, the operation's name and its result, in execution order.
    public var observer: ((String, String, Tensor) -> Void)?
    /// What an operation reads in place of an operand: called with the operation, the operand's index and its tensor, whose shape and dtype
    /// must stay. Other roundings than those that the IR can say are tried with it.
    public var replacement: ((Operation, Int, Tensor) -> Tensor)?
    private let source: (SourceTensor) throws(Diagnostic) -> [Float]
    private var weights: [String: Tensor] = [:]
    var states: [String: Tensor] = [:]
    private var isVerified = false

    /// `source` gives all elements of a checkpoint tensor, row-major, widened to float32.
    public init(_ module: Module, source: @escaping (SourceTensor) throws(Diagnostic) -> [Float]) {
        self.module = module
        self.source = source
    }

    /// The contents of a state: what the last operation that updates it left, or `setState`; zeros before the first.
    public func state(_ name: String) throws(Diagnostic) -> Tensor {
        if let tensor = states[name] { return tensor }
        guard let type = module.states[name] else { throw .error("module \(quoted(module.name)) has no state '&\(name)'") }
        guard let zeros = Tensor(zeros: type) else {
            throw .error(
                "state '&\(name)' is \(type)", at: .operation("&\(name)"), expected: "f32, bf16, q8h, i32 or u8 in the reference evaluator")
        }
        return zeros
    }

    /// The elements of a weight; of one in panels, what they stand for.
    public mutating func weight(_ name: String) throws(Diagnostic) -> Tensor {
        if let tensor = weights[name] { return tensor }
        let place = Site.operation("@\(name)")
        guard let weight = module.weights[name] else { throw .error("module \(quoted(module.name)) has no weight '@\(name)'") }
        guard weight.type.dtype == .float32 || weight.type.dtype.isPanels, let shape = weight.type.fixedShape else {
            throw .error("weight '@\(name)' is \(weight.type)", at: place, expected: "f32 or panels in the reference evaluator")
        }
        let tensor: Tensor
        switch weight.definition {
        case .source(let sourceTensor):
            let values = try source(sourceTensor)
            guard values.count == weight.type.elementCount() else {
                throw .error(
                    "source \(quoted(sourceTensor.name)) gave \(values.count) elements", at: place, expected: "those of \(weight.type)")
            }
            tensor = Tensor(shape: shape, values)
        case .folded(let operations):
            var values: [String: Tensor] = [:]
            var counts = SymbolValues.bounds
            for operation in operations { try run(operation, &values, &counts, place: "@\(name)") }
            guard let last = operations.last, let value = values[last.name] else {
                throw .error("weight '@\(name)' has an empty definition", at: place)
            }
            tensor = value
        }
        weights[name] = tensor
        return tensor
    }

    /// Runs a function. Every argument must have its parameter's type, a symbol being any number that is the same throughout,
    /// above its bound too: it needs no buffers.
    ///
    /// Throws where the module does not verify, an argument does not fit, or a token, a row, a slot or a place is out of range.
    public mutating func call(_ function: String, _ arguments: [Tensor]) throws(Diagnostic) -> [Tensor] {
        if !isVerified { try module.verify() }
        isVerified = true
        guard let function = module.function(named: function) else {
            throw .error(
                "module \(quoted(module.name)) has no function \(quoted(function))",
                expected: module.functions.isEmpty ? nil : quotedList(module.functions.map(\.name)))
        }
        var counts = try check(arguments, of: function)

        // Values are let go after their last reader.
        var lastReader: [String: Int] = [:]
        for (index, operation) in function.operations.enumerated() {
            for case .value(let name) in operation.operands { lastReader[name] = index }
        }
        for case .value(let name) in function.results { lastReader[name] = function.operations.count }

        var values: [String: Tensor] = [:]
        for (parameter, argument) in zip(function.parameters, arguments) { values[parameter.name] = argument }
        for (index, operation) in function.operations.enumerated() {
            try run(operation, &values, &counts, place: "\(function.name): %\(operation.name)")
            if let observer, let value = values[operation.name], operation.type != nil { observer(function.name, operation.name, value) }
            for case .value(let name) in operation.operands + [.value(operation.name)] where lastReader[name] ?? 0 <= index {
                values[name] = nil
            }
        }
        var results: [Tensor] = []
        for result in function.results { results.append(try read(result, values)) }
        return results
    }

    /// What stands for each symbol.
    private func check(_ arguments: [Tensor], of function: Function) throws(Diagnostic) -> SymbolValues {
        let call = "a call of \(quoted(function.name))"
        guard arguments.count == function.parameters.count else {
            throw .error("\(arguments.count) arguments in \(call)", expected: "\(function.parameters.count)")
        }
        // A dimension that is a symbol and nothing else says what stands for it.
        var counts: [String: Int] = [:]
        for (parameter, argument) in zip(function.parameters, arguments) {
            for (dimension, count) in zip(parameter.type.shape, argument.shape) {
                guard dimension.symbols.count == 1, let symbol = dimension.symbols.first, dimension == Dimension(symbol),
                    counts[symbol.name] == nil
                else { continue }
                counts[symbol.name] = count
            }
        }
        for (parameter, argument) in zip(function.parameters, arguments) {
            let expected = TensorType(parameter.type.dtype, parameter.type.shape.map { $0.replacing(counts) ?? $0 })
            guard argument.type == expected else {
                throw .error("argument '%\(parameter.name)' in \(call) is \(argument.type)", expected: "\(expected)")
            }
        }
        return SymbolValues(counts)
    }

    private mutating func read(_ operand: Operand, _ values: [String: Tensor]) throws(Diagnostic) -> Tensor {
        switch operand {
        case .weight(let name): return try weight(name)
        case .state(let name): return try state(name)
        case .value(let name):
            guard let value = values[name] else { throw .error("'\(operand)' is not defined") }
            return value
        }
    }

    private mutating func run(
        _ operation: Operation, _ values: inout [String: Tensor], _ counts: inout SymbolValues, place: String
    ) throws(Diagnostic) {
        var operands: [Tensor] = []
        for (index, operand) in operation.operands.enumerated() {
            let tensor = try read(operand, values)
            operands.append(replacement?(operation, index, tensor) ?? tensor)
        }
        let (result, updated): (Tensor?, Tensor?)
        do throws(Diagnostic) {
            (result, updated) = try outcome(of: operation.op, operands)
        } catch {
            var error = error
            error.site = error.site ?? .operation(place)
            throw error
        }
        if let count = operation.op.payload.definedCount, let rows = result?.shape.first { counts = counts.with(count, rows) }
        if let type = operation.type, let result {
            // The type rule and the evaluator must agree on the shape.
            precondition(
                result.shape.count == type.rank && zip(result.shape, type.shape).allSatisfy { $1.value(counts) == $0 }
                    && result.elements.dtype == type.dtype, "'\(operation.op.mnemonic)' made \(result.type) in place of \(type)")
            values[operation.name] = result
        }
        if let updated, let index = operation.op.payload.updatedState, case .state(let name) = operation.operands[index] {
            states[name] = updated
        }
    }
}
