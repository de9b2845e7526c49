import Checkpoint

/// The figures of the paper that follow by counting: decoder work for the vision tokens of each fusion, and the parameters of the parts.
struct PaperFigures {
    struct Row {
        var kernel: Int
        var tokensPerWindow: Int
        var tokens: Int
        var flops: Int
    }

    /// A part of the fusion: elements of its weights, and with its biases.
    struct Part {
        var name: String
        var weights: Int
        var withBiases: Int
    }

    let rows: [Row]
    let parts: [Part]

    /// Table 5's (k, E).
    private static let choices = [(1, 1), (2, 1), (2, 2), (4, 4), (4, 8), (8, 4), (8, 8), (8, 16), (8, 32)]

    init(_ vision: VisionConfiguration, _ fusion: FusionConfiguration, _ decoder: DecoderConfiguration) {
        rows = Self.choices.filter { vision.grid % $0.0 == 0 }.map { kernel, tokensPerWindow in
            let tokens = (vision.grid / kernel) * (vision.grid / kernel) * tokensPerWindow
            return Row(kernel: kernel, tokensPerWindow: tokensPerWindow, tokens: tokens, flops: Self.flops(decoder, tokens: tokens))
        }
        func part(_ name: String, _ layers: [ProjectionLayer]) -> Part? {
            if layers.isEmpty { return nil }
            let weights = layers.reduce(0) { $0 + $1.inputChannels * $1.outputChannels * $1.kernel * $1.kernel }
            return Part(name: name, weights: weights, withBiases: weights + layers.reduce(0) { $0 + $1.outputChannels })
        }
        let isSpatial = (fusion.kernel > 1 || fusion.windowConvolution != nil) && !fusion.averagesWindow
        parts = [
            part("MBTF", fusion.mbtf), part(isSpatial ? "STF" : "projector", [fusion.windowConvolution].compactMap(\.self) + fusion.aligner),
        ].compactMap(\.self)
    }

    /// As the paper counts: the linear layers without the head, and attention of every vision token to every one.
    static func flops(_ decoder: DecoderConfiguration, tokens: Int) -> Int {
        let queries = decoder.headCount * decoder.headSize, keys = decoder.keyValueHeadCount * decoder.headSize
        let layer = decoder.hiddenSize * (2 * queries + 2 * keys + 3 * decoder.intermediateSize)
        return decoder.layerCount * (2 * layer * tokens + 4 * tokens * tokens * queries)
    }
}
