import Foundation
import TestSupport

import enum IR.DType
import struct IR.SourceTensor

@testable import Checkpoint

/// The folder of a random model as `lmmc` reads it: configuration, tower, weights of one dtype, the goldens' tokenizer.
struct RandomCheckpoint {
    /// Pieces of the goldens' tokenizer.
    static let vocabulary = 432

    let model: RandomModel

    func write(to folder: TemporaryFolder, values: (SourceTensor) -> [Float]) throws {
        folder.write("config.json", json: config)
        folder.write("clip/config.json", json: tower)
        folder.write("clip/preprocessor_config.json", json: preprocessor)
        let tokenizer = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Golden/tokenconcat/tokenizer.model")
        folder.write("tokenizer.model", [UInt8](try Data(contentsOf: tokenizer)))
        // A tied head and the embedding are one tensor.
        var stored: [String: SourceTensor] = [:]
        for tensor in model.tensors.values { stored[tensor.name] = tensor }
        var (header, data): ([String: Any], [UInt8]) = ([:], [])
        for (name, tensor) in stored.sorted(by: { $0.key < $1.key }) {
            let start = data.count
            data += bytes(values(tensor), tensor.type.dtype)
            let dtype = [.float32: "F32", .float16: "F16", .bfloat16: "BF16"][tensor.type.dtype]!
            header[name] = ["dtype": dtype, "shape": tensor.type.fixedShape!, "data_offsets": [start, data.count]]
        }
        let text = [UInt8](try JSONSerialization.data(withJSONObject: header))
        folder.write("model.safetensors", (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text + data)
    }

    private func bytes(_ values: [Float], _ dtype: DType) -> [UInt8] {
        values.flatMap { value -> [UInt8] in
            switch dtype {
            case .float16: withUnsafeBytes(of: Float16(value).bitPattern.littleEndian, Array.init)
            // Cut off, not rounded: only that it is a bf16 matters.
            case .bfloat16: withUnsafeBytes(of: UInt16(value.bitPattern >> 16).littleEndian, Array.init)
            default: withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init)
            }
        }
    }

    // MARK: - configuration

    private var config: [String: Any] {
        let (decoder, fusion) = (model.configuration.decoder, model.configuration.fusion!)
        var config: [String: Any] = [
            "model_type": "llava_llama", "vocab_size": decoder.vocabularySize, "hidden_size": decoder.hiddenSize,
            "intermediate_size": decoder.intermediateSize, "num_hidden_layers": decoder.layerCount,
            "num_attention_heads": decoder.headCount,
            "num_key_value_heads": decoder.keyValueHeadCount, "head_dim": decoder.headSize, "hidden_act": "silu",
            "max_position_embeddings": decoder.maxPositionEmbeddings, "rms_norm_eps": decoder.rmsNormEpsilon,
            "rope_theta": decoder.ropeTheta,
            "tie_word_embeddings": decoder.tiedEmbeddings, "bos_token_id": 1, "eos_token_id": 2, "mm_vision_tower": "clip",
            "mm_hidden_size": model.configuration.vision!.hiddenSize, "mm_vision_select_layer": fusion.taps[0],
            "mm_vision_select_feature": fusion.keepsClassToken ? "cls_patch" : "patch", "image_aspect_ratio": "pad",
        ]
        if let scaling = decoder.ropeScaling {
            config["rope_scaling"] = [
                "rope_type": "llama3", "factor": scaling.factor, "low_freq_factor": scaling.lowFrequencyFactor,
                "high_freq_factor": scaling.highFrequencyFactor, "original_max_position_embeddings": scaling.originalPositions,
            ]
        }
        switch model.strategy {
        case .none, .released:
            config["mm_projector_type"] = fusion.aligner.count == 1 ? "linear" : "mlp\(fusion.aligner.count)x_gelu"
        case .tokenPacker:
            config["mm_vision_select_layer"] = 23
            config["scale_factor"] = fusion.kernel
        case .stf, .avgpool, .tokenconcat, .qformer: config["mm_token_fusion"] = self.fusion(fusion)
        }
        return config
    }

    private func fusion(_ fusion: FusionConfiguration) -> [String: Any] {
        func channels(_ layers: [ProjectionLayer]) -> [String: Any] {
            ["channels": layers.map(\.outputChannels), "final_activation": layers.last?.activation != nil]
        }
        var key: [String: Any] = [
            "strategy": model.strategy.rawValue, "taps": fusion.taps, "kernel": fusion.kernel, "tokens_per_window": fusion.tokensPerWindow,
        ]
        if !fusion.mbtf.isEmpty { key["mbtf"] = channels(fusion.mbtf) }
        if let qformer = fusion.qformer {
            key["qformer"] = [
                "queries": qformer.queries, "hidden_size": qformer.hiddenSize, "layers": qformer.layerCount, "heads": qformer.headCount,
                "intermediate_size": qformer.intermediateSize, "cross_attention_frequency": qformer.crossAttentionFrequency,
                "layer_norm_eps": qformer.layerNormEpsilon,
            ]
        } else {
            var stf = channels((fusion.windowConvolution.map { [$0] } ?? []) + fusion.aligner)
            if model.strategy == .stf { stf["window_conv"] = fusion.windowConvolution != nil }
            key["stf"] = stf
        }
        return key
    }

    private var tower: [String: Any] {
        let vision = model.configuration.vision!
        return [
            "model_type": "clip_vision_model", "hidden_size": vision.hiddenSize, "num_hidden_layers": vision.layerCount,
            "num_attention_heads": vision.headCount, "intermediate_size": vision.intermediateSize, "image_size": vision.imageSize,
            "patch_size": vision.patchSize, "hidden_act": vision.activation == .gelu ? "gelu" : "quick_gelu",
        ]
    }

    private var preprocessor: [String: Any] {
        let preprocessing = model.configuration.preprocessing!
        let size = preprocessing.imageSize
        return [
            "size": ["shortest_edge": size], "crop_size": ["height": size, "width": size], "image_mean": preprocessing.mean,
            "image_std": preprocessing.std,
        ]
    }
}

/// An RGB image of 8 bits as a PNG file whose data is stored, not compressed.
func png(width: Int, height: Int, _ pixels: [UInt8]) -> [UInt8] {
    func big(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
    func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(name.utf8) + data
        var crc = ~UInt32(0)
        for byte in body {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
        }
        return big(data.count) + body + big(Int(~crc))
    }
    // Each row behind its filter, none.
    var rows: [UInt8] = []
    for row in 0..<height { rows += [0] + pixels[row * 3 * width..<(row + 1) * 3 * width] }
    precondition(rows.count < 1 << 16, "one stored block")
    var (low, high) = (1, 0)
    for row in rows {
        low = (low + Int(row)) % 65521
        high = (high + low) % 65521
    }
    let length = [UInt8(rows.count & 255), UInt8(rows.count >> 8)]
    var zlib: [UInt8] = [0x78, 0x01, 0x01]
    for part in [length, length.map { ~$0 }, rows, big(high << 16 | low)] { zlib += part }
    let header: [UInt8] = big(width) + big(height) + [8, 2, 0, 0, 0]
    var file: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    for (name, data) in [("IHDR", header), ("IDAT", zlib), ("IEND", [])] { file += chunk(name, data) }
    return file
}
