import Glibc
import Support

/// A checkpoint folder, checked as a whole: configuration, tokenizer, and every tensor by its canonical name.
///
/// Canonical names: `vision.embeddings.{class_embedding,patch_embedding.weight,position_embedding.weight}`,
/// `vision.{pre_layernorm,post_layernorm}.{weight,bias}`,
/// `vision.layers.N.{layer_norm1,layer_norm2,self_attn.{q,k,v,out}_proj,mlp.fc1,mlp.fc2}.{weight,bias}`,
/// what `FusionConfiguration` names, `decoder.{embed_tokens,norm,lm_head}.weight`,
/// `decoder.layers.N.{self_attn.{q,k,v,o}_proj,mlp.{gate,up,down}_proj,input_layernorm,post_attention_layernorm}.weight`.
public struct Checkpoint: Sendable {
    /// The folder as it was given to `open`.
    public let path: String
    public let configuration: ModelConfiguration
    /// By canonical name. Tower blocks up to `fusion.lastTap` are always there; later blocks and the post-layernorm only
    /// when the file has them. With tied embeddings `decoder.lm_head.weight` is the entry of `decoder.embed_tokens.weight`.
    public let tensors: [String: TensorEntry]
    public let tokenizer: Tokenizer

    /// Opens and validates the folder `path`; reads no weights. `visionTower` is a folder with the tower's
    /// configuration and, unless the checkpoint itself holds them, its weights; `projector` a file whose projector stands for the
    /// checkpoint's; `adapter` a folder with a LoRA adapter.
    public static func open(
        path: String, visionTower: String? = nil, projector: String? = nil, adapter: String? = nil
    ) throws(Diagnostic) -> Checkpoint {
        guard let kind = fileKind(path) else { throw .system("open", path: path, code: ENOENT, expected: "a checkpoint folder") }
        guard kind == .folder else { throw .error("\(quoted(path)) is not a folder", expected: "a checkpoint folder") }
        let config = try JSONObject.configuration(of: path, kind: "a checkpoint folder")
        guard let images = try ImageConfiguration(base: config, checkpoint: path, projector: projector, adapter: adapter) else {
            return try openDecoder(path: path, config: config, visionTower: visionTower, adapter: adapter)
        }
        try checkModelType(config)
        let text = config["text_config"] == nil ? nil : try config.transformersText()
        let decoder = try DecoderConfiguration(text ?? config)
        let isTransformers = images.config["text_config"] != nil
        let tower =
            isTransformers
            ? try VisionSource(transformers: images.config, checkpoint: path, option: visionTower)
            : try VisionSource.find(config: images.config, checkpoint: images.folder, option: visionTower)
        var folder = try TensorFolder(path: path)
        if text != nil { folder = folder.readAsTransformers() }
        if let projector { try folder.overlay(projector: projector) }
        let adapted = try adapter.map { adapter throws(Diagnostic) in try AdapterSource(folder: adapter, naming: folder.naming) }
        folder.tensors.merge(adapted?.replacements ?? [:]) { _, new in new }
        let fusion =
            isTransformers
            ? try FusionSource(transformers: config, vision: tower.vision, decoder: decoder)
            : try FusionSource(config: images.config, vision: tower.vision, decoder: decoder, folder: folder)
        let tokenizer = try Tokenizer(folder: path, vocabularySize: decoder.vocabularySize)
        let prompt = try PromptConfiguration(
            config: text.map(config.transformersPrompt) ?? config, folder: path, tokenizer: tokenizer, vocabularySize: decoder.vocabularySize)

        var own = TensorMatcher(folder)
        try own.match(fusion.tensors)
        try own.matchDecoder(decoder)
        let lastTap = fusion.fusion.lastTap
        let inside = "model.vision_tower.vision_tower."
        if folder.tensors.keys.contains(where: { $0.hasPrefix(inside) }) {
            try own.matchVision(tower.vision, prefixes: [inside + "vision_model.", inside], lastTap: lastTap)
        } else {
            let entries = try outerTower(tower, lastTap: lastTap, checkpoint: folder)
            own.entries.merge(entries) { first, _ in first }
        }
        let scales = try adapted?.apply(to: &own) ?? [:]
        try own.refuseSurplus()

        let configuration = ModelConfiguration(
            name: lastPathComponent(path),
            layout: text != nil ? .transformers : images.config["mm_token_fusion"] == nil ? .llava : .configurable, vision: tower.vision,
            fusion: fusion.fusion, preprocessing: tower.preprocessing, decoder: decoder, prompt: prompt, adapterScales: scales)
        return Checkpoint(path: path, configuration: configuration, tensors: own.entries, tokenizer: tokenizer)
    }

