import Glibc
import Support

extension Checkpoint {
    /// Opens and validates a checkpoint; reads no weights. `path` is a folder, or a GGUF file with a decoder. `visionTower` is a folder with
    /// the tower's configuration and, unless the checkpoint itself holds them, its weights, or a mmproj file in GGUF; `projector` a file whose
    /// projector stands for the checkpoint's; `adapter` a folder with a LoRA adapter; `calibration` a file of `lmmc calibrate`.
    public static func open(
        path: String, visionTower: String? = nil, projector: String? = nil, adapter: String? = nil, calibration: String? = nil
    ) throws(Diagnostic) -> Checkpoint {
        let kinds = "a checkpoint folder, or a GGUF file"
        guard let kind = fileKind(path) else { throw .system("open", path: path, code: ENOENT, expected: kinds) }
        let base: DecoderPart
        switch kind {
        case .folder:
            if let refusal = try Recognition.refusal(folder: path, adapter: adapter) { throw refusal }
            base = try DecoderPart(folder: path)
        case .regular:
            if let refusal = try Recognition.refusal(file: path) { throw refusal }
            base = try DecoderPart(GGUFDecoder(GGUFFile(path: path)), path: path)
        case .other: throw .error("\(quoted(path)) is not a folder", expected: kinds)
        }
        var folder = base.folder
        if let projector { try folder.overlay(projector: projector) }
        let adapted = try adapter.map { adapter throws(Diagnostic) in try AdapterSource(folder: adapter, naming: folder.anyNaming) }
        if base.decoder.interleavedRotary { try adapted?.refuseReplacedHeads() }
        folder.tensors.merge(adapted?.replacements ?? [:]) { _, new in new }

        let images = try ImagePart(base, folder, visionTower: visionTower, projector: projector, adapter: adapter)
        let tokenizer = try base.tokenizer()
        var prompt = try base.prompt(tokenizer)
        // What the weights of a decoder were trained to follow, if anything, is not LLaVA's conversation.
        if images == nil { prompt.templateName = "none" }

        var own = TensorMatcher(folder)
        var decoder = base.decoder
        decoder.tiedEmbeddings = try own.matchDecoder(decoder, changed: Set(adapted?.updates.keys.map(\.self) ?? []))
        own.ignore { $0 == "?rope_freqs.weight" }
        try images?.match(&own)
        let scales = try adapted?.apply(to: &own) ?? [:]
        try own.refuseSurplus()
        // What is compressed ahead of the decoder needs no tokens for it.
        let compresses = images.map { $0.fusion.fusion.prefusion == nil } ?? false
        let configuration = ModelConfiguration(
            name: base.name, layout: images?.layout ?? base.layout, vision: images?.tower.vision, fusion: images?.fusion.fusion,
            preprocessing: images?.tower.preprocessing, decoder: decoder, prompt: prompt,
            compression: compresses ? CompressionConfiguration(tokenizer) : nil, adapterScales: scales,
            reduction: try images == nil ? base.reduction() : images?.reduction())
        var checkpoint = Checkpoint(path: path, configuration: configuration, tensors: own.entries, tokenizer: tokenizer)
        if let config = base.config { checkpoint.generation = try GenerationSetting.all(config: config, folder: path) }
        checkpoint.warnings = images?.fusion.warnings ?? []
        if let calibration {
            checkpoint.calibration = try Calibration.read(
                calibration, for: base.decoder, prefused: images?.fusion.fusion.prefusion?.layerCount ?? 0)
        }
        return checkpoint
    }
}

/// The decoder of a checkpoint, and what comes with it whether or not it sees.
struct DecoderPart {
    let path: String
    let name: String
    /// The layout that the checkpoint has if no images come with it.
    let layout: ModelConfiguration.Layout
    let decoder: DecoderConfiguration
    /// Under LLaVA's names.
    let folder: TensorFolder
    /// `config.json`; nil for a GGUF file.
    let config: JSONObject?
    private let gguf: GGUFFile?

    init(folder path: String) throws(Diagnostic) {
        let config = try JSONObject.configuration(of: path, kind: "a checkpoint folder")
        try Self.checkModelType(config)
        try Self.refuseQuantized(config, folder: path)
        var folder: TensorFolder
        if config["text_config"] == nil {
            decoder = try DecoderConfiguration(config)
            folder = try TensorFolder(path: path)
        } else {
            decoder = try DecoderConfiguration(config.transformersText())
            folder = try TensorFolder(path: path).readAsTransformers()
        }
        if decoder.tiedEmbeddings { folder.shareEmbeddings() }
        (self.path, name, layout) = (path, lastPathComponent(path), .decoderOnly)
        (self.folder, self.config, gguf) = (folder, config, nil)
    }

