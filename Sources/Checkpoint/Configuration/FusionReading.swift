import Support

/// A fusion configuration together with the tensors that it asks for.
struct FusionSource {
    var fusion: FusionConfiguration
    private(set) var tensors: [ExpectedTensor] = []
    /// Those of a prefusion, as many as it has blocks.
    private(set) var layers = AnySequence<ExpectedTensor>([])
    /// What the configuration says that is neither followed nor known to change anything.
    private(set) var warnings: [Diagnostic] = []

    /// Nothing but the class token left out.
    init() {
        fusion = FusionConfiguration(
            taps: [], kernel: 1, tokensPerWindow: 1, mbtf: [], windowConvolution: nil, aligner: [], keepsClassToken: false)
    }

    /// Read here and elsewhere, or of no meaning once the model is trained.
    private static let knownKeys = [
        "mm_hidden_size", "mm_newline_position", "mm_patch_merge_type", "mm_projector_lr", "mm_projector_type", "mm_resampler_type",
        "mm_token_fusion", "mm_token_reduction", "mm_tunable_parts",
        "mm_use_im_patch_token", "mm_use_im_start_end", "mm_vision_select_feature", "mm_vision_select_layer", "mm_vision_tower",
        "mm_vision_tower_lr",
    ]
    /// What forks of LLaVA call their ways to other vision tokens.
    private static let otherWays = ["mm_perceiver_", "mm_pooling_", "mm_qformer_", "mm_spatial_pool_", "mm_vision_select_layers"]
    private static let strategies = ["stf", "avgpool", "tokenconcat", "qformer"]

    init(
        config: JSONObject, vision: VisionConfiguration, decoder: DecoderConfiguration, folder: TensorFolder
    ) throws(Diagnostic) {
        try config.refuseTrue("s2")
        try config.refuseTrue("mm_use_im_start_end")
        if let kind = try config.optionalString("mm_patch_merge_type"), kind != "flat" {
            throw config.invalid("mm_patch_merge_type", "is \(quoted(kind)), which is not supported", expected: "'flat'")
        }
        if config["mm_resampler_type"] != nil {
            throw config.invalid("mm_resampler_type", "is set, which is not supported", expected: "null")
        }
        if try config.optionalBool("use_mm_proj") == false {
            throw config.invalid("use_mm_proj", "is false, which is not supported", expected: "true")
        }
        self.init()
        // Forks of LLaVA keep what they changed in keys of this kind.
        for (key, value) in config.members.sorted(by: { $0.key < $1.key })
        where key.hasPrefix("mm_") && !Self.knownKeys.contains(key) && ![.null, .bool(false)].contains(value) {
            guard !Self.otherWays.contains(where: key.hasPrefix) else {
                throw config.invalid(key, "is set, which is not supported", expected: "null")
            }
            warnings.append(.warning("key \(quoted(key)) is not known and not followed", at: .file(config.file)))
        }
        let isPrefused = try PrefusionConfiguration.isMeant(by: config)
        if let object = try config.optionalObject("mm_token_fusion") {
            guard !isPrefused else {
                let type = PrefusionConfiguration.modelType
                throw config.invalid(
                    "mm_token_fusion", "is set, which cannot be combined with model type \(quoted(type))", expected: "null")
            }
            try readConfigurable(object, vision: vision, decoder: decoder)
        } else {
            try readOriginal(config, vision: vision, decoder: decoder, folder: folder)
        }
        if isPrefused { try readPrefusion(config, vision: vision, decoder: decoder) }
        try readFeatureSelection(config)
    }

    private mutating func readFeatureSelection(_ config: JSONObject) throws(Diagnostic) {
        let key = "mm_vision_select_feature"
        let feature = try config.optionalString(key) ?? "patch"
        guard ["patch", "cls_patch", "full"].contains(feature) else {
            throw config.invalid(key, "is \(quoted(feature)), which is not supported", expected: "'patch' or 'cls_patch'")
        }
        guard feature != "patch" else { return }
        guard fusion.kernel == 1, fusion.tokensPerWindow == 1, fusion.qformer == nil, fusion.prefusion == nil else {
            let other =
                fusion.prefusion != nil
                ? "LLaVA-Mini's compressor"
                : fusion.tokenPacker != nil ? "TokenPacker" : fusion.qformer == nil ? "windows" : "strategy 'qformer'"
            throw config.invalid(key, "is \(quoted(feature)), which cannot be combined with \(other)", expected: "'patch'")
        }
        fusion.keepsClassToken = true
    }

