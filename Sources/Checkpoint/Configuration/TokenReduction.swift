/// A method that gives the decoder fewer vision rows than the projector makes, or less work with them.
///
/// N is the number of patches, V of vision rows behind the projector. A tower's blocks are counted from 1 and the decoder's from 0, as the
/// methods' public code does. Option and key, `--reduce METHOD[:key=value,...]` and `mm_token_reduction`, have the same keys of a method.
public enum TokenReduction: Hashable, Sendable {
    case prumerge(PruMerge)
    case visionzip(VisionZip)
    case mmtok(MMTok)
    case cdpruner(CDPruner)
    case tome(ToMe)
    case fastv(FastV)
    case sparsevlm(SparseVLM)
    case mustdrop(MustDrop)
    case yopo(YOPO)
    case llavolta(LLaVolta)
    case voco(VoCo)

    /// The methods by the names that option and key have for them.
    public enum Method: String, Hashable, Sendable, CaseIterable {
        case prumerge
        case prumergePlus = "prumerge+"
        case visionzip, mmtok, cdpruner, tome, fastv, sparsevlm, mustdrop, yopo, llavolta, voco
    }

    /// Patches of high class attention, each with its nearest neighbours added.
    public struct PruMerge: Hashable, Sendable {
        /// PruMerge+: samples of the grid stand beside the outliers.
        public var samplesGrid: Bool
        /// Rows that are added to each kept row.
        public var neighbours: Int
        /// Nil: the outliers of each image are counted. Else the share that is kept; with `samplesGrid` it is 1/m, and the fixed form.
        public var ratio: Double?

        public init(samplesGrid: Bool, neighbours: Int = 32, ratio: Double? = nil) {
            (self.samplesGrid, self.neighbours, self.ratio) = (samplesGrid, neighbours, ratio)
        }
    }

    /// Patches of high class attention, and a few sums of the others.
    public struct VisionZip: Hashable, Sendable {
        /// The class token among them.
        public var dominant: Int
        public var contextual: Int

        public init(dominant: Int, contextual: Int) { (self.dominant, self.contextual) = (dominant, contextual) }

        /// As the published budgets divide `keep`: 54 + 10, 108 + 20, 162 + 30.
        public init(keep: Int) { self.init(dominant: keep - 5 * keep / 32, contextual: 5 * keep / 32) }

        public var keep: Int { dominant + contextual }
    }

    /// Patches that together cover the question's words and the image.
    public struct MMTok: Hashable, Sendable {
        /// Whether patches that lie wholly in the bars of a padded image may not be chosen.
        public enum Padding: String, Hashable, Sendable, CaseIterable {
            /// They may not where the model pads its images.
            case auto
            case on, off
        }

        public var keep: Int
        /// Weight of the image's coverage; the words' is 1.
        public var alpha: Double
        public var textTemperature: Double
        public var visionTemperature: Double
        public var padding: Padding

        public init(
            keep: Int, alpha: Double = 0.5, textTemperature: Double = 0.02, visionTemperature: Double = 0.2, padding: Padding = .auto
        ) {
            (self.keep, self.alpha, self.padding) = (keep, alpha, padding)
            (self.textTemperature, self.visionTemperature) = (textTemperature, visionTemperature)
        }

        /// Whether patches in the bars are barred, for a model that pads its images or does not.
        public func barsPadding(padsImages: Bool) -> Bool { padding == .on || padding == .auto && padsImages }
    }

    /// Patches that differ from each other and suit the question by CLIP's text tower.
    public struct CDPruner: Hashable, Sendable {
        public var keep: Int
        /// The folder of a whole CLIP.
        public var clip: String

        public init(keep: Int, clip: String) { (self.keep, self.clip) = (keep, clip) }
    }

    /// Similar rows are merged in every block of the tower.
    public struct ToMe: Hashable, Sendable {
        public enum Schedule: Hashable, Sendable {
            /// As many rows in each block.
            case constant(Int)
            /// By block from the first; blocks beyond the list merge none.
            case list([Int])
            /// Spread over all blocks so that this many patches stay.
            case keep(Int)
        }

