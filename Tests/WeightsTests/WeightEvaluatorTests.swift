import IR
import IRText
import Reference
import Support
import TestSupport
import Testing

@testable import Weights

private func sourceElement(_ name: String, _ index: Int) -> Float {
    var random = SeededGenerator(seed: name.utf8.reduce(UInt64(index)) { $0 &* 31 &+ UInt64($1) })
    return Float.random(in: -2...2, using: &random)
}

private func elements(_ source: SourceTensor) throws(Diagnostic) -> [Float] {
    (0..<source.type.elementCount()!).map { sourceElement(source.name, $0) }
}

private func read(_ source: SourceTensor, _ range: Range<Int>, _ out: UnsafeMutableBufferPointer<Float>) throws(Diagnostic) {
    precondition(range.count == out.count && range.upperBound <= source.type.elementCount()!)
    for (place, index) in range.enumerated() { out[place] = sourceElement(source.name, index) }
}

/// Weights made from each other by random operations.
private struct RandomModule {
    var module = Module(name: "random")
    var random: SeededGenerator

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
        for index in 0..<4 {
            let shape = (0..<Int.random(in: 1...3, using: &random)).map { _ in Int.random(in: 1...7, using: &random) }
            define("s\(index)", .source(SourceTensor(name: "t\(index)", type: TensorType(.float32, fixed: shape))), shape)
        }
        for index in 0..<6 { fold("f\(index)") }
    }

    private mutating func define(_ name: String, _ definition: Weight.Definition, _ shape: [Int]) {
        module.weights[name] = Weight(type: TensorType(.float32, fixed: shape), definition: definition)
    }

    /// A source of just this shape
    private mutating func source(_ shape: [Int]) -> Operand {
        let name = "n\(module.weights.count)"
        define(name, .source(SourceTensor(name: name, type: TensorType(.float32, fixed: shape))), shape)
        return .weight(name)
    }

    private mutating func fold(_ name: String) {
        var operations: [Operation] = []
        var readable = module.weights.map { (Operand.weight($0.key), $0.value.type.fixedShape!) }
        for index in 0..<Int.random(in: 1...5, using: &random) {
            // Later results more often, so that chains become deep
            let (operand, shape) = Bool.random(using: &random) ? readable.last! : readable.randomElement(using: &random)!
            guard shape.reduce(1, *) <= 3000, let (op, operands) = step(operand, shape, readable) else { continue }
            let types = operands.map { operand in readable.first { $0.0 == operand }?.1 ?? module.weights[operand.name]!.type.fixedShape! }
            let type = try! op.payload.resultType(types.map { TensorType(.float32, fixed: $0) })!
            operations.append(Operation(name: "\(index)", op: op, operands: operands, type: type))
            readable.append((.value("\(index)"), type.fixedShape!))
        }
        if let last = operations.last { define(name, .folded(operations), last.type!.fixedShape!) }
    }

    private mutating func step(_ operand: Operand, _ shape: [Int], _ readable: [(Operand, [Int])]) -> (Op, [Operand])? {
        let axis = shape.indices.randomElement(using: &random)
        let function = ActivationFunction.allCases.randomElement(using: &random)!
        func like() -> Operand? { readable.filter { $0.1 == shape }.randomElement(using: &random)?.0 }
        switch Int.random(in: 0..<15, using: &random) {
        case 0: return (.scale(Scale(factor: 0.7)), [operand])
        case 1: return (.activation(Activation(function)), [operand])
        case 2: return (.gate(Gate(function)), [operand, like()!])
        case 3: return (.add(Add()), [operand, like()!])
        case 4: return (.multiply(Multiply()), [operand, source(shape)])
        case 5:
            return (
                Bool.random(using: &random) ? .add(Add()) : .multiply(Multiply()),
                [operand, source(Array(shape.suffix(Int.random(in: 0...shape.count, using: &random))))]
            )
        case 6:
            guard let axis else { return nil }
            let start = Int.random(in: 0..<shape[axis], using: &random)
            return (.slice(Slice(axis: axis, start: start, count: Int.random(in: 1...shape[axis] - start, using: &random))), [operand])
        case 7, 8:
            guard let axis else { return nil }
            let others = (0..<Int.random(in: 0...2, using: &random)).map { _ in
                var other = shape
                other[axis] = Int.random(in: 1...3, using: &random)
                return source(other)
            }
            return (.concatenate(Concatenate(axis: axis)), ([operand, like()!] + others).shuffled(using: &random))
        case 9:
            let count = shape.reduce(1, *)
            let divisor = (1...count).filter { count % $0 == 0 }.randomElement(using: &random)!
            return (
                .reshape(
                    Reshape(shape: [[count], [divisor, count / divisor], [1, divisor, count / divisor]].randomElement(using: &random)!)),
                [operand]
            )
        case 10, 11: return (.transpose(Transpose(permutation: shape.indices.shuffled(using: &random))), [operand])
        case 12:
            guard let width = shape.last else { return nil }
            let hasVectors = Bool.random(using: &random)
            return Bool.random(using: &random)
                ? (.rmsNorm(RMSNorm(epsilon: 0.1)), [operand] + (hasVectors ? [source([width])] : []))
                : (.layerNorm(LayerNorm(epsilon: 0.1)), [operand] + (hasVectors ? [source([width]), source([width])] : []))
        case 13:
            guard shape.count == 2 else { return nil }
            let columns = Int.random(in: 1...5, using: &random)
            let (bias, addend) = (Bool.random(using: &random), Bool.random(using: &random))
            let op = Matmul(hasBias: bias, hasAddend: addend, activation: Bool.random(using: &random) ? function : nil)
            return (
                .matmul(op),
                [operand, source([columns, shape[1]])] + (bias ? [source([columns])] : []) + (addend ? [source([shape[0], columns])] : [])
            )
        default:
            guard shape.count == 2 else { return nil }
            return (.attention(Attention(heads: 1, keyValueHeads: 1, scale: 0.3)), [operand, operand, like()!])
        }
    }
}

