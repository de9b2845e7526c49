import ChatTemplate
import Checkpoint
import IR
import Passes
import Support
import Synth
import Work

public struct InspectOptions: Sendable {
    /// A checkpoint, or nil with `preset`.
    public var model: ModelOptions?
    /// An architecture of `synth`, without weights.
    public var preset: PresetChoice?
    /// The type of the caches, and the overrides by weight name; its base does not count, as every base is shown
    public var precision: PrecisionPolicy
    /// For a preset; a checkpoint's stands among its options
    public var reduction: ReductionChoice
    public var box: Box
    /// Text tokens, beside the image's, of the prompt whose times and FLOPs are shown
    public var textTokens: Int
    public var json: Bool

    public init(
        model: ModelOptions?, preset: PresetChoice?, precision: PrecisionPolicy, reduction: ReductionChoice, box: Box, textTokens: Int,
        json: Bool
    ) {
        self.model = model
        self.preset = preset
        self.precision = precision
        self.reduction = reduction
        self.box = box
        self.textTokens = textTokens
        self.json = json
    }
}

extension Lmmc {
    /// `lmmc inspect`: what a checkpoint is, what its binary takes and does, and what that means for a box.
    public static func inspect(_ options: InspectOptions) throws(Diagnostic) {
        // Positions are 32-bit numbers in a program.
        guard 1...Int(Int32.max) ~= options.textTokens else {
            throw .usage("\(options.textTokens) tokens", at: .option("--text-tokens"), expected: "1 to \(Int32.max)")
        }
        try withFrontEnd(options.model, options.preset, precision: options.precision, reduction: options.reduction) {
            front throws(Diagnostic) in
            let inspection = try Inspection(front: front, options)
            try writeStandardOutput(options.json ? inspection.json.text(indent: 0) + "\n" : inspection.text)
        }
    }
}

/// The figures of a checkpoint, as text or JSON.
struct Inspection {
    let front: FrontEnd
    let box: Box
    let sizes: [PrecisionSizes]
    let costs: StageCosts
    let paper: PaperFigures?
    /// Empty without images
    let reducers: [ReducerFigures.Row]
    let hasTemplate: Bool

    init(front: FrontEnd, _ options: InspectOptions) throws(Diagnostic) {
        let configuration = front.checkpoint.configuration
        (self.front, box) = (front, options.box)
        hasTemplate = try front.checkpoint.chatTemplate() != nil
        sizes = try front.sizes()
        // Work is counted in the products themselves, not in what a precision adds to them.
        let module = try front.with(PrecisionPolicy(.float32)).run { _ throws(Diagnostic) in true }
        costs = StageCosts(module, visionTokens: front.visionTokens ?? 0, textTokens: options.textTokens)
        if let vision = configuration.vision, let fusion = configuration.fusion {
            paper = PaperFigures(vision, fusion, configuration.decoder)
            reducers = ReducerFigures(vision, configuration.decoder).rows
        } else {
            paper = nil
            reducers = []
        }
    }

    /// The context, and powers of two on both sides of it as far as the model goes.
    var contexts: [Int] {
        let limit = front.checkpoint.configuration.decoder.maxPositionEmbeddings
        return Set([front.context, limit] + [1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072].filter { $0 < limit }).sorted()
    }

    /// The reducer that is chosen, with its counts.
    var reduced: ReducerFigures.Row? {
        let configuration = front.checkpoint.configuration
        guard let vision = configuration.vision, let fusion = configuration.fusion else { return nil }
        let shape = VisionShape(vision, fusion, configuration.decoder)
        if let prefusion = fusion.prefusion {
            let work = ReducerFigures.prefusion(prefusion.tokens, vision, configuration.decoder, blocks: prefusion.layerCount)
            return ReducerFigures.Row(reducer: "llava-mini", VisionRows(of: shape), configuration.decoder, plus: work)
        }
        guard let reduction = front.reduction else { return nil }
        return ReducerFigures.Row(
            reducer: reduction.description, rows: reduction.rows(shape),
            flops: reduction.flops(configuration.decoder, shape, mask: try? reduction.headMask(configuration.decoder)))
    }

    var estimates: [BoxEstimate] {
        guard box.isGiven else { return [] }
        return sizes.map { BoxEstimate(box, $0, costs, context: front.context, chunk: front.chunk) }
    }

    struct Role {
        var name: String
        var count = 0
        var elements = 0
        var shapes: [String] = []
        var types: [String] = []
    }

