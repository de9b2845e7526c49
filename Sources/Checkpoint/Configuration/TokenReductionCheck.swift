import Support

extension TokenReduction {
    /// Methods that are read, and refused since nothing makes a program of them.
    public static let notBuilt: Set<Method> = [
        .cdpruner
    ]

    /// Who asks for a method, which errors name.
    public enum Origin: Sendable {
        case option
        /// The key of the model at `path`.
        case configuration(path: String)
    }

    /// Refuses what a model cannot do or nothing is built for, before any work. Files that are named must be there, and the tower's weights
    /// that are dead without a reducer, `hasTensor` of their canonical names.
    public func check(
        against configuration: ModelConfiguration, askedBy origin: Origin, hasTensor: (String) -> Bool = { _ in true }
    ) throws(Diagnostic) {
        let refusal = Refusal(method: method, origin: origin)
        guard let vision = configuration.vision, let fusion = configuration.fusion else {
            throw refusal("reduces vision rows, and the model is a decoder without images", expected: "a model with images")
        }
        guard fusion.prefusion == nil else {
            throw refusal("cannot be combined with LLaVA-Mini's prefusion, which compresses the images", expected: "another model")
        }
        if isVisionSide { try checkPatches(fusion, configuration.layout, refusal) }
        if case .yopo(let own) = self {
            try own.checkKeys(refusal)
            try checkGrid(fusion, configuration.layout, refusal)
        }
        let token = quoted(CompressionConfiguration.text)
        if case .voco(let own) = self {
            guard configuration.compression != nil else {
                throw refusal(
                    "compresses by token \(token), which the model's vocabulary lacks", expected: "a model that was trained with it")
            }
            let positions = configuration.decoder.maxPositionEmbeddings
            guard own.tokens < positions else {
                throw refusal("has \(own.tokens) tokens", expected: "fewer than the model's \(positions) positions")
            }
        } else if configuration.compression != nil {
            throw refusal("cannot be combined with token \(token), by which the model compresses its images", expected: "another model")
        }
        try check(VisionShape(vision, fusion, configuration.decoder), askedBy: origin)
        try checkFiles(configuration.decoder, refusal)
        if let missing = readTensors(vision, tap: fusion.lastTap).first(where: { !hasTensor($0) }) {
            throw refusal("reads tensor \(quoted(missing)), which the vision tower lacks", expected: "a tower with all its blocks")
        }
        guard !Self.notBuilt.contains(method) else {
            let built = Method.allCases.filter { !Self.notBuilt.contains($0) }.map(\.rawValue)
            throw refusal("is not built", expected: quotedList(built + ["none"]))
        }
    }

    /// What it reads of a tower beyond what makes the rows: a block's queries and keys, or the norm behind the blocks.
    func readTensors(_ vision: VisionConfiguration, tap: Int) -> [String] {
        func scores(_ block: Int) -> [String] {
            ["layer_norm1", "self_attn.q_proj", "self_attn.k_proj"].flatMap { name in
                ["weight", "bias"].map { "vision.layers.\(block - 1).\(name).\($0)" }
            }
        }
        return switch self {
        case .prumerge, .mustdrop: scores(vision.layerCount)
        case .visionzip: scores(max(1, tap))
        case .cdpruner: ["vision.post_layernorm.weight", "vision.post_layernorm.bias"]
        case .mmtok, .tome, .fastv, .sparsevlm, .yopo, .llavolta, .voco: []
        }
    }

    /// The part of it that numbers alone decide.
    public func check(_ shape: VisionShape, askedBy origin: Origin) throws(Diagnostic) {
        let refusal = Refusal(method: method, origin: origin)
        let patches = shape.patches
        func keep(_ count: Int, of most: Int, _ what: String) throws(Diagnostic) {
            guard count <= most else { throw refusal("keeps \(count) rows", expected: "at most the model's \(most) \(what)") }
        }
        func layer(_ key: String, _ number: Int, upTo last: Int) throws(Diagnostic) {
            guard number <= last else {
                throw refusal("has \(key) \(number), and the decoder has \(shape.layers) blocks", expected: "at most \(last)")
            }
        }
        switch self {
        case .prumerge(let own):
            guard own.neighbours < patches else {
                throw refusal("has \(own.neighbours) neighbours", expected: "less than the model's \(patches) patches")
            }
            guard let ratio = own.ratio else { return }
            guard own.samplesGrid else {
                guard Double(patches) * ratio >= 1 else { throw refusal("keeps no row of \(patches)", expected: "a larger ratio") }
                guard Int(Double(patches) * ratio) < patches else {
                    throw refusal("keeps all \(patches) patches", expected: "a smaller ratio")
                }
                return
            }
            let parts = (1 / ratio).rounded()
            guard parts >= 3, parts <= Double(patches), 1 / parts == ratio, patches % Int(parts) == 0 else {
                let all = divisors(of: patches, upTo: 1 << 16).filter { $0 > 2 }.prefix(20).map { "1/\($0)" }.joined(separator: ", ")
                throw refusal("has ratio \(ratio)", expected: "1/m, where m divides the \(patches) patches: \(all)")
            }
        case .visionzip(let own):
            guard own.dominant <= patches + 1, case let rest = patches + 1 - own.dominant, own.contextual <= rest else {
                let rest = max(0, patches + 1 - own.dominant)
                throw refusal(
                    "has \(own.contextual) contextual rows, and \(own.dominant) dominant ones leave \(rest) of \(patches + 1)",
                    expected: "no more than are left")
            }
            try keep(own.keep, of: patches, "patches")
        case .mmtok(let own): try keep(own.keep, of: patches, "patches")
        case .cdpruner(let own): try keep(own.keep, of: patches, "patches")
        case .tome(let own):
            let blocks = shape.towerBlocks
            if case .list(let counts) = own.schedule, counts.count > blocks {
                throw refusal("has counts for \(counts.count) blocks, and \(blocks) run", expected: "at most \(blocks)")
            }
            guard case .keep(let count) = own.schedule else { return }
            try keep(count, of: patches, "patches")
            let left = patches - own.merges(blocks: blocks, patches: patches).reduce(0, +)
            guard left == count else {
                throw refusal("keeps \(count) rows, and \(blocks) blocks cannot merge so many", expected: "at least \(left)")
            }
        case .fastv(let own):
            try layer("layer", own.layer, upTo: shape.layers - 1)
            try keep(own.keep, of: shape.visionRows, "vision rows")
        case .sparsevlm(let own): try layer("layer", own.layers.last ?? 0, upTo: shape.layers - 2)
        case .mustdrop(let own):
            try layer("layer", MustDrop.layers[0], upTo: shape.layers - 1)
            guard shape.grid % own.window == 0 else {
                throw refusal(
                    "merges windows of \(own.window) x \(own.window), and the patch grid is \(shape.grid) x \(shape.grid)",
                    expected: divisors(of: shape.grid, called: "grid's edge"))
            }
        case .yopo(let own): if let layers = own.layers { try layer("layers", layers, upTo: shape.layers) }
        case .llavolta(let own):
            try layer("layer", own.layer, upTo: shape.layers - 1)
            guard own.stride <= shape.visionRows else {
                throw refusal("has stride \(own.stride)", expected: "at most the model's \(shape.visionRows) vision rows")
            }
        case .voco: break
        }
    }

