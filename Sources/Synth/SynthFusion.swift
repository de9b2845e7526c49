import Support

/// `mm_token_fusion` of a synthetic checkpoint: a row of the paper's tables.
struct SynthFusion {
    enum Strategy: String, CaseIterable {
        case stf, avgpool, tokenconcat, qformer
    }

    var strategy: Strategy
    /// Blocks, in concatenation order
    var taps: [Int]
    var kernel: Int
    var tokensPerWindow: Int
    /// Two 1x1 convolutions over the taps; else the concatenation goes on
    var hasMBTF: Bool

    /// `count` taps spread evenly up to the last of `blocks`: 8 of 24 are 3, 6, ..., 24.
    static func spread(_ count: Int, over blocks: Int) -> [Int] { (1...count).map { $0 * blocks / count } }

    // What queries and widths BLIP-2 has, with as many queries as windows of 2 x 2 at 336 pixels.
    private static let queries = 144, queryWidth = 768, queryLayers = 12, queryHeads = 12, queryInner = 3072, crossFrequency = 2
    /// GELU makes unit inputs smaller by about this.
    private static let afterGELU: Float = 1.5

    private func channels(_ visionHidden: Int) -> Int { hasMBTF ? visionHidden : taps.count * visionHidden }

    /// Channels of a window: of its convolution, of its mean, or of its tokens side by side.
    func windowChannels(_ visionHidden: Int) -> Int { channels(visionHidden) * (strategy == .avgpool ? 1 : kernel * kernel) }

    func addTensors(to list: inout SynthTensors, visionHidden: Int, hidden: Int) {
        if hasMBTF {
            list.linear("model.mbtf.conv1", 4 * visionHidden, taps.count * visionHidden, kernel: 1, bias: true)
            list.linear("model.mbtf.conv2", visionHidden, 4 * visionHidden, kernel: 1, gain: Self.afterGELU, bias: true)
        }
        if strategy == .qformer { return addQFormer(to: &list, channels: channels(visionHidden), hidden: hidden) }
        let window = windowChannels(visionHidden)
        var number = 1
        if strategy == .stf {
            list.linear("model.stf.conv1", window, channels(visionHidden), kernel: kernel, gain: Self.afterGELU, bias: true)
            number = 2
        }
        list.linear("model.stf.conv\(number)", 4 * hidden, window / tokensPerWindow, kernel: 1, gain: Self.afterGELU, bias: true)
        list.linear("model.stf.conv\(number + 1)", hidden, 4 * hidden, kernel: 1, gain: Self.afterGELU, bias: true)
    }

    private func addQFormer(to list: inout SynthTensors, channels: Int, hidden: Int) {
        let width = Self.queryWidth
        func attention(_ name: String, keys: Int) {
            for (part, input) in [("query", width), ("key", keys), ("value", keys)] {
                list.linear("\(name).attention.\(part)", width, input, bias: true)
            }
            list.linear("\(name).output.dense", width, width, bias: true)
            list.norm("\(name).output.LayerNorm", width)
        }
        list.add("model.qformer.query_tokens", [1, Self.queries, width], 0.5)
        list.norm("model.qformer.layernorm", width)
        for layer in 0..<Self.queryLayers {
            let prefix = "model.qformer.encoder.layer.\(layer)."
            attention(prefix + "attention", keys: width)
            if layer % Self.crossFrequency == 0 { attention(prefix + "crossattention", keys: channels) }
            list.linear(prefix + "intermediate_query.dense", Self.queryInner, width, bias: true)
            list.linear(prefix + "output_query.dense", width, Self.queryInner, bias: true)
            list.norm(prefix + "output_query.LayerNorm", width)
        }
        list.linear("model.qformer_proj", hidden, width, bias: true)
    }

