import CEmit
import Checkpoint
import Packaging
import Plan
import Support
import Toolchain

/// How a program was built.
struct BuildFacts {
    /// First line of the C compiler's `--version`
    var compilerVersion: String
    var mode: LinkMode
    /// What a dynamic executable needs on its target; nil for a static one and before linking
    var needs: DynamicNeeds?
}

extension FrontEnd {
    /// What the emitted program says about itself beyond its plan. `build` is nil when somebody else will compile it.
    func describe(
        _ plan: Plan, _ layout: AttachmentLayout, options: ModelOptions, target: Target, build: BuildFacts? = nil
    ) throws(Diagnostic) -> ProgramDescription {
        let configuration = checkpoint.configuration
        return try ProgramDescription(
            version: Lmmc.version, info: info(plan, layout, template: templateName, target: target, build).text(),
            vision: describeVision(plan),
            reducer: reducer, context: context,
            template: template, addsBOS: configuration.prompt.addsBOS,
            bos: try identifier(configuration.prompt.bosID ?? -1), eos: try configuration.prompt.eosIDs.map(identifier),
            compression: try configuration.compression.map { (it) throws(Diagnostic) in
                try .init(token: identifier(it.token), count: identifier(it.count))
            },
            tokenizerOffset: layout.tokenizerOffset, tokenizerBytes: layout.tokenizerBytes, treeOffset: layout.treeOffset,
            treeBytes: layout.treeBytes, prefixOffset: layout.prefix == nil ? 0 : layout.prefixOffset,
            prefixBytes: layout.prefix?.byteCount ?? 0, sumsOffset: layout.sumsOffset,
            attachmentBytes: layout.totalBytes)
    }

    private var reducer: ProgramDescription.Reducer? {
        if checkpoint.configuration.fusion?.prefusion != nil, let vision = checkpoint.configuration.vision {
            return ProgramDescription.Reducer(name: "llava-mini", knowsOneImage: true, prefusedRows: vision.grid * vision.grid)
        }
        return reduction.map { .init(name: $0.description, knowsOneImage: $0.knowsOneImage, recomputes: $0.recomputes) }
    }

    private func identifier(_ value: Int) throws(Diagnostic) -> Int32 {
        guard let id = Int32(exactly: value) else { throw .error("token id \(value) does not fit in 32 bits") }
        return id
    }

    private func describeVision(_ plan: Plan) -> ProgramDescription.Vision? {
        guard let imported = visionTokens, let preprocessing = checkpoint.configuration.preprocessing else { return nil }
        // A reducer may leave fewer, and as many images more have room.
        let tokens = plan.region(.projected)?.type?.shape.first?.bound ?? imported
        let rows = plan.region(.visionRows)?.type?.shape.first?.bound ?? imported
        let mode: ProgramDescription.Resize
        let resize: Int
        switch preprocessing.mode {
        case .pad: (mode, resize) = (.pad, 0)
        case .shortestEdgeCrop(let edge, _): (mode, resize) = (.crop, edge)
        }
        return ProgramDescription.Vision(
            mode: mode, resize: resize, size: preprocessing.imageSize,
            background: preprocessing.mean.map { UInt8(min(255, max(0, 255 * $0))) }, mean: preprocessing.mean, std: preprocessing.std,
            tokens: tokens, maxImages: max(1, rows / tokens))
    }

    /// Rows that a prompt has for an image, the most where a run decides; nil without a vision tower.
    var visionTokens: Int? {
        if let vision = checkpoint.configuration.vision, let fusion = checkpoint.configuration.fusion, fusion.prefusion != nil {
            return fusion.visionTokens(grid: vision.grid)
        }
        return visionRows?.tokens
    }

    /// The vision rows of an image, as the reducer leaves them if there is one; nil without a vision tower.
    var visionRows: VisionRows? {
        let configuration = checkpoint.configuration
        guard let vision = configuration.vision, let fusion = configuration.fusion else { return nil }
        let shape = VisionShape(vision, fusion, configuration.decoder)
        return reduction?.rows(shape) ?? VisionRows(of: shape)
    }

