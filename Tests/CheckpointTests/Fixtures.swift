import Checkpoint
import Foundation
import Support
import TestSupport
import Testing

/// The rendered error of `body`, with `folder` written as `DIR`; what it returned when it did not throw.
func errorText<T>(in folder: TemporaryFolder? = nil, _ body: () throws(Diagnostic) -> T) -> String {
    do throws(Diagnostic) {
        return "no error but \(try body())"
    } catch {
        return folder.map { error.rendered.replacingOccurrences(of: $0.path, with: "DIR") } ?? error.rendered
    }
}

struct TensorFixture {
    var dtype = "F16"
    var shape: [Int]
    /// What every byte of the data is.
    var byte: UInt8 = 0

    var byteCount: Int {
        let size = ["F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I8": 1, "F64": 8][dtype]!
        return shape.reduce(size, *)
    }
}

/// A safetensors file's bytes; tensors are laid out by name, with `data` or zeros.
func safetensors(_ tensors: [String: TensorFixture], data: [UInt8]? = nil) -> [UInt8] {
    let (header, _) = safetensorsHeader(tensors)
    return header + (data ?? tensors.sorted { $0.key < $1.key }.flatMap { [UInt8](repeating: $0.value.byte, count: $0.value.byteCount) })
}

/// Everything before the data, and the data's size.
func safetensorsHeader(_ tensors: [String: TensorFixture]) -> (bytes: [UInt8], dataSize: Int) {
    var entries: [String: Any] = ["__metadata__": ["format": "pt"]]
    var offset = 0
    for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) {
        entries[name] = ["dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, offset + tensor.byteCount]]
        offset += tensor.byteCount
    }
    return (framed([UInt8](try! JSONSerialization.data(withJSONObject: entries))), offset)
}

/// A header text behind its length.
func framed(_ header: [UInt8]) -> [UInt8] {
    withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header
}

/// A protocol-buffer message under construction.
struct Message {
    var bytes: [UInt8] = []

    static func varint(_ value: UInt64) -> [UInt8] {
        var rest = value, bytes: [UInt8] = []
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    mutating func add(_ field: Int, _ value: Int) {
        bytes += Self.varint(UInt64(field << 3)) + Self.varint(UInt64(bitPattern: Int64(value)))
    }
    mutating func add(_ field: Int, _ value: [UInt8]) {
        bytes += Self.varint(UInt64(field << 3 | 2)) + Self.varint(UInt64(value.count)) + value
    }
    mutating func add(_ field: Int, _ value: Float) {
        bytes += Self.varint(UInt64(field << 3 | 5)) + withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) }
    }
}

/// A SentencePiece model: `<unk>`, `<s>`, `</s>`, the 256 bytes, then `words`.
struct TokenizerFixture {
    struct Piece {
        var text: [UInt8]
        var score: Float = 0
        var kind = 1
    }

    var pieces: [Piece]
    /// Field numbers of TrainerSpec and NormalizerSpec to integer values.
    var trainer: [Int: Int] = [3: 2, 35: 1, 40: 0, 41: 1, 42: 2, 43: -1]
    var normalizer: [Int: Int] = [3: 1, 4: 0, 5: 1]
    var normalizerName = "identity"
    var charsmap: [UInt8] = []

    init(words: [String] = []) {
        pieces = [
            Piece(text: Array("<unk>".utf8), kind: 2), Piece(text: Array("<s>".utf8), kind: 3), Piece(text: Array("</s>".utf8), kind: 3),
        ]
        for byte in 0..<256 { pieces.append(Piece(text: Array(("<0x" + String(format: "%02X", byte) + ">").utf8), kind: 6)) }
        for (index, word) in words.enumerated() { pieces.append(Piece(text: Array(word.utf8), score: -Float(index))) }
    }

    var bytes: [UInt8] {
        var model = Message()
        for piece in pieces {
            var message = Message()
            message.add(1, piece.text)
            message.add(2, piece.score)
            if piece.kind != 1 { message.add(3, piece.kind) }
            model.add(1, message.bytes)
        }
        var trainer = Message(), normalizer = Message()
        for (field, value) in self.trainer.sorted(by: { $0.key < $1.key }) { trainer.add(field, value) }
        normalizer.add(1, Array(normalizerName.utf8))
        normalizer.add(2, charsmap)
        for (field, value) in self.normalizer.sorted(by: { $0.key < $1.key }) { normalizer.add(field, value) }
        model.add(2, trainer.bytes)
        model.add(3, normalizer.bytes)
        return model.bytes
    }
}

