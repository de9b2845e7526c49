import Checkpoint
import IR
import Support

/// The graph of a whole model at stage `imported`: one operation per step of the model's definition, nothing fused or left out.
///
/// Functions: `vision` (image to taps), `project` (taps to the decoder's vision tokens) and `step` (T rows of the sequences in `sequences`
/// slots, whose KV caches have `context` rows each). A checkpoint without a tower has only the last.
///
/// `wholePrompts`: one call of `step` takes the whole context, as a reducer that looks at all of a prompt needs it.
public func importModel(
    _ checkpoint: Checkpoint, context: Int, sequences: Int = 1, wholePrompts: Bool = false
) throws(Diagnostic) -> Module {
    let sources = checkpoint.tensors.mapValues { entry in
        SourceTensor(name: entry.sourceName, type: TensorType(entry.dtype.irType, fixed: entry.shape))
    }
    return try importModel(
        checkpoint.configuration, tensors: sources, context: context, sequences: sequences, wholePrompts: wholePrompts)
}

/// The same from the configuration and the tensors' names and types by canonical name (`Checkpoint.tensors`); no file is needed.
public func importModel(
    _ configuration: ModelConfiguration, tensors: [String: SourceTensor], context: Int, sequences: Int = 1, wholePrompts: Bool = false
) throws(Diagnostic) -> Module {
    var importer = Importer(tensors: tensors, adapterScales: configuration.adapterScales, module: Module(name: configuration.name))
    var visionRows: Int?
    if let vision = configuration.vision, let fusion = configuration.fusion, let preprocessing = configuration.preprocessing {
        try importer.addVision(vision, taps: fusion.taps, preprocessing)
        try importer.addFusion(fusion, vision)
        let tokens = fusion.visionTokens(grid: vision.grid)
        visionRows = max(1, context / tokens) * tokens
    }
    let decoder = configuration.decoder
    importer.addCaches(decoder, context: context, sequences: sequences)
    let bounds = StepBounds(
        context: context, sequences: sequences, vocabulary: decoder.vocabularySize, wholePrompts: wholePrompts)
    var prefusion: Prefusion?
    if let fusion = configuration.fusion, let own = fusion.prefusion, let vision = configuration.vision {
        prefusion = try importer.prefusion(
            own, decoder, image: fusion.visionTokens(grid: vision.grid), context: context, sequences: sequences)
    }
    try importer.addDecoder(decoder, bounds, visionRows: visionRows, prefusion)
    try importer.module.verify(after: "import")
    return importer.module
}

/// The most rows that one call of `step` takes.
public struct StepBounds: Hashable, Sendable {
    public let rows: Int
    /// The most of those whose logits are wanted
    public let wanted: Int

    /// Weights are read once a call, and activations take memory by its rows: more than 1,024 make nothing faster. The logits of a step
    /// take at most 16 MiB, or a row for each sequence where that is more; what is not wanted of them is not touched.
    public init(context: Int, sequences: Int, vocabulary: Int, wholePrompts: Bool = false) {
        rows = max(wholePrompts ? context : min(context, 1024), sequences)
        let logits = 1 << 22
        wanted = max(sequences, min(rows, max(16, min(256, logits / vocabulary))))
    }
}

/// The module under construction and the checkpoint's tensors; one file per family adds to it.
struct Importer {
    let tensors: [String: SourceTensor]
    /// `ModelConfiguration.adapterScales`
    let adapterScales: [String: Float]
    var module: Module

    /// The weight `name` in the IR for the checkpoint's tensor `canonicalName`, made at first use.
    /// `shape` is another row-major reading of the same elements, the tensor's own by default. `interleavedHeads`: see `Derivation`.
    mutating func weight(
        _ name: String, from canonicalName: String, role: WeightRole = .other, shape: [Int]? = nil, interleavedHeads: Int? = nil
    ) throws(Diagnostic) -> Operand {
        if module.weights[name] != nil { return .weight(name) }
        let source = try source(canonicalName)
        let type = TensorType(.float32, shape.map { $0.map(Dimension.fixed) } ?? source.type.shape)
        var derivation = Derivation(interleavedHeads: interleavedHeads)
        if let scale = adapterScales[canonicalName] {
            let names = ModelConfiguration.lowRankNames(canonicalName)
            derivation.update = (
                try self.source(names.down), try self.source(names.up), scale, canonicalName == ModelConfiguration.embeddingName
            )
        }
        if derivation.isNothing {
            module.weights[name] = Weight(type: type, definition: .source(source), role: role)
        } else {
            try define(name, source, type, role, derivation)
        }
        return .weight(name)
    }

    private func source(_ canonicalName: String) throws(Diagnostic) -> SourceTensor {
        guard let source = tensors[canonicalName] else {
            throw .error("the model needs the tensor '\(canonicalName)', which the checkpoint does not have")
        }
        return source
    }

    func has(_ canonicalName: String) -> Bool { tensors[canonicalName] != nil }
}

extension FunctionBuilder {
    /// A linear map as PyTorch's `Linear`: product and bias.
    mutating func linear(_ name: String, _ x: Operand, _ weight: Operand, bias: Operand? = nil) throws(Diagnostic) -> Operand {
        try append(name, .matmul(Matmul(hasBias: bias != nil)), [x, weight] + (bias.map { [$0] } ?? []))
    }
}