@Suite struct WeightEvaluatorTests {
    /// Streams a weight, checks that the blocks are consecutive, and returns its elements.
    private func streamed(_ name: String, of module: Module, maximumBytes: Int) throws -> [Float] {
        var elements: [Float] = []
        try WeightEvaluator(module, read: read).forEachBlock(of: name, maximumBytes: maximumBytes) { offset, block throws(Diagnostic) in
            #expect(offset == elements.count && !block.isEmpty)
            elements += block
        }
        return elements
    }

    @Test func streamedIsWhole() throws {
        var kinds: Set<String> = []
        for seed in 0..<120 as Range<UInt64> {
            let made = RandomModule(seed: seed)
            let module = made.module
            var random = made.random
            try module.verify()
            var evaluator = Evaluator(module, source: elements)
            for (name, weight) in module.weights where name.hasPrefix("f") {
                let whole = try evaluator.weight(name).floats
                for bytes in [1, 4 * Int.random(in: 2...60, using: &random), 4 * Int.random(in: 60...4000, using: &random), 1 << 20] {
                    let found = try streamed(name, of: module, maximumBytes: bytes)
                    // Bit for bit, so that a NaN equals itself
                    #expect(found.map(\.bitPattern) == whole.map(\.bitPattern), "seed \(seed), @\(name), \(bytes) bytes")
                }
                if case .folded(let operations) = weight.definition { kinds.formUnion(operations.map(\.op.mnemonic)) }
            }
        }
        #expect(
            kinds == [
                "scale", "activation", "gate", "add", "multiply", "slice", "concatenate", "reshape", "transpose", "rms_norm", "layer_norm",
                "matmul", "attention",
            ])
    }

    /// What the passes fold: window weights reordered, a vision tower's scale and bias, concatenated projections.
    private static let folds = """
        module "folds" stage imported {
          weight @q : f32[96, 128] = source "q" f32[96, 128]
          weight @k : f32[96, 128] = source "k" f32[96, 128]
          weight @window : f32[64, 8, 4, 4] = source "window" f32[64, 8, 4, 4]
          weight @vector : f32[128] = source "vector" f32[128]
          weight @merged : f32[192, 128] = fold {
            %s = scale @q {factor = 0.125} : f32[96, 128]
            %c = concatenate %s, @k {axis = 0} : f32[192, 128]
            %m = multiply %c, @vector : f32[192, 128]
          }
          weight @channels_last : f32[64, 128] = fold {
            %t = transpose @window {permutation = [0, 2, 3, 1]} : f32[64, 4, 4, 8]
            %r = reshape %t {shape = [64, 128]} : f32[64, 128]
          }
          weight @columns : f32[96, 64] = fold {
            %l = slice @q {axis = 1, start = 0, count = 32} : f32[96, 32]
            %r = slice @k {axis = 1, start = 96, count = 32} : f32[96, 32]
            %c = concatenate %l, %r {axis = 1} : f32[96, 64]
          }
          weight @shared : f32[96, 256] = fold {
            %a = add @q, @k : f32[96, 128]
            %b = multiply %a, %a : f32[96, 128]
            %c = concatenate %a, %b {axis = 1} : f32[96, 256]
          }
          weight @product : f32[96, 96] = fold {
            %m = matmul @q, @k {activation = gelu} : f32[96, 96]
          }
          weight @flipped : f32[128, 96] = fold {
            %t = transpose @q {permutation = [1, 0]} : f32[128, 96]
            %s = scale %t {factor = 2.0} : f32[128, 96]
          }
        }
        """

    @Test(arguments: ["merged", "channels_last", "columns", "shared", "product", "flipped"], [4096, 8192, 9000, 1 << 20])
    func memoryIsBounded(_ name: String, _ maximumBytes: Int) throws {
        let module = try parseModule(Self.folds, file: "folds.ir")
        var evaluator = Evaluator(module, source: elements)
        var largest = 0
        let streaming = WeightEvaluator(module) { source, range, out throws(Diagnostic) in
            largest = max(largest, range.count)
            try read(source, range, out)
        }
        var found: [Float] = []
        let stream = try streaming.stream(name, maximumBytes: maximumBytes) { offset, block throws(Diagnostic) in
            // From here on a row of any of these weights fits, so that every block begins at one.
            if maximumBytes >= 8192 { #expect(offset % module.weights[name]!.type.fixedShape![1] == 0) }
            found += block
        }
        #expect(found == (try evaluator.weight(name).floats))
        #expect(stream.peak * 4 <= maximumBytes)
        #expect(largest * 4 <= maximumBytes)
    }

    /// A shared result is computed once per block, not once per reader: here 2^40 times.
    @Test func sharedResultsAreComputedOnce() throws {
        var module = Module(name: "chain")
        let type = TensorType(.float32, fixed: [64])
        module.weights["w"] = Weight(type: type, definition: .source(SourceTensor(name: "w", type: type)))
        var operations = [Operation(name: "0", op: .scale(Scale(factor: 0.5)), operands: [.weight("w")], type: type)]
        for index in 1...40 {
            let before = Operand.value("\(index - 1)")
            let half = Operation(name: "h\(index)", op: .scale(Scale(factor: 0.5)), operands: [before], type: type)
            operations += [half, Operation(name: "\(index)", op: .add(Add()), operands: [half.result!, half.result!], type: type)]
        }
        module.weights["deep"] = Weight(type: type, definition: .folded(operations))
        try module.verify()
        let expected = (0..<64).map { sourceElement("w", $0) * 0.5 }
        #expect(try streamed("deep", of: module, maximumBytes: 4096) == expected)
        #expect(try WeightEvaluator(module, read: read).elements(of: "deep") == expected)
    }

    @Test func failuresComeThrough() throws {
        let module = try parseModule(Self.folds, file: "folds.ir")
        let fault = Diagnostic.error("disk is on fire")
        let broken = WeightEvaluator(module) { _, range, _ throws(Diagnostic) in if range.lowerBound > 100 { throw fault } }
        #expect(throws: fault) { try broken.forEachBlock(of: "merged", maximumBytes: 4096) { _, _ throws(Diagnostic) in } }
        // A whole operand
        #expect(throws: fault) { try broken.forEachBlock(of: "flipped", maximumBytes: 4096) { _, _ throws(Diagnostic) in } }
        let evaluator = WeightEvaluator(module, read: read)
        var blocks = 0
        #expect(throws: fault) {
            try evaluator.forEachBlock(of: "merged", maximumBytes: 8192) { _, _ throws(Diagnostic) in
                blocks += 1
                if blocks == 2 { throw fault }
            }
        }
        #expect(blocks == 2)
        #expect(throws: Diagnostic.error("module 'folds' has no weight '@x'")) { try evaluator.elements(of: "x") }
    }

    @Test func onlyFloatsAreStreamed() throws {
        let module = try parseModule("module \"m\" stage imported { weight @h : f16[2] = source \"h\" f16[2] }", file: "m.ir")
        #expect(throws: Diagnostic.error("weight '@h' is f16[2]", at: .operation("@h"), expected: "f32")) {
            try WeightEvaluator(module, read: read).elements(of: "h")
        }
    }
}
