import IR
import IRText
import Testing

@testable import Plan

/// How a step is done follows from where its operands lie and what they hold.
@Suite struct KernelTests {
    /// The kernels of an entry point by the names of their results.
    private func kernels(_ text: String, of entry: EntryPoint) throws -> [String: Kernel] {
        let module = try parseModule(text, file: "test.ir")
        try module.verify()
        var found: [String: Kernel] = [:]
        let function = try #require(try makePlan(module).entries.first { $0.entry == entry })
        for case .run(let kernel, let name, _, _) in function.body.steps { found[name] = kernel }
        return found
    }

    private let rows = Affine(IR.Symbol("T", bound: 4)), wanted = Affine(IR.Symbol("S", bound: 2))

    /// Rows that a symbol counts are shared out to threads; of one row there is one call; products and attention share out their own.
    @Test func loops() throws {
        let text = """
            module "m" stage imported {
              symbol T <= 4
              symbol S <= 2
              weight @table : f32[5, 8] = source "table" f32[5, 8]
              weight @scale : f32[8] = source "scale" f32[8]
              weight @bias : f32[8] = source "bias" f32[8]
              weight @head : f32[5, 8] = source "head" f32[5, 8]
              state &keys : f32[3, 6, 8]
              state &lengths : i32[3]

              func step(%tokens: i32[T], %slots: i32[T], %positions: i32[T], %wanted: i32[S]) {
                %x = embed %tokens, @table : f32[T, 8]
                %plain = layer_norm %x {epsilon = 0.5} : f32[T, 8]
                %norm = layer_norm %plain, @scale, @bias {epsilon = 0.5} : f32[T, 8]
                %places = reserve &lengths, %slots : i32[T]
                cache_store &keys, %norm, %slots, %places as store
                %a = attention %x, &keys, &keys, slots %slots, places %places {heads = 2, kv_heads = 2, scale = 0.5} : f32[T, 8]
                %twice = concatenate %a, %x {axis = 0} : f32[2*T, 8]
                %rms = rms_norm %twice {epsilon = 0.5} : f32[2*T, 8]
                %rows = gather_rows %rms, %wanted : f32[S, 8]
                %at = gather_rows %positions, %wanted : i32[S]
                %turned = rotary %rows, %at {head_size = 4, theta = 10000.0} : f32[S, 8]
                %scaled = rms_norm %turned, @scale {epsilon = 0.25} : f32[S, 8]
                %logits = matmul %scaled, @head : f32[S, 5]
                return %logits
              }
            }
            """
        let found = try kernels(text, of: .step)
        #expect(found["x"]?.loop == .parallel(rows) && found["x"]?.routine == .embedRow(.float32, hasVisionRows: false))
        #expect(found["plain"]?.routine == .row(.standardize(epsilon: 0.5), rounded: nil) && found["plain"]?.loop == .parallel(rows))
        #expect(found["norm"]?.routine == .row(.layerNorm(epsilon: 0.5), rounded: nil))
        #expect(found["places"]?.routine == .reserve && found["places"]?.loop == .inside)
        #expect(found["store"]?.routine == .storeRow(.float32, heads: 1) && found["store"]?.loop == .parallel(rows))
        // Entries of a vector are rows of one column.
        #expect(found["at"]?.routine == .gatherRow && found["at"]?.loop == .parallel(wanted))
        #expect(found["rms"]?.routine == .row(.divideByRMS(epsilon: 0.5), rounded: nil) && found["rms"]?.loop == .parallel(rows * 2))
        #expect(found["rows"]?.routine == .gatherRow && found["rows"]?.loop == .parallel(wanted))
        #expect(found["scaled"]?.routine == .row(.rmsNorm(epsilon: 0.25), rounded: nil) && found["scaled"]?.loop == .parallel(wanted))
        #expect(found["a"]?.loop == .inside && found["logits"]?.loop == .inside)
        guard case .attention(let attention, .float32)? = found["a"]?.routine else { return #expect(Bool(false), "\(found)") }
        #expect(attention.isCached)
        guard case .matmul(_, .float32)? = found["logits"]?.routine else { return #expect(Bool(false), "\(found)") }
        // One row goes around no loop.
        let one = try kernels(text, of: .decode)
        for name in ["x", "plain", "norm", "store", "scaled"] { #expect(one[name]?.loop == .once, "\(name)") }
        #expect(one["rms"]?.loop == .parallel(2) && one["a"]?.loop == .inside && one["logits"]?.loop == .inside)
    }

    /// Weights, activations and caches of lower precision choose the routines by their types.
    @Test func precision() throws {
        let text = """
            module "m" stage imported {
              symbol T <= 4
              symbol S <= 2
              weight @table : f32[32, 64] = source "table" f32[32, 64]
              weight @packed : q8p[32, 64] = fold {
                %p = pack @table {type = q8} : q8p[32, 64]
              }
              weight @head : q4p[32, 64] = fold {
                %p = pack @table {type = q4} : q4p[32, 64]
              }
              state &keys : bf16[2, 6, 64]
              state &heads : q8h[2, 6, 2, 32]
              state &lengths : i32[2]

              func step(%tokens: i32[T], %slots: i32[T], %positions: i32[T], %wanted: i32[S]) {
                %x = embed %tokens, @packed : f32[T, 64]
                %y = scale %x {factor = 2.0} : f32[T, 64]
                %places = reserve &lengths, %slots : i32[T]
                cache_store &keys, %x, %slots, %places as key.store
                cache_store &heads, %x, %slots, %places as head.store
                %a = attention %x, &keys, &keys, slots %slots, places %places {heads = 2, kv_heads = 2, scale = 0.5} : f32[T, 64]
                %b = attention %a, &heads, &heads, slots %slots, places %places {heads = 2, kv_heads = 2, scale = 0.5} : f32[T, 64]
                %gate = gate %b, %y {function = silu, type = q8} : q8[T, 64]
                %q = quantize %b {type = q8} : q8[T, 64]
                %sum = matmul %q, @head : f32[T, 32]
                %all = matmul %gate, @head, addend %sum : f32[T, 32]
                %logits = gather_rows %all, %wanted : f32[S, 32]
                return %logits
              }
            }
            """
        let found = try kernels(text, of: .decode)
        #expect(found["x"]?.routine == .embedRow(.int8, hasVisionRows: false) && found["x"]?.loop == .once)
        #expect(found["key.store"]?.routine == .storeRow(.bfloat16, heads: 1))
        #expect(found["head.store"]?.routine == .storeRow(.int8, heads: 2))
        #expect(found["gate"]?.routine == .row(.gate(.silu), rounded: .int8) && found["q"]?.routine == .quantizeRow(.int8))
        guard case .attention(_, .bfloat16)? = found["a"]?.routine, case .attention(_, .int8)? = found["b"]?.routine,
            case .matmul(_, .int4)? = found["all"]?.routine
        else { return #expect(Bool(false), "\(found)") }
    }

    /// Rows are copied whole where both sides have them, else element by element; bytes are centred on the way into patches.
    @Test func copiesAndPatches() throws {
        let text = """
            module "m" stage imported {
              func vision(%image: u8[4, 4, 3]) {
                %patches = extract_patches %image {patch = 2, center = [1.0, 2.0, 3.0]} : f32[4, 12]
                %raw = extract_patches %image {patch = 4} : f32[1, 48]
                %turned = transpose %patches {permutation = [1, 0]} : f32[12, 4]
                %twice = scale %turned {factor = 2.0} : f32[12, 4]
                %left = slice %patches {axis = 1, start = 0, count = 6} : f32[4, 6]
                %tall = reshape %left {shape = [24, 1]} : f32[24, 1]
                return %twice, %tall, %raw
              }
            }
            """
        let found = try kernels(text, of: .vision)
        guard case .centerPatch(_, [1, 2, 3])? = found["patches"]?.routine, case .centerPatch(_, [0, 0, 0])? = found["raw"]?.routine
        else { return #expect(Bool(false), "\(found)") }
        #expect(found["patches"]?.loop == .parallel(4) && found["raw"]?.loop == .once)
        #expect(found["turned"]?.routine == .copyElements && found["turned"]?.loop == .parallel(12))
        #expect(found["left"]?.routine == .row(.copy, rounded: nil))
    }
}
