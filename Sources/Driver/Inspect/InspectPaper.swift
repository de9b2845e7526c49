import Checkpoint
import Support

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
            let tokens = Self.product(vision.grid / kernel, vision.grid / kernel, tokensPerWindow)
            return Row(
                kernel: kernel, tokensPerWindow: tokensPerWindow, tokens: tokens,
                flops: Self.flops(decoder, rows: Array(repeating: tokens, count: decoder.layerCount)))
        }
        func part(_ name: String, _ layers: [ProjectionLayer]) -> Part? {
            if layers.isEmpty { return nil }
            let weights = Self.sum(layers.map { Self.product($0.inputChannels, $0.outputChannels, $0.kernel, $0.kernel) })
            return Part(name: name, weights: weights, withBiases: Self.sum([weights] + layers.map(\.outputChannels)))
        }
        if let packer = fusion.tokenPacker, var whole = part("TokenPacker", fusion.aligner) {
            let maps = packer.maps(channels: vision.hiddenSize, taps: fusion.taps.count)
            let weights = maps.map { Self.product($0.output, $0.input) }
            whole.weights = Self.sum([whole.weights] + weights)
            // Three norms have a scale and a bias each.
            let biases = maps.map { $0.bias == nil ? 0 : $0.output } + [Self.product(6, packer.width)]
            whole.withBiases = Self.sum([whole.withBiases] + weights + biases)
            parts = [whole]
            return
        }
        let isSpatial = (fusion.kernel > 1 || fusion.windowConvolution != nil) && !fusion.averagesWindow
        parts = [
            part("MBTF", fusion.mbtf),
            part(isSpatial ? "STF" : "projector", [fusion.windowConvolution].compactMap(\.self) + fusion.aligner),
        ].compactMap(\.self)
    }

    /// As the paper counts, for the vision rows that each block runs on: the linear layers without the head, and attention of every row to
    /// every one.
    static func flops(_ decoder: DecoderConfiguration, rows: [Int]) -> Int {
        let layer = parameters(decoder, intermediateSize: decoder.intermediateSize), queries = product(decoder.headCount, decoder.headSize)
        return sum(rows.map { sum([product(2, layer, $0), product(4, $0, $0, queries)]) })
    }

    /// The weights of a block's linear layers, with so many channels of its MLP.
    static func parameters(_ decoder: DecoderConfiguration, intermediateSize: Int) -> Int {
        let queries = product(decoder.headCount, decoder.headSize), keys = product(decoder.keyValueHeadCount, decoder.headSize)
        return product(decoder.hiddenSize, sum([product(2, queries), product(2, keys), product(3, intermediateSize)]))
    }

    // Sizes come from a file, so what passes 2^63 - 1 stays there.
    static func product(_ factors: Int...) -> Int { checkedProduct(factors) ?? .max }
    static func sum(_ terms: [Int]) -> Int { checkedSum(terms) ?? .max }
}