        public var schedule: Schedule

        public init(_ schedule: Schedule) { self.schedule = schedule }

        /// Rows that each of `blocks` blocks merges away, of N patches beside a class token; no block can merge more than half of them.
        public func merges(blocks: Int, patches: Int) -> [Int] {
            var rows = patches
            return (1...max(1, blocks)).prefix(blocks).map { block in
                let wanted =
                    switch schedule {
                    case .constant(let count): count
                    case .list(let counts): block <= counts.count ? counts[block - 1] : 0
                    case .keep(let keep): Self.share(patches - keep, block, of: blocks) - Self.share(patches - keep, block - 1, of: blocks)
                    }
                let count = min(wanted, rows / 2)
                rows -= count
                return count
            }
        }

        /// floor(total * part / parts), for totals whose product would be too large.
        private static func share(_ total: Int, _ part: Int, of parts: Int) -> Int {
            total / parts * part + total % parts * part / parts
        }
    }

    /// Before block `layer` the vision rows leave but for those that the last row attended to most in the block before.
    public struct FastV: Hashable, Sendable {
        /// The first block that runs on fewer rows, at least 1.
        public var layer: Int
        public var keep: Int
        /// `variant=recompute`: each step is a prefill of prompt and answer, ranked anew.
        public var recomputes: Bool

        public init(layer: Int, keep: Int, recomputes: Bool = false) {
            (self.layer, self.keep, self.recomputes) = (layer, keep, recomputes)
        }
    }

    /// Vision rows leave in steps, ranked by the attention of the question's words that look at the image.
    public struct SparseVLM: Hashable, Sendable {
        public enum Version: String, Hashable, Sendable, CaseIterable {
            /// Counts by the rank of a matrix.
            case v10 = "1.0"
            case v15 = "1.5"
            /// Without clusters of the dropped rows, at original positions.
            case v20 = "2.0"
        }

        /// The count by a matrix's rank: int(rank * scale + bias).
        public struct RankRule: Hashable, Sendable {
            public var scale: Double
            public var bias: Double
        }

        public var version: Version
        /// Behind these blocks rows leave, ascending.
        public var layers: [Int]
        /// Rows to keep behind each of them, clusters aside; empty with version 1.0.
        public var keep: [Int]
        /// With version 1.0.
        public var rank: RankRule?
        /// The name of the published setting that has these counts, about the mean of its rows; nil for a list of one's own.
        public var tokens: Int?

        /// The published names of a version.
        public static func names(_ version: Version) -> [Int] { published(version).map(\.name) }

        /// A published setting; nil if the version has none of that name.
        public init?(tokens: Int, version: Version = .v15) {
            guard let found = Self.published(version).first(where: { $0.name == tokens }) else { return nil }
            (self.version, self.tokens, keep, rank) = (version, tokens, found.keep, found.rank)
            layers = Self.publishedLayers(version)
        }

        static func publishedLayers(_ version: Version) -> [Int] { version == .v10 ? [2, 6, 15, 19] : [2, 6, 15] }

        public init(version: Version = .v15, layers: [Int], keep: [Int] = [], rank: RankRule? = nil) {
            (self.version, self.layers, self.keep, self.rank) = (version, layers, keep, rank)
            tokens = Self.published(version).first { $0.keep == keep && $0.rank == rank }?.name
        }

        private static func published(_ version: Version) -> [(name: Int, keep: [Int], rank: RankRule?)] {
            switch version {
            case .v10:
                [
                    (192, [], RankRule(scale: 13.5, bias: 0)), (128, [], RankRule(scale: 9, bias: 6)),
                    (64, [], RankRule(scale: 0.8, bias: 0)),
                ]
            case .v15: [(192, [300, 200, 110], nil), (128, [303, 110, 36], nil), (96, [238, 48, 26], nil), (64, [66, 30, 17], nil)]
            case .v20: [(192, [300, 200, 118], nil), (128, [238, 108, 60], nil), (96, [246, 54, 28], nil), (64, [66, 34, 20], nil)]
            }
        }
    }