    // MARK: LLaVA and LLaVA-STF as published

    private mutating func readOriginal(
        _ config: JSONObject, vision: VisionConfiguration, decoder: DecoderConfiguration, folder: TensorFolder
    ) throws(Diagnostic) {
        if try TokenPackerConfiguration.isMeant(by: config, folder) {
            return try readTokenPacker(config, vision: vision, decoder: decoder, folder: folder)
        }
        let channels = vision.hiddenSize
        if config["mm_hidden_size"] != nil, case let size = try config.dimension("mm_hidden_size"), size != channels {
            throw config.invalid("mm_hidden_size", "is \(size)", expected: "\(channels), the tower's hidden size")
        }
        let first = try Self.tap(config.integer("mm_vision_select_layer"), "mm_vision_select_layer", config, vision)
        let crossLayer = "model.mm_projector_crosslayer."
        fusion.taps = [first]
        if folder.tensors.keys.contains(where: { $0.hasPrefix(crossLayer) }) {
            // Published for 24 blocks as -2 (= 23), 21, 18, ..., 3.
            fusion.taps += stride(from: 3, to: first, by: 3).reversed()
            fusion.kernel = 2
            try Self.checkKernel(
                2, vision,
                or: .error(
                    "a patch grid of \(vision.grid) x \(vision.grid) has no 2 x 2 windows, which 'mm_projector_crosslayer' asks for",
                    at: .file(config.file), expected: "an even grid"))
            let width = Self.rows(of: crossLayer + "0.weight", in: folder) ?? 4 * channels
            let taps = fusion.taps.map(String.init).joined(separator: ", ")
            fusion.mbtf = [
                addLayer("mbtf.conv1", crossLayer + "0", fusion.taps.count * channels, width, .gelu, reason: "for taps \(taps)"),
                addLayer("mbtf.conv2", crossLayer + "2", width, channels, nil),
            ]
        }

        let kind = try config.optionalString("mm_projector_type") ?? "linear"
        let sources: [String]
        if kind == "linear" {
            sources = ["model.mm_projector"]
        } else if kind.hasPrefix("mlp"), kind.hasSuffix("x_gelu"), let depth = Int(kind.dropFirst(3).dropLast(6)), 1...64 ~= depth {
            sources = (0..<depth).map { "model.mm_projector.\(2 * $0)" }
        } else {
            throw config.invalid(
                "mm_projector_type", "is \(quoted(kind)), which is not supported", expected: "'linear', 'mlp2x_gelu' or 'tokenpacker'")
        }
        // The inner widths stand in the file only.
        var width = fusion.kernel * fusion.kernel * channels
        for (index, source) in sources.enumerated() {
            let isLast = index == sources.count - 1
            let output = isLast ? decoder.hiddenSize : Self.rows(of: source + ".weight", in: folder) ?? decoder.hiddenSize
            fusion.aligner.append(
                addLayer(
                    "projector.linear\(index + 1)", source, width, output, isLast ? nil : .gelu,
                    reason: isLast ? "by key 'hidden_size', \(output)" : nil))
            width = output
        }
    }

    private static func rows(of name: String, in folder: TensorFolder) -> Int? {
        folder.tensors[name]?.tensor.shape.first.flatMap { 1...JSONObject.maximumDimension ~= $0 ? $0 : nil }
    }

    private mutating func readTokenPacker(
        _ config: JSONObject, vision: VisionConfiguration, decoder: DecoderConfiguration, folder: TensorFolder
    ) throws(Diagnostic) {
        let packer = try TokenPackerConfiguration(config, vision: vision, folder: folder)
        fusion.taps = TokenPackerConfiguration.taps
        fusion.kernel = try TokenPackerConfiguration.scale(config, vision)
        tensors += tokenPackerTensors(packer, channels: vision.hiddenSize, taps: fusion.taps.count)
        fusion.tokenPacker = packer
        let (hidden, reason) = (decoder.hiddenSize, "by key 'hidden_size', \(decoder.hiddenSize)")
        fusion.aligner = [
            addLayer("tokenpacker.linear1", "model.mm_projector.mlp.0", packer.width, hidden, .gelu, reason: reason),
            addLayer("tokenpacker.linear2", "model.mm_projector.mlp.2", hidden, hidden, nil, reason: reason),
        ]
    }

