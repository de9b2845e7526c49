import Support
import TestSupport
import Testing

@testable import Checkpoint

/// A projector or an adapter beside a checkpoint.
@Suite struct PartsTests {
    let folder = TemporaryFolder()

    private func open(_ fixture: Fixture, projector: String? = nil, adapter: String? = nil) throws(Diagnostic) -> Checkpoint {
        fixture.write(to: folder)
        return try Checkpoint.open(path: folder.path, projector: projector.map(folder.file), adapter: adapter.map(folder.file))
    }

    private func failure(_ fixture: Fixture, projector: String? = nil, adapter: String? = nil) -> String {
        errorText(in: folder) { () throws(Diagnostic) in try open(fixture, projector: projector, adapter: adapter).configuration.layout }
    }

    private func linear(_ name: String, _ input: Int, _ output: Int) -> [String: TensorFixture] {
        [
            name + ".weight": TensorFixture(dtype: "F32", shape: [output, input]),
            name + ".bias": TensorFixture(dtype: "F32", shape: [output]),
        ]
    }

    @Test(arguments: ["model.", "", "base_model.model.model."])
    func projector(_ prefix: String) throws {
        folder.write(
            "p/mm.bin", safetensors(linear(prefix + "mm_projector.0", 4, 10).merging(linear(prefix + "mm_projector.2", 10, 8)) { $1 }))
        let checkpoint = try open(.llava, projector: "p/mm.bin")
        #expect(checkpoint.tensors["projector.linear1.weight"]?.shape == [10, 4])
        #expect(checkpoint.tensors["projector.linear1.weight"]?.file.path == folder.file("p/mm.bin"))
        #expect(checkpoint.tensors["decoder.norm.weight"]?.file.path == folder.file("model.safetensors"))
    }

