import Glibc
import IR
import Testing

@testable import Reference

/// Token reducers' operations on rows that a person can check: two slots, the first with text around three vision rows, the second with text.
@Suite struct ReductionOperationTests {
    private func list(_ values: Int32...) -> Tensor { Tensor(shape: [values.count], values) }
    private func floats(_ shape: [Int], _ values: Float...) -> Tensor { Tensor(shape: shape, values) }
    private let tokens = Tensor(shape: [7], [5, -1, -2, -3, 6, 7, 8] as [Int32])
    private let slots = Tensor(shape: [7], [0, 0, 0, 0, 0, 1, 1] as [Int32])

    @Test func scoresAreTheLastRowsAttention() throws {
        // Keys of one column and a query of 1: the softmax of the keys that a row sees.
        let keys = floats([7, 1], 0, 1, 2, 3, 4, 9, 9)
        let queries = Tensor(shape: [7, 1], [Float](repeating: 1, count: 7))
        let op = AttentionScores(heads: 1, keyValueHeads: 1, scale: 1)
        let scores = try evaluate(.attentionScores(op), [queries, keys, tokens, slots]).floats
        let sum = (0...4).reduce(0.0) { $0 + exp(Double($1)) }
        #expect(scores == [0, Float(exp(1) / sum), Float(exp(2) / sum), Float(exp(3) / sum), 0, 0, 0])
    }

    @Test func ratersSeeWhatStandsBeforeThem() throws {
        let keys = Tensor(shape: [7, 1], [Float](repeating: 0, count: 7))
        func scores(_ statistic: AttentionScores.Statistic) throws -> [Float] {
            let op = AttentionScores(heads: 1, keyValueHeads: 1, scale: 1, statistic: statistic, hasRaters: true)
            // Row 2 sees three rows, row 4 five; all keys are equal.
            return try evaluate(.attentionScores(op), [keys, keys, tokens, slots, list(0, 0, 1, 0, 1, 1, 1)]).floats
        }
        let (third, fifth) = (1.0 / 3, 0.2)
        #expect(try scores(.mean)[1...3] == [Float((third + fifth) / 2), Float((third + fifth) / 2), Float(fifth / 2)])
        #expect(try scores(.sum)[1...3] == [Float(third + fifth), Float(third + fifth), Float(fifth)])
        #expect(try scores(.max)[1...3] == [Float(third), Float(third), Float(fifth)])
    }

    @Test func theBestVisionRowsStay() throws {
        func kept(_ top: Int, _ scores: Float...) throws -> [Int32] {
            try evaluate(.keepRows(KeepRows(top: top, count: "K")), [Tensor(shape: [7], scores), tokens, slots]).integers
        }
        #expect(try kept(1, 9, 0.1, 0.3, 0.2, 9, 9, 9) == [0, 2, 4, 5, 6])
        #expect(try kept(2, 0, 0.2, 0.1, 0.2, 0, 0, 0) == [0, 1, 3, 4, 5, 6])
        #expect(try kept(1, 0, 0.2, 0.2, 0.2, 0, 0, 0) == [0, 1, 4, 5, 6])
        #expect(try kept(2, 0, .nan, 0.1, 0.2, 0, 0, 0) == [0, 2, 3, 4, 5, 6])
        #expect(try kept(9, 0, 0, 0, 0, 0, 0, 0) == [0, 1, 2, 3, 4, 5, 6])
        let drop = KeepRows(top: 9, drop: 1, count: "K")
        #expect(try evaluate(.keepRows(drop), [floats([7], 0, 3, 1, 2, 0, 0, 0), tokens, slots]) == list(0, 1, 3, 4, 5, 6))
        // What the next token follows stays, vision row or not.
        let last = try evaluate(
            .keepRows(KeepRows(top: 1, count: "K")), [floats([3], 0.3, 0.2, 0.1), list(-1, -2, -3), list(0, 0, 0)])
        #expect(last == list(0, 2))
    }

    @Test func rowsAreFound() throws {
        #expect(try evaluate(.findRows(FindRows()), [list(0, 2, 4, 6), list(0, 4, 6, 5, 9)]) == list(0, 2, 3, 2, 3))
        #expect(try evaluate(.findRows(FindRows()), [list(3, 4), list(1)]) == list(0))
        #expect(try evaluate(.findRows(FindRows()), [list(0, 5, 2, 5, 7), list(7, 5, 6, 3)]) == list(4, 1, 1, 2))
    }

    @Test func visionRowsAreShown() throws {
        let op = VisionIndices(lists: 2, bound: 2)
        #expect(try evaluate(.visionIndices(op), [tokens, list(1, -4)]) == Tensor(shape: [2, 2], [0, 1, 3, -1] as [Int32]))
    }

