import Support

/// Appends operations to a function and infers their types by the operations' own rules.
public struct FunctionBuilder {
    public private(set) var function: Function
    private var environment: TypeEnvironment

    public init(_ name: String, parameters: [Parameter], in module: Module) {
        function = Function(name: name, parameters: parameters)
        environment = TypeEnvironment(module, function)
    }

    /// Throws what the operation's type rule says, at the operation's name.
    @discardableResult
    public mutating func append(_ name: String, _ op: Op, _ operands: [Operand]) throws(Diagnostic) -> Operand {
        let operation: Operation
        do throws(TypeError) {
            operation = try makeOperation(name, op, operands) { environment[$0] }
        } catch {
            throw Diagnostic.error("'\(op.mnemonic)' \(error.message)", at: .operation("\(function.name): %\(name)"))
        }
        guard environment.define(operation) else {
            throw Diagnostic.error("name '%\(name)' is defined twice", at: .operation(function.name))
        }
        function.operations.append(operation)
        return .value(name)
    }

    public func type(of operand: Operand) -> TensorType? { environment[operand] }

    public mutating func finish(returning results: [Operand]) -> Function {
        function.results = results
        return function
    }
}

/// The same for the definition of a weight, over other weights and what stands in it before.
public struct DefinitionBuilder {
    public private(set) var operations: [Operation] = []
    private var environment: TypeEnvironment
    private let weight: String

    public init(_ weight: String, in module: Module) {
        self.weight = weight
        environment = TypeEnvironment(module)
    }

    public mutating func append(_ name: String, _ op: Op, _ operands: [Operand]) throws(Diagnostic) -> Operand {
        let operation: Operation
        do throws(TypeError) {
            operation = try makeOperation(name, op, operands) { environment[$0] }
        } catch {
            throw .error("'\(op.mnemonic)' \(error.message)", at: .operation("@\(weight)"))
        }
        guard environment.define(operation) else { throw .error("name '%\(name)' is defined twice", at: .operation("@\(weight)")) }
        operations.append(operation)
        return .value(name)
    }
}

/// An operation whose result type follows from its operands.
public func makeOperation(
    _ name: String, _ op: Op, _ operands: [Operand], typeOf: (Operand) -> TensorType?
) throws(TypeError) -> Operation {
    var types: [TensorType] = []
    for operand in operands {
        guard let type = typeOf(operand) else { throw TypeError("reads '\(operand)', which is not defined") }
        types.append(type)
    }
    let type = try op.payload.resultType(types)
    if let type, type.byteCount() == nil { throw TypeError("makes \(type), which is more than 2^63 bytes") }
    return Operation(name: name, op: op, operands: operands, type: type)
}
