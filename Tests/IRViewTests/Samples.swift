import IR
import IRText

@testable import IRView

/// Three layers, the last of another width inside, as import would name them.
let sampleText = """
    module "sample" stage imported {
      symbol T <= 16
      symbol S <= 4
      weight @embed : f32[9, 4] = source "model.embed.weight" bf16[9, 4]
      weight @decoder.layer0.up : f32[8, 4] = source "model.layers.0.up.weight" bf16[8, 4]
      weight @decoder.layer0.down : f32[4, 8] = source "model.layers.0.down.weight" bf16[4, 8]
      weight @decoder.layer1.up : f32[8, 4] = source "model.layers.1.up.weight" bf16[8, 4]
      weight @decoder.layer1.down : f32[4, 8] = source "model.layers.1.down.weight" bf16[4, 8]
      weight @decoder.layer2.up : f32[6, 4] = source "model.layers.2.up.weight" bf16[6, 4]
      weight @decoder.layer2.down : f32[4, 6] = source "model.layers.2.down.weight" bf16[4, 6]

      state &decoder.layer0.cache : f32[2, 16, 4]
      state &decoder.layer1.cache : f32[2, 16, 4]
      state &decoder.layer2.cache : f32[2, 16, 4]

      func step(%tokens: i32[T], %slots: i32[T], %places: i32[T], %wanted: i32[S]) {
        %decoder.tokens = embed %tokens, @embed : f32[T, 4]
        cache_store &decoder.layer0.cache, %decoder.tokens, %slots, %places as decoder.layer0.store
        %decoder.layer0.up = matmul %decoder.tokens, @decoder.layer0.up : f32[T, 8]
        %decoder.layer0.down = matmul %decoder.layer0.up, @decoder.layer0.down, addend %decoder.tokens : f32[T, 4]
        cache_store &decoder.layer1.cache, %decoder.layer0.down, %slots, %places as decoder.layer1.store
        %decoder.layer1.up = matmul %decoder.layer0.down, @decoder.layer1.up : f32[T, 8]
        %decoder.layer1.down = matmul %decoder.layer1.up, @decoder.layer1.down, addend %decoder.layer0.down : f32[T, 4]
        cache_store &decoder.layer2.cache, %decoder.layer1.down, %slots, %places as decoder.layer2.store
        %decoder.layer2.up = matmul %decoder.layer1.down, @decoder.layer2.up : f32[T, 6]
        %decoder.layer2.down = matmul %decoder.layer2.up, @decoder.layer2.down, addend %decoder.layer1.down : f32[T, 4]
        %last = gather_rows %decoder.layer2.down, %wanted : f32[S, 4]
        return %last
      }
    }

    """

func sample(_ text: String = sampleText) throws -> Module { try parseModule(text, file: "sample.ir") }

/// `f` with `body` over the parameters; declarations stand before it, those of T and S too.
func function(_ parameters: String, _ body: String, declarations: String = "") throws -> (Module, Function) {
    let module = try sample(
        "module \"m\" stage imported { symbol T <= 64 symbol S <= 8 \(declarations) func f(\(parameters)) { \(body) } }")
    return (module, module.functions[0])
}
