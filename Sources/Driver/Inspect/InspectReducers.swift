import Checkpoint
import IRView
import Support

/// The decoder's work on the vision rows with each reducer that the paper compares with (Tables 2 and 4), by counting as the paper counts:
/// the tower, the projector and the reducer itself do not count, but for LLaVA-Mini, whose prefusion is blocks of a decoder.
struct ReducerFigures {
    struct Row {
        /// As `--reduce` takes it, or the name of a model that is trained.
        var reducer: String
        var rows: VisionRows
        var flops: Int
    }

    /// Those whose counts the model has room for.
    private(set) var rows: [Row] = []

    /// Published settings, and for the methods ahead of the decoder the paper's 144 tokens and what the methods publish.
    private static let settings =
        ["prumerge+:ratio=1/8"] + [192, 160, 144, 128, 64].map { "visionzip:keep=\($0)" } + [192, 144, 128, 64].map { "mmtok:keep=\($0)" }
        + [128, 64, 32].map { "cdpruner:keep=\($0),clip=DIR" } + ["tome:keep=144"]
        + [144, 115, 192, 128, 64].map { "fastv:layer=2,keep=\($0)" } + ["fastv:layer=3,keep=288"]
        + [192, 128, 96, 64].map { "sparsevlm:tokens=\($0)" } + [192, 128, 96, 64].map { "sparsevlm:tokens=\($0),version=2.0" }
        + ["yopo:heads=FILE,layers=16,window=5,ffn=2", "llavolta:layer=2,stride=8", "llavolta:layer=16,stride=8", "voco"]

    /// For rows that are the tower's patches, whatever fusion the model itself has.
    init(_ vision: VisionConfiguration, _ decoder: DecoderConfiguration) {
        let patches = vision.grid * vision.grid
        let shape = VisionShape(
            grid: vision.grid, towerBlocks: vision.layerCount - 1, visionRows: patches, layers: decoder.layerCount)
        func add(_ reducer: String, _ tokens: Int, plus work: Int = 0) {
            var shape = shape
            shape.visionRows = tokens
            self.rows.append(Row(reducer: reducer, VisionRows(of: shape), decoder, plus: work))
        }
        add("none", patches)
        for text in Self.settings {
            guard let reduction = try? TokenReduction.parse(text), (try? reduction.check(shape, askedBy: .option)) != nil else { continue }
            if case .sparsevlm(let own) = reduction, own.tokens ?? 0 >= patches { continue }
            self.rows.append(Row(reducer: text, rows: reduction.rows(shape), flops: reduction.flops(decoder, shape)))
        }
        // Half the heads, with which YOPO's work is a quarter.
        let text = "yopo:heads=FILE,layers=16,window=5,ffn=2,softmax=kept"
        if let kept = try? TokenReduction.parse(text), (try? kept.check(shape, askedBy: .option)) != nil {
            let mask = HeadMask(mean: decoder.headCount / 2, decoder)
            self.rows.append(
                Row(
                    reducer: "\(text), \(decoder.headCount / 2) heads", rows: kept.rows(shape),
                    flops: kept.flops(decoder, shape, mask: mask)))
        }
        for scale in [2, 3, 4] where vision.grid % scale == 0 { add("TokenPacker", patches / (scale * scale)) }
        for size in [1, 12] where size < vision.grid {
            add("LLaVA-Mini, with its own work", size * size, plus: Self.prefusion(size * size, vision, decoder, blocks: 4))
        }
    }

    /// What LLaVA-Mini does to have `tokens` compressed rows: attention over the patches, the projector over both, and blocks of the decoder's kind.
    static func prefusion(_ tokens: Int, _ vision: VisionConfiguration, _ decoder: DecoderConfiguration, blocks: Int) -> Int {
        let patches = vision.grid * vision.grid, width = vision.hiddenSize, hidden = decoder.hiddenSize
        let all = PaperFigures.sum([patches, tokens])
        let compressor = PaperFigures.sum([
            PaperFigures.product(4, all, width, width), PaperFigures.product(4, tokens, patches, width),
        ])
        let projector = PaperFigures.product(2, all, hidden, PaperFigures.sum([width, hidden]))
        return PaperFigures.sum([compressor, projector, PaperFigures.flops(decoder, rows: Array(repeating: all, count: blocks))])
    }
}