    /// What LLaVA-Mini adds to a projector of one tap.
    private mutating func readPrefusion(
        _ config: JSONObject, vision: VisionConfiguration, decoder: DecoderConfiguration
    ) throws(Diagnostic) {
        guard fusion.kernel == 1, fusion.taps.count == 1, fusion.tokenPacker == nil else {
            let type = PrefusionConfiguration.modelType, other = fusion.tokenPacker != nil ? "TokenPacker" : "'mm_projector_crosslayer'"
            throw config.invalid("model_type", "is \(quoted(type)), which cannot be combined with \(other)", expected: "'llava_llama'")
        }
        let prefusion = try PrefusionConfiguration(config, vision: vision)
        layers = AnySequence(prefusion.tensors(decoder))
        fusion.prefusion = prefusion
    }

    // MARK: mm_token_fusion

    private mutating func readConfigurable(
        _ object: JSONObject, vision: VisionConfiguration, decoder: DecoderConfiguration
    ) throws(Diagnostic) {
        try object.refuseUnknownKeys(["strategy", "taps", "kernel", "tokens_per_window", "mbtf", "stf", "qformer"])
        let strategy = try object.string("strategy")
        guard Self.strategies.contains(strategy) else {
            throw object.invalid("strategy", "is \(quoted(strategy))", expected: quotedList(Self.strategies))
        }
        let taps = try object.integers("taps")
        guard !taps.isEmpty else { throw object.invalid("taps", "is empty", expected: "hidden-state indices") }
        for (index, tap) in taps.enumerated() { fusion.taps.append(try Self.tap(tap, "taps[\(index)]", object, vision)) }

        let kernel = strategy == "qformer" && object["kernel"] == nil ? 1 : try object.integer("kernel")
        let grid = vision.grid
        try Self.checkKernel(
            kernel, vision,
            or: object.invalid(
                "kernel", "is \(kernel)", expected: divisors(of: grid, called: "\(grid) x \(grid) patch grid")))
        if strategy == "qformer", kernel > 1 {
            throw object.invalid("kernel", "is \(kernel), but strategy 'qformer' reads every token", expected: "1")
        }
        fusion.kernel = kernel
        fusion.tokensPerWindow = object["tokens_per_window"] == nil ? 1 : try object.integer("tokens_per_window")
        if strategy != "stf", fusion.tokensPerWindow != 1 {
            throw object.invalid(
                "tokens_per_window", "is \(fusion.tokensPerWindow), which strategy \(quoted(strategy)) has no place for",
                expected: "1, or strategy 'stf'")
        }
        let unused = strategy == "qformer" ? "stf" : "qformer"
        if object[unused] != nil {
            throw object.invalid(unused, "is set, which strategy \(quoted(strategy)) has no place for", expected: "null")
        }

        if let mbtf = try object.optionalObject("mbtf") {
            try mbtf.refuseUnknownKeys(["channels", "final_activation"])
            let outputs = try Self.channels(mbtf)
            fusion.mbtf = try addPointwise(
                "mbtf.conv", first: 1, input: taps.count * vision.hiddenSize, outputs, key: "channels", of: mbtf)
        }
        if strategy == "qformer" {
            let qformer = try QFormerConfiguration(object.object("qformer"))
            tensors += qformerTensors(qformer, inputChannels: fusion.fusedChannels(hiddenSize: vision.hiddenSize))
            fusion.qformer = qformer
            fusion.aligner = [
                addLayer(
                    "qformer.projection", "model.qformer_proj", qformer.hiddenSize, decoder.hiddenSize, nil,
                    reason: "by key 'hidden_size', \(decoder.hiddenSize)")
            ]
            return
        }
        fusion.averagesWindow = strategy == "avgpool"
        try readSpatialFusion(object.object("stf"), strategy, of: object, vision: vision, decoder: decoder)
    }

