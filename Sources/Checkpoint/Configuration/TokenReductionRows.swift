/// What a reducer's counts follow from: the numbers of a model, or of one that it is compared with.
public struct VisionShape: Sendable, Equatable {
    /// Patches along each side.
    public var grid: Int
    /// Blocks of the tower that run, up to the tap.
    public var towerBlocks: Int
    /// Vision rows that the decoder gets without a reducer.
    public var visionRows: Int
    /// Blocks of the decoder.
    public var layers: Int

    public init(grid: Int, towerBlocks: Int, visionRows: Int, layers: Int) {
        (self.grid, self.towerBlocks, self.visionRows, self.layers) = (grid, towerBlocks, visionRows, layers)
    }

    public init(_ vision: VisionConfiguration, _ fusion: FusionConfiguration, _ decoder: DecoderConfiguration) {
        self.init(
            grid: vision.grid, towerBlocks: fusion.lastTap, visionRows: fusion.decoderTokens(grid: vision.grid), layers: decoder.layerCount)
    }

    /// N
    public var patches: Int { grid * grid }
}

/// Vision rows of one image that a reducer leaves.
public struct VisionRows: Sendable, Equatable {
    /// Rows that the decoder gets.
    public var tokens: Int
    /// Rows that each of its blocks runs on.
    public var perBlock: [Int]
    /// Whether a run decides, so that these are the most.
    public var areBounds: Bool

    public init(tokens: Int, perBlock: [Int], areBounds: Bool) {
        (self.tokens, self.perBlock, self.areBounds) = (tokens, perBlock, areBounds)
    }

    /// All of them, without a reducer.
    public init(of shape: VisionShape) {
        self.init(
            tokens: shape.visionRows, perBlock: Array(repeating: shape.visionRows, count: shape.layers), areBounds: false)
    }

    /// Their mean over the blocks; 0 without any.
    public var mean: Double { perBlock.isEmpty ? 0 : perBlock.reduce(0) { $0 + Double($1) } / Double(perBlock.count) }
}

extension TokenReduction {
    /// The rows that this leaves of what `shape` has, for which it was checked.
    public func rows(_ shape: VisionShape) -> VisionRows {
        let all = shape.visionRows, patches = shape.patches
        func ahead(_ tokens: Int, areBounds: Bool = false) -> VisionRows {
            VisionRows(tokens: tokens, perBlock: Array(repeating: tokens, count: shape.layers), areBounds: areBounds)
        }
        /// As many rows as the decoder's blocks begin with, and from each of `steps` on fewer.
        func inside(_ steps: [(block: Int, rows: Int)]) -> VisionRows {
            var counts = Array(repeating: all, count: shape.layers)
            for (block, rows) in steps where block < shape.layers {
                for later in block..<shape.layers { counts[later] = rows }
            }
            return VisionRows(tokens: all, perBlock: counts, areBounds: false)
        }
        switch self {
        case .prumerge(let own):
            guard let ratio = own.ratio else {
                // No more than a quarter lies above the third quartile, and one row stands for the rest.
                return ahead(own.samplesGrid ? patches + 1 : patches / 4 + 1, areBounds: true)
            }
            let kept = Int(Double(patches) * ratio)
            return ahead((own.samplesGrid ? 2 * kept : kept) + 1)
        case .visionzip(let own): return ahead(own.keep)
        case .mmtok(let own): return ahead(own.keep)
        case .cdpruner(let own): return ahead(own.keep)
        case .tome(let own): return ahead(patches - own.merges(blocks: shape.towerBlocks, patches: patches).reduce(0, +))
        case .fastv(let own): return inside([(own.layer, own.keep)])
        case .sparsevlm(let own):
            // By rank it may be that nothing leaves.
            guard own.rank == nil else { return VisionRows(tokens: all, perBlock: inside([]).perBlock, areBounds: true) }
            var rows = all, steps: [(Int, Int)] = []
            for (layer, keep) in zip(own.layers, own.keep) where rows > 1 {
                let kept = min(keep, rows - 1)
                rows = kept + (own.version == .v15 ? SparseVLM.clusters(ofDropped: rows - kept) : 0)
                steps.append((layer + 1, rows))
            }
            return inside(steps)
        case .mustdrop: return ahead(all, areBounds: true)
        case .yopo(let own): return own.softmax == .kept ? inside([(own.layers ?? shape.layers, 0)]) : inside([])
        case .llavolta(let own): return inside([(own.layer, all / own.stride)])
        case .voco: return inside([])
        }
    }
}

extension TokenReduction.SparseVLM {
    /// Dropped rows that are merged, those of the most attention.
    public static func recycled(ofDropped count: Int) -> Int { min(count, Int(0.3 * Double(count)) + 1) }

    /// Rows that they become.
    public static func clusters(ofDropped count: Int) -> Int { recycled(ofDropped: count) / 10 + 1 }
}
