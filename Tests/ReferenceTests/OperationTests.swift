import IR
import IRText
import Support
import Testing

@testable import Reference

/// Small results that a person can check.
@Suite struct OperationTests {
    private func floats(_ shape: [Int], _ values: Float...) -> Tensor { Tensor(shape: shape, values) }
    private func range(_ shape: [Int]) -> Tensor { Tensor(shape: shape, (0..<shape.reduce(1, *)).map { Float($0) }) }
    private func list(_ values: Int32...) -> Tensor { Tensor(shape: [values.count], values) }
    private func run(_ op: Op, _ operands: Tensor...) throws -> Tensor {
        // The type rule agrees with what is computed.
        let type = try op.payload.resultType(operands.map(\.type))
        let result = try evaluate(op, operands)
        if let type { #expect(result.type == type) }
        return result
    }

    @Test func normalize() throws {
        let op = Op.normalize(Normalize(mean: [0, 0.5, 1], std: [1, 0.5, 0.25]))
        let image = Tensor(shape: [1, 2, 3], [0, 255, 255, 255, 0, 0] as [UInt8])
        #expect(try run(op, image) == floats([3, 1, 2], 0, 1, 1, -1, 0, -4))
    }

    @Test func extractPatches() throws {
        // Two channels of 2 x 4, patches of 2: (c, dy, dx)
        let image = range([2, 2, 4])
        #expect(
            try run(.extractPatches(ExtractPatches(patch: 2)), image)
                == floats([2, 8], 0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15))
        #expect(
            try run(.extractPatches(ExtractPatches(patch: 1, window: 2)), range([1, 2, 4])) == floats([8, 1], 0, 1, 4, 5, 2, 3, 6, 7))
        #expect(try run(.extractPatches(ExtractPatches(patch: 2)), range([1, 3, 3])) == floats([1, 4], 0, 1, 3, 4))
        // Interleaved bytes of 2 x 4 pixels with two channels
        let bytes = Tensor(shape: [2, 4, 2], (0..<16).map { UInt8(16 * $0) })
        #expect(
            try run(.extractPatches(ExtractPatches(patch: 2)), bytes)
                == floats([2, 8], 0, 32, 128, 160, 16, 48, 144, 176, 64, 96, 192, 224, 80, 112, 208, 240))
        #expect(
            try run(.extractPatches(ExtractPatches(patch: 1, window: 2, center: [8, 0.5])), bytes)
                == floats([8, 2], -8, 15.5, 24, 47.5, 120, 143.5, 152, 175.5, 56, 79.5, 88, 111.5, 184, 207.5, 216, 239.5))
    }

    @Test func gatherWindows() throws {
        // Four tokens of two channels in one window: (c, dy, dx)
        let op = Op.gatherWindows(GatherWindows(height: 2, width: 2, kernel: 2))
        #expect(try run(op, range([4, 2])) == floats([1, 8], 0, 2, 4, 6, 1, 3, 5, 7))
        let wide = Op.gatherWindows(GatherWindows(height: 2, width: 4, kernel: 2))
        #expect(try run(wide, range([8, 1])) == floats([2, 4], 0, 1, 4, 5, 2, 3, 6, 7))
    }

    @Test func averageWindows() throws {
        let op = Op.averageWindows(AverageWindows(height: 2, width: 4, kernel: 2))
        #expect(try run(op, range([8, 2])) == floats([2, 2], 5, 6, 9, 10))
        // The middle of 3 x 3, and the mean of the inner four of 4 x 4
        let middle = Op.averageWindows(AverageWindows(height: 3, width: 6, kernel: 3, margin: 1))
        #expect(try run(middle, range([18, 1])) == floats([2, 1], 7, 10))
        let inner = Op.averageWindows(AverageWindows(height: 4, width: 8, kernel: 4, margin: 1))
        #expect(try run(inner, range([32, 1])) == floats([2, 1], 13.5, 17.5))
    }

    /// Queries of nothing weigh the keys of their window alike, and a large score takes all.
    @Test func windowAttention() throws {
        let op = Op.windowAttention(WindowAttention(heads: 2, scale: 1, height: 2, width: 4, kernel: 2))
        #expect(try run(op, floats([2, 2], 0, 0, 0, 0), range([8, 2]), range([8, 2])) == floats([2, 2], 5, 6, 9, 10))
        #expect(try run(op, floats([2, 2], 99, -99, -99, 99), range([8, 2]), range([8, 2])) == floats([2, 2], 10, 1, 4, 15))
    }

    @Test func moves() throws {
        #expect(try run(.concatenate(Concatenate(axis: 1)), range([2, 1]), range([2, 2])) == floats([2, 3], 0, 0, 1, 1, 2, 3))
        #expect(try run(.concatenate(Concatenate(axis: 0)), range([1, 2]), range([2, 2])) == floats([3, 2], 0, 1, 0, 1, 2, 3))
        #expect(try run(.slice(Slice(axis: 1, start: 1, count: 1)), range([2, 2])) == floats([2, 1], 1, 3))
        #expect(try run(.slice(Slice(axis: 0, start: 1, count: 1)), range([2, 2])) == floats([1, 2], 2, 3))
        #expect(try run(.gatherRows(GatherRows()), range([3, 2]), list(2, 0, 2)) == floats([3, 2], 4, 5, 0, 1, 4, 5))
        #expect(try run(.gatherRows(GatherRows()), list(7, 8, 9), list(1)) == list(8))
        #expect(try run(.gatherRows(GatherRows()), range([3, 2]), list()) == floats([0, 2]))
        #expect(try run(.reshape(Reshape(shape: [3, 2])), range([2, 3])) == range([3, 2]))
        #expect(try run(.reshape(Reshape(shape: [])), range([1])) == range([]))
        #expect(try run(.transpose(Transpose(permutation: [1, 0])), range([2, 3])) == floats([3, 2], 0, 3, 1, 4, 2, 5))
        #expect(try run(.transpose(Transpose(permutation: [1, 2, 0])), range([2, 1, 3])) == floats([1, 3, 2], 0, 3, 1, 4, 2, 5))
        #expect(try run(.transpose(Transpose(permutation: [])), range([])) == range([]))
        let bytes = Tensor(shape: [1, 2], [7, 9] as [UInt8])
        #expect(try run(.transpose(Transpose(permutation: [1, 0])), bytes) == Tensor(shape: [2, 1], [7, 9] as [UInt8]))
    }

    @Test func embed() throws {
        let table = range([2, 2])
        let rows = floats([2, 2], 10, 11, 12, 13)
        let tokens = Tensor(shape: [4], [1, -2, 0, -1] as [Int32])
        #expect(try run(.embed(Embed(hasVision: true)), tokens, table, rows) == floats([4, 2], 2, 3, 12, 13, 0, 1, 10, 11))
        func refusal(_ op: Embed, _ token: Int32) -> Diagnostic? {
            let operands = [Tensor(shape: [2], [0, token] as [Int32]), table] + (op.hasVision ? [rows] : [])
            return #expect(throws: Diagnostic.self) { try evaluate(.embed(op), operands) }
        }
        #expect(refusal(Embed(hasVision: false), 2) == .error("token 2 at index 1 is out of range", expected: "0 to 1"))
        #expect(
            refusal(Embed(hasVision: false), -1)
                == .error("token -1 at index 1 is out of range", expected: "no negative token without vision rows"))
        #expect(refusal(Embed(hasVision: true), -3) == .error("token -3 at index 1 is out of range", expected: "at least -2"))
        #expect(refusal(Embed(hasVision: true), .min) == .error("token -2147483648 at index 1 is out of range", expected: "at least -2"))
        #expect(refusal(Embed(hasVision: true), .max) == .error("token 2147483647 at index 1 is out of range", expected: "0 to 1"))
    }

    @Test func arithmetic() throws {
        let (x, w) = (range([2, 2]), floats([3, 2], 1, 0, 0, 1, 1, 1))
        let product = floats([2, 3], 0, 1, 1, 2, 3, 5)
        #expect(try run(.matmul(Matmul()), x, w) == product)
        #expect(try run(.matmul(Matmul(hasBias: true)), x, w, floats([3], 1, 2, 3)) == floats([2, 3], 1, 3, 4, 3, 5, 8))
        #expect(try run(.matmul(Matmul(hasAddend: true)), x, w, product) == floats([2, 3], 0, 2, 2, 4, 6, 10))
        #expect(try run(.add(Add()), x, floats([2], 10, 20)) == floats([2, 2], 10, 21, 12, 23))
        #expect(try run(.multiply(Multiply()), x, floats([], 3)) == floats([2, 2], 0, 3, 6, 9))
        #expect(try run(.scale(Scale(factor: 0.5)), x) == floats([2, 2], 0, 0.5, 1, 1.5))
        #expect(try run(.rmsNorm(RMSNorm(epsilon: 0)), floats([1, 2], 3, -3), floats([2], 1, 2)) == floats([1, 2], 1, -2))
        #expect(try run(.rmsNorm(RMSNorm(epsilon: 0)), floats([2, 2], 3, -3, 1, 7)) == floats([2, 2], 1, -1, 0.2, 1.4))
        #expect(try run(.layerNorm(LayerNorm(epsilon: 0)), floats([2, 2], 1, 5, -4, -2)) == floats([2, 2], -1, 1, -1, 1))
        #expect(
            try run(.layerNorm(LayerNorm(epsilon: 0)), floats([1, 2], 1, 5), floats([2], 1, 3), floats([2], 0, 10))
                == floats([1, 2], -1, 13))
        #expect(
            try run(.layerNorm(LayerNorm(epsilon: 1)), floats([1, 2], 4, 4), floats([2], 1, 3), floats([2], 7, 8)) == floats([1, 2], 7, 8))
    }

    /// Sums are double: in float32 the ones would vanish.
    @Test func sumsAreDouble() throws {
        let x = floats([1, 6], 16_777_216, 1, 1, 1, 1, -16_777_216)
        let ones = floats([1, 6], 1, 1, 1, 1, 1, 1)
        #expect(try run(.matmul(Matmul()), x, ones) == floats([1, 1], 4))
    }

    @Test func activationsAtTheEnds() throws {
        for function in ActivationFunction.allCases {
            let ends = floats([4], 0, 200, -200, 1e38)
            #expect(try run(.activation(Activation(function)), ends) == floats([4], 0, 200, 0, 1e38), "\(function)")
        }
        // erfc(13/sqrt 2) is far below the rounding error of 1 + erf
        let tail = try run(.activation(Activation(.gelu)), floats([1], -13)).floats[0]
        #expect(tail < 0 && tail > -1e-36)
    }

    @Test func rotaryTurnsPairsHalfAHeadApart() throws {
        // Frequency 1 and head size 2: position 0 stays, and the norm of a pair never changes.
        let op = Op.rotary(Rotary(headSize: 2, theta: 10000))
        let x = floats([2, 4], 1, 0, 3, 4, 1, 0, 3, 4)
        let still = try run(op, x, list(0, 1)).floats
        #expect(Array(still[..<4]) == [1, 0, 3, 4])
        let (cosine, sine) = (Float(0.54030230586813972), Float(0.84147098480789651))
        #expect(Array(still[4..<6]) == [cosine, sine])
        // A row's position is its own, whatever that of its neighbour is.
        let turned = try run(op, x, list(1, 0)).floats
        #expect(turned == Array(still[4...]) + Array(still[..<4]))
        // Head size 4: 0 turns with 2, 1 with 3.
        let wide = try run(.rotary(Rotary(headSize: 4, theta: 1e38)), floats([1, 4], 1, 5, 0, 7), list(1)).floats
        #expect(wide[0] == cosine && wide[2] == sine)
        #expect(wide[1] == 5 && wide[3] == 7)
    }

    @Test func attentionSeesEveryRow() throws {
        // One head of one channel; equal scores, so the mean of the values.
        let op = Op.attention(Attention(heads: 1, keyValueHeads: 1, scale: 1))
        let (zeros, values) = (floats([4, 1], 0, 0, 0, 0), floats([4, 1], 1, 3, 5, 100))
        #expect(try run(op, floats([2, 1], 0, 0), zeros, values) == floats([2, 1], 27.25, 27.25))
        // A score far above the others decides, and nothing overflows.
        #expect(try run(op, floats([1, 1], 1000), floats([2, 1], 1, 5), floats([2, 1], 7, 9)) == floats([1, 1], 9))
    }

    /// With the logarithm of n as its bias a key counts as n equal keys.
    @Test func attentionAddsTheKeysBiases() throws {
        let biased = Op.attention(Attention(heads: 2, keyValueHeads: 1, scale: 0.5, hasBias: true))
        let query = floats([1, 2], 1, -2), three = Float(1.0986122886681098)
        let result = try run(biased, query, floats([2, 1], 1, 3), floats([2, 1], 10, 20), floats([2], three, 0))
        let repeated = try run(
            .attention(Attention(heads: 2, keyValueHeads: 1, scale: 0.5)), query, floats([4, 1], 1, 1, 1, 3),
            floats([4, 1], 10, 10, 10, 20))
        for (a, b) in zip(result.floats, repeated.floats) { #expect(abs(a - b) <= 4e-6, "\(a), not \(b)") }
        #expect(abs(repeated.floats[0] - 10) > 1 && abs(repeated.floats[0] - repeated.floats[1]) > 1)
    }

    @Test func attentionLooksBackInItsSlot() throws {
        // One head of one channel; equal scores, so the mean of the visible values. Two slots of four rows.
        let op = Op.attention(Attention(heads: 1, keyValueHeads: 1, scale: 1, isCached: true))
        let (zeros, values) = (floats([2, 4, 1], 0, 0, 0, 0, 0, 0, 0, 0), floats([2, 4, 1], 1, 3, 5, 100, 20, 40, 60, 80))
        func seen(_ slots: Tensor, _ places: Tensor) throws -> [Float] {
            try run(op, Tensor(shape: slots.shape + [1], [Float](repeating: 0, count: slots.shape[0])), zeros, values, slots, places).floats
        }
        #expect(try seen(list(0, 0), list(1, 2)) == [2, 3])
        #expect(try seen(list(1, 0, 1, 1), list(3, 0, 0, 1)) == [50, 1, 20, 30])
        #expect(try seen(list(), list()) == [])
        func refusal(_ slot: Int32, _ place: Int32) -> Diagnostic? {
            let operands = [floats([2, 1], 0, 0), zeros, values, list(0, slot), list(0, place)]
            return #expect(throws: Diagnostic.self) { try evaluate(op, operands) }
        }
        #expect(refusal(2, 0) == .error("slot 2 does not exist", expected: "0 to 1"))
        #expect(refusal(-1, 0) == .error("slot -1 does not exist", expected: "0 to 1"))
        #expect(refusal(1, 4) == .error("a cache of 4 rows has no row at place 4", expected: "0 to 3"))
        #expect(refusal(1, -1) == .error("a cache of 4 rows has no row at place -1", expected: "0 to 3"))
    }

    @Test func queryHeadsShareKeyHeads() throws {
        // Four query heads of one channel over two key heads: 0 and 1 read the first, 2 and 3 the second.
        let op = Op.attention(Attention(heads: 4, keyValueHeads: 2, scale: 1))
        let result = try run(op, floats([1, 4], 0, 0, 0, 0), floats([1, 2], 0, 0), floats([1, 2], 5, 6))
        #expect(result == floats([1, 4], 5, 5, 6, 6))
    }

    private func updated(_ op: Op, _ operands: Tensor...) throws -> (result: Tensor?, state: Tensor?) {
        let type = try op.payload.resultType(operands.map(\.type))
        let outcome = try outcome(of: op, operands)
        #expect(outcome.result?.type == type && outcome.state?.type == operands[0].type)
        return outcome
    }

    @Test func reserve() throws {
        let op = Op.reserve(Reserve())
        var (places, lengths) = try updated(op, list(5, 0, 2), list(2, 0, 2, 2, 1, 0))
        #expect(places == list(2, 5, 3, 4, 0, 6))
        #expect(lengths == list(7, 1, 5))
        (places, lengths) = try updated(op, list(5), list())
        #expect(places == list() && lengths == list(5))
        for slot in [-1, 3, Int32.min, .max] {
            #expect(throws: Diagnostic.error("slot \(slot) does not exist", expected: "0 to 2")) {
                try updated(op, list(5, 0, 2), list(0, slot))
            }
        }
    }

    @Test func cacheStore() throws {
        let op = Op.cacheStore(CacheStore())
        let cache = range([2, 3, 2])
        let stored = try updated(op, cache, floats([3, 2], 9, 8, 7, 6, 5, 4), list(1, 0, 1), list(2, 1, 0)).state
        #expect(stored == floats([2, 3, 2], 0, 1, 7, 6, 4, 5, 5, 4, 8, 9, 9, 8))
        #expect(try updated(op, cache, floats([0, 2]), list(), list()).state == cache)
        func refusal(_ slot: Int32, _ place: Int32) -> Diagnostic? {
            #expect(throws: Diagnostic.self) { try updated(op, cache, floats([2, 2], 9, 8, 7, 6), list(0, slot), list(0, place)) }
        }
        #expect(refusal(2, 0) == .error("slot 2 does not exist", expected: "0 to 1"))
        #expect(refusal(-1, 0) == .error("slot -1 does not exist", expected: "0 to 1"))
        #expect(refusal(1, 3) == .error("a cache of 3 rows has no room for a row at place 3", expected: "0 to 2"))
        #expect(refusal(1, -1) == .error("a cache of 3 rows has no room for a row at place -1", expected: "0 to 2"))
    }

    /// What stands in a cache is rounded: each row to bf16, or each head of a row to 127 steps of its greatest.
    @Test func cachesRound() throws {
        func cache(_ dtype: DType, _ shape: [Int]) -> Tensor {
            Tensor(shape: shape, elements: .rounded(dtype, [Float](repeating: 0, count: shape.reduce(1, *))))
        }
        let rows = floats([1, 4], 127, 0.6, 1 + 0x1p-8, 254)
        let bfloat16 = try #require(try updated(.cacheStore(CacheStore()), cache(.bfloat16, [2, 2, 4]), rows, list(1), list(0)).state)
        #expect(bfloat16.floats == [0, 0, 0, 0, 0, 0, 0, 0, 127, bfloat16Value(0.6), 1, 254, 0, 0, 0, 0])
        let codes = try #require(try updated(.cacheStore(CacheStore()), cache(.int8Heads, [2, 2, 2, 2]), rows, list(0), list(1)).state)
        #expect(codes.floats == [0, 0, 0, 0, 127, 1, 2, 254, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    /// A step may want the logits of no row.
    @Test func noRows() throws {
        #expect(try run(.transpose(Transpose(permutation: [1, 0])), floats([0, 3])) == floats([3, 0]))
        let attention = Attention(heads: 1, keyValueHeads: 1, scale: 1)
        #expect(try run(.attention(attention), floats([0, 2]), range([3, 2]), range([3, 2])) == floats([0, 2]))
        #expect(throws: Diagnostic.self) { try run(.attention(attention), range([3, 2]), floats([0, 2]), floats([0, 2])) }
    }

    @Test func rowsThatDoNotExistAreNotGathered() {
        for row in [-1, 3, Int32.min, .max] {
            #expect(throws: Diagnostic.error("row \(row) of f32[3, 2] does not exist")) {
                try evaluate(.gatherRows(GatherRows()), [range([3, 2]), list(0, row)])
            }
        }
    }
}