    private mutating func readSpatialFusion(
        _ stf: JSONObject, _ strategy: String, of parent: JSONObject, vision: VisionConfiguration, decoder: DecoderConfiguration
    ) throws(Diagnostic) {
        try stf.refuseUnknownKeys(["channels", "final_activation", "window_conv"])
        var outputs = try Self.channels(stf)
        guard outputs.last == decoder.hiddenSize else {
            throw stf.invalid(
                "channels", "ends in \(outputs[outputs.count - 1])", expected: "\(decoder.hiddenSize), the decoder's hidden size")
        }
        let input = fusion.fusedChannels(hiddenSize: vision.hiddenSize)
        let area = fusion.averagesWindow ? 1 : fusion.kernel * fusion.kernel
        guard var window = checkedProduct(area, input), window <= JSONObject.maximumDimension else {
            throw parent.invalid("kernel", "is \(fusion.kernel)", expected: "windows of at most \(JSONObject.maximumDimension) channels")
        }
        let hasWindowConvolution = try stf.optionalBool("window_conv") ?? (strategy == "stf")
        if hasWindowConvolution, strategy != "stf" {
            throw stf.invalid("window_conv", "is true, which strategy \(quoted(strategy)) has no place for", expected: "false")
        }
        if hasWindowConvolution {
            guard outputs.count > 1 else {
                throw stf.invalid("channels", "has 1 entry", expected: "the window convolution's channels and the aligner's")
            }
            let output = outputs.removeFirst()
            fusion.windowConvolution = addLayer(
                "stf.conv1", "model.stf.conv1", input, output, .gelu, kernel: fusion.kernel, isConvolution: true,
                reason: "by key '\(stf.keyPath("channels[0]"))'")
            window = output
        }
        guard fusion.tokensPerWindow > 0, window % fusion.tokensPerWindow == 0 else {
            throw parent.invalid(
                "tokens_per_window", "is \(fusion.tokensPerWindow)", expected: divisors(of: window, called: "window's \(window) channels"))
        }
        fusion.aligner = try addPointwise(
            "stf.conv", first: hasWindowConvolution ? 2 : 1, input: window / fusion.tokensPerWindow, outputs, key: "channels", of: stf)
    }

    private static func channels(_ object: JSONObject) throws(Diagnostic) -> [Int] {
        let values = try object.integers("channels")
        guard !values.isEmpty, values.count <= 64, values.allSatisfy({ 1...JSONObject.maximumDimension ~= $0 }) else {
            throw object.invalid("channels", "is \(values.prefix(8))", expected: "1 to 64 positive sizes")
        }
        return values
    }

    // MARK: Shared

    static func tap(_ index: Int, _ key: String, _ object: JSONObject, _ vision: VisionConfiguration) throws(Diagnostic) -> Int {
        let count = vision.layerCount + 1
        guard -count..<count ~= index else {
            throw object.invalid(key, "is \(index)", expected: "\(-count) to \(count - 1) for a tower of \(vision.layerCount) blocks")
        }
        return index < 0 ? index + count : index
    }

    private static func checkKernel(_ kernel: Int, _ vision: VisionConfiguration, or error: Diagnostic) throws(Diagnostic) {
        guard kernel > 0, vision.grid % kernel == 0 else { throw error }
    }

    /// 1x1 convolutions numbered from `first`; `final_activation` of `object` decides about the last one.
    private mutating func addPointwise(
        _ name: String, first: Int, input: Int, _ outputs: [Int], key: String, of object: JSONObject
    ) throws(Diagnostic) -> [ProjectionLayer] {
        let activatesLast = try object.optionalBool("final_activation") ?? true
        var input = input
        return outputs.enumerated().map { index, output in
            defer { input = output }
            let isLast = index == outputs.count - 1
            return addLayer(
                "\(name)\(first + index)", "model.\(name)\(first + index)", input, output, isLast && !activatesLast ? nil : .gelu,
                isConvolution: true, reason: "by key '\(object.keyPath(key))'")
        }
    }

    mutating func addLayer(
        _ name: String, _ source: String, _ input: Int, _ output: Int, _ activation: Activation?, kernel: Int = 1,
        isConvolution: Bool = false, reason: String? = nil
    ) -> ProjectionLayer {
        let layer = ProjectionLayer(
            weight: name + ".weight", bias: name + ".bias", inputChannels: input, outputChannels: output, activation: activation,
            kernel: kernel)
        tensors.append(
            ExpectedTensor(
                canonicalName: layer.weight, sourceName: source + ".weight",
                shape: kernel == 1 ? [output, input] : [output, input, kernel, kernel],
                isPointwiseConvolution: isConvolution && kernel == 1, reason: reason))
        tensors.append(ExpectedTensor(canonicalName: layer.bias, sourceName: source + ".bias", shape: [output], reason: reason))
        return layer
    }
}
