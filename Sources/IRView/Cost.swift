import IR
import Support

/// The work of an operation taken by itself: what it computes, and the operands and the result that it reads and writes.
///
/// FLOPs: a product's multiply and add count two, and so do both products of attention; any other operation counts its arithmetic per element
/// with a function such as exp or a square root as one. Moving data counts none. Bytes count every operand once; a reshape moves none.
/// Numbers past 2^63 - 1 stay there.
public struct Cost: Hashable, Sendable {
    public var flops = 0
    public var bytesRead = 0
    public var bytesWritten = 0

    public static func + (a: Cost, b: Cost) -> Cost {
        Cost(
            flops: sum(a.flops, b.flops), bytesRead: sum(a.bytesRead, b.bytesRead), bytesWritten: sum(a.bytesWritten, b.bytesWritten))
    }
}

func product(_ factors: Int...) -> Int { checkedProduct(factors) ?? .max }
func sum(_ terms: Int...) -> Int { checkedSum(terms) ?? .max }

/// What a call is counted with.
public struct CallShape: Hashable, Sendable {
    /// T and S
    public let values: SymbolValues
    /// Rows that the caches hold of the sequence before
    public let behind: Int
    /// Those of T that are vision rows
    public let vision: Int

    private init(rows: Int, behind: Int, vision: Int) {
        values = SymbolValues([EntryPoint.Count.rows.rawValue: rows, EntryPoint.Count.wanted.rawValue: 1])
        self.behind = behind
        self.vision = vision
    }

    /// A prompt of `rows` tokens, `vision` of them an image's, in an empty slot; the logits of the last are wanted.
    public static func prompt(_ rows: Int, vision: Int = 0) -> CallShape { CallShape(rows: rows, behind: 0, vision: min(vision, rows)) }

    /// The token behind `rows` others.
    public static func token(behind rows: Int) -> CallShape { CallShape(rows: 1, behind: rows, vision: 0) }

    /// The same behind a selection, which leaves `vision` of the vision rows.
    fileprivate init(_ call: CallShape, _ values: SymbolValues, vision: Int) {
        (self.values, behind, self.vision) = (values, call.behind, vision)
    }
}

extension Module {
    /// One per operation of `function`, in order. What an operation counts is what it says of the call, or else the most.
    public func costs(of function: Function, _ call: CallShape) -> [Cost] {
        var environment = TypeEnvironment(self, function)
        var call = call
        // The vision rows among as many rows as a symbol counts.
        var vision = [EntryPoint.Count.rows.rawValue: call.vision]
        return function.operations.map { operation in
            let types = operation.operands.map { environment[$0] }
            _ = environment.define(operation)
            let payload = operation.op.payload
            if let count = payload.definedCount, let dimension = types.first??.shape.first, let rows = dimension.value(call.values) {
                let among = vision[dimension.description] ?? call.vision
                if let kept = payload.visionRowsKept(of: among) {
                    let counted = payload.leavesText && among == 0 ? 0 : rows - among + kept
                    call = CallShape(call, call.values.with(count, counted), vision: kept)
                    vision[count] = kept
                } else if case .splitRows(let split) = operation.op {
                    let part = split.kind == .vision ? among : rows - among
                    call = CallShape(call, call.values.with(count, part), vision: call.vision)
                }
            }
            return work(operation, types.map { $0 ?? TensorType(.uint8, []) }, call)
        }
    }

    public func cost(of function: Function, _ call: CallShape) -> Cost { costs(of: function, call).reduce(Cost(), +) }
}