/// A small whole checkpoint that tests spoil in one place each.
///
/// Tower: hidden 4, 8 blocks, 2 heads, 8 px in patches of 2 (grid 4). Decoder: hidden 8, 1 layer, 2 heads, 1 key/value head, vocabulary 260.
struct Fixture {
    var config: [String: Any]
    var vision: [String: Any]
    var preprocessor: [String: Any]?
    var tensors: [String: TensorFixture]
    /// Weights in the folder `clip`; nil when they are in the checkpoint.
    var tower: [String: TensorFixture]?
    var tokenizer = TokenizerFixture(words: ["\u{2581}a"])
    /// Further files by name, written last.
    var files: [String: String] = [:]
    var shards = 1

    static let visionPrefix = "model.vision_tower.vision_tower.vision_model."

    /// LLaVA-1.5's form: a two-layer projector, the tower inside.
    static var llava: Fixture {
        var fixture = Fixture(
            config: [
                "model_type": "llava_llama", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
                "intermediate_size": 6, "vocab_size": 260, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "hidden_act": "silu",
                "bos_token_id": 1, "eos_token_id": 2, "mm_vision_tower": "clip", "mm_vision_select_layer": -2, "mm_hidden_size": 4,
                "mm_projector_type": "mlp2x_gelu", "mm_vision_select_feature": "patch", "image_aspect_ratio": "pad",
                "mm_use_im_start_end": false,
            ],
            vision: [
                "model_type": "clip_vision_model", "hidden_size": 4, "num_hidden_layers": 8, "num_attention_heads": 2,
                "intermediate_size": 6,
                "image_size": 8, "patch_size": 2,
            ],
            preprocessor: ["size": ["shortest_edge": 8], "crop_size": ["height": 8, "width": 8], "resample": 3], tensors: [:])
        fixture.tensors = [
            "model.embed_tokens.weight": TensorFixture(shape: [260, 8]), "model.norm.weight": TensorFixture(shape: [8]),
            "lm_head.weight": TensorFixture(shape: [260, 8]),
            "model.layers.0.input_layernorm.weight": TensorFixture(shape: [8]),
            "model.layers.0.post_attention_layernorm.weight": TensorFixture(shape: [8]),
            "model.layers.0.self_attn.q_proj.weight": TensorFixture(shape: [8, 8]),
            "model.layers.0.self_attn.k_proj.weight": TensorFixture(shape: [4, 8]),
            "model.layers.0.self_attn.v_proj.weight": TensorFixture(shape: [4, 8]),
            "model.layers.0.self_attn.o_proj.weight": TensorFixture(shape: [8, 8]),
            "model.layers.0.mlp.gate_proj.weight": TensorFixture(shape: [6, 8]),
            "model.layers.0.mlp.up_proj.weight": TensorFixture(shape: [6, 8]),
            "model.layers.0.mlp.down_proj.weight": TensorFixture(shape: [8, 6]),
        ]
        fixture.addLinear("model.mm_projector.0", 4, 8)
        fixture.addLinear("model.mm_projector.2", 8, 8)
        for (name, tensor) in clip() { fixture.tensors[visionPrefix + name] = tensor }
        return fixture
    }

    /// LLaVA-STF's form: taps 7, 6, 3, MBTF, windows of 2 x 2.
    static var released: Fixture {
        var fixture = llava
        fixture.tensors = fixture.tensors.filter { !$0.key.hasPrefix("model.mm_projector") }
        fixture.addLinear("model.mm_projector_crosslayer.0", 12, 16)
        fixture.addLinear("model.mm_projector_crosslayer.2", 16, 4)
        fixture.addLinear("model.mm_projector.0", 16, 64)
        fixture.addLinear("model.mm_projector.2", 64, 8)
        return fixture
    }

    /// `mm_token_fusion` with everything: 3 taps, MBTF, window convolution, two tokens per window.
    static var configurable: Fixture {
        var fixture = llava
        fixture.tensors = fixture.tensors.filter { !$0.key.hasPrefix("model.mm_projector") }
        fixture.fusion = [
            "strategy": "stf", "taps": [3, 6, -1], "kernel": 2, "tokens_per_window": 2,
            "mbtf": ["channels": [16, 4], "final_activation": true],
            "stf": ["channels": [16, 32, 8], "final_activation": true, "window_conv": true],
        ]
        fixture.addConvolution("model.mbtf.conv1", 12, 16)
        fixture.addConvolution("model.mbtf.conv2", 16, 4)
        fixture.addConvolution("model.stf.conv1", 4, 16, kernel: 2)
        fixture.addConvolution("model.stf.conv2", 8, 32)
        fixture.addConvolution("model.stf.conv3", 32, 8)
        return fixture
    }

