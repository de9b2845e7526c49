import Support

/// A tower's configuration and where it came from.
struct VisionSource {
    let vision: VisionConfiguration
    let preprocessing: PreprocessingConfiguration
    /// The tower's own folder, which may hold its weights; nil for a tower that is known by name.
    let folder: String?
    /// What the diagnostics call the tower.
    let label: String
}

extension VisionSource {
    /// The towers that LLaVA publishes with, known without a folder.
    private static let published: [String: Int] = [
        "openai/clip-vit-large-patch14": 224,
        "openai/clip-vit-large-patch14-336": 336,
    ]

    /// Finds the tower: the folder `option` (`--vision-tower`), else the folder that `mm_vision_tower` names relative to
    /// the checkpoint, else a published id.
    static func find(config: JSONObject, checkpoint: String, option: String?) throws(Diagnostic) -> VisionSource {
        let pads = try pads(config)
        if let option {
            guard fileKind(option) == .folder else {
                throw .error("\(quoted(option)) is not a folder", at: .option("--vision-tower"), expected: "a folder with 'config.json'")
            }
            return try read(folder: option, pads: pads)
        }
        let name = try config.string("mm_vision_tower")
        let folder = joinedPath(checkpoint, name)
        if !name.isEmpty, fileKind(folder) == .folder {
            return try read(folder: folder, pads: pads)
        }
        guard let size = published[name] else {
            throw config.invalid(
                "mm_vision_tower", "is \(quoted(name)), which is no folder beside the checkpoint",
                expected: "a folder, \(quotedList(published.keys.sorted())), or the option '--vision-tower'")
        }
        let vision = VisionConfiguration.largeTower(imageSize: size)
        let preprocessing = PreprocessingConfiguration(
            imageSize: size, mode: pads ? .pad : .shortestEdgeCrop(resize: size, crop: size),
            mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711])
        return VisionSource(vision: vision, preprocessing: preprocessing, folder: nil, label: name)
    }

    private static func read(folder: String, pads: Bool) throws(Diagnostic) -> VisionSource {
        let vision = try VisionConfiguration(root: .configuration(of: folder, kind: "a vision tower's folder"))
        let readings = try imageProcessors(of: folder).map { (processor) throws(Diagnostic) in
            try PreprocessingConfiguration(processor, imageSize: vision.imageSize, pads: pads)
        }
        // LLaVA's own code reads the older file, or the newer, as the transformers below it is old or new.
        guard readings.allSatisfy({ $0 == readings[0] }) else {
            throw .error(
                "'preprocessor_config.json' and 'image_processor' in 'processor_config.json' disagree", at: .file(folder),
                expected: "one of them, or the same in both")
        }
        return VisionSource(vision: vision, preprocessing: readings[0], folder: folder, label: folder)
    }

    private static func pads(_ config: JSONObject) throws(Diagnostic) -> Bool {
        let ratio = try config.optionalString("image_aspect_ratio") ?? "square"
        guard ["pad", "square"].contains(ratio) else {
            throw config.invalid("image_aspect_ratio", "is \(quoted(ratio)), which is not supported", expected: "'pad' or 'square'")
        }
        return ratio == "pad"
    }
}

/// What says how an image becomes pixels, in transformers' order: `image_processor` of `processor_config.json`, then
/// `preprocessor_config.json`; without either an empty object, which stands for what every CLIP tower was trained with.
func imageProcessors(of folder: String) throws(Diagnostic) -> [JSONObject] {
    let older = "preprocessor_config.json"
    let found = [
        try JSONObject.ifPresent("processor_config.json", in: folder)?.optionalObject("image_processor"),
        try JSONObject.ifPresent(older, in: folder),
    ].compactMap(\.self)
    return found.isEmpty ? [JSONObject(file: joinedPath(folder, older), members: [:])] : found
}

extension VisionConfiguration {
    /// Reads a CLIP `config.json`, bare or with the tower under `vision_config`, with transformers' defaults.
    init(root: JSONObject) throws(Diagnostic) {
        let nested = try root.optionalObject("vision_config")
        let config = nested ?? root
        let kinds = nested == nil ? ["clip_vision_model"] : ["clip", "clip_vision_model"]
        if let kind = try root.optionalString("model_type"), !kinds.contains(kind) {
            throw root.invalid("model_type", "is \(quoted(kind)), which is no supported vision tower", expected: quotedList(kinds))
        }
        try root.refuseQuantization()
        try self.init(tower: config)
    }

    /// Attention over the patches of a larger grid would be out of any machine's reach, and so would the tables that passes make of it.
    static let maximumGrid = 1024

    /// CLIP ViT-L/14, which LLaVA was trained with.
    static func largeTower(imageSize: Int) -> VisionConfiguration {
        VisionConfiguration(
            hiddenSize: 1024, layerCount: 24, headCount: 16, intermediateSize: 4096, imageSize: imageSize, patchSize: 14,
            layerNormEpsilon: 1e-5, activation: .quickGELU)
    }