    @Test func projectorOfAnotherDecoder() {
        folder.write("mm.bin", safetensors(linear("mm_projector.0", 4, 10).merging(linear("mm_projector.2", 10, 12)) { $1 }))
        #expect(
            failure(.llava, projector: "mm.bin")
                == "error: wrong shape [12, 10], at tensor 'mm_projector.2.weight' of file 'DIR/mm.bin'; expected [8, 10] (by key 'hidden_size', 8)"
        )
        folder.write("mm.bin", safetensors(linear("mm_projector.0", 4, 10)))
        #expect(
            failure(.llava, projector: "mm.bin")
                == "error: tensor 'model.mm_projector.2.weight' is missing, at file 'DIR/mm.bin'; expected shape [8, 10] (by key 'hidden_size', 8)"
        )
    }

    /// Which of two tensors counts must not be left to chance.
    @Test func projectorWithTwoTensorsOfOneName() throws {
        var tensors = linear("mm_projector.0", 4, 8).merging(linear("mm_projector.2", 8, 8)) { $1 }
        tensors["model.mm_projector.2.bias"] = TensorFixture(dtype: "F16", shape: [8])
        folder.write("mm.bin", safetensors(tensors))
        #expect(
            failure(.llava, projector: "mm.bin")
                == "error: the tensor and 'mm_projector.2.bias' are both 'model.mm_projector.2.bias', at tensor 'model.mm_projector.2.bias' of file 'DIR/mm.bin'; expected one of them"
        )
        // A copy is no second meaning.
        tensors["model.mm_projector.2.bias"] = tensors["mm_projector.2.bias"]
        folder.write("mm.bin", safetensors(tensors))
        #expect(try open(.llava, projector: "mm.bin").tensors["projector.linear2.bias"]?.dtype == .float32)
    }

    /// Two names of one file that are one weight in LLaVA's layout
    @Test func checkpointWithTwoTensorsOfOneName() {
        var base = Fixture.transformers(newer: true)
        let name = base.tensors.keys.filter { $0.hasPrefix("model.vision_tower.") }.sorted()[0]
        let other = "model.language_model.vision_tower.vision_tower." + name.dropFirst("model.vision_tower.".count)
        base.tensors[other] = TensorFixture(shape: [1])
        #expect(failure(base).hasPrefix("error: the tensor and '\(other)' are both 'model.vision_tower.vision_tower."))
    }

    @Test func decoderGainsImages() throws {
        var base = Fixture.llava
        base.separateTower(prefix: "vision_model.")
        let keys = base.config
        base.config = base.config.filter { !$0.key.hasPrefix("mm_") }
        base.config["model_type"] = "llama"
        base.tensors = base.tensors.filter { !$0.key.hasPrefix("model.mm_projector") }
        folder.write("p/mm.bin", safetensors(linear("mm_projector.0", 4, 8).merging(linear("mm_projector.2", 8, 8)) { $1 }))
        #expect(
            failure(base, projector: "p/mm.bin")
                == "error: the checkpoint is a decoder without images, and no configuration stands beside the projector, at file 'DIR/p/mm.bin'; expected 'config.json' with 'mm_vision_tower' in the same folder"
        )
        folder.write("p/config.json", json: keys.merging(["mm_vision_tower": "../clip"]) { $1 })
        let checkpoint = try open(base, projector: "p/mm.bin")
        #expect(checkpoint.configuration.fusion?.taps == [7] && checkpoint.configuration.layout == .llava)
    }

    private func adapter(_ changes: [String: Any] = [:], rank: Int = 2, name: String = "base_model.model.model.layers.0.mlp.up_proj") {
        folder.write("a/adapter_config.json", json: ["peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none"].merging(changes) { $1 })
        folder.write(
            "a/adapter_model.safetensors",
            safetensors([
                name + ".lora_A.weight": TensorFixture(dtype: "F32", shape: [rank, 8]),
                name + ".lora_B.weight": TensorFixture(dtype: "F32", shape: [6, rank]),
            ]))
    }

    @Test func lowRank() throws {
        adapter()
        let checkpoint = try open(.llava, adapter: "a")
        let weight = "decoder.layers.0.mlp.up_proj.weight"
        #expect(checkpoint.configuration.adapterScales == [weight: 3])
        let names = ModelConfiguration.lowRankNames(weight)
        #expect(checkpoint.tensors[names.down]?.shape == [2, 8] && checkpoint.tensors[names.up]?.shape == [6, 2])
        adapter(["use_rslora": true, "lora_alpha": 3])
        let scale = try #require(open(.llava, adapter: "a").configuration.adapterScales[weight])
        #expect(abs(scale - 3 / Float(2).squareRoot()) < 1e-6)
        // In transformers' layout the adapter has the names of that layout.
        adapter(name: "base_model.model.language_model.model.layers.0.mlp.up_proj")
        #expect(try open(.transformers(newer: false), adapter: "a").configuration.adapterScales == [weight: 3])
    }

    @Test func adapterRefusals() {
        let file = "at file 'DIR/a/adapter_config.json'"
        let cases: [([String: Any], String)] = [
            (["peft_type": "IA3"], "key 'peft_type' is 'IA3', which is not supported, \(file); expected 'LORA'"),
            (["use_dora": true], "key 'use_dora' is true, which is not supported, \(file); expected false"),
            (["bias": "all"], "key 'bias' is 'all', which is not supported, \(file); expected 'none'"),
            (["r": 0], "key 'r' is 0, \(file); expected 1 to 2147483647"),
        ]
        for (changes, text) in cases {
            adapter(changes)
            #expect(failure(.llava, adapter: "a") == "error: " + text)
        }
        adapter(rank: 3)
        #expect(
            failure(.llava, adapter: "a")
                == "error: wrong shape [3, 8], at tensor 'base_model.model.model.layers.0.mlp.up_proj.lora_A.weight' of file 'DIR/a/adapter_model.safetensors'; expected [2, 8] (for rank 2 and [6, 8])"
        )
        adapter(name: "base_model.model.model.layers.1.mlp.up_proj")
        #expect(failure(.llava, adapter: "a").hasPrefix("error: the adapter changes a weight that the model does not have, at tensor"))
        #expect(
            failure(.llava, adapter: "nowhere")
                == "error: 'DIR/nowhere' is not a folder, at option '--adapter'; expected a folder with 'adapter_config.json'")
    }
}
