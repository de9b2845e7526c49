import TestSupport

// Not all of IR: both rooms have an 'Activation'.
import enum IR.DType
import struct IR.SourceTensor
import struct IR.TensorType

@testable import Checkpoint

/// A small model of a random architecture: every strategy, any taps, with and without MBTF, window convolution and class token, any k and
/// E that fit, grouped-query attention, both rotary forms, odd widths, tied heads.
struct RandomModel {
    enum Strategy: String, CaseIterable {
        case stf, avgpool, tokenconcat, qformer
        /// LLaVA-1.5's projector
        case none
        /// The fusion of the published weights
        case released
        case tokenPacker = "tokenpacker"

        /// All but the last, whose tower of 23 blocks takes long; it has every fourteenth seed, and narrow towers.
        static let frequent = Self.allCases.filter { $0 != .tokenPacker }
    }

    /// What the widths are drawn from.
    struct Widths {
        var visionHeads = [1, 2, 3], visionHeadSizes = [4, 8, 12], visionInner = [5, 8, 16], patch = 2, windows = [2, 3], layers = [1, 2]
        var keyValueHeads = [1, 2], headsPerKey = [1, 2, 3], headSizes = [4, 6], inner = [7, 12], projector = 10
        /// Widths of the window convolution's result, beside the window's own
        var convolved = [12, 24]
    }

    let strategy: Strategy
    let configuration: ModelConfiguration
    let tensors: [String: SourceTensor]

