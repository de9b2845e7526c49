import Support

// The layout of transformers' LlavaForConditionalGeneration: `config.json` holds `vision_config` and `text_config`, and the
// tensors stand under `language_model.model.*`, or under `model.language_model.*` where the export is newer.

extension TensorFolder {
    /// The other names of the parts, in LLaVA's layout and in both of transformers' spellings.
    private static let transformersParts: [(original: String, older: String, newer: String)] = [
        ("model.vision_tower.vision_tower.", "vision_tower.", "model.vision_tower."),
        ("model.mm_projector.0.", "multi_modal_projector.linear_1.", "model.multi_modal_projector.linear_1."),
        ("model.mm_projector.2.", "multi_modal_projector.linear_2.", "model.multi_modal_projector.linear_2."),
        ("lm_head.", "language_model.lm_head.", "lm_head."),
        ("model.", "language_model.model.", "model.language_model."),
    ]

    /// The same tensors under the names of LLaVA's layout. What neither spelling knows keeps its name, and so stays unknown.
    func readAsTransformers() throws(Diagnostic) -> TensorFolder {
        let isNewer = tensors.keys.contains { $0.hasPrefix("model.language_model.") }
        let parts = Self.transformersParts.map { (original: $0.original, here: isNewer ? $0.newer : $0.older) }
        @Sendable func original(_ name: String) -> String? {
            parts.first { name.hasPrefix($0.here) }.map { $0.original + name.dropFirst($0.here.count) }
        }
        var copy = self
        copy.naming = { original($0) ?? $0 }
        // A name of LLaVA's own must not pass for one of these, so it is marked as what it is: unknown here.
        copy.tensors = [:]
        for (name, entry) in tensors.sorted(by: { $0.key < $1.key }) { try copy.tensors.add(entry, as: original(name) ?? "?\(name)") }
        copy.spelling = { name in
            parts.first { name.hasPrefix($0.original) }.map { $0.here + name.dropFirst($0.original.count) } ?? name
        }
        return copy
    }

    /// The name in LLaVA's layout of a tensor that another file, of whatever release, says something about. Releases differ in
    /// `vision_model.` too; these tensors' spelling of it is what they get.
    var anyNaming: (String) -> String {
        let tower = Self.transformersParts[0].original, wrapper = "vision_model."
        let isWrapped = tensors.keys.contains { $0.hasPrefix(tower + wrapper) }
        // LLaVA's own name of the tower begins with a newer one.
        var parts = [(original: tower, here: tower)]
        for part in Self.transformersParts { parts += [(part.original, part.newer), (part.original, part.older)] }
        return { [naming, parts] name in
            guard let part = parts.first(where: { name.hasPrefix($0.here) }) else { return naming(name) }
            var rest = name.dropFirst(part.here.count)
            guard part.original == tower else { return part.original + rest }
            if rest.hasPrefix(wrapper) { rest = rest.dropFirst(wrapper.count) }
            return tower + (isWrapped ? wrapper : "") + rest
        }
    }
}

extension JSONObject {
    /// `text_config` with what transformers leaves out because LlamaConfig says so by itself.
    func transformersText() throws(Diagnostic) -> JSONObject {
        let text = try object("text_config")
        if let kind = try text.optionalString("model_type"), kind != "llama" {
            throw text.invalid("model_type", "is \(quoted(kind)), which is no supported decoder", expected: "'llama'")
        }
        let defaults: [String: JSONValue] = [
            "vocab_size": .integer(32_000), "hidden_size": .integer(4096), "intermediate_size": .integer(11_008),
            "num_hidden_layers": .integer(32), "num_attention_heads": .integer(32),
        ]
        // Nulls stay: among the rotary settings they are not the same as nothing.
        var known = text.members.merging(defaults) { own, fallback in own == .null ? fallback : own }
        // Releases differ in where they write it, and today's write both: one that says so is enough.
        let isTied = try [self, text].map { (object) throws(Diagnostic) in try object.optionalBool("tie_word_embeddings") == true }
        known["tie_word_embeddings"] = .bool(isTied.contains(true))
        return JSONObject(file: file, path: text.path, members: known)
    }

