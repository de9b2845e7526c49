import Foundation
import Support
import TestSupport
import Testing

@testable import Checkpoint

private let goldens = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path + "/Golden/formats/"

/// A GGUF file under construction.
struct GGUFFixture {
    enum Value {
        case integer(Int)
        case float(Float)
        case bool(Bool)
        case string(String)
        case strings([String])
        case floats([Float])
        case integers([Int])
    }

    var version: UInt32 = 3
    var metadata: [(String, Value)] = []
    /// Innermost dimension first, with ggml's number of the type.
    var tensors: [(name: String, dimensions: [Int], type: UInt32, bytes: [UInt8])] = []

    var bytes: [UInt8] {
        func little<T: FixedWidthInteger>(_ value: T) -> [UInt8] { withUnsafeBytes(of: value.littleEndian) { Array($0) } }
        func text(_ text: String) -> [UInt8] { little(UInt64(text.utf8.count)) + Array(text.utf8) }
        func value(_ value: Value) -> [UInt8] {
            switch value {
            case .integer(let number): little(UInt32(4)) + little(UInt32(truncatingIfNeeded: number))
            case .float(let number): little(UInt32(6)) + little(number.bitPattern)
            case .bool(let bool): little(UInt32(7)) + [bool ? 1 : 0]
            case .string(let string): little(UInt32(8)) + text(string)
            case .strings(let list): little(UInt32(9)) + little(UInt32(8)) + little(UInt64(list.count)) + list.flatMap(text)
            case .floats(let list):
                little(UInt32(9)) + little(UInt32(6)) + little(UInt64(list.count)) + list.flatMap { little($0.bitPattern) }
            case .integers(let list):
                little(UInt32(9)) + little(UInt32(5)) + little(UInt64(list.count)) + list.flatMap { little(Int32($0)) }
            }
        }
        var file = Array("GGUF".utf8) + little(version) + little(UInt64(tensors.count)) + little(UInt64(metadata.count))
        for (key, item) in metadata { file += text(key) + value(item) }
        var data: [UInt8] = []
        for tensor in tensors {
            file += text(tensor.name) + little(UInt32(tensor.dimensions.count)) + tensor.dimensions.flatMap { little(UInt64($0)) }
            file += little(tensor.type) + little(UInt64(data.count))
            data += tensor.bytes + [UInt8](repeating: 0, count: (32 - tensor.bytes.count % 32) % 32)
        }
        return file + [UInt8](repeating: 0, count: (32 - file.count % 32) % 32) + data
    }

    mutating func set(_ key: String, _ value: Value?) {
        metadata.removeAll { $0.0 == key }
        if let value { metadata.append((key, value)) }
    }

    /// The decoder of `Fixture.llava`, F16 zeros.
    static var decoder: GGUFFixture {
        let tokenizer = TokenizerFixture(words: ["\u{2581}a"])
        var fixture = GGUFFixture(metadata: [
            ("general.architecture", .string("llama")), ("llama.embedding_length", .integer(8)), ("llama.block_count", .integer(1)),
            ("llama.feed_forward_length", .integer(6)), ("llama.attention.head_count", .integer(2)),
            ("llama.attention.head_count_kv", .integer(1)),
            ("llama.attention.layer_norm_rms_epsilon", .float(1e-5)), ("llama.context_length", .integer(64)),
            ("llama.rope.dimension_count", .integer(4)),
            ("tokenizer.ggml.model", .string("llama")),
            ("tokenizer.ggml.tokens", .strings(tokenizer.pieces.map { String(decoding: $0.text, as: UTF8.self) })),
            ("tokenizer.ggml.scores", .floats(tokenizer.pieces.map(\.score))),
            ("tokenizer.ggml.token_type", .integers(tokenizer.pieces.map(\.kind))),
            ("tokenizer.ggml.bos_token_id", .integer(1)), ("tokenizer.ggml.eos_token_id", .integer(2)),
        ])
        func add(_ name: String, _ dimensions: [Int]) {
            fixture.tensors.append((name, dimensions, 1, [UInt8](repeating: 0, count: dimensions.reduce(2, *))))
        }
        add("token_embd.weight", [8, 260])
        add("output_norm.weight", [8])
        add("output.weight", [8, 260])
        for (name, dimensions) in [
            ("attn_norm", [8]), ("ffn_norm", [8]), ("attn_q", [8, 8]), ("attn_k", [8, 4]), ("attn_v", [8, 4]), ("attn_output", [8, 8]),
            ("ffn_gate", [8, 6]),
            ("ffn_up", [8, 6]), ("ffn_down", [6, 8]),
        ] { add("blk.0.\(name).weight", dimensions) }
        return fixture
    }
}