    /// Tensors grouped by what they are: layer numbers are left out of the names.
    var roles: [Role] {
        var order: [String] = []
        var roles: [String: Role] = [:]
        let entries = front.checkpoint.tensors.filter { $0.key == $0.value.canonicalName }.map(\.value)
        for entry in entries.sorted(by: { layerFirst($0.canonicalName) < layerFirst($1.canonicalName) }) {
            let name = entry.canonicalName.split(separator: ".").map { $0.allSatisfy(\.isNumber) ? "*" : String($0) }.joined(separator: ".")
            if roles[name] == nil { order.append(name) }
            var role = roles[name] ?? Role(name: name)
            role.count += 1
            role.elements += entry.elementCount
            let shape = "[\(entry.shape.map(String.init).joined(separator: ", "))]"
            if !role.shapes.contains(shape) { role.shapes.append(shape) }
            if !role.types.contains(entry.dtype.rawValue) { role.types.append(entry.dtype.rawValue) }
            roles[name] = role
        }
        return order.map { roles[$0]! }
    }

    /// Sorts `layers.2` before `layers.10`.
    private func layerFirst(_ name: String) -> String {
        name.split(separator: ".").map { $0.allSatisfy(\.isNumber) ? padded(String($0), 6, right: true) : String($0) }.joined(
            separator: ".")
    }

    /// Parameters of the three parts; the fusion is what belongs to neither tower nor decoder.
    var parameters: [(part: String, count: Int)] {
        let checkpoint = front.checkpoint
        let (vision, decoder, all) = (
            checkpoint.parameterCount(prefix: "vision."), checkpoint.parameterCount(prefix: "decoder."), checkpoint.parameterCount()
        )
        return (checkpoint.configuration.vision == nil ? [] : [("vision tower", vision), ("fusion", all - vision - decoder)])
            + [("decoder", decoder), ("all", all)]
    }

    var json: JSONText {
        let configuration = front.checkpoint.configuration
        var members: [(String, JSONText)] = [
            ("model", .string(configuration.name)), ("layout", .string(configuration.layout.rawValue)),
            ("template", .string(front.templateName)), ("context", .integer(front.context)),
            ("sequences", .integer(front.sequences)), ("precision", .string(front.policy.base.rawValue)),
        ]
        if let vision = configuration.vision, let fusion = configuration.fusion {
            members.append(("vision", front.visionInfo(vision, fusion)))
        }
        if let compression = front.compressionInfo { members.append(compression) }
        members.append(("decoder", front.decoderInfo(configuration.decoder)))
        if let reduced { members += reduced.members }
        if let generation = front.generationInfo { members.append(generation) }
        members.append(("parameters", .object(parameters.map { ($0.part.replacing(" ", with: "_"), .integer($0.count)) })))
        members.append(
            (
                "flops",
                .object([
                    ("vision", .integer(costs.vision)), ("projector", .integer(costs.projector)),
                    ("vision_tokens", .integer(costs.visionTokens)), ("prefill_vision", .integer(costs.prefillVision)),
                    ("text_tokens", .integer(costs.textTokens)), ("prefill_text", .integer(costs.prefillText)),
                    ("decode", .integer(costs.decode)),
                ])
            ))
        members.append(
            (
                "bytes",
                .object(
                    [("checkpoint", .integer(front.checkpoint.byteCount()))]
                        + sizes.map { size in
                            (
                                size.precision.rawValue,
                                .object([
                                    ("weights", .integer(size.weightBytes)),
                                    ("kv_cache", .integer(size.cacheBytes(context: front.context))),
                                    ("kv_cache_type", .string(size.cache.rawValue)),
                                    ("kv_cache_per_position", .integer(size.cacheBytesPerPosition)),
                                    ("activations", .integer(size.activationBytes)), ("program", .integer(size.programBytes)),
                                    ("untouched", .integer(size.untouched(context: front.context))),
                                    ("total", .integer(size.total(context: front.context))),
                                ])
                            )
                        })
            ))
        if let paper {
            members.append(
                (
                    "fusion_parameters",
                    .object(
                        paper.parts.map { part in
                            (
                                part.name.lowercased(),
                                .object([("weights", .integer(part.weights)), ("with_biases", .integer(part.withBiases))])
                            )
                        })
                ))
            members.append(
                (
                    "paper_decoder_flops",
                    .array(
                        paper.rows.map { row in
                            .object([
                                ("kernel", .integer(row.kernel)), ("tokens_per_window", .integer(row.tokensPerWindow)),
                                ("vision_tokens", .integer(row.tokens)),
                                ("flops", .integer(row.flops)),
                            ])
                        })
                ))
            members.append(("paper_reducer_flops", .array(reducers.map(\.json))))
        }
        if box.isGiven {
            members.append(
                (
                    "box",
                    .object(
                        estimates.map { estimate in
                            var facts: [(String, JSONText)] = []
                            if let fits = estimate.fits { facts.append(("fits", .bool(fits))) }
                            if let context = estimate.largestContext { facts.append(("largest_context", .integer(context))) }
                            if let seconds = estimate.timeToFirstToken { facts.append(("time_to_first_token", .number(seconds * 1000))) }
                            if let rate = estimate.tokensPerSecond { facts.append(("tokens_per_second", .number(rate))) }
                            return (estimate.sizes.precision.rawValue, .object(facts))
                        })
                ))
        }
        members.append(
            (
                "tensors",
                .array(
                    roles.map { role in
                        .object([
                            ("role", .string(role.name)), ("count", .integer(role.count)), ("elements", .integer(role.elements)),
                            ("shapes", .array(role.shapes.map(JSONText.string))), ("types", .array(role.types.map(JSONText.string))),
                        ])
                    })
            ))
        return .object(members)
    }