    /// Reads the keys of a CLIPVisionConfig.
    init(tower config: JSONObject) throws(Diagnostic) {
        try config.refuseQuantization()
        try config.refusePrunedHeads()
        hiddenSize = try config.dimension("hidden_size", default: 768)
        layerCount = try config.dimension("num_hidden_layers", default: 12, limit: JSONObject.maximumLayers)
        headCount = try config.dimension("num_attention_heads", default: 12)
        intermediateSize = try config.dimension("intermediate_size", default: 3072)
        imageSize = try config.dimension("image_size", default: 224, limit: 1 << 16)
        patchSize = try config.dimension("patch_size", default: 32, limit: 1 << 16)
        layerNormEpsilon = Float(try config.positive("layer_norm_eps", default: 1e-5))
        guard hiddenSize % headCount == 0 else {
            throw config.invalid("hidden_size", "is \(hiddenSize)", expected: "a multiple of the \(headCount) attention heads")
        }
        guard imageSize % patchSize == 0 else {
            throw config.invalid("image_size", "is \(imageSize)", expected: "a multiple of the patch size \(patchSize)")
        }
        guard imageSize / patchSize <= Self.maximumGrid else {
            throw config.invalid("patch_size", "is \(patchSize)", expected: "at most \(Self.maximumGrid) patches along \(imageSize) pixels")
        }
        let channels = try config.dimension("num_channels", default: 3)
        guard channels == 3 else { throw config.invalid("num_channels", "is \(channels)", expected: "3") }
        switch try config.optionalString("hidden_act") ?? "quick_gelu" {
        case "quick_gelu": activation = .quickGELU
        case "gelu": activation = .gelu
        case let name: throw config.invalid("hidden_act", "is \(quoted(name)), which is not supported", expected: "'quick_gelu' or 'gelu'")
        }
    }
}

extension PreprocessingConfiguration {
    /// Reads a CLIP `preprocessor_config.json` for a tower of `imageSize`; absent keys have CLIP's values.
    init(_ config: JSONObject, imageSize: Int, pads: Bool) throws(Diagnostic) {
        for key in ["do_resize", "do_center_crop", "do_rescale", "do_normalize"] where try config.optionalBool(key) == false {
            throw config.invalid(key, "is false, which is not supported", expected: "true")
        }
        // The first two make one size a square, which is another resize than the shortest edge's.
        for key in ["default_to_square", "use_square_size"] { try config.refuseTrue(key) }
        if !pads, try config.optionalBool("do_pad") == true {
            throw config.invalid("do_pad", "is true, which is not supported here", expected: "false")
        }
        if let filter = try config.optionalInteger("resample"), filter != 3 {
            throw config.invalid("resample", "is \(filter), which is not supported", expected: "3, bicubic")
        }
        if let factor = try config.optionalDouble("rescale_factor"), abs(factor * 255 - 1) > 1e-6 {
            throw config.invalid("rescale_factor", "is \(factor), which is not supported", expected: "1/255")
        }
        let crop = try Self.edge(config, "crop_size", names: ["height", "width"]) ?? imageSize
        let resize = try Self.edge(config, "size", names: ["shortest_edge"]) ?? imageSize
        guard crop == imageSize else {
            throw config.invalid("crop_size", "is \(crop)", expected: "\(imageSize), the tower's image size")
        }
        // A shorter edge than the crop would be padded with black, and a padded square is resized, never cropped.
        guard pads ? resize == crop : resize >= crop else {
            throw config.invalid("size", "is \(resize)", expected: pads ? "\(crop)" : "at least \(crop)")
        }
        guard resize <= 1 << 16 else { throw config.invalid("size", "is \(resize)", expected: "at most \(1 << 16)") }
        self.imageSize = imageSize
        mode = pads ? .pad : .shortestEdgeCrop(resize: resize, crop: crop)
        mean = try Self.channels(config, "image_mean", [0.48145466, 0.4578275, 0.40821073]) { $0.isFinite }
        std = try Self.channels(config, "image_std", [0.26862954, 0.26130258, 0.27577711]) { $0.isFinite && $0 > 0 }
    }

    /// A size written as an integer or as an object whose `names` must agree.
    private static func edge(_ config: JSONObject, _ key: String, names: [String]) throws(Diagnostic) -> Int? {
        guard case .object? = config[key] else { return config[key] == nil ? nil : try config.dimension(key) }
        let object = try config.object(key)
        let edges = try names.map { (name) throws(Diagnostic) in try object.dimension(name) }
        if let other = object.members.keys.sorted().first(where: { object[$0] != nil && !names.contains($0) }) {
            throw object.invalid(other, "is set, which is not supported", expected: quotedList(names, conjunction: "and") + " only")
        }
        guard edges.allSatisfy({ $0 == edges[0] }) else { throw config.invalid(key, "is not square", expected: "equal height and width") }
        return edges[0]
    }

    private static func channels(
        _ config: JSONObject, _ key: String, _ fallback: [Float], _ isValid: (Float) -> Bool
    ) throws(Diagnostic) -> [Float] {
        let values = try config.optionalDoubles(key)?.map { Float($0) } ?? fallback
        guard values.count == 3, values.allSatisfy(isValid) else {
            throw config.invalid(key, "is \(values.prefix(4))", expected: "three \(isValid(0) ? "finite" : "positive") numbers")
        }
        return values
    }
}