    init(seed: UInt64, vocabulary: Int = 11, widths: Widths = Widths(), positions: Int = 128) {
        var random = SeededGenerator(seed: seed)
        func pick<T>(_ choices: [T]) -> T { choices.randomElement(using: &random)! }

        // So that few seeds see all.
        strategy = seed % 14 == 7 ? .tokenPacker : Strategy.frequent[Int(seed % UInt64(Strategy.frequent.count))]
        let isPublished = [.none, .released, .tokenPacker].contains(strategy)
        let hasWindows = [.stf, .avgpool, .tokenconcat].contains(strategy)
        let kernel = strategy == .released ? 2 : strategy == .tokenPacker ? pick([2, 3, 4]) : hasWindows ? pick([1, 2, 2, 3, 4]) : 1
        let grid = kernel * pick(kernel > 2 ? [1, 2] : widths.windows)
        let heads = strategy == .tokenPacker ? 1 : pick(widths.visionHeads)
        let vision = VisionConfiguration(
            hiddenSize: heads * pick(widths.visionHeadSizes),
            layerCount: strategy == .tokenPacker ? 23 : strategy == .released ? pick([2, 4, 7]) : pick([1, 2, 3]), headCount: heads,
            intermediateSize: pick(widths.visionInner), imageSize: grid * widths.patch, patchSize: widths.patch, layerNormEpsilon: 1e-5,
            activation: pick([.quickGELU, .gelu]))

        func tap() -> Int { Int.random(in: 0...vision.layerCount, using: &random) }
        let taps: [Int]
        switch strategy {
        case .none: taps = [tap()]
        case .released:
            let first = tap()
            taps = [first] + stride(from: 3, to: first, by: 3).reversed()
        case .tokenPacker: taps = TokenPackerConfiguration.taps
        case .stf, .avgpool, .tokenconcat, .qformer: taps = (0..<pick([1, 1, 2, 3])).map { _ in tap() }
        }
        let finalActivation: Activation? = isPublished ? nil : pick([.gelu, nil])
        let keyValueHeads = pick(widths.keyValueHeads)
        let headSize = pick(widths.headSizes)
        let decoderHeads = keyValueHeads * pick(widths.headsPerKey)
        let decoder = DecoderConfiguration(
            hiddenSize: decoderHeads * headSize, layerCount: pick(widths.layers), headCount: decoderHeads, keyValueHeadCount: keyValueHeads,
            headSize: headSize, intermediateSize: pick(widths.inner), vocabularySize: vocabulary, rmsNormEpsilon: 1e-6,
            ropeTheta: pick([100, 10000]),
            ropeScaling: pick([
                nil, nil, RopeScaling(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositions: 32),
            ]), maxPositionEmbeddings: positions, tiedEmbeddings: pick([true, false]))

        var fusion = FusionConfiguration(
            taps: taps, kernel: kernel, tokensPerWindow: 1, mbtf: [], windowConvolution: nil, aligner: [],
            keepsClassToken: strategy == .none && pick([true, false]))
        var channels = taps.count * vision.hiddenSize
        if strategy == .released || !isPublished && pick([true, false]) {
            // Wider than the layers behind it at times, so that two linear maps in a row are worth joining.
            let output = strategy == .released ? vision.hiddenSize : pick([vision.hiddenSize, 2 * vision.hiddenSize])
            fusion.mbtf = chain("mbtf", [channels, 4 * vision.hiddenSize, output], final: finalActivation)
            channels = output
        }
        let middle = pick([true, false]) ? [widths.projector] : []
        switch strategy {
        case .none, .released:
            fusion.aligner = chain("projector", layer: "linear", [kernel * kernel * channels] + middle + [decoder.hiddenSize], final: nil)
        case .tokenPacker:
            let packer = TokenPackerConfiguration(width: 8 * pick([1, 2, 3]), headCount: 8, queryTap: 23, layerNormEpsilon: 1e-6)
            fusion.tokenPacker = packer
            fusion.aligner = chain("tokenpacker", layer: "linear", [packer.width, decoder.hiddenSize, decoder.hiddenSize], final: nil)
        case .qformer:
            let heads = pick([1, 2])
            let qformer = QFormerConfiguration(
                queries: pick([1, 3, 5]), hiddenSize: heads * pick([3, 4]), layerCount: pick([1, 2, 3]), headCount: heads,
                intermediateSize: pick([6, 9]), crossAttentionFrequency: pick([1, 2]), layerNormEpsilon: pick([1e-12, 1e-5]))
            fusion.qformer = qformer
            fusion.aligner = [
                ProjectionLayer(
                    weight: "qformer.projection.weight", bias: "qformer.projection.bias", inputChannels: qformer.hiddenSize,
                    outputChannels: decoder.hiddenSize, activation: nil, kernel: 1)
            ]
        case .avgpool:
            fusion.averagesWindow = true
            fusion.aligner = chain("stf", [channels] + middle + [decoder.hiddenSize], final: finalActivation)
        case .tokenconcat:
            fusion.aligner = chain("stf", [kernel * kernel * channels] + middle + [decoder.hiddenSize], final: finalActivation)
        case .stf:
            let window = kernel * kernel * channels
            let hasConvolution = pick([true, false])
            let convolved = hasConvolution ? pick([window] + widths.convolved) : window
            fusion.tokensPerWindow = pick([1, 2, 3, 4, 8].filter { convolved % $0 == 0 })
            if hasConvolution {
                fusion.windowConvolution = ProjectionLayer(
                    weight: "stf.conv1.weight", bias: "stf.conv1.bias", inputChannels: channels, outputChannels: convolved,
                    activation: .gelu, kernel: kernel)
            }
            let widths = [convolved / fusion.tokensPerWindow] + middle + [decoder.hiddenSize]
            fusion.aligner = chain("stf", first: hasConvolution ? 2 : 1, widths, final: finalActivation)
        }
        configuration = ModelConfiguration(
            name: "random-\(seed)", layout: isPublished ? .llava : .configurable, vision: vision, fusion: fusion,
            preprocessing: PreprocessingConfiguration(
                imageSize: vision.imageSize, mode: .pad, mean: [0.48, 0.46, 0.41], std: [0.27, 0.26, 0.28]),
            decoder: decoder,
            prompt: PromptConfiguration(bosID: 1, addsBOS: true, eosIDs: [2], templateName: "vicuna_v1"))

        var tensors: [String: SourceTensor] = [:]
        let dtype: DType = pick([.float32, .float16, .bfloat16])
        func add(_ tensor: ExpectedTensor) {
            tensors[tensor.canonicalName] = SourceTensor(name: tensor.sourceName, type: TensorType(dtype, fixed: tensor.shape))
        }
        // With some blocks after the last tap left out of the file.
        let prefix = "model.vision_tower.vision_tower.vision_model."
        for tensor in visionTensors(vision, prefix: prefix, lastTap: fusion.lastTap) where tensor.isRequired || seed % 2 == 0 {
            add(tensor)
        }
        for tensor in decoderTensors(decoder) { add(tensor) }
        if let qformer = fusion.qformer { for tensor in qformerTensors(qformer, inputChannels: channels) { add(tensor) } }
        if let packer = fusion.tokenPacker {
            for tensor in tokenPackerTensors(packer, channels: vision.hiddenSize, taps: taps.count) { add(tensor) }
        }
        for layer in fusion.mbtf + (fusion.windowConvolution.map { [$0] } ?? []) + fusion.aligner {
            let kernelShape = layer.kernel == 1 ? [] : [layer.kernel, layer.kernel]
            let shapes = [layer.weight: [layer.outputChannels, layer.inputChannels] + kernelShape, layer.bias: [layer.outputChannels]]
            for (name, shape) in shapes {
                add(
                    ExpectedTensor(
                        canonicalName: name, sourceName: Self.sourceName(name, strategy, layers: fusion.aligner.count), shape: shape))
            }
        }
        self.tensors = tensors
    }

    /// What the file of a layer's strategy calls it.
    private static func sourceName(_ name: String, _ strategy: Strategy, layers: Int) -> String {
        let parts = name.split(separator: ".").map(String.init)
        if name.hasPrefix("qformer.projection.") { return "model.qformer_proj.\(parts[2])" }
        guard [.none, .released, .tokenPacker].contains(strategy), let number = parts[1].last?.wholeNumberValue else {
            return "model.\(name)"
        }
        if parts[0] == "tokenpacker" { return "model.mm_projector.mlp.\(2 * (number - 1)).\(parts[2])" }
        if parts[0] == "projector", layers == 1 { return "model.mm_projector.\(parts[2])" }
        let module = parts[0] == "mbtf" ? "mm_projector_crosslayer" : "mm_projector"
        return "model.\(module).\(2 * (number - 1)).\(parts[2])"
    }
}

func chain(_ name: String, layer: String = "conv", first: Int = 1, _ widths: [Int], final: Activation?) -> [ProjectionLayer] {
    (1..<widths.count).map { index in
        let stem = "\(name).\(layer)\(first + index - 1)"
        return ProjectionLayer(
            weight: "\(stem).weight", bias: "\(stem).bias", inputChannels: widths[index - 1],
            outputChannels: widths[index], activation: index == widths.count - 1 ? final : .gelu, kernel: 1)
    }
}