    /// An image of five rows in windows of two; the fifth leaves.
    @Test func windowsBecomeTheirMeans() throws {
        let tokens = list(5, -1, -2, -3, -4, -5, -6, -7, 6), slots = list(0, 0, 0, 0, 0, 0, 0, 0, 0)
        let rows = try evaluate(.strideRows(StrideRows(stride: 2, image: 5, count: "K")), [tokens, slots])
        #expect(rows == list(0, 1, 3, 6, 8))
        let x = Tensor(shape: [9, 1], (0..<9).map { Float($0 * $0) })
        #expect(try evaluate(.strideMeans(StrideMeans(stride: 2)), [x, tokens, rows]) == floats([5, 1], 0, 2.5, 12.5, 42.5, 64))
        let middle = try evaluate(.strideRows(StrideRows(stride: 3, image: 5, count: "K")), [tokens, slots])
        #expect(middle == list(0, 2, 7, 8))
        // The second image is cut short: its window is not whole.
        #expect(try evaluate(.strideMeans(StrideMeans(stride: 3)), [x, tokens, middle]) == floats([4, 1], 0, 14.0 / 3, 49, 64))
    }

    /// The last of an image's three rows is the decoder's. Token 0 is not fused, and a slot without an image has no row that is.
    @Test func prefusionTakesVisionRowsFirst() throws {
        let tokens = list(5, 0, -1, -2, -3, 0, 7, 8, 0, -4, -5, -6), slots = list(0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2)
        #expect(try evaluate(.prefusionRows(PrefusionRows(count: "K")), [tokens, slots]) == list(2, 3, 4, 0, 6, 9, 10, 11))
        #expect(try evaluate(.prefusionRows(PrefusionRows(count: "K")), [list(3, 4), list(0, 1)]).shape == [0])
        let trim = Op.trimRows(TrimRows(image: 3, first: 2, count: "K"))
        #expect(try evaluate(trim, [tokens]) == list(0, 1, 4, 5, 6, 7, 8, 11))
        let x = floats([3, 2], 1, 2, 3, 4, 5, 6)
        let replace = Op.replaceRows(ReplaceRows())
        #expect(try evaluate(replace, [x, floats([2, 2], 7, 8, 9, 10), list(2, 0)]) == floats([3, 2], 9, 10, 3, 4, 7, 8))
        #expect(try evaluate(replace, [x, Tensor(shape: [0, 2], [Float]()), Tensor(shape: [0], [Int32]())]) == x)
        #expect(throws: (any Error).self) { try evaluate(replace, [x, floats([1, 2], 7, 8), list(3)]) }
    }

    /// torch.nn.functional.interpolate(x, (3, 3), mode="bicubic") of 2 x 2, and of one row.
    @Test func gridsAreResized() throws {
        let resized = try evaluate(.resizeGrid(ResizeGrid(to: 3)), [floats([4, 1], 0, 1, 10, 100)])
        let expected: [Float] = [-0.2842279, -4.230903, -8.177578, 1.050347, 27.75, 54.44965, 2.384922, 59.7309, 117.0769]
        #expect(resized.shape == [9, 1])
        #expect(zip(resized.floats, expected).allSatisfy { abs($0 - $1) < 1e-5 * 100 }, "\(resized.floats)")
        let alone = try evaluate(.resizeGrid(ResizeGrid(to: 2)), [floats([1, 2], 3, -4)])
        #expect(zip(alone.floats, [3, -4, 3, -4, 3, -4, 3, -4] as [Float]).allSatisfy { abs($0 - $1) < 1e-6 })
    }

    /// A count of an operation is the number of rows that it made, in the types behind it.
    @Test func countsAreTakenFromResults() throws {
        var module = Module(name: "m")
        let rows = module.declare("T", bound: 8)
        _ = module.declare("K", bound: 8)
        let parameters = [
            Parameter(name: "s", type: TensorType(.float32, [rows])), Parameter(name: "t", type: TensorType(.int32, [rows])),
            Parameter(name: "x", type: TensorType(.float32, [rows, 1])),
        ]
        var builder = FunctionBuilder("f", parameters: parameters, in: module)
        let chosen = try builder.append("k", .keepRows(KeepRows(top: 1, count: "K")), [.value("s"), .value("t"), .value("t")])
        let kept = try builder.append("y", .gatherRows(GatherRows()), [.value("x"), chosen])
        let joined = try builder.append("z", .concatenate(Concatenate(axis: 0)), [kept, .value("x")])
        module.functions.append(builder.finish(returning: [joined]))
        var evaluator = Evaluator(module) { _ in [] }
        // One slot of vision rows: the best and the last stay.
        let x = floats([3, 1], 5, 6, 7)
        let result = try evaluator.call("f", [floats([3], 0.1, 0.3, 0.2), list(-1, -1, -1), x])
        #expect(result == [floats([5, 1], 6, 7, 5, 6, 7)])
    }
}