@Suite struct GGUFTests {
    let folder = TemporaryFolder()

    private func entry(_ name: String, _ file: GGUFFile) throws -> TensorEntry {
        let tensor = try #require(file.tensors[name])
        return TensorEntry(
            canonicalName: name, sourceName: name, dtype: try #require(tensor.dtype.elementType), shape: tensor.shape,
            file: file.file,
            range: tensor.range)
    }

    /// Bit for bit what the gguf package of Python computes (Tests/Golden/formats/gguf_files.py).
    @Test func everyTypeToTheBit() throws {
        let file = try GGUFFile(path: goldens + "types.gguf")
        let names = ElementType.allCases.map(\.rawValue).filter { $0 != "F32" }.sorted()
        #expect(file.tensors.keys.sorted() == names)
        let data = [UInt8](try Data(contentsOf: URL(filePath: goldens + "types.f32")))
        try #require(data.count == names.count * 1024 * 4)
        let expected = data.withUnsafeBytes { bytes in
            (0..<names.count * 1024).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self) }
        }
        for (index, name) in names.enumerated() {
            let entry = try entry(name, file)
            #expect(entry.elementCount == 1024 && entry.shape == [2, 512])
            let wanted = Array(expected[index * 1024..<(index + 1) * 1024])
            #expect(entry.floats().map(\.bitPattern) == wanted, "\(name)")
            #expect(Set(wanted).count > 10)
            // Any range, whole blocks or not.
            var random = SeededGenerator(name: name)
            for _ in 0..<200 {
                let start = Int.random(in: 0...1024, using: &random), end = Int.random(in: start...1024, using: &random)
                let part = [Float](unsafeUninitializedCapacity: end - start) { buffer, count in
                    entry.readFloats(start..<end, into: buffer)
                    count = end - start
                }
                #expect(part.map(\.bitPattern) == Array(wanted[start..<end]), "\(name) \(start)..<\(end)")
                entry.release(start..<end)
            }
        }
    }

    private func open(_ fixture: GGUFFixture, vision: GGUFFixture? = nil, projector: String? = nil) throws(Diagnostic) -> Checkpoint {
        folder.write("m.gguf", fixture.bytes)
        if let vision { folder.write("v.gguf", vision.bytes) }
        return try Checkpoint.open(
            path: folder.file("m.gguf"), visionTower: vision == nil ? nil : folder.file("v.gguf"), projector: projector)
    }

    private func failure(_ spoil: (inout GGUFFixture) -> Void) -> String {
        var fixture = GGUFFixture.decoder
        spoil(&fixture)
        return errorText(in: folder) { () throws(Diagnostic) in try open(fixture).configuration.layout }
    }

    @Test func decoder() throws {
        let here = try open(.decoder), there = try Fixture.llava.open()
        var wanted = there.configuration.decoder
        wanted.interleavedRotary = true
        #expect(here.configuration.decoder == wanted && here.configuration.layout == .gguf && here.configuration.name == "m")
        #expect(here.tokenizer == there.tokenizer)
        #expect(here.configuration.prompt == PromptConfiguration(bosID: 1, addsBOS: true, eosIDs: [2], templateName: "none"))
        #expect(Set(here.tensors.keys) == Set(there.tensors.keys.filter { $0.hasPrefix("decoder.") }))
        #expect(here.tensors["decoder.layers.0.mlp.down_proj.weight"]?.sourceName == "blk.0.ffn_down.weight")
        #expect(here.tensors["decoder.layers.0.mlp.down_proj.weight"]?.shape == [8, 6])
        var tied = GGUFFixture.decoder
        tied.tensors.removeAll { $0.name == "output.weight" }
        tied.set("tokenizer.ggml.eot_token_id", .integer(7))
        tied.set("tokenizer.ggml.add_bos_token", .bool(false))
        let checkpoint = try open(tied)
        #expect(checkpoint.configuration.decoder.tiedEmbeddings)
        #expect(checkpoint.configuration.prompt.eosIDs == [2, 7] && !checkpoint.configuration.prompt.addsBOS)
        #expect(try checkpoint.chatTemplate() == nil)
        tied.set("tokenizer.chat_template", .string("{{ bos_token }}"))
        let own = try #require(try open(tied).chatTemplate())
        #expect(own.text == "{{ bos_token }}" && own.file == checkpoint.path && own.tokens == ["bos_token": "<s>", "eos_token": "</s>"])
    }

    /// llama.cpp's converter marks the unknown piece as control where 'tokenizer_config.json' lists it, and may leave it out.
    @Test func unknownPiece() throws {
        var fixture = GGUFFixture.decoder
        let pieces = TokenizerFixture(words: ["\u{2581}a"]).pieces
        var kinds = pieces.map(\.kind)
        kinds[0] = 3
        fixture.set("tokenizer.ggml.token_type", .integers(kinds))
        func model() throws -> SentencePieceModel {
            guard case .sentencePiece(let model) = try open(fixture).tokenizer else { throw CancellationError() }
            return model
        }
        #expect(try model().unknownID == nil && model().pieces[0].kind == .control)
        fixture.set("tokenizer.ggml.unknown_token_id", .integer(0))
        #expect(try model().unknownID == 0 && open(fixture).tokenizer == open(.decoder).tokenizer)
        // Another piece than a control piece is none, whatever the key says.
        fixture.set("tokenizer.ggml.unknown_token_id", .integer(259))
        #expect(try model().unknownID == nil && model().pieces[259].kind == .normal)
        // What is user-defined was added to the vocabulary: a word.
        kinds[259] = 4
        fixture.set("tokenizer.ggml.token_type", .integers(kinds))
        #expect(try model().addedTokens == [.init(id: 259, text: "\u{2581}a", isSpecial: false)] && model().whole.added == [259])
        kinds[0] = 2
        kinds[1] = 2
        #expect(
            failure { $0.set("tokenizer.ggml.token_type", .integers(kinds)) }
                == "error: 2 unknown pieces, at file 'DIR/m.gguf'; expected one")
        #expect(
            failure { $0.set("tokenizer.ggml.unknown_token_id", .integer(260)) }
                == "error: key 'tokenizer.ggml.unknown_token_id' is 260, at file 'DIR/m.gguf'; expected less than the 260 tokens")
    }

    /// Byte-level BPE is what `tokenizer.json` with the same words and merges would be.
    @Test(arguments: ["smollm", "llama-bpe"])
    func mergeList(_ pre: String) throws {
        let words = ["<|endoftext|>", "a", "b", "\u{120}", "ab", "\u{120}ab", "<|im_start|>"]
        var fixture = GGUFFixture.decoder
        fixture.set("tokenizer.ggml.model", .string("gpt2"))
        fixture.set("tokenizer.ggml.pre", .string(pre))
        fixture.set("tokenizer.ggml.scores", nil)
        fixture.set("tokenizer.ggml.tokens", .strings(words + ["[PAD7]"]))
        fixture.set("tokenizer.ggml.token_type", .integers([3, 1, 1, 1, 1, 1, 3, 5]))
        fixture.set("tokenizer.ggml.merges", .strings(["a b", "\u{120} ab"]))
        fixture.set("tokenizer.ggml.bos_token_id", .integer(0))
        fixture.set("tokenizer.ggml.eos_token_id", .integer(6))
        let split: [String: Any] =
            pre == "smollm"
            ? ["type": "Digits", "individual_digits": true]
            : ["type": "Split", "pattern": ["Regex": MergeListModel.llama3Pattern], "behavior": "Isolated", "invert": false]
        folder.write(
            "tokenizer.json",
            json: [
                "pre_tokenizer": [
                    "type": "Sequence",
                    "pretokenizers": [
                        split, ["type": "ByteLevel", "add_prefix_space": false, "use_regex": pre == "smollm"] as [String: Any],
                    ],
                ] as [String: Any],
                "model": [
                    "type": "BPE", "ignore_merges": pre == "llama-bpe", "merges": ["a b", "\u{120} ab"],
                    "vocab": Dictionary(uniqueKeysWithValues: zip(words, 0...)),
                ] as [String: Any],
                "added_tokens": [0, 6].map { ["id": $0, "content": words[$0], "special": true] as [String: Any] },
            ])
        var wanted = try MergeListModel(folder: folder.path, vocabularySize: 260)
        (wanted.bosID, wanted.eosID, wanted.addsBOS) = (0, 6, pre == "llama-bpe")
        let checkpoint = try open(fixture)
        #expect(checkpoint.tokenizer == .mergeList(wanted))
        #expect(checkpoint.configuration.prompt.addsBOS == (pre == "llama-bpe") && checkpoint.configuration.prompt.eosIDs == [6])
        for (key, value, text) in [
            (
                "pre", GGUFFixture.Value.string("qwen2"),
                "key 'tokenizer.ggml.pre' is 'qwen2', which is not supported, at file 'DIR/m.gguf'; expected 'gpt-2', 'llama-bpe' or 'smollm'"
            ),
            (
                "merges", .strings(["a  b"]),
                "key 'tokenizer.ggml.merges' holds 'a  b', at file 'DIR/m.gguf'; expected two tokens and one space between them"
            ),
            (
                "merges", .strings(["a a"]),
                "key 'tokenizer.ggml.merges' merge 0 joins 'a' and 'a', at file 'DIR/m.gguf'; expected tokens of the vocabulary that make one"
            ),
        ] {
            var spoiled = fixture
            spoiled.set("tokenizer.ggml.\(key)", value)
            #expect(errorText(in: folder) { () throws(Diagnostic) in try open(spoiled) } == "error: " + text)
        }
    }

    @Test func frequencies() throws {
        let scaling = RopeScaling(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 64)
        var fixture = GGUFFixture.decoder
        fixture.set("llama.rope.freq_base", .float(500_000))
        func set(_ factors: [Float]) {
            fixture.tensors.removeAll { $0.name == "rope_freqs.weight" }
            fixture.tensors.append(
                ("rope_freqs.weight", [factors.count], 0, factors.flatMap { factor in withUnsafeBytes(of: factor) { Array($0) } }))
        }
        // Heads of 4 have two frequencies: one kept, one stretched whole, which tells no positions from others.
        set(scaling.factors(theta: 500_000, headSize: 4).map { Float($0) })
        #expect(
            try open(fixture).configuration.decoder.ropeScaling?.factors(theta: 500_000, headSize: 4)
                == scaling.factors(theta: 500_000, headSize: 4))
        set([1, 1])
        #expect(try open(fixture).configuration.decoder.ropeScaling == nil)
        set([1, 0.5])
        #expect(
            errorText(in: folder) { () throws(Diagnostic) in try open(fixture) }.hasPrefix(
                "error: the factors are not those of Llama 3's scaling"))
        set([1, 8, 8])
        #expect(
            errorText(in: folder) { () throws(Diagnostic) in try open(fixture) }
                == "error: F32 [3], at tensor 'rope_freqs.weight' of file 'DIR/m.gguf'; expected F32 [2]")
    }

    @Test func refusals() {
        let file = "at file 'DIR/m.gguf'"
        let cases: [((inout GGUFFixture) -> Void, String)] = [
            ({ $0.set("general.architecture", .string("qwen2")) }, "architecture 'qwen2' is not supported, \(file); expected 'llama'"),
            (
                { $0.set("general.architecture", .string("clip")) },
                "architecture 'clip' is not supported, \(file); expected 'llama'; note: a mmproj file goes to the option '--vision-tower'"
            ),
            ({ $0.set("split.count", .integer(2)) }, "key 'split.count' is 2: the file is one of several, \(file); expected one file"),
            ({ $0.set("llama.block_count", nil) }, "key 'llama.block_count' is missing, \(file); expected an integer"),
            ({ $0.set("llama.block_count", .string("1")) }, "key 'llama.block_count' has another type, \(file); expected an integer"),
            (
                { $0.set("llama.attention.head_count_kv", .integer(3)) },
                "key 'llama.attention.head_count_kv' is 3, \(file); expected a divisor of the 2 attention heads"
            ),
            ({ $0.set("llama.expert_count", .integer(8)) }, "key 'llama.expert_count' is 8, which is not supported, \(file); expected 0"),
            (
                { $0.set("llama.rope.scaling.type", .string("yarn")) },
                "key 'llama.rope.scaling.type' asks for 'yarn', which is not supported, \(file); expected 'none'"
            ),
            (
                { $0.set("tokenizer.ggml.model", .string("bert")) },
                "key 'tokenizer.ggml.model' is 'bert', which is not supported, \(file); expected 'llama' or 'gpt2'"
            ),
            (
                { $0.set("tokenizer.ggml.scores", .floats([0])) },
                "key 'tokenizer.ggml.scores' has 1 scores, \(file); expected a finite one for each of 260 tokens"
            ),
            (
                { $0.set("tokenizer.ggml.bos_token_id", .integer(260)) },
                "key 'tokenizer.ggml.bos_token_id' is 260, \(file); expected less than the 260 tokens"
            ),
            (
                { $0.tensors[0].type = 10 },
                "type 'Q2_K' is not supported, at tensor 'token_embd.weight' of file 'DIR/m.gguf'; expected 'F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q4_K', 'Q5_K' or 'Q6_K'"
            ),
            (
                { $0.tensors[6].dimensions = [8, 2] },
                "wrong shape [2, 8], at tensor 'blk.0.attn_k.weight' of file 'DIR/m.gguf'; expected [4, 8]"
            ),
            ({ $0.tensors[6].name = "blk.0.attn_k.bias" }, "tensor 'blk.0.attn_k.weight' is missing, \(file); expected shape [4, 8]"),
            (
                { $0.tensors.append(("blk.0.attn_q.bias", [8], 0, [UInt8](repeating: 0, count: 32))) },
                "unknown tensor, at tensor 'blk.0.attn_q.bias' of file 'DIR/m.gguf'; expected only what the configuration describes"
            ),
            ({ $0.version = 1 }, "GGUF version 1, at byte 4 of file 'DIR/m.gguf'; expected 2 or 3"),
            ({ $0.version = 3 << 24 }, "GGUF version 50331648, at byte 4 of file 'DIR/m.gguf'; expected a little-endian file"),
            ({ $0.set("general.alignment", .integer(7)) }, "key 'general.alignment' is no alignment, \(file); expected a multiple of 8"),
        ]
        for (spoil, text) in cases { #expect(failure(spoil) == "error: " + text) }
        let quantised = failure { $0.tensors[2].type = 8 }
        #expect(
            quantised.hasSuffix("expected rows of whole blocks of 32")
                && quantised.contains("tensor 'output.weight' has the impossible shape [260, 8]"))
    }

    /// The tower and projector of `Fixture.llava` as a mmproj file, whole or as older converters cut it.
    private func vision(older: Bool, hidden: Int = 8) -> GGUFFixture {
        var fixture = GGUFFixture(metadata: [
            ("general.architecture", .string("clip")), ("clip.projector_type", .string("mlp")),
            ("clip.vision.embedding_length", .integer(4)),
            ("clip.vision.block_count", .integer(older ? 7 : 8)), ("clip.vision.attention.head_count", .integer(2)),
            ("clip.vision.feed_forward_length", .integer(6)), ("clip.vision.image_size", .integer(8)),
            ("clip.vision.patch_size", .integer(2)),
            ("clip.vision.attention.layer_norm_epsilon", .float(1e-5)),
        ])
        func add(_ name: String, _ dimensions: [Int]) {
            fixture.tensors.append((name, dimensions, 1, [UInt8](repeating: 0, count: dimensions.reduce(2, *))))
        }
        func affine(_ name: String, _ input: Int, _ output: Int) {
            add(name + ".weight", [input, output])
            add(name + ".bias", [output])
        }
        add("v.class_embd", [4])
        add("v.patch_embd.weight", [2, 2, 3, 4])
        add("v.position_embd.weight", [4, 17])
        for name in ["v.pre_ln"] + (older ? [] : ["v.post_ln"]) + (0..<(older ? 7 : 8)).flatMap({ ["v.blk.\($0).ln1", "v.blk.\($0).ln2"] })
        {
            add(name + ".weight", [4])
            add(name + ".bias", [4])
        }
        for block in 0..<(older ? 7 : 8) {
            for name in ["attn_q", "attn_k", "attn_v", "attn_out"] { affine("v.blk.\(block).\(name)", 4, 4) }
            affine("v.blk.\(block).\(older ? "ffn_down" : "ffn_up")", 4, 6)
            affine("v.blk.\(block).\(older ? "ffn_up" : "ffn_down")", 6, 4)
        }
        affine("mm.0", 4, 8)
        affine("mm.2", 8, hidden)
        return fixture
    }

    @Test(arguments: [false, true])
    func tower(_ older: Bool) throws {
        let here = try open(.decoder, vision: vision(older: older)), there = try Fixture.llava.open()
        var wanted = try #require(there.configuration.vision)
        if older { wanted.layerCount = 7 }
        #expect(here.configuration.vision == wanted && here.configuration.fusion == there.configuration.fusion)
        #expect(here.configuration.fusion?.taps == [7] && here.configuration.preprocessing?.mode == .pad)
        #expect(here.tensors["vision.layers.3.mlp.fc1.weight"]?.sourceName == (older ? "v.blk.3.ffn_down.weight" : "v.blk.3.ffn_up.weight"))
        #expect(here.configuration.prompt.templateName == "vicuna_v1")
        var layered = vision(older: older)
        layered.set("clip.vision.feature_layer", .integers([2, 5]))
        layered.tensors.removeAll { $0.name.hasPrefix("mm.0.") }
        layered.tensors += [
            ("mm.0.weight", [8, 8], 1, [UInt8](repeating: 0, count: 128)), ("mm.0.bias", [8], 1, [UInt8](repeating: 0, count: 16)),
        ]
        #expect(try open(.decoder, vision: layered).configuration.fusion?.taps == [2, 5])
    }

    @Test func towerRefusals() throws {
        func failure(_ spoil: (inout GGUFFixture) -> Void) -> String {
            var fixture = vision(older: false)
            spoil(&fixture)
            return errorText(in: folder) { () throws(Diagnostic) in try open(.decoder, vision: fixture).configuration.layout }
        }
        let file = "at file 'DIR/v.gguf'"
        #expect(failure { $0 = .decoder } == "error: architecture 'llama' is no vision tower, \(file); expected 'clip', a mmproj file")
        #expect(
            failure { $0.set("clip.projector_type", .string("ldp")) }
                == "error: key 'clip.projector_type' is 'ldp', which is not supported, \(file); expected 'mlp'")
        #expect(
            failure { $0.set("clip.vision.image_size", .integer(9)) }
                == "error: key 'clip.vision.image_size' is 9, \(file); expected a multiple of the patch size 2")
        #expect(
            failure { $0.set("clip.vision.feature_layer", .integers([9])) }
                == "error: key 'clip.vision.feature_layer' holds 9, \(file); expected 0 to 8")
        #expect(
            failure { $0 = vision(older: false, hidden: 12) }
                == "error: wrong shape [12, 8], at tensor 'mm.2.weight' of file 'DIR/v.gguf'; expected [8, 8] (by the decoder's width, 8)")
        #expect(
            failure { $0.tensors.removeLast() }
                == "error: tensor 'mm.2.bias' is missing, \(file); expected shape [8] (by the decoder's width, 8)")
    }

    /// A decoder in GGUF with a projector of torch and a tower in its folder, and the same mmproj file over a decoder in safetensors.
    @Test func mixedFormats() throws {
        var base = Fixture.llava
        base.separateTower(prefix: "vision_model.")
        let parts = TemporaryFolder()
        base.write(to: parts)
        parts.write(
            "p/mm.safetensors",
            safetensors([
                "mm_projector.0.weight": TensorFixture(shape: [8, 4]), "mm_projector.0.bias": TensorFixture(shape: [8]),
                "mm_projector.2.weight": TensorFixture(shape: [8, 8]), "mm_projector.2.bias": TensorFixture(shape: [8]),
            ]))
        parts.write("p/config.json", json: base.config.merging(["mm_vision_tower": "../clip"]) { $1 })
        let checkpoint = try open(.decoder, projector: parts.file("p/mm.safetensors"))
        #expect(checkpoint.configuration.layout == .gguf && checkpoint.configuration.fusion?.taps == [7])
        #expect(checkpoint.tensors["vision.pre_layernorm.weight"]?.file.path.hasSuffix("p/../clip/model.safetensors") == true)

        base.config = base.config.filter { !$0.key.hasPrefix("mm_") }.merging(["model_type": "llama"]) { $1 }
        base.tensors = base.tensors.filter { !$0.key.hasPrefix("model.mm_projector") }
        base.write(to: parts)
        folder.write("v.gguf", vision(older: true).bytes)
        let other = try Checkpoint.open(path: parts.path, visionTower: folder.file("v.gguf"))
        #expect(
            other.configuration.layout == .llava && !other.configuration.decoder.interleavedRotary
                && other.configuration.fusion?.taps == [7])
        Fixture.llava.write(to: parts)
        #expect(
            errorText { () throws(Diagnostic) in try Checkpoint.open(path: parts.path, visionTower: folder.file("v.gguf")).path }
                == "error: the checkpoint has a projector of its own, at option '--vision-tower'; expected a folder, or a checkpoint without images"
        )
    }

    /// Every way to cut or change a file ends in a message or in a checkpoint whose weights can be read.
    @Test func mutations() throws {
        let whole = GGUFFixture.decoder.bytes
        var random = SeededGenerator(seed: 21)
        var refused = 0
        // The strings of the vocabulary, in which a change says little, are most of the header.
        let places = Array(0..<900) + Array(6500..<min(8600, whole.count))
        for round in 0..<1200 {
            var bytes = whole
            if round < 300 {
                bytes.removeSubrange(Int.random(in: 0..<whole.count, using: &random)...)
            } else {
                for _ in 0..<Int.random(in: 1...3, using: &random) {
                    let place = places.randomElement(using: &random)!
                    bytes[place] =
                        Bool.random(using: &random)
                        ? UInt8.random(in: 0...255, using: &random) : bytes[place] ^ 1 << UInt8.random(in: 0..<8, using: &random)
                }
            }
            folder.write("m.gguf", bytes)
            do throws(Diagnostic) {
                let checkpoint = try Checkpoint.open(path: folder.file("m.gguf"))
                for entry in checkpoint.tensors.values { _ = entry.floats() }
            } catch { refused += 1 }
        }
        #expect(refused > 500)
    }
}
