import OrderedCollections

/// A tensor of the checkpoint that a weight is read from, as the file spells and stores it.
public struct SourceTensor: Hashable, Sendable {
    public var name: String
    public var type: TensorType

    public init(name: String, type: TensorType) {
        self.name = name
        self.type = type
    }
}

/// A constant of the model. Its elements are never in memory with the IR: `definition` says how to make them.
public struct Weight: Hashable, Sendable {
    public enum Definition: Hashable, Sendable {
        /// The elements of a checkpoint tensor, widened exactly to the weight's element type; same element count, row-major.
        case source(SourceTensor)
        /// The last operation's result. Operands are other weights and earlier results.
        case folded([Operation])
    }

    public var type: TensorType
    public var definition: Definition
    public var role: WeightRole
    public var origin: WeightOrigin

    public init(type: TensorType, definition: Definition, role: WeightRole = .other, origin: WeightOrigin = .model) {
        self.type = type
        self.definition = definition
        self.role = role
        self.origin = origin
    }

    /// The weights that the definition reads.
    public var operands: [String] {
        guard case .folded(let operations) = definition else { return [] }
        return operations.flatMap { $0.operands.filter(\.isWeight).map(\.name) }
    }
}

public struct Parameter: Hashable, Sendable {
    public var name: String
    public var type: TensorType

    public init(name: String, type: TensorType) {
        self.name = name
        self.type = type
    }
}

/// A function in execution order.
public struct Function: Hashable, Sendable {
    public var name: String
    public var parameters: [Parameter]
    public var operations: [Operation]
    public var results: [Operand]

    public init(name: String, parameters: [Parameter], operations: [Operation] = [], results: [Operand] = []) {
        self.name = name
        self.parameters = parameters
        self.operations = operations
        self.results = results
    }
}

/// Where a module stands in the pipeline.
public enum Stage: String, Sendable, Hashable, CaseIterable {
    /// As the model definition says, one operation per step of it
    case imported
    /// After the passes: what the plan and the C text are made from
    case optimized
}

/// The typed graph of a whole model: functions that share weights and states (KV caches and their lengths).
public struct Module: Hashable, Sendable {
    public var name: String
    public var stage: Stage
    /// What stands in types beside numbers.
    public var symbols: OrderedSet<Symbol>
    public var weights: OrderedDictionary<String, Weight>
    public var states: OrderedDictionary<String, TensorType>
    public var functions: [Function]

    public init(name: String, stage: Stage = .imported) {
        self.name = name
        self.stage = stage
        self.symbols = []
        self.weights = [:]
        self.states = [:]
        self.functions = []
    }

    /// Declares a symbol and gives it as a dimension.
    public mutating func declare(_ name: String, bound: Int) -> Dimension {
        let symbol = Symbol(name, bound: bound)
        symbols.append(symbol)
        return Dimension(symbol)
    }

    public func function(named name: String) -> Function? { functions.first { $0.name == name } }

    /// Weights that functions read, in first use order: those that the executable holds. Weights that only folded definitions read are not here.
    public var storedWeights: OrderedSet<String> {
        var names: OrderedSet<String> = []
        for function in functions {
            for case .weight(let name) in function.operations.flatMap(\.operands) + function.results { names.append(name) }
        }
        return names
    }
}

/// The types of everything that an operation of a function may read, at one place in it.
public struct TypeEnvironment {
    private let weights: OrderedDictionary<String, Weight>
    private let states: OrderedDictionary<String, TensorType>
    private var values: [String: TensorType] = [:]
    /// Names of operations without a result: they must differ as names of values do.
    private var effects: Set<String> = []

    public init(_ module: Module, _ function: Function? = nil) {
        weights = module.weights
        states = module.states
        for parameter in function?.parameters ?? [] { values[parameter.name] = parameter.type }
    }

    public subscript(operand: Operand) -> TensorType? {
        switch operand {
        case .value(let name): values[name]
        case .weight(let name): weights[name]?.type
        case .state(let name): states[name]
        }
    }

    /// Makes the result of `operation` readable; false when its name is taken.
    public mutating func define(_ operation: Operation) -> Bool {
        if values[operation.name] != nil || effects.contains(operation.name) { return false }
        if let type = operation.type { values[operation.name] = type } else { effects.insert(operation.name) }
        return true
    }
}

extension Module {
    /// The tensors that a weight's definition reads, each once, in the order in which they stand in it.
    public func sources(of weight: String) -> [SourceTensor] {
        guard let weight = weights[weight] else { return [] }
        if case .source(let source) = weight.definition { return [source] }
        return weight.operands.flatMap { sources(of: $0) }.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }
}