    init(_ source: GGUFDecoder, path: String) {
        let name = lastPathComponent(path)
        (self.path, self.name, layout) = (path, name.hasSuffix(".gguf") ? String(name.dropLast(5)) : name, .gguf)
        var folder = source.folder
        if source.decoder.tiedEmbeddings { folder.shareEmbeddings() }
        (decoder, self.folder, config, gguf) = (source.decoder, folder, nil, source.file)
    }

    private static func checkModelType(_ config: JSONObject) throws(Diagnostic) {
        let supported = ["llava_llama", PrefusionConfiguration.modelType, "llava", "llama"]
        let kind = try config.string("model_type")
        if kind.hasPrefix("clip") {
            throw config.invalid(
                "model_type", "is \(quoted(kind)), a vision tower",
                expected: "a LLaVA as the model, with the option '--vision-tower' for this folder")
        }
        guard supported.contains(kind) else {
            throw config.invalid("model_type", "is \(quoted(kind))", expected: quotedList(supported))
        }
        if try isDecoderOnly(config), let classes = try config.optionalArray("architectures"),
            !classes.contains(.string("LlamaForCausalLM"))
        {
            throw config.invalid("architectures", "names another head", expected: "'LlamaForCausalLM'")
        }
    }

    /// Releases of AutoGPTQ and AutoAWQ wrote what they did into files of their own.
    private static func refuseQuantized(_ config: JSONObject, folder: String) throws(Diagnostic) {
        try config.refuseQuantization()
        for name in ["quantize_config.json", "quant_config.json"] {
            guard let file = try JSONObject.ifPresent(name, in: folder), let key = ["bits", "w_bit"].first(where: { file[$0] != nil })
            else { continue }
            throw file.invalid(key, "says that the weights are quantised, which is not supported", expected: "weights in F32, F16 or BF16")
        }
    }

    /// Layout D: a LLaMA decoder without images, as transformers saves `LlamaForCausalLM`.
    private static func isDecoderOnly(_ config: JSONObject) throws(Diagnostic) -> Bool {
        try config.optionalString("model_type") == "llama"
    }

    /// Whether nothing in the checkpoint speaks of images.
    func isBlind() throws(Diagnostic) -> Bool {
        guard let config else { return true }
        return try Self.isDecoderOnly(config)
    }

    /// Read for a model without images too, so that what it asks for can be refused.
    func reduction() throws(Diagnostic) -> TokenReduction? {
        try config.flatMap { config throws(Diagnostic) in try TokenReduction.read(config, folder: path) }
    }

    func tokenizer() throws(Diagnostic) -> Tokenizer {
        if let gguf { return try gguf.tokenizer(vocabularySize: decoder.vocabularySize) }
        return try Tokenizer(folder: path, vocabularySize: decoder.vocabularySize)
    }

    func prompt(_ tokenizer: Tokenizer) throws(Diagnostic) -> PromptConfiguration {
        guard let config else {
            return try gguf!.prompt(tokenizer, vocabularySize: decoder.vocabularySize)
        }
        try refuseTokenizerOptions(tokenizer)
        let text = try config["text_config"].map { _ throws(Diagnostic) in try config.transformersText() }
        return try PromptConfiguration(
            config: text.map(config.transformersPrompt) ?? config, folder: path, tokenizer: tokenizer,
            vocabularySize: decoder.vocabularySize)
    }
}

extension DecoderPart {
    /// What `tokenizer_config.json` can ask beyond the tokenizer's own file that changes the tokens of every prompt.
    private func refuseTokenizerOptions(_ tokenizer: Tokenizer) throws(Diagnostic) {
        guard let config = try JSONObject.ifPresent("tokenizer_config.json", in: path) else { return }
        try config.refuseTrue("add_eos_token")
        if case .sentencePiece(let model) = tokenizer, model.addsDummyPrefix, try config.optionalBool("add_prefix_space") == false {
            throw config.invalid("add_prefix_space", "is false, but 'tokenizer.model' puts a space before a text", expected: "true")
        }
    }
}