    /// TokenPacker's form, with 8 channels in the place of 1024 and a tower of 24 blocks.
    static var tokenPacker: Fixture {
        var fixture = llava
        fixture.tensors = fixture.tensors.filter { !$0.key.hasPrefix("model.mm_projector") && !$0.key.hasPrefix(visionPrefix) }
        for (name, tensor) in clip(blocks: 24) { fixture.tensors[visionPrefix + name] = tensor }
        fixture.vision["num_hidden_layers"] = 24
        fixture.config["mm_projector_type"] = "tokenpacker"
        fixture.config["scale_factor"] = 2
        let prefix = "model.mm_projector."
        fixture.tensors[prefix + "q_proj_1.weight"] = TensorFixture(shape: [8, 4])
        for side in ["k_proj_1", "v_proj_1"] {
            fixture.addLinear("\(prefix)\(side).0", 16, 8)
            fixture.addLinear("\(prefix)\(side).2", 8, 8)
        }
        for norm in ["ln_q_1", "ln_k_1", "ln_v_1"] { fixture.addNorm(prefix + norm, 8) }
        fixture.tensors[prefix + "clip_attn.in_proj_weight"] = TensorFixture(shape: [24, 8])
        fixture.tensors[prefix + "clip_attn.in_proj_bias"] = TensorFixture(shape: [24])
        fixture.addLinear(prefix + "clip_attn.out_proj", 8, 8)
        fixture.addLinear(prefix + "mlp.0", 8, 8)
        fixture.addLinear(prefix + "mlp.2", 8, 8)
        return fixture
    }

    /// LLaVA-Mini's form, with a tower of 8 channels: two queries along each side, and one block ahead of the decoder.
    static var llavaMini: Fixture {
        var fixture = llava
        fixture.tensors = fixture.tensors.filter { !$0.key.hasPrefix("model.mm_projector") && !$0.key.hasPrefix(visionPrefix) }
        for (name, tensor) in clip(hidden: 8) { fixture.tensors[visionPrefix + name] = tensor }
        fixture.vision["hidden_size"] = 8
        for (key, value) in [
            ("model_type", "llava_mini_llama"), ("compressor_size", 2), ("prefusion_layer_num", 1), ("mm_hidden_size", 8),
        ] as [(String, Any)] { fixture.config[key] = value }
        fixture.addLinear("model.mm_projector.0", 8, 8)
        fixture.addLinear("model.mm_projector.2", 8, 8)
        let prefix = "model.compressor."
        for name in ["query", "pos_embed"] { fixture.tensors[prefix + name] = TensorFixture(shape: [4, 8]) }
        for norm in ["ln_q", "ln_kv"] { fixture.addNorm(prefix + norm, 8) }
        fixture.tensors[prefix + "attn.in_proj_weight"] = TensorFixture(shape: [24, 8])
        fixture.tensors[prefix + "attn.in_proj_bias"] = TensorFixture(shape: [24])
        fixture.addLinear(prefix + "attn.out_proj", 8, 8)
        for (name, tensor) in fixture.tensors where name.hasPrefix("model.layers.0.") {
            fixture.tensors[name.replacing("model.layers", with: "model.prefusion_layers")] = tensor
        }
        return fixture
    }