    private static func checkModelType(_ config: JSONObject) throws(Diagnostic) {
        let supported = ["llava_llama", "llava", "llama"]
        let kind = try config.string("model_type")
        guard supported.contains(kind) else {
            throw config.invalid("model_type", "is \(quoted(kind))", expected: quotedList(supported))
        }
    }

    /// The tower's weights from its own folder.
    private static func outerTower(
        _ tower: VisionSource, lastTap: Int, checkpoint: TensorFolder
    ) throws(Diagnostic) -> [String: TensorEntry] {
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

    /// Weights by count of elements, each stored tensor once; `prefix` ("vision.", "decoder.", ...) narrows it.
    public func parameterCount(prefix: String = "") -> Int {
        uniqueEntries(prefix).reduce(0) { $0 + $1.elementCount }
    }

    /// Bytes in the files, each stored tensor once.
    public func byteCount(prefix: String = "") -> Int {
        uniqueEntries(prefix).reduce(0) { $0 + $1.byteCount }
    }

    private func uniqueEntries(_ prefix: String) -> some Sequence<TensorEntry> {
        // Under its own name only: a tied head stands under two.
        tensors.lazy.filter { $0.key == $0.value.canonicalName && $0.key.hasPrefix(prefix) }.map(\.value)
    }
}

/// Finds what is expected in a folder and remembers what is left over.
struct TensorMatcher {
    let folder: TensorFolder
    var entries: [String: TensorEntry] = [:]
    /// By the name in LLaVA's layout.
    private(set) var canonicalNames: [String: String] = [:]
    private var rest: Set<String>

    init(_ folder: TensorFolder) {
        self.folder = folder
        rest = Set(folder.tensors.keys)
    }

    mutating func match(_ expected: some Sequence<ExpectedTensor>) throws(Diagnostic) {
        for tensor in expected {
            guard let entry = try tensor.resolve(in: folder) else { continue }
            entries[tensor.canonicalName] = entry
            canonicalNames[tensor.sourceName] = tensor.canonicalName
            rest.remove(tensor.sourceName)
        }
    }

    mutating func matchDecoder(_ decoder: DecoderConfiguration) throws(Diagnostic) {
        try match(decoderTensors(decoder))
        if decoder.tiedEmbeddings {
            // Tied means the embedding, whatever the file keeps under the head's name.
            entries["decoder.lm_head.weight"] = entries["decoder.embed_tokens.weight"]
            ignore { $0 == "lm_head.weight" }
        }
        ignore { $0.hasPrefix("model.") && $0.hasSuffix("rotary_emb.inv_freq") }
    }

    /// The tower under the first of `prefixes` that the folder uses; newer transformers leave `vision_model.` out.
    mutating func matchVision(_ vision: VisionConfiguration, prefixes: [String], lastTap: Int) throws(Diagnostic) {
        let prefix = prefixes.first { prefix in folder.tensors.keys.contains { $0.hasPrefix(prefix) } } ?? prefixes[0]
        try match(visionTensors(vision, prefix: prefix, lastTap: lastTap))
        ignore { $0 == prefix + "embeddings.position_ids" }
    }

    mutating func ignore(_ isKnown: (String) -> Bool) {
        rest = rest.filter { !isKnown($0) }
    }

    func refuseSurplus() throws(Diagnostic) {
        guard let name = rest.min() else { return }
        let others = rest.count > 1 ? " (and \(rest.count - 1) more like it)" : ""
        throw .error("unknown tensor\(others)", at: folder.tensors[name]!.site, expected: "only what the configuration describes")
    }
}
