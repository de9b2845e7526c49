// Not all of IR: both rooms have an 'Activation'.
import enum IR.DType
import struct IR.SourceTensor
import struct IR.TensorType
import TestSupport

@testable import Checkpoint

/// A small model of a random architecture: any taps, with and without MBTF, window convolution and class token, any k and E that fit,
/// grouped-query attention, odd widths, tied heads.
struct RandomModel {
    let configuration: ModelConfiguration
    let tensors: [String: SourceTensor]

    init(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        func pick<T>(_ choices: [T]) -> T { choices.randomElement(using: &random)! }

        let kernel = pick([1, 1, 2, 2, 3, 4])
        let grid = kernel * pick(kernel > 2 ? [1, 2] : [2, 3])
        let heads = pick([1, 2, 3])
        let vision = VisionConfiguration(
            hiddenSize: heads * pick([2, 4, 6]) * 2, layerCount: pick([1, 2, 3]), headCount: heads, intermediateSize: pick([5, 8, 16]),
            imageSize: grid * 2, patchSize: 2, layerNormEpsilon: 1e-5, activation: pick([.quickGELU, .gelu]))

        let keepsClassToken = kernel == 1 && pick([false, false, true])
        let taps = (0..<pick([1, 1, 2, 3])).map { _ in Int.random(in: 0...vision.layerCount, using: &random) }
        let finalActivation: Activation? = pick([.gelu, nil])
        var channels = taps.count * vision.hiddenSize
        var mbtf: [ProjectionLayer] = []
        if pick([true, false]) {
            mbtf = chain("mbtf", 1, [channels, 4 * vision.hiddenSize, vision.hiddenSize], final: finalActivation)
            channels = vision.hiddenSize
        }
        let keyValueHeads = pick([1, 2])
        let headSize = pick([4, 6])
        let decoderHeads = keyValueHeads * pick([1, 2, 3])
        let decoder = DecoderConfiguration(
            hiddenSize: decoderHeads * headSize, layerCount: pick([1, 2]), headCount: decoderHeads, keyValueHeadCount: keyValueHeads,
            headSize: headSize, intermediateSize: pick([7, 12]), vocabularySize: 11, rmsNormEpsilon: 1e-6, ropeTheta: pick([100, 10000]),
            maxPositionEmbeddings: 64, tiedEmbeddings: pick([true, false]))

        let window = kernel * kernel * channels
        let hasConvolution = !keepsClassToken && pick([true, false])
        let convolved = hasConvolution ? pick([window, 12, 24]) : window
        let tokens = keepsClassToken ? 1 : pick([1, 2, 3, 4, 8].filter { convolved % $0 == 0 })
        var windowConvolution: ProjectionLayer?
        if hasConvolution {
            windowConvolution = ProjectionLayer(
                weight: "stf.conv1.weight", bias: "stf.conv1.bias", inputChannels: channels, outputChannels: convolved,
                activation: .gelu, kernel: kernel)
        }
        let widths = [convolved / tokens] + (pick([true, false]) ? [10] : []) + [decoder.hiddenSize]
        let fusion = FusionConfiguration(
            taps: taps, kernel: kernel, tokensPerWindow: tokens, mbtf: mbtf, windowConvolution: windowConvolution,
            aligner: chain("stf", hasConvolution ? 2 : 1, widths, final: finalActivation), keepsClassToken: keepsClassToken)
        configuration = ModelConfiguration(
            name: "random-\(seed)", layout: .configurable, vision: vision, fusion: fusion,
            preprocessing: PreprocessingConfiguration(
                imageSize: vision.imageSize, mode: .pad, mean: [0.48, 0.46, 0.41], std: [0.27, 0.26, 0.28]),
            decoder: decoder,
            prompt: PromptConfiguration(bosID: 1, addsBOS: true, eosIDs: [2], templateName: "vicuna_v1"))

        var tensors: [String: SourceTensor] = [:]
        let dtype: DType = pick([.float32, .float16, .bfloat16])
        func add(_ name: String, _ source: String, _ shape: [Int]) {
            tensors[name] = SourceTensor(name: source, type: TensorType(dtype, fixed: shape))
        }
        // With some blocks after the last tap left out of the file.
        for tensor in visionTensors(vision, prefix: "tower.", lastTap: fusion.lastTap) where tensor.isRequired || seed % 2 == 0 {
            add(tensor.canonicalName, tensor.sourceName, tensor.shape)
        }
        for tensor in decoderTensors(decoder) { add(tensor.canonicalName, tensor.sourceName, tensor.shape) }
        for layer in mbtf + (windowConvolution.map { [$0] } ?? []) + fusion.aligner {
            let kernelShape = layer.kernel == 1 ? [] : [layer.kernel, layer.kernel]
            add(layer.weight, layer.weight, [layer.outputChannels, layer.inputChannels] + kernelShape)
            add(layer.bias, layer.bias, [layer.outputChannels])
        }
        self.tensors = tensors
    }
}

private func chain(_ name: String, _ first: Int, _ widths: [Int], final: Activation?) -> [ProjectionLayer] {
    (1..<widths.count).map { index in
        let number = first + index - 1
        return ProjectionLayer(
            weight: "\(name).conv\(number).weight", bias: "\(name).conv\(number).bias", inputChannels: widths[index - 1],
            outputChannels: widths[index], activation: index == widths.count - 1 ? final : .gelu, kernel: 1)
    }
}