/// Tower and fusion of a checkpoint.
struct ImagePart {
    let tower: VisionSource
    let fusion: FusionSource
    let layout: ModelConfiguration.Layout
    /// Where the keys about images stand; nil in a file that holds tower and projector.
    private let configuration: ImageConfiguration?
    /// The file that holds both and nothing else, where there is one.
    private let file: TensorFolder?

    /// Nil for a model without images.
    init?(_ base: DecoderPart, _ folder: TensorFolder, visionTower: String?, projector: String?, adapter: String?) throws(Diagnostic) {
        if let visionTower, fileKind(visionTower) == .regular {
            guard projector == nil else {
                throw .usage("the vision tower's file has a projector", at: .option("--projector"), expected: "one of both options")
            }
            guard try base.isBlind() else {
                throw .usage(
                    "the checkpoint has a projector of its own", at: .option("--vision-tower"),
                    expected: "a folder, or a checkpoint without images")
            }
            let source = try GGUFVision(GGUFFile(path: visionTower), decoder: base.decoder)
            (tower, fusion, layout, file) = (source.tower, source.fusion, base.layout == .gguf ? .gguf : .llava, source.folder)
            configuration = nil
            return
        }
        guard let images = try ImageConfiguration(base, projector: projector, adapter: adapter) else {
            guard visionTower == nil else {
                throw .usage(
                    "the model is a decoder without images", at: .option("--vision-tower"),
                    expected: "a mmproj file in GGUF, or the option '--projector' beside it")
            }
            return nil
        }
        let isTransformers = images.config["text_config"] != nil
        let tower =
            isTransformers
            ? try VisionSource(transformers: images.config, checkpoint: base.path, option: visionTower)
            : try VisionSource.find(config: images.config, checkpoint: images.folder, option: visionTower)
        fusion =
            isTransformers
            ? try FusionSource(transformers: images.config, vision: tower.vision, decoder: base.decoder)
            : try FusionSource(config: images.config, vision: tower.vision, decoder: base.decoder, folder: folder)
        layout =
            base.layout == .gguf
            ? .gguf : isTransformers ? .transformers : images.config["mm_token_fusion"] == nil ? .llava : .configurable
        (self.tower, configuration, file) = (tower, images, nil)
    }

    func reduction() throws(Diagnostic) -> TokenReduction? {
        try configuration.flatMap { images throws(Diagnostic) in try TokenReduction.read(images.config, folder: images.folder) }
    }

    private static let inside = "model.vision_tower.vision_tower."

    /// Adds the tensors of tower and fusion to those of `own`, the checkpoint's.
    func match(_ own: inout TensorMatcher) throws(Diagnostic) {
        let lastTap = fusion.fusion.lastTap
        let prefixes = [Self.inside + "vision_model.", Self.inside]
        if let file {
            var other = TensorMatcher(file)
            try other.match(fusion.tensors)
            try other.matchVision(tower.vision, prefixes: prefixes, lastTap: lastTap)
            try other.refuseSurplus()
            own.entries.merge(other.entries) { first, _ in first }
            return
        }
        try own.match(fusion.tensors)
        try own.match(fusion.layers)
        if own.folder.tensors.keys.contains(where: { $0.hasPrefix(Self.inside) }) {
            try own.matchVision(tower.vision, prefixes: prefixes, lastTap: lastTap)
        } else {
            own.entries.merge(try outerTower(lastTap: lastTap, checkpoint: own.folder)) { first, _ in first }
        }
    }

    /// The tower's weights from its own folder.
    private func outerTower(lastTap: Int, checkpoint: TensorFolder) throws(Diagnostic) -> [String: TensorEntry] {
        guard let path = tower.folder else {
            throw .error(
                "no weights of the vision tower \(quoted(tower.label))", at: .file(checkpoint.listing),
                expected: "tensors 'model.vision_tower.*', or its folder by the option '--vision-tower'")
        }
        var matcher = TensorMatcher(try TensorFolder(path: path))
        try matcher.matchVision(tower.vision, prefixes: ["vision_model.", ""], lastTap: lastTap)
        // The other half of a full CLIP checkpoint.
        matcher.ignore { name in
            name.hasPrefix("text_model.") || ["logit_scale", "text_projection.weight", "visual_projection.weight"].contains(name)
        }
        try matcher.refuseSurplus()
        return matcher.entries
    }
}
