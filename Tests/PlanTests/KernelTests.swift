import IR
import IRText
import Testing

@testable import Plan

/// How a step is done follows from where its operands lie and what they hold.
@Suite struct KernelTests {
    /// The kernels of the first entry point by the names of their results.
    private func kernels(_ text: String) throws -> [String: Kernel] {
        let module = try parseModule(text, file: "test.ir")
        try module.verify()
        var found: [String: Kernel] = [:]
        for case .run(let kernel, let name, _, _) in try makePlan(module, chunk: 4).entries[0].body.steps { found[name] = kernel }
        return found
    }

    private let rows = Extent(factor: 1, hasSequence: true)

    /// Rows of a sequence are shared out to threads; of one row there is one call; products and attention share out their own.
    @Test func loops() throws {
        let text = """
            module "m" stage imported {
              weight @table : f32[5, 8] = source "table" f32[5, 8]
              weight @scale : f32[8] = source "scale" f32[8]
              weight @bias : f32[8] = source "bias" f32[8]
              weight @head : f32[5, 8] = source "head" f32[5, 8]
              state &keys : f32[6, 8]

              func prefill(%tokens: i32[T]) at P {
                %x = embed %tokens, @table : f32[T, 8]
                %plain = layer_norm %x {epsilon = 0.5} : f32[T, 8]
                %norm = layer_norm %plain, @scale, @bias {epsilon = 0.5} : f32[T, 8]
                cache_store &keys, %norm as store
                %a = attention %x, &keys, &keys {heads = 2, kv_heads = 2, scale = 0.5} : f32[T, 8]
                %last = last_row %a : f32[1, 8]
                %rms = rms_norm %last {epsilon = 0.5} : f32[1, 8]
                %scaled = rms_norm %rms, @scale {epsilon = 0.25} : f32[1, 8]
                %logits = matmul %scaled, @head : f32[1, 5]
                return %logits
              }
            }
            """
        let found = try kernels(text)
        #expect(found["x"]?.loop == .parallel(rows) && found["x"]?.routine == .embedRow(.float32, hasVisionRows: false))
        #expect(found["plain"]?.routine == .row(.standardize(epsilon: 0.5), rounded: nil) && found["plain"]?.loop == .parallel(rows))
        #expect(found["norm"]?.routine == .row(.layerNorm(epsilon: 0.5), rounded: nil))
        #expect(found["rms"]?.routine == .row(.divideByRMS(epsilon: 0.5), rounded: nil) && found["rms"]?.loop == .once)
        #expect(found["scaled"]?.routine == .row(.rmsNorm(epsilon: 0.25), rounded: nil))
        #expect(found["a"]?.loop == .inside && found["logits"]?.loop == .inside)
        guard case .attention(_, .float32, isCached: true)? = found["a"]?.routine else { return #expect(Bool(false), "\(found)") }
        guard case .matmul(_, .float32)? = found["logits"]?.routine else { return #expect(Bool(false), "\(found)") }
    }

    /// Weights, activations and caches of lower precision choose the routines by their types.
    @Test func precision() throws {
        let text = """
            module "m" stage imported {
              weight @table : f32[32, 64] = source "table" f32[32, 64]
              weight @packed : q8p[32, 64] = fold {
                %p = pack @table {type = q8} : q8p[32, 64]
              }
              weight @head : q4p[32, 64] = fold {
                %p = pack @table {type = q4} : q4p[32, 64]
              }
              state &keys : bf16[6, 64]
              state &heads : q8h[6, 2, 32]

              func decode(%tokens: i32[1]) at P {
                %x = embed %tokens, @packed : f32[1, 64]
                %y = scale %x {factor = 2.0} : f32[1, 64]
                cache_store &keys, %x as key.store
                cache_store &heads, %x as head.store
                %a = attention %x, &keys, &keys {heads = 2, kv_heads = 2, scale = 0.5} : f32[1, 64]
                %b = attention %a, &heads, &heads {heads = 2, kv_heads = 2, scale = 0.5} : f32[1, 64]
                %gate = gate %b, %y {function = silu, type = q8} : q8[1, 64]
                %q = quantize %b {type = q8} : q8[1, 64]
                %sum = matmul %q, @head : f32[1, 32]
                %logits = matmul %gate, @head, addend %sum : f32[1, 32]
                return %logits
              }
            }
            """
        let found = try kernels(text)
        #expect(found["x"]?.routine == .embedRow(.int8, hasVisionRows: false) && found["x"]?.loop == .once)
        #expect(found["key.store"]?.routine == .storeRow && found["head.store"]?.routine == .storeHeads(heads: 2, size: 32))
        #expect(found["gate"]?.routine == .row(.gate(.silu), rounded: .int8) && found["q"]?.routine == .quantizeRow(.int8))
        guard case .attention(_, .bfloat16, isCached: true)? = found["a"]?.routine,
            case .attention(_, .int8, isCached: true)? = found["b"]?.routine, case .matmul(_, .int4)? = found["logits"]?.routine
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
        let found = try kernels(text)
        guard case .centerPatch(_, [1, 2, 3])? = found["patches"]?.routine, case .centerPatch(_, [0, 0, 0])? = found["raw"]?.routine
        else { return #expect(Bool(false), "\(found)") }
        #expect(found["patches"]?.loop == .parallel(Extent(factor: 4, hasSequence: false)) && found["raw"]?.loop == .once)
        #expect(found["turned"]?.routine == .copyElements && found["turned"]?.loop == .parallel(Extent(factor: 12, hasSequence: false)))
        #expect(found["left"]?.routine == .row(.copy, rounded: nil))
    }
}