    /// The ids of `config.json`, or those of `text_config` where the top has none.
    func transformersPrompt(_ text: JSONObject) -> JSONObject {
        let ids = text.members.filter { ["eos_token_id", "bos_token_id"].contains($0.key) && self[$0.key] == nil }
        return JSONObject(file: file, path: path, members: members.merging(ids) { _, other in other })
    }
}

extension VisionSource {
    /// The tower of `vision_config`, and the preprocessing beside it.
    init(transformers config: JSONObject, checkpoint: String, option: String?) throws(Diagnostic) {
        guard option == nil else {
            throw .usage(
                "the checkpoint has its own 'vision_config'", at: .option("--vision-tower"), expected: "no other tower in this layout")
        }
        if let tower = try config.optionalObject("vision_config") {
            if let kind = try tower.optionalString("model_type"), kind != "clip_vision_model" {
                throw tower.invalid(
                    "model_type", "is \(quoted(kind)), which is no supported vision tower", expected: "'clip_vision_model'")
            }
            vision = try VisionConfiguration(tower: tower)
        } else {
            vision = .largeTower(imageSize: 336)
        }
        let processor = try imageProcessors(of: checkpoint)[0]
        preprocessing = try PreprocessingConfiguration(transformers: processor, imageSize: vision.imageSize)
        (folder, label) = (nil, lastPathComponent(checkpoint))
    }
}

extension PreprocessingConfiguration {
    private static let processors = Set(
        ["CLIPImageProcessor", "LlavaImageProcessor"].flatMap { [$0, $0 + "Fast", $0 + "Pil"] })

    /// As the file declares. `do_pad` is LlavaImageProcessor's padding to a square; CLIP's processor has none.
    init(transformers config: JSONObject, imageSize: Int) throws(Diagnostic) {
        let pads = try config.optionalBool("do_pad") ?? false
        let kind = try config.optionalString("image_processor_type") ?? "CLIPImageProcessor"
        guard Self.processors.contains(kind) else {
            throw config.invalid(
                "image_processor_type", "is \(quoted(kind)), which is not supported",
                expected: "'CLIPImageProcessor' or 'LlavaImageProcessor'")
        }
        guard !pads || kind.hasPrefix("Llava") else {
            throw config.invalid("do_pad", "is true for \(quoted(kind))", expected: "'LlavaImageProcessor' or false")
        }
        try self.init(config, imageSize: imageSize, pads: pads)
    }
}

extension FusionSource {
    /// `vision_feature_layer`, one or several whose channels are concatenated, and the two linear layers of the projector.
    init(transformers config: JSONObject, vision: VisionConfiguration, decoder: DecoderConfiguration) throws(Diagnostic) {
        self.init()
        let key = "vision_feature_layer"
        var layers = [-2]
        if case .array? = config[key] {
            layers = try config.integers(key)
        } else if let layer = try config.optionalInteger(key) {
            layers = [layer]
        }
        guard !layers.isEmpty else { throw config.invalid(key, "is empty", expected: "hidden-state indices") }
        for layer in layers { fusion.taps.append(try Self.tap(layer, key, config, vision)) }

        let strategy = try config.optionalString("vision_feature_select_strategy") ?? "default"
        guard ["default", "full"].contains(strategy) else {
            throw config.invalid("vision_feature_select_strategy", "is \(quoted(strategy))", expected: "'default' or 'full'")
        }
        fusion.keepsClassToken = strategy == "full"

        let activation: Activation
        switch try config.optionalString("projector_hidden_act") ?? "gelu" {
        case "gelu": activation = .gelu
        case "quick_gelu": activation = .quickGELU
        case let name:
            throw config.invalid("projector_hidden_act", "is \(quoted(name)), which is not supported", expected: "'gelu' or 'quick_gelu'")
        }
        if try config.optionalBool("multimodal_projector_bias") == false {
            throw config.invalid("multimodal_projector_bias", "is false, which is not supported", expected: "true")
        }
        let reason = "for \(layers.count) feature layer\(layers.count == 1 ? "" : "s")"
        let width = layers.count * vision.hiddenSize
        let inner = decoder.hiddenSize
        fusion.aligner = [
            addLayer("projector.linear1", "model.mm_projector.0", width, inner, activation, reason: reason),
            addLayer("projector.linear2", "model.mm_projector.2", inner, inner, nil, reason: "by key 'text_config.hidden_size', \(inner)"),
        ]
    }
}