    private func info(
        _ plan: Plan, _ layout: AttachmentLayout, template: String, target: Target, _ build: BuildFacts?
    ) -> JSONText {
        let configuration = checkpoint.configuration
        let decoder = configuration.decoder
        var members: [(String, JSONText)] = [
            ("model", .string(configuration.name)), ("layout", .string(configuration.layout.rawValue)),
            ("precision", .string(policy.base.rawValue)),
            ("target", .string(target.isNative ? "native (\(HostCPU.current.architecture), \(HostCPU.current.name))" : target.name)),
            ("levels", .array(target.levels.map { .string($0.name) })),
            ("context", .integer(context)), ("sequences", .integer(sequences)), ("chunk", .integer(plan.chunk)),
            ("template", .string(template)),
        ]
        if let text = self.template.systemText { members.append(("system", .string(text))) }
        if let reduction { members.append(("reduction", .string(reduction.description))) }
        if let vision = configuration.vision, let fusion = configuration.fusion {
            members.append(("vision", visionInfo(vision, fusion)))
        }
        if let prefix = layout.prefix { members.append(("folded_prefix", .object([("tokens", .integer(prefix.tokens.count))]))) }
        if let compression = compressionInfo { members.append(compression) }
        members.append(("decoder", decoderInfo(decoder)))
        members.append(
            (
                "sizes",
                .object([
                    ("weight_bytes", .integer(layout.weightBytes)), ("tokenizer_bytes", .integer(layout.tokenizerBytes)),
                    ("token_tree_bytes", .integer(layout.treeBytes)), ("prefix_bytes", .integer(layout.prefix?.byteCount ?? 0)),
                    ("kv_cache_bytes", .integer(plan.slots.cacheBytes)), ("slot_bytes", .integer(plan.slots.byteCount)),
                    ("activation_bytes", .integer(plan.activationBytes)), ("arena_bytes", .integer(plan.arenaBytes)),
                ])
            ))
        if let generation = generationInfo { members.append(generation) }
        members.append(("compiler", .string("lmmc \(Lmmc.version)")))
        if let build {
            members += [("c_compiler", .string(build.compilerVersion)), ("link", .string(build.mode.rawValue))]
            if let needs = build.needs { members.append(("needs", needs.json)) }
        }
        return .object(members)
    }

    /// The compression tokens behind an image; nil where there are none.
    var compressionInfo: (String, JSONText)? {
        checkpoint.configuration.compression.map {
            ("compression", .object([("token", .integer($0.token)), ("count", .integer($0.count))]))
        }
    }

    /// What the checkpoint's files ask of sampling; nil where they ask for nothing.
    var generationInfo: (String, JSONText)? {
        let settings = checkpoint.generation
        return settings.isEmpty ? nil : ("generation_config_not_followed", .object(settings.map { ($0.key, $0.shownValue) }))
    }

    func visionInfo(_ vision: VisionConfiguration, _ fusion: FusionConfiguration) -> JSONText {
        .object(
            [
                ("image_size", .integer(vision.imageSize)), ("patch_size", .integer(vision.patchSize)),
                ("hidden_size", .integer(vision.hiddenSize)), ("blocks", .integer(vision.layerCount)),
                ("blocks_computed", .integer(fusion.lastTap)), ("taps", .array(fusion.taps.map { .integer($0) })),
                ("kernel", .integer(fusion.kernel)), ("tokens_per_window", .integer(fusion.tokensPerWindow)),
                ("vision_tokens", .integer(fusion.decoderTokens(grid: vision.grid))),
            ] + prefusionInfo(vision, fusion))
    }

    private func prefusionInfo(_ vision: VisionConfiguration, _ fusion: FusionConfiguration) -> [(String, JSONText)] {
        guard let prefusion = fusion.prefusion else { return [] }
        return [
            (
                "prefusion",
                .object([("blocks", .integer(prefusion.layerCount)), ("vision_tokens", .integer(fusion.visionTokens(grid: vision.grid)))])
            )
        ]
    }

    func decoderInfo(_ decoder: DecoderConfiguration) -> JSONText {
        .object([
            ("hidden_size", .integer(decoder.hiddenSize)), ("layers", .integer(decoder.layerCount)),
            ("heads", .integer(decoder.headCount)), ("key_value_heads", .integer(decoder.keyValueHeadCount)),
            ("head_size", .integer(decoder.headSize)), ("intermediate_size", .integer(decoder.intermediateSize)),
            ("vocabulary", .integer(decoder.vocabularySize)), ("max_position_embeddings", .integer(decoder.maxPositionEmbeddings)),
        ])
    }
}
