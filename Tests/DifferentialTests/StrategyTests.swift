import IR
import ModelImport
import Passes
import Support
import Testing

// Both rooms have an 'Activation': only Checkpoint's is meant here.
import enum Checkpoint.Activation

@testable import Checkpoint

/// A row of the paper's tables at true width, with one decoder layer.
struct FullWidthRow: Sendable, CustomTestStringConvertible {
    var strategy: RandomModel.Strategy
    var taps = [3, 6, 9, 12, 15, 18, 21, 24]
    var hasMBTF = true
    var kernel = 2
    var tokens = 1
    var hasWindowConvolution = true
    var visionTokens: Int

    var testDescription: String {
        "\(strategy.rawValue), \(taps.count) taps\(hasMBTF ? ", MBTF" : ""), k \(kernel), E \(tokens)\(hasWindowConvolution ? "" : ", no conv")"
    }

    private var fusion: FusionConfiguration {
        let (width, hidden) = (1024, 4096)
        var fusion = FusionConfiguration(
            taps: taps, kernel: kernel, tokensPerWindow: tokens, mbtf: [], windowConvolution: nil, aligner: [], keepsClassToken: false)
        var channels = taps.count * width
        if hasMBTF {
            fusion.mbtf = chain("mbtf", [channels, 4 * width, width], final: .gelu)
            channels = width
        }
        let window = kernel * kernel * channels
        switch strategy {
        case .avgpool:
            fusion.averagesWindow = true
            fusion.aligner = chain("stf", [channels, 4 * hidden, hidden], final: .gelu)
        case .tokenconcat: fusion.aligner = chain("stf", [window, 4 * hidden, hidden], final: .gelu)
        case .qformer:
            fusion.qformer = QFormerConfiguration(
                queries: 32, hiddenSize: 768, layerCount: 12, headCount: 12, intermediateSize: 3072, crossAttentionFrequency: 2,
                layerNormEpsilon: 1e-12)
            fusion.aligner = chain("projection", [768, hidden], final: nil)
        case .stf:
            if hasWindowConvolution {
                fusion.windowConvolution = ProjectionLayer(
                    weight: "stf.conv1.weight", bias: "stf.conv1.bias", inputChannels: channels, outputChannels: window, activation: .gelu,
                    kernel: kernel)
            }
            fusion.aligner = chain("stf", first: 2, [window / tokens, 4 * hidden, hidden], final: .gelu)
        case .tokenPacker:
            fusion.tokenPacker = TokenPackerConfiguration(width: width, headCount: 8, queryTap: 23, layerNormEpsilon: 1e-6)
            fusion.aligner = chain("tokenpacker", layer: "linear", [width, hidden, hidden], final: nil)
        case .none, .released: fusion.aligner = chain("projector", layer: "linear", [window, hidden, hidden], final: nil)
        }
        return fusion
    }

    func imported() throws(Diagnostic) -> Module {
        let vision = VisionConfiguration(
            hiddenSize: 1024, layerCount: 24, headCount: 16, intermediateSize: 4096, imageSize: 336, patchSize: 14, layerNormEpsilon: 1e-5,
            activation: .quickGELU)
        let decoder = DecoderConfiguration(
            hiddenSize: 4096, layerCount: 1, headCount: 32, keyValueHeadCount: 8, headSize: 128, intermediateSize: 11008,
            vocabularySize: 32000, rmsNormEpsilon: 1e-5, ropeTheta: 10000, maxPositionEmbeddings: 4096, tiedEmbeddings: false)
        let fusion = fusion
        let channels = fusion.fusedChannels(hiddenSize: vision.hiddenSize)
        var expected = Array(visionTensors(vision, prefix: "tower.", lastTap: 24)) + Array(decoderTensors(decoder))
        if let qformer = fusion.qformer { expected += qformerTensors(qformer, inputChannels: channels) }
        if let packer = fusion.tokenPacker { expected += tokenPackerTensors(packer, channels: vision.hiddenSize, taps: taps.count) }
        for layer in fusion.mbtf + (fusion.windowConvolution.map { [$0] } ?? []) + fusion.aligner {
            let kernelShape = layer.kernel == 1 ? [] : [layer.kernel, layer.kernel]
            let shape = [layer.outputChannels, layer.inputChannels] + kernelShape
            expected.append(ExpectedTensor(canonicalName: layer.weight, sourceName: layer.weight, shape: shape))
            expected.append(ExpectedTensor(canonicalName: layer.bias, sourceName: layer.bias, shape: [layer.outputChannels]))
        }
        var tensors: [String: SourceTensor] = [:]
        for tensor in expected {
            tensors[tensor.canonicalName] = SourceTensor(name: tensor.sourceName, type: TensorType(.float16, fixed: tensor.shape))
        }
        let configuration = ModelConfiguration(
            name: "full", layout: .configurable, vision: vision, fusion: fusion,
            preprocessing: PreprocessingConfiguration(imageSize: 336, mode: .pad, mean: [0.48, 0.46, 0.41], std: [0.27, 0.26, 0.28]),
            decoder: decoder, prompt: PromptConfiguration(bosID: 1, addsBOS: true, eosIDs: [2], templateName: "vicuna_v1"))
        return try importModel(configuration, tensors: tensors, context: 4096)
    }
}