    /// Alike windows are merged in the tower, and vision rows of little attention leave the decoder, but for a set that the tower names.
    public struct MustDrop: Hashable, Sendable {
        /// Behind these blocks of the decoder rows leave, those of them that there are.
        public static let layers = [2, 6, 10, 14]

        /// g: a row may leave whose share of all attention is below.
        public var global: Double
        /// i: a row may leave of which no text row sees as much.
        public var individual: Double
        /// Edge of the windows that the tower merges.
        public var window: Int
        /// The mean cosine from which a window is merged.
        public var similarity: Double
        /// The share of rows that never leave.
        public var key: Double

        public init(global: Double, individual: Double, window: Int = 3, similarity: Double = 0.8, key: Double = 0.08) {
            (self.global, self.individual) = (global, individual)
            (self.window, self.similarity, self.key) = (window, similarity, key)
        }
    }

    /// All vision rows stay, and a fixed plan cuts what is computed of them.
    public struct YOPO: Hashable, Sendable {
        public enum Softmax: String, Hashable, Sendable, CaseIterable {
            /// Pairs that are cut stay in the denominators, as in training.
            case all
            case kept
        }

        /// A NumPy file, bool [blocks, heads]. Nil, as the next three, where the checkpoint's own keys say it or nothing does.
        public var heads: String?
        /// From this block on nothing sees vision rows.
        public var layers: Int?
        /// Edge of the square of patches that a patch sees, odd.
        public var window: Int?
        /// The MLP of vision rows has int(intermediate / ffn) channels.
        public var ffn: Double?
        public var softmax: Softmax

        public init(heads: String?, layers: Int?, window: Int?, ffn: Double?, softmax: Softmax = .all) {
            (self.heads, self.layers, self.window, self.ffn, self.softmax) = (heads, layers, window, ffn, softmax)
        }
    }

    /// Before block `layer` each run of `stride` vision rows becomes its mean.
    public struct LLaVolta: Hashable, Sendable {
        /// At least 1.
        public var layer: Int
        public var stride: Int

        public init(layer: Int, stride: Int) { (self.layer, self.stride) = (layer, stride) }
    }

    /// Text sees the image through compression tokens alone.
    public struct VoCo: Hashable, Sendable {
        /// How many of the token stand behind an image.
        public var tokens: Int

        public init(tokens: Int = 2) { self.tokens = tokens }
    }
}

// MARK: What the methods are like

extension TokenReduction {
    public var method: Method {
        switch self {
        case .prumerge(let keys): keys.samplesGrid ? .prumergePlus : .prumerge
        case .visionzip: .visionzip
        case .mmtok: .mmtok
        case .cdpruner: .cdpruner
        case .tome: .tome
        case .fastv: .fastv
        case .sparsevlm: .sparsevlm
        case .mustdrop: .mustdrop
        case .yopo: .yopo
        case .llavolta: .llavolta
        case .voco: .voco
        }
    }

    public var name: String { method.rawValue }

    /// Works in the tower, or between tower and decoder. MustDrop works on both sides.
    public var isVisionSide: Bool {
        switch self {
        case .prumerge, .visionzip, .mmtok, .cdpruner, .tome, .mustdrop: true
        case .fastv, .sparsevlm, .yopo, .llavolta, .voco: false
        }
    }

    public var isDecoderSide: Bool {
        switch self {
        case .fastv, .sparsevlm, .mustdrop, .yopo, .llavolta, .voco: true
        case .prumerge, .visionzip, .mmtok, .cdpruner, .tome: false
        }
    }

    /// Rows of the decoder leave by the attention that they get.
    public var isRanked: Bool {
        switch self {
        case .fastv, .sparsevlm, .mustdrop: true
        case .prumerge, .visionzip, .mmtok, .cdpruner, .tome, .yopo, .llavolta, .voco: false
        }
    }

    /// A prompt with an image is one call of `step`: rows are ranked by the prompt's end, pooled together, or see later rows.
    public var needsWholePrompt: Bool {
        switch self {
        case .fastv, .sparsevlm, .mustdrop, .yopo, .llavolta: true
        case .prumerge, .visionzip, .mmtok, .cdpruner, .tome, .voco: false
        }
    }

