import Foundation
import IR
import TestSupport

/// Evaluates a function, the folds of its weights included, in float64 throughout: what the model means, without any rounding to float32.
/// Only what the folds' tests hold; any other operation is a precondition failure.
struct ExactEvaluator {
    struct Matrix {
        var shape: [Int]
        var values: [Double]

        var columns: Int { shape[shape.count - 1] }
        var rows: Int { values.count / columns }
    }

    let module: Module
    /// Elements of a source or a parameter by its name.
    let source: (String, Int) -> [Float]

    func results(of name: String) -> [Matrix] {
        let function = module.function(named: name)!
        var values: [String: Matrix] = [:]
        for parameter in function.parameters { values[parameter.name] = matrix(parameter.name, parameter.type) }
        run(function.operations, &values)
        return function.results.map { read($0, values) }
    }

    private func matrix(_ name: String, _ type: TensorType) -> Matrix {
        Matrix(shape: type.fixedShape!, values: source(name, type.elementCount()!).map(Double.init))
    }

    private func read(_ operand: Operand, _ values: [String: Matrix]) -> Matrix {
        guard case .weight(let name) = operand else { return values[operand.name]! }
        let weight = module.weights[name]!
        switch weight.definition {
        case .source(let tensor):
            return Matrix(shape: weight.type.fixedShape!, values: matrix(tensor.name, tensor.type).values)
        case .folded(let operations):
            var inner: [String: Matrix] = [:]
            run(operations, &inner)
            return inner[operations.last!.name]!
        }
    }

    private func run(_ operations: [IR.Operation], _ values: inout [String: Matrix]) {
        for operation in operations {
            var result = evaluate(operation.op, operation.operands.map { read($0, values) })
            result.shape = operation.type!.fixedShape!
            values[operation.name] = result
        }
    }

    private func evaluate(_ op: Op, _ operands: [Matrix]) -> Matrix {
        var x = operands[0]
        switch op {
        case .reshape: break
        case .matmul(let op):
            let weight = operands[1]
            var sums = op.addendIndex.map { operands[$0].values } ?? Array(repeating: 0, count: x.rows * weight.rows)
            for row in 0..<x.rows {
                for column in 0..<weight.rows {
                    var sum = sums[row * weight.rows + column] + (op.biasIndex.map { operands[$0].values[column] } ?? 0)
                    for k in 0..<x.columns { sum += x.values[row * x.columns + k] * weight.values[column * x.columns + k] }
                    sums[row * weight.rows + column] = op.activation.map { activation($0, sum) } ?? sum
                }
            }
            x.values = sums
        case .add: for index in x.values.indices { x.values[index] += operands[1].values[index % operands[1].values.count] }
        case .multiply: for index in x.values.indices { x.values[index] *= operands[1].values[index % operands[1].values.count] }
        case .scale(let op): x.values = x.values.map { $0 * Double(op.factor) }
        case .power(let op): x.values = x.values.map { $0 == 0 ? 0 : pow(abs($0), Double(op.exponent)) }
        case .transpose:
            x.values = (0..<x.columns).flatMap { column in (0..<x.rows).map { x.values[$0 * x.columns + column] } }
        case .slice(let op) where op.axis == 0:
            x.values = Array(x.values[op.start * x.columns..<(op.count.map { op.start + $0 } ?? x.rows) * x.columns])
        case .slice(let op):
            x.values = (0..<x.rows).flatMap { row in x.values[(row * x.columns + op.start)...].prefix(op.count ?? x.columns - op.start) }
        case .concatenate(let op) where op.axis == 0: x.values = operands.flatMap(\.values)
        case .concatenate:
            x.values = (0..<x.rows).flatMap { row in operands.flatMap { $0.values[row * $0.columns..<(row + 1) * $0.columns] } }
        case .averageWindows(let op):
            let windows = op.windows
            var means: [Double] = []
            for top in stride(from: 0, to: windows.height, by: windows.kernel) {
                for left in stride(from: 0, to: windows.width, by: windows.kernel) {
                    for channel in 0..<x.columns {
                        var sum = 0.0
                        for row in top + op.margin..<top + windows.kernel - op.margin {
                            for column in left + op.margin..<left + windows.kernel - op.margin {
                                sum += x.values[(row * windows.width + column) * x.columns + channel]
                            }
                        }
                        means.append(sum / Double(op.innerEdge * op.innerEdge))
                    }
                }
            }
            x.values = means
        case .layerNorm(let op): normalize(&x, epsilon: op.epsilon, centred: true, Array(operands[1...]))
        case .rmsNorm(let op): normalize(&x, epsilon: op.epsilon, centred: false, Array(operands[1...]))
        case .attention(let op): x = attention(op, operands)
        default: preconditionFailure("nothing folds \(op.mnemonic)")
        }
        return x
    }

    private func activation(_ function: ActivationFunction, _ x: Double) -> Double {
        switch function {
        case .gelu: 0.5 * x * erfc(-x / 2.0.squareRoot())
        case .quickGELU: x / (1 + exp(-1.702 * x))
        case .silu: x / (1 + exp(-x))
        }
    }

    private func normalize(_ x: inout Matrix, epsilon: Float, centred: Bool, _ vectors: [Matrix]) {
        for start in stride(from: 0, to: x.values.count, by: x.columns) {
            let row = x.values[start..<start + x.columns]
            let mean = centred ? row.reduce(0, +) / Double(x.columns) : 0
            let squares = row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(x.columns)
            for index in 0..<x.columns {
                var value = (x.values[start + index] - mean) / (squares + Double(epsilon)).squareRoot()
                if !vectors.isEmpty { value *= vectors[0].values[index] }
                if vectors.count > 1 { value += vectors[1].values[index] }
                x.values[start + index] = value
            }
        }
    }

    /// Over values, as many key heads as heads.
    private func attention(_ op: Attention, _ operands: [Matrix]) -> Matrix {
        let (q, k, v) = (operands[0], operands[1], operands[2])
        let size = q.columns / op.heads
        var result = q
        for row in 0..<q.rows {
            for head in 0..<op.heads {
                let weights = (0..<k.rows).map { key in
                    exp(
                        Double(op.scale)
                            * (0..<size).reduce(0.0) {
                                $0 + q.values[row * q.columns + head * size + $1] * k.values[key * k.columns + head * size + $1]
                            })
                }
                let sum = weights.reduce(0, +)
                for index in 0..<size {
                    result.values[row * q.columns + head * size + index] =
                        (0..<k.rows).reduce(0.0) { $0 + weights[$1] * v.values[$1 * v.columns + head * size + index] } / sum
                }
            }
        }
        return result
    }
}
