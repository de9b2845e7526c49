import Foundation
import Support
import TestSupport
import Testing

@testable import Checkpoint

/// What is told of things that are given as the model and are none.
@Suite struct RecognitionTests {
    let folder = TemporaryFolder()

    private func failure(_ path: String = "", adapter: String? = nil) -> String {
        errorText(in: folder) { () throws(Diagnostic) in
            try Checkpoint.open(path: path.isEmpty ? folder.path : folder.file(path), adapter: adapter.map(folder.file)).configuration
                .layout
        }
    }

    private let lowRank = [
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight": TensorFixture(dtype: "F32", shape: [2, 8]),
        "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight": TensorFixture(dtype: "F32", shape: [8, 2]),
    ]

    @Test func adapter() throws {
        folder.write("adapter_config.json", json: ["base_model_name_or_path": "lmsys/vicuna-7b-v1.5", "r": 2])
        let text =
            "error: the folder holds an adapter, not a model, at file 'DIR'; expected its base, 'lmsys/vicuna-7b-v1.5', as the model, with the option '--adapter' for this folder"
        #expect(failure() == text)
        // As LLaVA's training leaves it.
        folder.write("adapter_model.safetensors", safetensors(lowRank))
        folder.write("config.json", json: Fixture.llava.config)
        folder.write("non_lora_trainables.bin", "")
        #expect(failure() == text)
        #expect(
            failure("adapter_model.safetensors")
                == "error: the file is an adapter, not a model, at file 'DIR/adapter_model.safetensors'; expected its base as the model, with the option '--adapter' for its folder"
        )
    }

    /// transformers would apply the adapter; whoever wants it says so.
    @Test func modelAndAdapter() throws {
        Fixture.llava.write(to: folder)
        folder.write("adapter_config.json", json: ["r": 2])
        #expect(failure() == "no error but llava")
        folder.write("adapter_model.safetensors", safetensors(lowRank))
        #expect(
            failure()
                == "error: the folder holds a model and an adapter, at file 'DIR'; expected the option '--adapter', which may name this folder, or no 'adapter_config.json' in it"
        )
        #expect(failure(adapter: "") == "no error but llava")
    }

    @Test func projector() {
        folder.write("config.json", json: ["_name_or_path": "vicuna-7b"])
        let tensors = ["model.mm_projector.0.bias": TensorFixture(dtype: "F32", shape: [2])]
        folder.write("mm_projector.bin", safetensors(tensors))
        #expect(
            failure()
                == "error: the folder holds a projector, not a model, at file 'DIR'; expected its decoder, 'vicuna-7b', as the model, with the option '--projector' for 'DIR/mm_projector.bin'"
        )
        #expect(
            failure("mm_projector.bin")
                == "error: the file is a projector, not a model, at file 'DIR/mm_projector.bin'; expected its decoder as the model, with the option '--projector' for this file"
        )
        let model = TemporaryFolder()
        Fixture.llava.write(to: model)
        #expect(
            errorText(in: folder) { () throws(Diagnostic) in try Checkpoint.open(path: model.path, projector: folder.path).path }
                == "error: 'DIR' is a folder, at option '--projector'; expected a file, as 'DIR/mm_projector.bin'")
    }

    @Test func tower() {
        folder.write("config.json", json: Fixture.llava.vision)
        folder.write("model.safetensors", safetensors(Fixture.clip()))
        #expect(
            failure()
                == "error: key 'model_type' is 'clip_vision_model', a vision tower, at file 'DIR/config.json'; expected a LLaVA as the model, with the option '--vision-tower' for this folder"
        )
    }

    @Test func folders() throws {
        let cases: [(String, String, String)] = [
            ("mmproj-f16.gguf", "GGUF files", "one of them, as 'DIR/mmproj-f16.gguf'"),
            ("a-q8.gguf", "GGUF files", "one of them, as 'DIR/a-q8.gguf'"),
            ("model_index.json", "a pipeline of diffusers", "a LLaVA or a LLaMA decoder"),
            ("consolidated.00.pth", "weights in Meta's own format", "the same model in transformers' format"),
            ("snapshots/0123/config.json", "a cache of Hugging Face", "a snapshot in it, as 'DIR/snapshots/0123'"),
            ("checkpoint-500/config.json", "checkpoints in folders of their own", "one of them, as 'DIR/checkpoint-500'"),
            ("model.safetensors.incomplete", "a download that is not finished, 'model.safetensors.incomplete'", "the whole files"),
        ]
        for (name, what, expected) in cases {
            let folder = TemporaryFolder()
            folder.write(name, "{}")
            #expect(
                errorText(in: folder) { () throws(Diagnostic) in try Checkpoint.open(path: folder.path).path }
                    == "error: the folder holds \(what), at file 'DIR'; expected \(expected)")
        }
        #expect(failure() == "error: no 'config.json', at file 'DIR'; expected a checkpoint folder")
    }

    @Test func files() throws {
        folder.write("model.safetensors", safetensors(Fixture.llava.tensors))
        #expect(
            failure("model.safetensors")
                == "error: the file has weights only, at file 'DIR/model.safetensors'; expected the folder that it stands in, with 'config.json'"
        )
        folder.write("config.json", "{}")
        #expect(failure("config.json") == "error: the file is JSON, at file 'DIR/config.json'; expected the folder that it stands in")
        folder.write("old.bin", "tjgg and so on")
        #expect(
            failure("old.bin")
                == "error: the file is in a format before GGUF, at file 'DIR/old.bin'; expected a GGUF file, or a checkpoint folder")
        folder.write("cut.gguf", "")
        #expect(
            failure("cut.gguf")
                == "error: the file does not begin with 'GGUF', at file 'DIR/cut.gguf'; expected a GGUF file, or a checkpoint folder")
        // The bytes tell, not the name.
        folder.write("blob", GGUFFixture.decoder.bytes)
        #expect(failure("blob") == "no error but gguf")
        var adapter = GGUFFixture.decoder
        adapter.set("general.type", .string("adapter"))
        folder.write("a.gguf", adapter.bytes)
        #expect(
            failure("a.gguf")
                == "error: key 'general.type' is 'adapter', a LoRA adapter, at file 'DIR/a.gguf'; expected a model; an adapter in PEFT's layout goes to the option '--adapter'"
        )
    }

    /// A pointer in place of any file of the folder
    @Test(arguments: [
        "config.json", "tokenizer.model", "model.safetensors", "clip/config.json", "clip/preprocessor_config.json",
        "generation_config.json",
    ])
    func pointers(_ name: String) {
        Fixture.llava.write(to: folder)
        folder.write(name, "version https://git-lfs.github.com/spec/v1\noid sha256:\(String(repeating: "ab", count: 32))\nsize 134567890\n")
        #expect(
            failure()
                == "error: the file is a Git LFS pointer, not the file that it stands for, at file 'DIR/\(name)'; expected the file itself: 'git lfs pull' fetches it"
        )
    }
}