private let rows: [FullWidthRow] =
    [(1, 1, 576), (2, 1, 144), (2, 2, 288), (4, 4, 144), (4, 8, 288), (8, 4, 36), (8, 8, 72), (8, 16, 144), (8, 32, 288)].map {
        FullWidthRow(strategy: .stf, kernel: $0.0, tokens: $0.1, visionTokens: $0.2)
    }
    + [true, false].flatMap { hasMBTF in
        [
            FullWidthRow(strategy: .avgpool, hasMBTF: hasMBTF, visionTokens: 144),
            FullWidthRow(strategy: .tokenconcat, hasMBTF: hasMBTF, visionTokens: 144),
            FullWidthRow(strategy: .qformer, hasMBTF: hasMBTF, kernel: 1, visionTokens: 32),
            FullWidthRow(strategy: .stf, hasMBTF: hasMBTF, tokens: 4, hasWindowConvolution: false, visionTokens: 576),
        ]
    }
    + [
        FullWidthRow(strategy: .stf, taps: Array(stride(from: 2, through: 24, by: 2)) + [23, 21, 19, 17], visionTokens: 144),
        FullWidthRow(strategy: .stf, taps: Array(1...24), visionTokens: 144),
        FullWidthRow(strategy: .none, taps: [23], hasMBTF: false, kernel: 1, visionTokens: 576),
        FullWidthRow(strategy: .tokenPacker, taps: TokenPackerConfiguration.taps, hasMBTF: false, visionTokens: 144),
        FullWidthRow(strategy: .tokenPacker, taps: TokenPackerConfiguration.taps, hasMBTF: false, kernel: 3, visionTokens: 64),
    ]

/// Every row of the paper's tables at true width ends in a module that obeys the rules of the last stage.
@Test(arguments: rows) func optimizedStageHoldsAtFullWidth(_ row: FullWidthRow) throws {
    var module = try row.imported()
    try Pipeline.run(on: &module)
    module.stage = .optimized
    try module.verify()
    let project = try #require(module.function(named: "project"))
    #expect(project.operations.first { $0.result == project.results[0] }?.type?.fixedShape == [row.visionTokens, 4096])
}

/// The rules of the last stage see what a pass that is left out would have removed: the tap concatenation and the window gather.
/// (That each rule refuses what it names is VerifierTests'.)
@Test func rulesSeeWhatAPassLeaves() throws {
    func refusal(_ row: FullWidthRow, without pass: String) throws -> String? {
        var module = try row.imported()
        try Pipeline.run(Pipeline.passes.filter { $0.name != pass }, on: &module)
        module.stage = .optimized
        do throws(Diagnostic) { try module.verify() } catch { return error.rendered }
        return nil
    }
    func row(_ strategy: RandomModel.Strategy, mbtf: Bool) -> FullWidthRow {
        FullWidthRow(strategy: strategy, hasMBTF: mbtf, kernel: strategy == .qformer ? 1 : 2, visionTokens: 0)
    }
    let taps = "error: 'concatenate' along dimension 1 at stage 'optimized'; expected rows only, at operation 'project: %mbtf.taps"
    let windows = "error: 'gather_windows' at stage 'optimized'; expected patches in window order, at operation 'project: %stf.windows'"
    for mbtf in [true, false] {
        #expect(try refusal(row(.stf, mbtf: mbtf), without: "split-concatenation")?.hasPrefix(taps) == true)
        // Where taps go into the windows themselves, their concatenation stays too, and comes first.
        let gathered = try refusal(row(.tokenconcat, mbtf: mbtf), without: "order-windows")
        #expect(mbtf ? gathered?.hasSuffix(windows) == true : gathered?.hasPrefix(taps) == true)
        #expect(try refusal(row(.qformer, mbtf: mbtf), without: "split-concatenation")?.hasPrefix(taps) == true)
    }
    #expect(try refusal(row(.avgpool, mbtf: false), without: "average-first")?.hasPrefix(taps) == true)
    let packer = FullWidthRow(strategy: .tokenPacker, taps: TokenPackerConfiguration.taps, hasMBTF: false, visionTokens: 0)
    #expect(
        try refusal(packer, without: "split-concatenation")?.hasPrefix(taps.replacing("mbtf.taps", with: "tokenpacker.taps")) == true)
}
