import Foundation
import IR
import IRText
import Testing

@testable import IRView

@Suite struct RepeatTests {
    @Test func sample() throws {
        let module = try IRViewTests.sample()
        let layers = ["decoder.layer0", "decoder.layer1"]
        #expect(module.repeats(in: module.functions[0]) == [Repeat(start: 1, length: 3, prefixes: layers)])
        #expect(module.weightRepeats == [Repeat(start: 1, length: 2, prefixes: layers)])
        #expect(module.stateRepeats == [Repeat(start: 0, length: 1, prefixes: layers + ["decoder.layer2"])])
    }

    /// Whatever the numbers of a text are, every form of it can be shown. A trap ends the process of the tests.
    @Test func strangeNumbers() throws {
        let text = try IRViewTests.sample().description
        let numbers = text.ranges(of: #/\d+/#)
        var shown = 0
        for range in numbers {
            for value in [
                "0", "1", "9223372036854775807", "-9223372036854775808", "4611686018427387904", "1152921504606846976",
                "00000000000000000000001",
            ] {
                let mutated = text.replacingCharacters(in: range, with: value)
                guard let module = try? parseModule(mutated, file: "m.ir") else { continue }
                shown += 1
                for form in [module.dot(), module.dot(collapseLayers: true), module.json(sequence: 1024), module.collapsedDescription] {
                    #expect(!form.isEmpty)
                }
            }
        }
        #expect(shown > 100, "\(shown)")
        let names = ["-9223372036854775808", "9223372036854775807", "0"].map { "model.\($0).w" }
        let weights = names.enumerated().map {
            "  weight @layer\($0 == 0 ? "9223372036854775807" : "\($0)").w : f32[2] = source \"\($1)\" f32[2]\n"
        }
        let module = try parseModule("module \"m\" stage imported {\n\(weights.joined())}\n", file: "m.ir")
        #expect(!module.collapsedDescription.isEmpty)
    }

    @Test func collapsedText() throws {
        let text = try IRViewTests.sample().collapsedDescription
        #expect(
            text == """
                module "sample" stage imported {
                  symbol T <= 16
                  symbol S <= 4
                  weight @embed : f32[9, 4] = source "model.embed.weight" bf16[9, 4]
                  weight @decoder.layer0.up : f32[8, 4] = source "model.layers.0.up.weight" bf16[8, 4]
                  weight @decoder.layer0.down : f32[4, 8] = source "model.layers.0.down.weight" bf16[4, 8]
                  // decoder.layer1 as decoder.layer0
                  weight @decoder.layer2.up : f32[6, 4] = source "model.layers.2.up.weight" bf16[6, 4]
                  weight @decoder.layer2.down : f32[4, 6] = source "model.layers.2.down.weight" bf16[4, 6]

                  state &decoder.layer0.cache : f32[2, 16, 4]
                  // decoder.layer1 ... decoder.layer2 as decoder.layer0

                  func step(%tokens: i32[T], %slots: i32[T], %places: i32[T], %wanted: i32[S]) {
                    %decoder.tokens = embed %tokens, @embed : f32[T, 4]
                    cache_store &decoder.layer0.cache, %decoder.tokens, %slots, %places as decoder.layer0.store
                    %decoder.layer0.up = matmul %decoder.tokens, @decoder.layer0.up : f32[T, 8]
                    %decoder.layer0.down = matmul %decoder.layer0.up, @decoder.layer0.down, addend %decoder.tokens : f32[T, 4]
                    // decoder.layer1 as decoder.layer0
                    cache_store &decoder.layer2.cache, %decoder.layer1.down, %slots, %places as decoder.layer2.store
                    %decoder.layer2.up = matmul %decoder.layer1.down, @decoder.layer2.up : f32[T, 6]
                    %decoder.layer2.down = matmul %decoder.layer2.up, @decoder.layer2.down, addend %decoder.layer1.down : f32[T, 4]
                    %last = gather_rows %decoder.layer2.down, %wanted : f32[S, 4]
                    return %last
                  }
                }

                """)
    }

    /// The printer's text is what `description` gives in full.
    @Test func fullTextIsUntouched() throws { #expect(try IRViewTests.sample().description == sampleText) }

    /// Anything that is not only the layer's name keeps two layers apart.
    @Test(arguments: [
        ("@decoder.layer1.up : f32[T, 8]", "@decoder.layer0.up : f32[T, 8]"),  // the other layer's weight
        ("@decoder.layer1.down, addend %decoder.layer0.down", "@decoder.layer1.down, addend %decoder.tokens"),  // another input
        (
            "&decoder.layer1.cache, %decoder.layer0.down, %slots, %places as",
            "&decoder.layer0.cache, %decoder.layer0.down, %slots, %places as"
        ),  // another cache
        (
            "%decoder.layer1.up, @decoder.layer1.down, addend %decoder.layer0.down :",
            "%decoder.layer1.up, @decoder.layer1.down, addend %decoder.layer0.down {activation = silu} :"
        ),
    ])
    func unequalLayers(_ edit: (from: String, to: String)) throws {
        #expect(sampleText.contains(edit.from))
        let module = try IRViewTests.sample(sampleText.replacing(edit.from, with: edit.to))
        #expect(module.repeats(in: module.functions[0]).isEmpty)
    }

    /// A weight that is read from the wrong layer's tensor is not hidden.
    @Test func unequalSources() throws {
        let module = try IRViewTests.sample(sampleText.replacing("\"model.layers.1.up.weight\"", with: "\"model.layers.4.up.weight\""))
        #expect(module.weightRepeats.isEmpty)
    }

    @Test func notes() {
        #expect(Repeat(start: 0, length: 1, prefixes: ["a0", "a1"]).note == "a1 as a0")
        #expect(Repeat(start: 0, length: 1, prefixes: ["a0", "a1", "a2", "a3"]).note == "a1 ... a3 as a0")
    }
}