    func configuration(visionHidden: Int, hidden: Int) -> JSONText {
        let last: (String, JSONText) = ("final_activation", .bool(true))
        func sizes(_ values: [Int]) -> (String, JSONText) { ("channels", .array(values.map { .integer($0) })) }
        var members: [(String, JSONText)] = [
            ("strategy", .string(strategy.rawValue)), ("taps", .array(taps.map { .integer($0) })), ("kernel", .integer(kernel)),
            ("tokens_per_window", .integer(tokensPerWindow)),
            ("mbtf", hasMBTF ? .object([sizes([4 * visionHidden, visionHidden]), last]) : .null),
        ]
        switch strategy {
        case .qformer:
            members.append(
                (
                    "qformer",
                    .object([
                        ("queries", .integer(Self.queries)), ("hidden_size", .integer(Self.queryWidth)),
                        ("layers", .integer(Self.queryLayers)),
                        ("heads", .integer(Self.queryHeads)), ("intermediate_size", .integer(Self.queryInner)),
                        ("cross_attention_frequency", .integer(Self.crossFrequency)), ("layer_norm_eps", .number(1e-12)),
                    ])
                ))
        case .stf:
            members.append(
                ("stf", .object([sizes([windowChannels(visionHidden), 4 * hidden, hidden]), last, ("window_conv", .bool(true))])))
        case .avgpool, .tokenconcat: members.append(("stf", .object([sizes([4 * hidden, hidden]), last, ("window_conv", .bool(false))])))
        }
        return .object(members)
    }
}

/// An architecture of `synth` and what about it is chosen.
public struct PresetChoice: Sendable {
    public var name: String
    /// Nil: the architecture's own, as below
    public var layers: Int?
    public var visionLayers: Int?
    public var imageSize: Int?
    public var strategy: String?
    /// A count, or blocks separated by commas
    public var taps: String?
    public var kernel: Int?
    public var tokensPerWindow: Int?
    public var mbtf: Bool?
    public var context: Int?
    public var sequences: Int

    public init(
        name: String, layers: Int? = nil, visionLayers: Int? = nil, imageSize: Int? = nil, strategy: String? = nil, taps: String? = nil,
        kernel: Int? = nil, tokensPerWindow: Int? = nil, mbtf: Bool? = nil, context: Int? = nil, sequences: Int = 1
    ) {
        self.name = name
        self.layers = layers
        self.visionLayers = visionLayers
        self.imageSize = imageSize
        self.strategy = strategy
        self.taps = taps
        self.kernel = kernel
        self.tokensPerWindow = tokensPerWindow
        self.mbtf = mbtf
        self.context = context
        self.sequences = sequences
    }

    fileprivate var choosesFusion: Bool { strategy != nil || taps != nil || kernel != nil || tokensPerWindow != nil || mbtf != nil }
}

extension SynthPreset {
    public static func find(_ choice: PresetChoice) throws(Diagnostic) -> SynthPreset {
        let names = all.map(\.name)
        guard var preset = all.first(where: { $0.name == choice.name }) else {
            throw .usage(
                "unknown preset \(quoted(choice.name))\(nearestHint(to: choice.name, among: names))", at: .option("--preset"),
                expected: quotedList(names))
        }
        if let layers = choice.layers {
            guard 1...1000 ~= layers else { throw .usage("\(layers) layers", at: .option("--layers"), expected: "1 to 1000") }
            preset.decoder.layers = layers
        }
        guard preset.fusion != nil else {
            if choice.choosesFusion || choice.visionLayers != nil || choice.imageSize != nil {
                throw .usage("preset \(quoted(preset.name)) has no images", at: .option("--preset"), expected: "only '--layers' beside it")
            }
            return preset
        }
        if let visionLayers = choice.visionLayers {
            guard 2...1000 ~= visionLayers else {
                throw .usage(
                    "\(visionLayers) blocks", at: .option("--vision-layers"), expected: "2 to 1000, as the last block but one is read")
            }
            preset.visionLayers = visionLayers
        }
        if let size = choice.imageSize {
            guard 1...100 ~= size / patchSize, size % patchSize == 0 else {
                throw .usage(
                    "images of \(size) pixels", at: .option("--image-size"), expected: "a multiple of \(patchSize), 224 or 336 say")
            }
            preset.imageSize = size
        }
        if case .prefusion = preset.fusion, choice.strategy == nil, choice.choosesFusion {
            throw .usage("LLaVA-Mini has nothing to choose", at: .option("--preset"), expected: "another strategy")
        }
        if case .tokenPacker = preset.fusion, choice.strategy == nil {
            preset.fusion = .tokenPacker(scale: try preset.chosenScale(choice))
        } else if choice.strategy == "none" {
            preset.fusion = .projector
            guard choice.taps == nil, choice.kernel == nil, choice.tokensPerWindow == nil, choice.mbtf == nil else {
                throw .usage("LLaVA-1.5's projector has nothing to choose", at: .option("--strategy"), expected: "another strategy")
            }
        } else if choice.choosesFusion {
            preset.fusion = .configurable(try preset.chosenFusion(choice))
        } else if case .configurable(var fusion) = preset.fusion {
            fusion.taps = SynthFusion.spread(min(fusion.taps.count, preset.visionLayers), over: preset.visionLayers)
            preset.fusion = .configurable(fusion)
        }
        if case .released = preset.fusion, preset.grid % 2 != 0 {
            throw .usage(
                "a grid of \(preset.grid) x \(preset.grid) has no 2 x 2 windows", at: .option("--image-size"), expected: "an even grid")
        }
        guard let elements = checkedSum(preset.tensors.map { checkedProduct($0.shape) ?? .max }), elements < 1 << 60 else {
            throw .usage("the fusion takes more than 2^60 elements", at: .option("--taps"), expected: "fewer taps, or a smaller kernel")
        }
        return preset
    }

