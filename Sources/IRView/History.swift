import IR

/// What a module was after one stage, and what making it took.
public struct StageRecord: Sendable {
    /// `imported`, a pass, or `optimized`
    public var name: String
    /// Why the pipeline has the pass; empty for the first and the last stage.
    public var reason: String
    public var rewrites: Int?
    public var milliseconds: Double?
    public var module: Module
    public var memory: Memory?

    /// What the plan of the module takes, with T and S at their bounds.
    public struct Memory: Hashable, Sendable {
        /// The bytes of all results that kernels store for an image, a prompt chunk and a token; those of a layer count once per call.
        public var stored: Int
        /// The most that is live at a time.
        public var peak: Int

        public init(stored: Int, peak: Int) {
            self.stored = stored
            self.peak = peak
        }
    }

    public init(
        name: String, reason: String = "", rewrites: Int? = nil, milliseconds: Double? = nil, module: Module, memory: Memory? = nil
    ) {
        self.name = name
        self.reason = reason
        self.rewrites = rewrites
        self.milliseconds = milliseconds
        self.module = module
        self.memory = memory
    }

    public var operationCount: Int { module.operationCount }
}

extension Module {
    public var operationCount: Int { functions.reduce(0) { $0 + $1.operations.count } }

    /// FLOPs of one call of every function.
    public func flops(sequence: Int) -> Int { functions.reduce(0) { sum($0, cost(of: $1, .prompt(sequence)).flops) } }
}

/// What one stage did to the module before it.
public struct StageChange: Hashable, Sendable {
    public var operationsAdded = 0
    public var operationsRemoved = 0
    /// Same name, another payload, operand or type
    public var operationsChanged = 0
    public var weightsAdded = 0
    public var weightsRemoved = 0
    public var weightsChanged = 0
}

/// Who made what: for each operation of each stage the stage that gave it its present form.
public struct Provenance: Sendable {
    /// By stage, function and position: an index into the stages.
    public private(set) var operations: [[[Int]]] = []
    /// By stage, in the order of the module's weights.
    public private(set) var weights: [[Int]] = []
    public private(set) var changes: [StageChange] = []

    /// A new or different operation was made by the stage in which it first stands so; one that is as before keeps its maker.
    public init(_ stages: [StageRecord]) {
        var known: [String: [String: (operation: Operation, maker: Int)]] = [:]
        var knownWeights: [String: (weight: Weight, maker: Int)] = [:]
        for (index, stage) in stages.enumerated() {
            var change = StageChange()
            var makers: [[Int]] = []
            var now: [String: [String: (operation: Operation, maker: Int)]] = [:]
            for function in stage.module.functions {
                let before = known[function.name] ?? [:]
                var here: [String: (operation: Operation, maker: Int)] = [:]
                makers.append(
                    function.operations.map { operation in
                        let old = before[operation.name]
                        let maker = old?.operation == operation ? old?.maker ?? index : index
                        if old == nil { change.operationsAdded += 1 } else if maker == index { change.operationsChanged += 1 }
                        here[operation.name] = (operation, maker)
                        return maker
                    })
                now[function.name] = here
            }
            for (function, before) in known {
                change.operationsRemoved += before.keys.count { now[function]?[$0] == nil }
            }
            var nowWeights: [String: (weight: Weight, maker: Int)] = [:]
            var weightMakers: [Int] = []
            for (name, weight) in stage.module.weights {
                let old = knownWeights[name]
                let maker = old?.weight == weight ? old?.maker ?? index : index
                if old == nil { change.weightsAdded += 1 } else if maker == index { change.weightsChanged += 1 }
                nowWeights[name] = (weight, maker)
                weightMakers.append(maker)
            }
            change.weightsRemoved = knownWeights.keys.count { nowWeights[$0] == nil }
            (known, knownWeights) = (now, nowWeights)
            operations.append(makers)
            weights.append(weightMakers)
            changes.append(change)
        }
    }
}
