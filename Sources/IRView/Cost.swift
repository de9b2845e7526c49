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

/// The numbers that stand for T and P: a prompt of `sequence` tokens is prefilled at P = 0; a function of one token makes the one after it,
/// at P = sequence - 1.
public struct CallShape: Hashable, Sendable {
    public var sequence: Int
    public var position: Int

    public init(_ function: Function, sequence: Int) {
        let isPrompt = function.parameters.contains { !$0.type.isStatic }
        self.sequence = sequence
        position = isPrompt || !function.hasPosition ? 0 : max(0, sequence - 1)
    }
}

extension Module {
    /// One per operation of `function`, in order.
    public func costs(of function: Function, sequence: Int) -> [Cost] {
        let call = CallShape(function, sequence: sequence)
        var environment = TypeEnvironment(self, function)
        return function.operations.map { operation in
            let types = operation.operands.map { environment[$0] }
            _ = environment.define(operation)
            return work(operation, types.map { $0 ?? TensorType(.uint8, []) }, call)
        }
    }

    public func cost(of function: Function, sequence: Int) -> Cost { costs(of: function, sequence: sequence).reduce(Cost(), +) }
}

/// `operands` are the types of the operation's operands.
private func work(_ operation: Operation, _ operands: [TensorType], _ call: CallShape) -> Cost {
    func elements(_ type: TensorType?) -> Int { type.map { $0.elementCount(sequence: call.sequence) ?? .max } ?? 0 }
    func bytes(_ type: TensorType?) -> Int { type.map { $0.byteCount(sequence: call.sequence) ?? .max } ?? 0 }
    func size(_ dimension: Dimension) -> Int { dimension.fixedValue ?? call.sequence }
    let result = elements(operation.type)
    let all = operands.reduce(0) { sum($0, bytes($1)) }
    func perElement(_ flops: Int) -> Cost { Cost(flops: product(flops, result), bytesRead: all, bytesWritten: bytes(operation.type)) }

    switch operation.op {
    case .reshape: return Cost()
    case .extractPatches, .gatherWindows, .concatenate, .transpose: return perElement(0)
    case .averageWindows(let average): return perElement(product(average.windows.kernel, average.windows.kernel))
    case .slice, .lastRow: return Cost(bytesRead: bytes(operation.type), bytesWritten: bytes(operation.type))
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
    case .cacheStore: return Cost(bytesRead: bytes(operands.last), bytesWritten: bytes(operands.last))
    case .attention(let attention):
        let rows = size(operands[0].shape[0]), width = size(operands[0].shape[1])
        var keys = size(operands[1].shape[0])
        var pairs = product(rows, keys)
        if case .state = operation.operands[1] {
            // Row i sees P + i + 1 rows of the caches.
            keys = min(keys, sum(call.position, rows))
            pairs = sum(product(rows, call.position), product(rows, sum(rows, 1)) / 2)
        }
        let read = product(2, keys, size(operands[1].shape[1]), operands[1].dtype.byteCount)
        // Per pair and head: two products, then scale, maximum, exp and sum.
        let flops = product(pairs, sum(product(4, width), product(4, attention.heads)))
        return Cost(flops: flops, bytesRead: sum(bytes(operands[0]), read), bytesWritten: bytes(operation.type))
    }
}