    /// A prompt may have one image at most.
    public var knowsOneImage: Bool {
        switch self {
        case .fastv, .sparsevlm, .mustdrop, .yopo, .voco: true
        case .prumerge, .visionzip, .mmtok, .cdpruner, .tome, .llavolta: false
        }
    }

    /// Each step of an answer about an image is a prefill of prompt and answer, whose last row ranks anew.
    public var recomputes: Bool {
        if case .fastv(let own) = self { own.recomputes } else { false }
    }

    /// What is kept depends on the user's words.
    public var readsQuestion: Bool {
        switch self {
        case .mmtok, .cdpruner: true
        case .prumerge, .visionzip, .tome, .fastv, .sparsevlm, .mustdrop, .yopo, .llavolta, .voco: false
        }
    }
}

// MARK: Text

extension TokenReduction: CustomStringConvertible {
    /// The text that `--reduce` takes for this method, with what differs from the defaults.
    public var description: String {
        var keys: [String] = []
        func add(_ key: String, _ value: some CustomStringConvertible) { keys.append("\(key)=\(value)") }
        func add<Value: Equatable & CustomStringConvertible>(_ key: String, _ value: Value, unless fallback: Value) {
            if value != fallback { add(key, value) }
        }
        switch self {
        case .prumerge(let own):
            add("neighbours", own.neighbours, unless: 32)
            if let ratio = own.ratio { add("ratio", Self.ratioText(ratio)) }
        case .visionzip(let own):
            add("dominant", own.dominant)
            add("contextual", own.contextual)
        case .mmtok(let own):
            add("keep", own.keep)
            add("alpha", own.alpha, unless: 0.5)
            add("t_text", own.textTemperature, unless: 0.02)
            add("t_vis", own.visionTemperature, unless: 0.2)
            add("padding", own.padding.rawValue, unless: MMTok.Padding.auto.rawValue)
        case .cdpruner(let own):
            add("keep", own.keep)
            add("clip", own.clip)
        case .tome(let own):
            switch own.schedule {
            case .constant(let count): add("r", count)
            // A list of one would read as a number.
            case .list(let counts): add("r", Self.listText(counts.count == 1 ? counts + [0] : counts))
            case .keep(let count): add("keep", count)
            }
        case .fastv(let own):
            add("layer", own.layer)
            add("keep", own.keep)
            if own.recomputes { add("variant", "recompute") }
        case .sparsevlm(let own):
            if let tokens = own.tokens { add("tokens", tokens) }
            add("version", own.version.rawValue, unless: SparseVLM.Version.v15.rawValue)
            add("layers", Self.listText(own.layers), unless: Self.listText(SparseVLM.publishedLayers(own.version)))
            if own.tokens == nil { add("keep", Self.listText(own.keep)) }
        case .mustdrop(let own):
            add("global", own.global)
            add("individual", own.individual)
            add("window", own.window, unless: 3)
            add("similarity", own.similarity, unless: 0.8)
            add("key", own.key, unless: 0.08)
        case .yopo(let own):
            if let heads = own.heads { add("heads", heads) }
            if let layers = own.layers { add("layers", layers) }
            if let window = own.window { add("window", window) }
            if let ffn = own.ffn { add("ffn", ffn) }
            add("softmax", own.softmax.rawValue, unless: YOPO.Softmax.all.rawValue)
        case .llavolta(let own):
            add("layer", own.layer)
            add("stride", own.stride)
        case .voco(let own): add("tokens", own.tokens, unless: 2)
        }
        return keys.isEmpty ? name : "\(name):\(keys.joined(separator: ","))"
    }

    private static func listText(_ values: [Int]) -> String { values.map(String.init).joined(separator: "+") }

    /// 1/m where it is one, since most of them have no short decimal form.
    private static func ratioText(_ ratio: Double) -> String {
        let parts = (1 / ratio).rounded()
        return 1 / parts == ratio && parts > 1 && parts < 1e9 ? "1/\(Int(parts))" : "\(ratio)"
    }
}