/// `operands` are the types of the operation's operands.
private func work(_ operation: Operation, _ operands: [TensorType], _ call: CallShape) -> Cost {
    func elements(_ type: TensorType?) -> Int { type.map { $0.elementCount(call.values) ?? .max } ?? 0 }
    func bytes(_ type: TensorType?) -> Int { type.map { $0.byteCount(call.values) ?? .max } ?? 0 }
    func size(_ dimension: Dimension) -> Int { dimension.value(call.values) ?? .max }
    let result = elements(operation.type)
    let all = operands.reduce(0) { sum($0, bytes($1)) }
    func perElement(_ flops: Int) -> Cost { Cost(flops: product(flops, result), bytesRead: all, bytesWritten: bytes(operation.type)) }

    switch operation.op {
    case .reshape: return Cost()
    case .extractPatches, .gatherWindows, .concatenate, .transpose: return perElement(0)
    case .averageWindows(let average): return perElement(product(average.innerEdge, average.innerEdge))
    case .windowAttention(let attention):
        // Each query meets the keys of its window; per pair and head as below.
        let pairs = product(size(operands[0].shape[0]), attention.windows.kernel, attention.windows.kernel)
        return Cost(
            flops: product(pairs, sum(product(4, size(operands[0].shape[1])), product(4, attention.heads))), bytesRead: all,
            bytesWritten: bytes(operation.type))
    case .slice: return Cost(bytesRead: bytes(operation.type), bytesWritten: bytes(operation.type))
    case .gatherRows: return Cost(bytesRead: sum(bytes(operands.last), bytes(operation.type)), bytesWritten: bytes(operation.type))
    case .embed:
        // One row per token, of the table or of the vision rows.
        return Cost(bytesRead: sum(bytes(operands.first), bytes(operation.type)), bytesWritten: bytes(operation.type))
    case .matmul(let matmul):
        let epilogue = (matmul.hasBias ? 1 : 0) + (matmul.hasAddend ? 1 : 0) + (matmul.activation == nil ? 0 : 1)
        let inner = operands[0].shape.last.map(size) ?? 0
        return perElement(sum(product(2, inner), epilogue))
    case .add, .multiply, .scale, .power, .activation: return perElement(1)
    case .pack: return perElement(0)
    // Magnitude, product and sum of the codes; bf16 only moves.
    case .quantize(let quantize): return perElement(quantize.type == .int8 ? 3 : 0)
    case .gate, .normalize: return perElement(2)
    // Scale and bias are one each.
    case .rmsNorm: return perElement(2 + operands.count)
    case .layerNorm: return perElement(4 + operands.count)
    case .rotary: return perElement(3)
    case .attentionScores(let scores):
        // As if all rows were raters, which a prompt's end decides: two products of a score and its exponential.
        let rows = size(operands[0].shape[0]), width = size(operands[0].shape[1])
        let raters = scores.hasRaters ? rows : 1
        return Cost(
            flops: product(raters, rows, sum(product(4, width), product(4, scores.heads))), bytesRead: all,
            bytesWritten: bytes(operation.type))
    case .keepRows, .findRows, .visionIndices, .strideRows, .postRows, .thresholdRows, .keyRows: return perElement(0)
    // A product of each pair of rows of a window
    case .similarWindows(let windows):
        let pairs = product(size(operands[0].shape[0]), windows.window * windows.window - 1) / 2
        return Cost(
            flops: product(2, pairs, size(operands[0].shape[1])), bytesRead: all, bytesWritten: bytes(operation.type))
    // All patches are added at most.
    case .windowMeans: return Cost(flops: elements(operands[0]), bytesRead: all, bytesWritten: bytes(operation.type))
    case .strideMeans(let means): return perElement(means.stride)
    case .rowAttention(let attention):
        // Each score is computed twice.
        let rows = size(operands[1].shape[0]), width = size(operands[1].shape[1])
        return Cost(
            flops: product(rows, sum(product(4, width), product(4, attention.heads))), bytesRead: all, bytesWritten: bytes(operation.type))
    case .topRows, .complementRows, .outlierRows, .appendSamples, .padList, .rowPlaces: return perElement(0)
    case .matchRows:
        // Each candidate's products with all targets
        let rows = size(operands[0].shape[0]), products = product((rows - 1) / 2, rows / 2)
        return Cost(flops: product(products, product(2, size(operands[0].shape[1]))), bytesRead: all, bytesWritten: bytes(operation.type))
    case .segmentSizes: return Cost(flops: size(operands[0].shape[0]), bytesRead: all, bytesWritten: bytes(operation.type))
    case .log: return perElement(1)
    case .meanHeads(let means): return perElement(means.heads)
    case .unitRows: return perElement(3)
    case .clusterRows(let clusters):
        let rows = size(operands[0].shape[0]), width = size(operands[0].shape[1])
        return Cost(flops: product(product(2, clusters.count), rows, width), bytesRead: all, bytesWritten: bytes(operation.type))
    case .segmentMeans(let means):
        return Cost(flops: product(means.hasWeights ? 2 : 1, elements(operands[0])), bytesRead: all, bytesWritten: bytes(operation.type))
    case .mergeNeighbours(let merge):
        // A product with each other row, then a sum of rows; what is merged into none is one sum more.
        let rows = size(operands[0].shape[0]), kept = size(operands[3].shape[0])
        let products = product(product(2, kept), rows, size(operands[1].shape[1]))
        let sums = product(2, sum(product(kept, merge.neighbours), rows), size(operands[0].shape[1]))
        return Cost(flops: sum(products, sums), bytesRead: all, bytesWritten: bytes(operation.type))
    case .softmaxSimilarity:
        let pairs = product(size(operands[0].shape[0]), size(operands[1].shape[0]))
        return Cost(
            flops: product(pairs, sum(product(2, size(operands[0].shape[1])), 3)), bytesRead: all, bytesWritten: bytes(operation.type))
    case .greedyCover(let cover):
        // Each value is compared with its row's best for each column that is taken.
        let values = sum(elements(operands[0]), elements(operands[1]))
        return Cost(flops: product(product(3, cover.keep), values), bytesRead: all, bytesWritten: bytes(operation.type))
    case .raterAttention(let attention):
        let rows = size(operands[0].shape[0]), width = size(operands[0].shape[1])
        return Cost(
            flops: product(rows, rows, sum(product(4, width), product(4, attention.heads))), bytesRead: all,
            bytesWritten: bytes(operation.type))
    // The raters' products with each other
    case .rankCounts: return Cost(flops: product(result, elements(operands[0])), bytesRead: all, bytesWritten: bytes(operation.type))
    case .raterRows:
        // As many vision rows as the call has, times the rows that may rate, which its end decides: as if all did. Two products each.
        let rows = size(operands[0].shape[0]), width = size(operands[0].shape[1])
        return Cost(
            flops: product(call.vision, rows - min(rows, call.vision), sum(product(4, width), 4)), bytesRead: all,
            bytesWritten: bytes(operation.type))
    case .rotaryScores(let scores):
        let rows = size(operands[0].shape[0]), width = size(operands[0].shape[1])
        return Cost(
            flops: product(rows, rows, sum(product(8, width), product(8, scores.heads))), bytesRead: all,
            bytesWritten: bytes(operation.type))
    case .recycleDensity(let density):
        let recycling = density.recycling
        let rows = recycling.recycled(dropped: call.vision - (recycling.kept(of: call.vision) ?? 0)), width = size(operands[0].shape[1])
        return Cost(flops: product(rows, rows, sum(product(6, width), 4)), bytesRead: all, bytesWritten: bytes(operation.type))
    case .recycleRows, .prefusionRows, .trimRows, .replaceRows, .splitRows, .maskHeads: return perElement(0)
    // Sixteen vectors, each weighted
    case .resizeGrid: return perElement(32)
    case .patchAttention(let attention):
        // The text as if all of it stood in front; the window as if it lay within the grid.
        let side = min(attention.window, attention.side), keys = sum(size(operands[5].shape[0]), product(side, side))
        let heads = attention.mask.count { $0 }, width = product(size(operands[0].shape[1]) / attention.mask.count, heads)
        return Cost(
            flops: product(size(operands[0].shape[0]), keys, sum(product(4, width), product(4, heads))), bytesRead: all,
            bytesWritten: bytes(operation.type))
    // Sums of the recycled rows and their distances to a tenth of them
    case .recycleMerge: return perElement(1)
    case .reserve: return Cost(bytesRead: sum(bytes(operands.first), bytes(operands.last)), bytesWritten: bytes(operation.type))
    // The rows that stay, at most, each read and written
    case .cacheKeep:
        let slots = size(operands[0].shape[0]), places = size(operands[0].shape[1])
        let row = slots > 0 && places > 0 ? bytes(operands[0]) / slots / places : 0
        let moved = product(size(operands[3].shape[0]), row)
        return Cost(bytesRead: sum(moved, bytes(operands[2]), bytes(operands[3])), bytesWritten: moved)
    case .release: return Cost(bytesRead: all, bytesWritten: bytes(operands[0]))
    case .cacheStore: return Cost(bytesRead: bytes(operands[1]), bytesWritten: bytes(operands[1]))
    case .attention(let attention):
        let rows = size(operands[0].shape[0]), width = size(operands[0].shape[1])
        let keyWidth = product(width / attention.heads, attention.keyValueHeads)
        // Over a cache, row i sees the rows before the call, those before it and its own.
        let keys = attention.isCached ? sum(call.behind, rows) : size(operands[1].shape[0])
        let pairs = attention.isCached ? sum(product(rows, call.behind), product(rows, sum(rows, 1)) / 2) : product(rows, keys)
        let read = product(2, keys, keyWidth, operands[1].dtype.byteCount)
        // Per pair and head: two products, then scale, bias, maximum, exp and sum.
        let flops = product(pairs, sum(product(4, width), product(attention.hasBias ? 5 : 4, attention.heads)))
        let bias = attention.hasBias ? bytes(operands[3]) : 0
        return Cost(flops: flops, bytesRead: sum(bytes(operands[0]), read, bias), bytesWritten: bytes(operation.type))
    }
}