    /// The fusion of the choice; what it leaves open is the paper's: STF of 2 x 2 windows, one token each, over MBTF of 8 taps.
    private func chosenFusion(_ choice: PresetChoice) throws(Diagnostic) -> SynthFusion {
        let names = SynthFusion.Strategy.allCases.map(\.rawValue) + ["none"]
        guard let strategy = SynthFusion.Strategy(rawValue: choice.strategy ?? "stf") else {
            let name = choice.strategy ?? ""
            throw .usage(
                "unknown strategy \(quoted(name))\(nearestHint(to: name, among: names))", at: .option("--strategy"),
                expected: quotedList(names))
        }
        let taps = try choice.taps.map(taps) ?? SynthFusion.spread(min(8, visionLayers), over: visionLayers)
        let fusion = SynthFusion(
            strategy: strategy, taps: taps, kernel: choice.kernel ?? (strategy == .qformer ? 1 : 2),
            tokensPerWindow: choice.tokensPerWindow ?? 1,
            hasMBTF: choice.mbtf ?? true)
        let edges = divisors(of: grid).map(String.init).joined(separator: ", ")
        guard fusion.kernel > 0, grid % fusion.kernel == 0 else {
            throw .usage(
                "kernel \(fusion.kernel) does not divide the \(grid) x \(grid) patch grid", at: .option("--kernel"), expected: edges)
        }
        guard strategy != .qformer || fusion.kernel == 1 else {
            throw .usage("kernel \(fusion.kernel), but strategy 'qformer' reads every token", at: .option("--kernel"), expected: "1")
        }
        let window = fusion.windowChannels(Self.visionHidden)
        guard fusion.tokensPerWindow > 0, strategy == .stf ? window % fusion.tokensPerWindow == 0 : fusion.tokensPerWindow == 1 else {
            throw .usage(
                "\(fusion.tokensPerWindow) tokens per window", at: .option("--tokens-per-window"),
                expected: strategy == .stf ? divisors(of: window, called: "window's \(window) channels") : "1, or strategy 'stf'")
        }
        return fusion
    }

    /// The window's edge of a TokenPacker, of which nothing else can be chosen.
    private func chosenScale(_ choice: PresetChoice) throws(Diagnostic) -> Int {
        guard choice.taps == nil, choice.tokensPerWindow == nil, choice.mbtf == nil else {
            throw .usage("TokenPacker has only its kernel to choose", at: .option("--preset"), expected: "another strategy")
        }
        guard visionLayers == 24 else {
            throw .usage("\(visionLayers) blocks, but TokenPacker reads block 23 of 24", at: .option("--vision-layers"), expected: "24")
        }
        let scale = choice.kernel ?? 2, scales = [2, 3, 4].filter { grid % $0 == 0 }
        guard scales.contains(scale) else {
            throw .usage(
                "kernel \(scale) of a TokenPacker over a \(grid) x \(grid) patch grid", at: .option("--kernel"),
                expected: scales.isEmpty ? "images of 336 pixels" : scales.map(String.init).joined(separator: ", "))
        }
        return scale
    }

    private func taps(_ text: String) throws(Diagnostic) -> [Int] {
        if let count = Int(text), 1...visionLayers ~= count { return SynthFusion.spread(count, over: visionLayers) }
        var parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        // A comma behind the last, so that one block is not a count.
        if text.hasSuffix(",") { parts.removeLast() }
        guard text.contains(","), !parts.isEmpty, parts.allSatisfy({ $0.map { 0...visionLayers ~= $0 } ?? false }) else {
            throw .usage(
                "taps \(quoted(text))", at: .option("--taps"),
                expected: "a count up to \(visionLayers), or blocks from 0 to \(visionLayers) separated by commas")
        }
        return parts.compactMap(\.self)
    }
}
