import Checkpoint
import IR
import Support

/// LLaVA-Mini's blocks ahead of the decoder, with their weights.
struct Prefusion {
    let configuration: PrefusionConfiguration
    /// Vision rows that a prompt has for an image: its patches, and behind them the compressed ones
    let image: Int
    let layers: [Importer.DecoderLayer]
}

extension Importer {
    /// One cache for all blocks, since each is done with it before the next: what it holds is of no use behind the call.
    mutating func prefusion(
        _ configuration: PrefusionConfiguration, _ decoder: DecoderConfiguration, image: Int, context: Int, sequences: Int
    ) throws(Diagnostic) -> Prefusion {
        let type = TensorType(.float32, fixed: [sequences, context, decoder.keyValueHeadCount * decoder.headSize])
        module.states["prefusion.lengths"] = TensorType(.int32, fixed: [sequences])
        module.states["prefusion.key_cache"] = type
        module.states["prefusion.value_cache"] = type
        var layers: [DecoderLayer] = []
        for index in 0..<configuration.layerCount {
            layers.append(try decoderLayer("prefusion.layer\(index)", from: "prefusion.layers.\(index)", decoder))
        }
        return Prefusion(configuration: configuration, image: image, layers: layers)
    }

    /// What the decoder gets of a call's rows `x`, without the patches: of a prompt with an image the rows as the prefusion makes them, and of
    /// what has no image, as of tokens that are 0, the rows as they are. The published code leaves tokens that are 0 out of the prefusion, since
    /// it takes them for padding and for the image's place, so that neither columns nor positions count them.
    mutating func append(
        _ prefusion: Prefusion, to builder: inout FunctionBuilder, _ x: Operand, _ decoder: DecoderConfiguration
    ) throws(Diagnostic) -> (hidden: Operand, slots: Operand, wanted: Operand) {
        let patches = prefusion.image - prefusion.configuration.tokens
        let rows = module.symbols.first { $0.name == EntryPoint.Count.rows.rawValue }?.bound ?? 1
        for count in ["D", "P", "F"] { _ = module.declare(count, bound: rows) }
        func gather(_ name: String, _ x: Operand, _ list: Operand) throws(Diagnostic) -> Operand {
            try builder.append(name, .gatherRows(GatherRows()), [x, list])
        }
        func trim(_ name: String, _ tokens: Operand, count: String) throws(Diagnostic) -> Operand {
            try builder.append(name, .trimRows(TrimRows(image: prefusion.image, first: patches, count: count)), [tokens])
        }
        // The decoder's rows, by their numbers in the call.
        let kept = try trim("prefusion.kept", .region(.tokens), count: "D")
        // Those that are fused, patches first, and of these the decoder's.
        let list = try builder.append(
            "prefusion.rows", .prefusionRows(PrefusionRows(count: "P")), [.region(.tokens), .region(.slots)])
        let slots = try gather("prefusion.slots", .region(.slots), list)
        let tokens = try gather("prefusion.tokens", .region(.tokens), list)
        let fused = try trim("prefusion.fused", tokens, count: "F")
        let places = try builder.append("prefusion.places", .reserve(Reserve()), [.state("prefusion.lengths"), slots])

        var hidden = try gather("prefusion.input", x, list)
        let call = LayerCall(
            keys: .state("prefusion.key_cache"), values: .state("prefusion.value_cache"), slots: slots, places: .given(places),
            positions: nil)
        for (index, layer) in prefusion.layers.enumerated() {
            hidden = try append(layer, to: &builder, "prefusion.layer\(index)", hidden, decoder, call)
        }
        let made = try gather("prefusion.made", hidden, fused)
        let numbers = try gather("prefusion.numbers", list, fused)
        let targets = try builder.append("prefusion.targets", .findRows(FindRows()), [kept, numbers])
        let plain = try gather("prefusion.plain", x, kept)
        let output = try builder.append("prefusion.output", .replaceRows(ReplaceRows()), [plain, made, targets])
        let decoderSlots = try gather("prefusion.decoder.slots", .region(.slots), kept)
        let wanted = try builder.append("prefusion.wanted", .findRows(FindRows()), [kept, .region(.wanted)])
        return (output, decoderSlots, wanted)
    }
}
