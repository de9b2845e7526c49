import IR
import ModelImport
import Passes
import Support
import Testing

// Both rooms have an 'Activation': only Checkpoint's is meant here.
import enum Checkpoint.Activation

@testable import Checkpoint

/// LLaVA-STF-7B as it is published: 24 blocks of CLIP at 336 pixels, eight taps, MBTF, windows of 2 x 2, Vicuna-7B.
private func publishedModel() -> (configuration: ModelConfiguration, tensors: [String: SourceTensor]) {
    let vision = VisionConfiguration(
        hiddenSize: 1024, layerCount: 24, headCount: 16, intermediateSize: 4096, imageSize: 336, patchSize: 14, layerNormEpsilon: 1e-5,
        activation: .quickGELU)
    let decoder = DecoderConfiguration(
        hiddenSize: 4096, layerCount: 32, headCount: 32, keyValueHeadCount: 32, headSize: 128, intermediateSize: 11008,
        vocabularySize: 32000, rmsNormEpsilon: 1e-5, ropeTheta: 10000, maxPositionEmbeddings: 4096, tiedEmbeddings: false)
    func layer(_ name: String, _ input: Int, _ output: Int, _ activation: Activation?) -> ProjectionLayer {
        ProjectionLayer(
            weight: "\(name).weight", bias: "\(name).bias", inputChannels: input, outputChannels: output, activation: activation, kernel: 1)
    }
    let fusion = FusionConfiguration(
        taps: [23, 21, 18, 15, 12, 9, 6, 3], kernel: 2, tokensPerWindow: 1,
        mbtf: [layer("mbtf.conv1", 8192, 4096, .gelu), layer("mbtf.conv2", 4096, 1024, nil)], windowConvolution: nil,
        aligner: [layer("projector.linear1", 4096, 16384, .gelu), layer("projector.linear2", 16384, 4096, nil)], keepsClassToken: false)
    let configuration = ModelConfiguration(
        name: "published", layout: .llava, vision: vision, fusion: fusion,
        preprocessing: PreprocessingConfiguration(
            imageSize: 336, mode: .pad, mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711]),
        decoder: decoder, prompt: PromptConfiguration(bosID: 1, addsBOS: true, eosIDs: [2], templateName: "vicuna_v1"))
    var tensors: [String: SourceTensor] = [:]
    for tensor in Array(visionTensors(vision, prefix: "tower.", lastTap: 24)) + Array(decoderTensors(decoder)) {
        tensors[tensor.canonicalName] = SourceTensor(name: tensor.sourceName, type: TensorType(.float16, fixed: tensor.shape))
    }
    for layer in fusion.mbtf + fusion.aligner {
        tensors[layer.weight] = SourceTensor(
            name: layer.weight, type: TensorType(.float16, fixed: [layer.outputChannels, layer.inputChannels]))
        tensors[layer.bias] = SourceTensor(name: layer.bias, type: TensorType(.float16, fixed: [layer.outputChannels]))
    }
    return (configuration, tensors)
}

/// What every pass finds in the published model, and that no fold stores a weight twice.
@Test func passesOnThePublishedModel() throws {
    let model = publishedModel()
    var module = try importModel(model.configuration, tensors: model.tensors, context: 4096)
    var rewrites: [String: Int] = [:]
    var stored: [String: Int] = [:]
    try Pipeline.run(on: &module) { pass, count, module throws(Diagnostic) in
        rewrites[pass.name] = count
        stored[pass.name] = module.storedWeights.reduce(0) { $0 + (module.weights[$1]?.type.elementCount() ?? 0) }
    }
    module.stage = .optimized
    try module.verify()
    // 32 layers of the decoder, 23 blocks of the tower up to the last tap, a final norm in each function.
    #expect(rewrites["fold-embedding"] == 1)
    #expect(rewrites["fold-normalization"] == 1)
    #expect(rewrites["fold-attention-scale"] == 32 + 23)
    #expect(rewrites["fold-norm-scale"] == 2 * 32 + 1 + 2 * 23)
    #expect(rewrites["fold-linear"] == 0)
    #expect(rewrites["order-windows"] == 1)
    #expect(rewrites["split-concatenation"] == 1)
    for function in module.functions {
        for operation in function.operations {
            switch operation.op {
            case .rmsNorm: #expect(operation.operands.count == 1, "\(operation.name)")
            case .layerNorm: #expect((operation.operands.count == 1) == (operation.name != "vision.pre_layernorm"), "\(operation.name)")
            case .attention(let attention): #expect(attention.scale == 1, "\(operation.name)")
            case .add: #expect(Bool(false), "\(operation.name)")
            default: break
            }
        }
    }
    // Norm vectors go; biases of the products after them stay as many; one row of positions goes into the class token's.
    let before = try #require(stored["fold-embedding"])
    let after = try #require(stored["fold-norm-scale"])
    #expect(after == before - (2 * 32 + 1) * 4096 - 2 * 2 * 23 * 1024)
}