    var text: String {
        let configuration = front.checkpoint.configuration
        let decoder = configuration.decoder
        var lines: [(String, String)] = [("model", "\(escapingControls(configuration.name)), layout '\(configuration.layout.rawValue)'")]
        if let vision = configuration.vision, let fusion = configuration.fusion {
            lines.append(
                (
                    "vision",
                    "\(vision.imageSize) px in \(vision.grid) x \(vision.grid) patches, \(vision.layerCount) blocks of width \(vision.hiddenSize)"
                        + ", computed up to block \(fusion.lastTap)"
                ))
            var text = "taps \(fusion.taps.map(String.init).joined(separator: ", "))"
            if !fusion.mbtf.isEmpty { text += "; MBTF" }
            if fusion.tokenPacker != nil { text += "; TokenPacker" }
            if let prefusion = fusion.prefusion {
                text += "; LLaVA-Mini's compressor with \(prefusion.tokens == 1 ? "a query" : "\(prefusion.tokens) queries")"
            }
            if fusion.kernel > 1 { text += "; \(fusion.averagesWindow ? "means" : "windows") of \(fusion.kernel) x \(fusion.kernel)" }
            if let qformer = fusion.qformer { text += "; Q-Former with \(qformer.queries) queries, \(qformer.layerCount) layers" }
            if fusion.windowConvolution != nil { text += " with a convolution" }
            if fusion.tokensPerWindow > 1 { text += ", \(fusion.tokensPerWindow) tokens each" }
            lines.append(("fusion", text))
            lines.append(("tokens", "\(fusion.decoderTokens(grid: vision.grid)) per image"))
            if let prefusion = fusion.prefusion {
                let rows = fusion.visionTokens(grid: vision.grid)
                lines.append(
                    ("prefusion", "\(prefusion.layerCount) blocks over \(rows) vision tokens and the prompt's words, ahead of the decoder"))
            }
            if let reduced { lines.append(("reduction", reduced.text)) }
            if let compression = configuration.compression {
                lines.append(
                    (
                        "compression",
                        "\(compression.count) tokens '\(CompressionConfiguration.text)' behind an image, which alone are kept of what stands before the words"
                    ))
            }
        }
        lines.append(
            (
                "decoder",
                "\(decoder.layerCount) layers of width \(decoder.hiddenSize), \(decoder.headCount) heads"
                    + (decoder.keyValueHeadCount == decoder.headCount ? "" : " over \(decoder.keyValueHeadCount)")
                    + ", inner width \(decoder.intermediateSize), vocabulary \(decoder.vocabularySize)"
            ))
        let ends = configuration.prompt.eosIDs.map(String.init).joined(separator: ", ")
        let own = front.templateName != PromptTemplate.own && hasTemplate ? " (the checkpoint has a chat template of its own)" : ""
        lines.append(("prompt", "template '\(front.templateName)'\(own), eos \(ends)"))
        let settings = front.checkpoint.generation.map { "\($0.key) \($0.shownValue.text())" }
        if !settings.isEmpty { lines.append(("generation", settings.joined(separator: ", ") + " (not followed)")) }
        lines.append(("parameters", parameters.map { "\($0.part) \(grouped($0.count))" }.joined(separator: ", ")))
        lines.append(("files", byteCountText(UInt64(front.checkpoint.byteCount())) + " of weights"))
        var text = lines.map { "\(padded($0.0, 11)) \($0.1)\n" }.joined()
        text += "\n" + InspectionTables(self).text + "\n"
        let roles = roles.map { role in
            var role = role
            role.name = escapingControls(role.name)
            return role
        }
        let nameWidth = roles.map(\.name.count).max() ?? 0
        let shapeWidth = roles.map { $0.shapes.joined(separator: " ").count }.max() ?? 0
        for role in roles {
            let columns = [
                padded("\(role.count)", 4, right: true), padded(role.name, nameWidth),
                padded(role.shapes.joined(separator: " "), shapeWidth),
                padded(role.types.joined(separator: " "), 4), padded(grouped(role.elements), 13, right: true),
            ]
            text += columns.joined(separator: "  ") + "\n"
        }
        return text
    }
}

/// 1234567 as `1,234,567`.
func grouped(_ value: Int) -> String {
    var digits = Array(String(value))
    for index in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: index) }
    return String(digits)
}
