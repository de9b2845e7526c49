import IR
import Support

/// Who makes and who reads each value of a function, at one moment.
struct UseMap {
    /// Index of the operation that makes a value; parameters have none.
    private(set) var producer: [String: Int] = [:]
    /// Indices of the operations that read a value, once per operand that does.
    private(set) var users: [String: [Int]] = [:]
    private var returned: Set<String> = []

    init(_ function: Function) {
        for (index, operation) in function.operations.enumerated() {
            if operation.type != nil { producer[operation.name] = index }
            for case .value(let name) in operation.operands { users[name, default: []].append(index) }
        }
        for case .value(let name) in function.results { returned.insert(name) }
    }

    func isReturned(_ name: String) -> Bool { returned.contains(name) }

    /// The one operation that reads `name`, if nothing else does and it is no result.
    func onlyUser(of name: String) -> Int? {
        guard let list = users[name], list.count == 1, !isReturned(name) else { return nil }
        return list[0]
    }

    /// The operation that makes `operand`, if it is a value that an operation makes and only one operand reads.
    func soleUseProducer(of operand: Operand) -> Int? {
        guard case .value(let name) = operand, onlyUser(of: name) != nil else { return nil }
        return producer[name]
    }
}

extension Function {
    mutating func removeOperations(at indices: Set<Int>) {
        operations = operations.enumerated().filter { !indices.contains($0.offset) }.map(\.element)
    }

    mutating func replaceUses(of old: Operand, by new: Operand) {
        for index in operations.indices { operations[index].operands = operations[index].operands.map { $0 == old ? new : $0 } }
        results = results.map { $0 == old ? new : $0 }
    }

    /// What operations and parameters are called.
    var names: Set<String> { Set(operations.map(\.name)).union(parameters.map(\.name)) }

    /// A name that no operation or parameter has.
    func freeName(_ wanted: String) -> String { Passes.freeName(wanted, beside: names) }
}

extension Module {
    /// Runs `body` on every function and adds up what it returns.
    mutating func rewriteFunctions(_ body: (inout Function, Module) throws(Diagnostic) -> Int) throws(Diagnostic) -> Int {
        var rewrites = 0
        for index in functions.indices {
            let module = self
            rewrites += try body(&functions[index], module)
        }
        return rewrites
    }

    /// The types of all values, weights and states that the end of `function` sees.
    func environment(of function: Function) -> TypeEnvironment {
        var environment = TypeEnvironment(self, function)
        for operation in function.operations { _ = environment.define(operation) }
        return environment
    }
}

/// An operation whose type follows from `environment`, which then holds it too. A type error here is a defect of the pass.
func derived(
    _ name: String, _ op: Op, _ operands: [Operand], _ environment: inout TypeEnvironment, pass: String
) throws(Diagnostic) -> Operation {
    do throws(TypeError) {
        let operation = try makeOperation(name, op, operands) { environment[$0] }
        _ = environment.define(operation)
        return operation
    } catch {
        throw .error("pass '\(pass)': '\(op.mnemonic)' \(error.message)", at: .operation("%\(name)"))
    }
}

/// `wanted`, or `wanted.2`, `wanted.3`, ..., the first that is not in `taken`.
private func freeName(_ wanted: String, beside taken: Set<String>) -> String {
    if !taken.contains(wanted) { return wanted }
    return (2...).lazy.map { "\(wanted).\($0)" }.first { !taken.contains($0) }!
}

/// The operations that a rewrite puts into a function, in order; `environment` holds them too.
struct NewOperations {
    private(set) var operations: [Operation] = []
    private(set) var environment: TypeEnvironment
    private let pass: String
    private var names: Set<String>

    init(in function: Function, _ environment: TypeEnvironment, pass: String) {
        names = function.names
        self.environment = environment
        self.pass = pass
    }

    /// `name` is changed where something in the function has it; not so `exactly`, for what stands in the place of an operation.
    mutating func append(_ name: String, exactly: Bool = false, _ op: Op, _ operands: [Operand]) throws(Diagnostic) -> Operand {
        let name = exactly ? name : Passes.freeName(name, beside: names)
        names.insert(name)
        operations.append(try derived(name, op, operands, &environment, pass: pass))
        return .value(name)
    }
}
