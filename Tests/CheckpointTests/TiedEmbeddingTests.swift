import Support
import TestSupport
import Testing

@testable import Checkpoint

/// Head and embedding are one weight where the configuration says so and the files do not say otherwise.
@Suite struct TiedEmbeddingTests {
    private let folder = TemporaryFolder()
    private let table = "decoder.embed_tokens.weight"
    private let head = "decoder.lm_head.weight"

    private func tied(_ change: (inout Fixture) -> Void = { _ in }) -> Fixture {
        var fixture = Fixture.llava
        fixture.config["tie_word_embeddings"] = true
        change(&fixture)
        return fixture
    }

    private func names(_ checkpoint: Checkpoint) -> [String?] { [table, head].map { checkpoint.tensors[$0]?.sourceName } }

    @Test func equalTensorsStayTied() throws {
        for dtype in ["F16", "F32"] {
            let checkpoint = try tied { $0.tensors["lm_head.weight"]!.dtype = dtype }.open()
            #expect(checkpoint.configuration.decoder.tiedEmbeddings)
            #expect(checkpoint.tensors[head] == checkpoint.tensors[table])
        }
        // Zeros of either sign are equal.
        #expect(try tied { $0.tensors["lm_head.weight"]!.dtype = "BF16" }.open().configuration.decoder.tiedEmbeddings)
    }

    @Test func differentTensorsAreNotTied() throws {
        let checkpoint = try tied { $0.tensors["lm_head.weight"]!.byte = 0x3C }.open()
        #expect(!checkpoint.configuration.decoder.tiedEmbeddings)
        #expect(names(checkpoint) == ["model.embed_tokens.weight", "lm_head.weight"])
    }

    /// A difference past the first part that is compared, in the last element.
    @Test func everyElementIsCompared() throws {
        let count = 1 << 20 + 3
        var data = [UInt8](repeating: 0, count: 4 * count)
        func entry(_ name: String) throws -> TensorEntry {
            let path = folder.write(name, safetensors(["t": TensorFixture(shape: [count])], data: Array(data[..<(2 * count)])))
            let found = try TensorFile(path: path).entries["t"]!
            return try ExpectedTensor(canonicalName: "t", sourceName: "t", shape: [count]).entry(found)
        }
        let first = try entry("a")
        data[2 * count - 1] = 0x80
        #expect(try first.hasValues(of: entry("b")), "-0 and 0 are the same value")
        data[2 * count - 1] = 0x3C
        #expect(try !first.hasValues(of: entry("c")))
    }

    @Test func eitherOneServesBoth() throws {
        for (absent, present) in [("lm_head.weight", "model.embed_tokens.weight"), ("model.embed_tokens.weight", "lm_head.weight")] {
            let checkpoint = try tied { $0.tensors[absent] = nil }.open()
            #expect(checkpoint.configuration.decoder.tiedEmbeddings && names(checkpoint) == [present, present])
            #expect(Fixture.llava.failure { $0.tensors[absent] = nil }.contains("tensor '\(absent)' is missing"))
        }
    }

    @Test func theTopOrTheTextSaysSo() throws {
        for (top, text) in [(true, false), (false, true), (nil, true), (true, nil), (false, false), (nil, nil)] as [(Bool?, Bool?)] {
            for newer in [false, true] {
                var fixture = Fixture.transformers(newer: newer)
                fixture.config["tie_word_embeddings"] = top
                fixture.setPart("text_config", "tie_word_embeddings", text)
                fixture.tensors[newer ? "lm_head.weight" : "language_model.lm_head.weight"] = nil
                if top == true || text == true {
                    #expect(try fixture.open().configuration.decoder.tiedEmbeddings)
                } else {
                    #expect(fixture.failure { _ in }.contains("lm_head.weight' is missing"))
                }
            }
        }
    }

    private func open(_ fixture: Fixture, adapter tensors: [String: TensorFixture]) throws -> Checkpoint {
        fixture.write(to: folder)
        folder.write("a/adapter_config.json", json: ["peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none"])
        var all = tensors
        let layer = "base_model.model.model.layers.0.mlp.up_proj"
        all[layer + ".lora_A.weight"] = TensorFixture(dtype: "F32", shape: [2, 8])
        all[layer + ".lora_B.weight"] = TensorFixture(dtype: "F32", shape: [6, 2])
        folder.write("a/adapter_model.safetensors", safetensors(all))
        return try Checkpoint.open(path: folder.path, adapter: folder.file("a"))
    }

    /// An update of the head is none of the embedding's.
    @Test func lowRankHead() throws {
        for absent in ["lm_head.weight", "model.embed_tokens.weight"] {
            let checkpoint = try open(
                tied { $0.tensors[absent] = nil },
                adapter: [
                    "base_model.model.lm_head.lora_A.weight": TensorFixture(dtype: "F32", shape: [2, 8]),
                    "base_model.model.lm_head.lora_B.weight": TensorFixture(dtype: "F32", shape: [260, 2]),
                ])
            #expect(!checkpoint.configuration.decoder.tiedEmbeddings)
            #expect(checkpoint.configuration.adapterScales.keys.sorted() == ["decoder.layers.0.mlp.up_proj.weight", head])
            #expect(checkpoint.tensors[head]?.canonicalName == head && checkpoint.tensors[table]?.canonicalName == table)
        }
    }

    /// What an adapter trained whole takes one place only, as PEFT has it.
    @Test func replacedHeadOrTable() throws {
        for (name, own) in [("lm_head.weight", head), ("model.embed_tokens.weight", table)] {
            let checkpoint = try open(
                tied { $0.tensors["lm_head.weight"] = nil },
                adapter: [
                    "base_model.model.\(name)": TensorFixture(dtype: "F32", shape: [260, 8], byte: 0x3E)
                ])
            #expect(!checkpoint.configuration.decoder.tiedEmbeddings)
            for place in [head, table] {
                #expect(checkpoint.tensors[place]?.sourceName == (place == own ? "base_model.model.\(name)" : "model.embed_tokens.weight"))
            }
        }
    }
}