extension ReducerFigures.Row {
    /// `plus`: what is done beside the decoder's blocks, and counts.
    init(reducer: String, _ rows: VisionRows, _ decoder: DecoderConfiguration, plus work: Int) {
        self.init(reducer: reducer, rows: rows, flops: PaperFigures.sum([PaperFigures.flops(decoder, rows: rows.perBlock), work]))
    }

    /// The mean of the blocks' rows to a tenth.
    var meanText: String {
        let tenths = Int(min(9e17, (rows.mean * 10).rounded()))
        return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
    }

    var text: String {
        let counts = "\(rows.tokens) vision tokens, \(meanText) in the mean of the blocks, \(work(flops)) of the decoder"
        return "\(escapingControls(reducer)): \(rows.areBounds ? "at most " : "")\(counts)"
    }

    /// What `inspect` says of a reducer that is chosen.
    var members: [(String, JSONText)] {
        [
            ("reduction", .string(reducer)), ("visual_tokens", .integer(rows.tokens)),
            ("visual_tokens_per_block", .array(rows.perBlock.map(JSONText.integer))),
            ("visual_tokens_are_bounds", .bool(rows.areBounds)), ("visual_flops", .integer(flops)),
        ]
    }

    /// A row of the table.
    var json: JSONText {
        .object([
            ("reducer", .string(reducer)), ("visual_tokens", .integer(rows.tokens)), ("mean_rows", .number(rows.mean)),
            ("flops", .integer(flops)),
        ])
    }
}

/// `1.90 TFLOPs`
func work(_ flops: Int) -> String {
    let text = flopsText(flops, digits: 3)
    return text + (flops < 1000 ? " FLOPs" : "FLOPs")
}

extension TokenReduction {
    /// The decoder's work on the vision rows as the paper counts it, the most where a run decides. `mask`: that of YOPO, whose heads all
    /// count without one.
    func flops(_ decoder: DecoderConfiguration, _ shape: VisionShape, mask: HeadMask? = nil) -> Int {
        guard case .yopo(let own) = self else { return PaperFigures.flops(decoder, rows: rows(shape).perBlock) }
        // Attention in a window is next to nothing: the linear layers. Masks that stay in the softmax save none of them but in the MLP.
        let part = Int(Double(decoder.intermediateSize) / (own.ffn ?? 1))
        let weights = PaperFigures.parameters(decoder, intermediateSize: part)
        return PaperFigures.sum(
            rows(shape).perBlock.enumerated().map { block, rows in
                let blind = own.softmax == .kept ? mask?.blindWeights(decoder, block: block) ?? 0 : 0
                return PaperFigures.product(2, rows, weights - blind)
            })
    }

    /// The mask that its file has, where it is checked.
    func headMask(_ decoder: DecoderConfiguration) throws(Diagnostic) -> HeadMask? {
        guard case .yopo(let own) = self, let heads = own.heads else { return nil }
        return try HeadMask(path: heads, blocks: decoder.layerCount, heads: decoder.headCount)
    }
}

extension HeadMask {
    /// One with `mean` heads of a block in the mean, of which the first two blocks have all, as those that are published.
    init(mean: Int, _ decoder: DecoderConfiguration) {
        let all = decoder.headCount, others = max(1, decoder.layerCount - 2)
        let rest = max(0, decoder.layerCount * mean - 2 * all)
        self.init(
            blocks: (0..<decoder.layerCount).map { block in
                let count = block < 2 ? all : rest * (block - 1) / others - rest * (block - 2) / others
                return (0..<all).map { $0 < count }
            })
    }

    /// Weights of a block's attention that vision rows do not have. Key heads that are divided are as many as their query heads.
    fileprivate func blindWeights(_ decoder: DecoderConfiguration, block: Int) -> Int {
        let seen = blocks[block], group = decoder.headCount / decoder.keyValueHeadCount
        let groups = stride(from: 0, to: seen.count, by: group).map { Set(seen[$0..<$0 + group]) }
        let heads = seen.count { $0 }
        let keyHeads = groups.allSatisfy { $0.count == 1 } ? groups.count { $0.contains(true) } : heads
        let saved = 2 * (decoder.headCount - heads) + 2 * (decoder.keyValueHeadCount - keyHeads)
        return decoder.hiddenSize * decoder.headSize * saved
    }
}