    /// Refuses a fusion whose rows are no patches, for what works on patches.
    private func checkPatches(
        _ fusion: FusionConfiguration, _ layout: ModelConfiguration.Layout, _ refusal: Refusal
    ) throws(Diagnostic) {
        guard fusion.tokenPacker == nil else {
            throw refusal("cannot be combined with the projector TokenPacker", expected: "a row for each patch")
        }
        try checkGrid(fusion, layout, refusal)
        guard fusion.kernel == 1, !fusion.averagesWindow else {
            let what = fusion.averagesWindow ? "means" : "windows"
            throw refusal(
                "cannot be combined with \(what) of \(fusion.kernel) x \(fusion.kernel) patches", expected: "a row for each patch")
        }
        guard fusion.taps.count == 1 else {
            let taps = fusion.taps.map(String.init).joined(separator: ", ")
            throw refusal("cannot be combined with several taps (\(taps))", expected: "one tap")
        }
    }

    /// Refuses a fusion whose rows are no grid.
    private func checkGrid(
        _ fusion: FusionConfiguration, _ layout: ModelConfiguration.Layout, _ refusal: Refusal
    ) throws(Diagnostic) {
        guard fusion.qformer == nil else {
            throw refusal("cannot be combined with strategy 'qformer'", expected: "a row for each patch")
        }
        guard fusion.tokensPerWindow == 1 else {
            throw refusal("cannot be combined with \(fusion.tokensPerWindow) tokens per window", expected: "a row for each patch")
        }
        guard !fusion.keepsClassToken else {
            let (key, value) =
                layout == .transformers ? ("vision_feature_select_strategy", "default") : ("mm_vision_select_feature", "patch")
            throw refusal("cannot be combined with the class token that key \(quoted(key)) keeps", expected: quoted(value))
        }
    }

    private func checkFiles(_ decoder: DecoderConfiguration, _ refusal: Refusal) throws(Diagnostic) {
        switch self {
        case .cdpruner(let own):
            guard fileKind(own.clip) == .folder else {
                throw refusal("has \(quoted(own.clip)) as 'clip', which is no folder", expected: "a folder with a whole CLIP")
            }
        case .yopo(let own):
            guard let heads = own.heads, fileKind(heads) == .regular else {
                throw refusal("has \(quoted(own.heads ?? "")) as 'heads', which is no file", expected: "a NumPy file with a mask of heads")
            }
            _ = try HeadMask(path: heads, blocks: decoder.layerCount, heads: decoder.headCount)
        case .prumerge, .visionzip, .mmtok, .tome, .fastv, .sparsevlm, .mustdrop, .llavolta, .voco: break
        }
    }
}

extension TokenReduction.YOPO {
    /// Refuses what neither the method's keys nor the checkpoint's say.
    fileprivate func checkKeys(_ refusal: Refusal) throws(Diagnostic) {
        guard heads != nil else {
            let file = if case .configuration(let path) = refusal.origin { path } else { "" }
            throw .error(
                "the model was trained for method 'yopo', and nothing says in which heads its vision rows are seen", at: .file(file),
                expected: "'\(TokenReduction.option) yopo:heads=FILE.npy', or '\(TokenReduction.option) none'")
        }
        let said = [("layers", layers != nil, "layercut_num"), ("window", window != nil, "attncut_w"), ("ffn", ffn != nil, "mlpcut_ratio")]
        if let missing = said.first(where: { !$0.1 }) {
            throw refusal("has no key '\(missing.0)'", expected: "it, or key '\(missing.2)' of the checkpoint")
        }
    }
}

/// Errors that name the method and who asks for it.
private struct Refusal {
    let method: TokenReduction.Method
    let origin: TokenReduction.Origin

    func callAsFunction(_ problem: String, expected: String) -> Diagnostic {
        switch origin {
        case .option: .usage("method \(quoted(method.rawValue)) \(problem)", at: .option(TokenReduction.option), expected: expected)
        case .configuration(let path):
            .error(
                "method \(quoted(method.rawValue)) of key \(quoted(TokenReduction.configurationKey)) \(problem)", at: .file(path),
                expected: expected)
        }
    }
}