    /// A tower's tensors by the names of transformers' CLIPVisionModel, without prefix.
    static func clip(hidden: Int = 4, blocks: Int = 8, inner: Int = 6, patch: Int = 2, positions: Int = 17) -> [String: TensorFixture] {
        var tensors = [
            "embeddings.class_embedding": TensorFixture(shape: [hidden]),
            "embeddings.patch_embedding.weight": TensorFixture(shape: [hidden, 3, patch, patch]),
            "embeddings.position_embedding.weight": TensorFixture(shape: [positions, hidden]),
            "embeddings.position_ids": TensorFixture(dtype: "I64", shape: [1, positions]),
        ]
        func affine(_ name: String, _ shape: [Int]) {
            tensors[name + ".weight"] = TensorFixture(shape: shape)
            tensors[name + ".bias"] = TensorFixture(shape: [shape[0]])
        }
        affine("pre_layrnorm", [hidden])
        affine("post_layernorm", [hidden])
        for block in 0..<blocks {
            for name in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                affine("encoder.layers.\(block).self_attn.\(name)", [hidden, hidden])
            }
            for name in ["layer_norm1", "layer_norm2"] { affine("encoder.layers.\(block).\(name)", [hidden]) }
            affine("encoder.layers.\(block).mlp.fc1", [inner, hidden])
            affine("encoder.layers.\(block).mlp.fc2", [hidden, inner])
        }
        return tensors
    }

    var fusion: [String: Any] {
        get { config["mm_token_fusion"] as? [String: Any] ?? [:] }
        set { config["mm_token_fusion"] = newValue }
    }

    mutating func setFusion(_ part: String, _ key: String, _ value: Any?) {
        var object = fusion[part] as! [String: Any]
        object[key] = value
        fusion[part] = object
    }

    mutating func addLinear(_ name: String, _ input: Int, _ output: Int) {
        tensors[name + ".weight"] = TensorFixture(shape: [output, input])
        tensors[name + ".bias"] = TensorFixture(shape: [output])
    }

    mutating func addNorm(_ name: String, _ width: Int) {
        for part in ["weight", "bias"] { tensors["\(name).\(part)"] = TensorFixture(shape: [width]) }
    }

    mutating func addConvolution(_ name: String, _ input: Int, _ output: Int, kernel: Int = 1) {
        tensors[name + ".weight"] = TensorFixture(shape: [output, input, kernel, kernel])
        tensors[name + ".bias"] = TensorFixture(shape: [output])
    }

    /// Moves the tower's weights into the folder `clip`.
    mutating func separateTower(prefix: String) {
        tower = [:]
        for (name, tensor) in tensors where name.hasPrefix(Self.visionPrefix) {
            tower![prefix + name.dropFirst(Self.visionPrefix.count)] = tensor
            tensors[name] = nil
        }
    }

    func write(to folder: TemporaryFolder) {
        folder.write("config.json", json: config)
        folder.write("clip/config.json", json: vision)
        if let preprocessor { folder.write("clip/preprocessor_config.json", json: preprocessor) }
        if let tower { folder.write("clip/model.safetensors", safetensors(tower)) }
        folder.write("tokenizer.model", tokenizer.bytes)
        if shards == 1 {
            folder.write("model.safetensors", safetensors(tensors))
        } else {
            var parts = [[String: TensorFixture]](repeating: [:], count: shards), map: [String: String] = [:]
            for (index, name) in tensors.keys.sorted().enumerated() {
                parts[index % shards][name] = tensors[name]
                map[name] = "model-\(index % shards + 1).safetensors"
            }
            for (index, part) in parts.enumerated() { folder.write("model-\(index + 1).safetensors", safetensors(part)) }
            folder.write("model.safetensors.index.json", json: ["metadata": ["total_size": 1], "weight_map": map])
        }
        for (name, text) in files { folder.write(name, text) }
    }

    func open() throws(Diagnostic) -> Checkpoint {
        let folder = TemporaryFolder()
        write(to: folder)
        return try Checkpoint.open(path: folder.path)
    }

    /// Holds that a value of a key of `config.json` is refused for the problem beside it, "PROBLEM; EXPECTED".
    func expectProblems(_ table: [(key: String, value: Any?, problem: String)]) {
        for (key, value, problem) in table {
            let parts = problem.split(separator: ";", maxSplits: 1)
            #expect(failure { $0.config[key] = value } == "error: key '\(key)' \(parts[0]), at file 'DIR/config.json';\(parts[1])")
        }
    }

    /// The error text of opening a copy that `spoil` changed.
    func failure(_ spoil: (inout Fixture) -> Void) -> String {
        var copy = self
        spoil(&copy)
        let folder = TemporaryFolder()
        copy.write(to: folder)
        return errorText(in: folder) { () throws(Diagnostic) in
            let opened = try Checkpoint.open(path: folder.path)
            return opened.configuration.layout
        }
    }
}

extension ModelConfiguration {
    func named(_ name: String) -> ModelConfiguration {
        var copy = self
        copy.name = name
        return copy
    }
}

extension Fixture {
    /// A decoder alone.
    static var decoder: Fixture {
        var fixture = llava
        fixture.config = fixture.config.filter { !$0.key.hasPrefix("mm_") && $0.key != "image_aspect_ratio" }
        fixture.config["model_type"] = "llama"
        fixture.tensors = fixture.tensors.filter { !$0.key.hasPrefix("model.mm_") && !$0.key.hasPrefix("model.vision_tower") }
        return fixture
    }
}
