import IR
import Reference
import Support

/// One tensor of the expression that makes a weight.
final class WeightNode {
    enum Kind {
        case source(SourceTensor)
        /// The same elements under another shape
        case reshape(WeightNode)
        case map(WeightNode, @Sendable (Float) -> Float)
        /// Both of one shape
        case combine(WeightNode, WeightNode, @Sendable (Float, Float) -> Float)
        /// The right operand repeats
        case broadcast(WeightNode, WeightNode, @Sendable (Float, Float) -> Float)
        case slice(WeightNode, axis: Int, start: Int)
        case concatenate([WeightNode], axis: Int)
        /// `kept` leading dimensions stay in place
        case transpose(WeightNode, [Int], kept: Int)
        case matmul(Matmul, left: WeightNode, weight: WeightNode, bias: WeightNode?, addend: WeightNode?)
        case rows(WeightNode, vectors: [WeightNode], @Sendable (UnsafeMutableBufferPointer<Float>, [[Float]]) -> Void)
        /// Evaluated whole from whole operands
        case whole(Op, [WeightNode])
    }

    let kind: Kind
    let shape: [Int]
    let count: Int
    /// How many operands of the expression are this tensor
    var readers = 0
    /// All elements, once something needed them at once
    var elements: [Float]?
    /// What was computed last, for the other readers of the same block
    var last: (range: Range<Int>, elements: [Float])?

    init(_ kind: Kind, shape: [Int]) {
        self.kind = kind
        self.shape = shape
        count = shape.reduce(1, *)
        for operand in operands { operand.readers += 1 }
    }

    var operands: [WeightNode] {
        switch kind {
        case .source: []
        case .reshape(let a), .map(let a, _), .slice(let a, _, _), .transpose(let a, _, _): [a]
        case .combine(let a, let b, _), .broadcast(let a, let b, _): [a, b]
        case .concatenate(let list, _), .whole(_, let list): list
        case .matmul(_, let left, let weight, let bias, let addend): [left, weight] + [bias, addend].compactMap(\.self)
        case .rows(let a, let vectors, _): [a] + vectors
        }
    }

    /// Whether the last block is kept for other readers. Reading a source twice costs less than the memory.
    var remembers: Bool {
        if case .source = kind { false } else { readers > 1 }
    }

    /// How many buffers of a block's size are in use at once while a block of this tensor is computed, its own not counted.
    private(set) lazy var depth: Int = {
        switch kind {
        case .source: 0
        case .reshape(let a), .map(let a, _): a.depth
        case .combine(let a, let b, _): max(a.depth, 1 + b.depth)
        case .broadcast(let a, let b, _): max(a.depth, b.depth)
        case .slice, .concatenate, .transpose, .matmul, .rows, .whole: 1 + (operands.map(\.depth).max() ?? 0)
        }
    }()
}

/// The expression of a weight as a graph in which each weight and each intermediate result stands once.
struct WeightGraph {
    private let module: Module
    private var weights: [String: WeightNode] = [:]
    private(set) var nodes: [WeightNode] = []

    init(_ module: Module) { self.module = module }

    mutating func weight(_ name: String) throws(Diagnostic) -> WeightNode {
        if let node = weights[name] { return node }
        guard let weight = module.weights[name] else { throw .error("module \(quoted(module.name)) has no weight '@\(name)'") }
        guard weight.type.dtype == .float32, let shape = weight.type.fixedShape else {
            throw .error("weight '@\(name)' is \(weight.type)", at: .operation("@\(name)"), expected: "f32")
        }
        let node: WeightNode
        switch weight.definition {
        case .source(let source): node = add(.source(source), shape)
        case .folded(let operations):
            var values: [String: WeightNode] = [:]
            for operation in operations {
                var operands: [WeightNode] = []
                for operand in operation.operands {
                    if case .weight(let read) = operand {
                        operands.append(try self.weight(read))
                    } else if let value = values[operand.name] {
                        operands.append(value)
                    } else {
                        throw .error("'\(operand)' is not defined", at: .operation("@\(name)"))
                    }
                }
                guard let shape = operation.type?.fixedShape, operation.type?.dtype == .float32 else {
                    throw .error(
                        "'%\(operation.name)' is \(operation.type.map(\.description) ?? "nothing")", at: .operation("@\(name)"),
                        expected: "f32")
                }
                values[operation.name] = add(kind(operation.op, operands), shape)
            }
            guard let last = operations.last, let value = values[last.name] else {
                throw .error("weight '@\(name)' has an empty definition", at: .operation("@\(name)"))
            }
            node = value
        }
        weights[name] = node
        return node
    }

    private mutating func add(_ kind: WeightNode.Kind, _ shape: [Int]) -> WeightNode {
        let node = WeightNode(kind, shape: shape)
        nodes.append(node)
        return node
    }

    private func kind(_ op: Op, _ operands: [WeightNode]) -> WeightNode.Kind {
        func pairwise(_ function: @escaping @Sendable (Float, Float) -> Float) -> WeightNode.Kind {
            operands[0].shape == operands[1].shape
                ? .combine(operands[0], operands[1], function) : .broadcast(operands[0], operands[1], function)
        }
        switch op {
        case .reshape: return .reshape(operands[0])
        case .concatenate(let op): return .concatenate(operands, axis: op.axis)
        case .slice(let op): return .slice(operands[0], axis: op.axis, start: op.start)
        case .transpose(let op):
            let kept = zip(op.permutation, 0...).prefix { $0 == $1 }.count
            return kept == op.permutation.count ? .reshape(operands[0]) : .transpose(operands[0], op.permutation, kept: kept)
        case .add: return pairwise(+)
        case .multiply: return pairwise(*)
        case .scale(let op): return .map(operands[0]) { $0 * op.factor }
        case .power(let op): return .map(operands[0]) { op.value($0) }
        case .activation(let op): return .map(operands[0]) { Float(op.function.value(Double($0))) }
        case .gate(let op): return pairwise { Float(op.function.value(Double($0)) * Double($1)) }
        case .matmul(let op):
            return .matmul(
                op, left: operands[0], weight: operands[1], bias: op.biasIndex.map { operands[$0] },
                addend: op.addendIndex.map { operands[$0] })
        case .layerNorm(let op):
            return .rows(operands[0], vectors: Array(operands[1...])) { layerNorm(op, $0, $1) }
        case .rmsNorm(let op):
            return .rows(operands[0], vectors: Array(operands[1...])) { rmsNorm(op, $0, $1) }
        case .windowAttention,
            .normalize, .extractPatches, .gatherWindows, .averageWindows, .gatherRows, .embed, .quantize, .pack, .rotary, .reserve,
            .cacheStore, .attention, .attentionScores, .keepRows, .findRows, .visionIndices, .strideRows,
            .strideMeans, .rowAttention, .topRows, .complementRows, .meanHeads, .unitRows, .clusterRows, .segmentMeans,
            .outlierRows, .appendSamples, .mergeNeighbours, .padList, .matchRows, .rowPlaces, .segmentSizes, .log, .softmaxSimilarity,
            .greedyCover, .raterRows, .rotaryScores, .recycleDensity, .recycleRows, .recycleMerge, .raterAttention,
            .rankCounts, .prefusionRows, .trimRows, .replaceRows, .resizeGrid, .splitRows, .maskHeads, .patchAttention, .similarWindows,
            .windowMeans, .keyRows, .postRows, .thresholdRows, .cacheKeep, .release:
            return .whole(op, operands)
        }
    }
}
