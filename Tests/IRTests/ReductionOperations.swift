import IR
import Testing

/// The operations of token reducers: samples, type rules and traits.
let reductionSamples: [Op] = [
    .attentionScores(AttentionScores(heads: 8, keyValueHeads: 2, scale: 0.125)),
    .attentionScores(AttentionScores(heads: 8, keyValueHeads: 2, scale: 0.125, statistic: .max, hasRaters: true)),
    .keepRows(KeepRows(top: 3, count: "K")),
    .findRows(FindRows()),
    .visionIndices(VisionIndices(lists: 5, bound: 7)),
    .strideRows(StrideRows(stride: 4, image: 64, count: "K")),
    .strideMeans(StrideMeans(stride: 4)),
    .keepRows(KeepRows(top: 3, drop: 1, count: "K")),
    .raterRows(RaterRows()),
    .rotaryScores(RotaryScores(heads: 8, keyValueHeads: 2, scale: 0.125, best: 3, theta: 10000)),
    .rotaryScores(
        RotaryScores(
            heads: 8, keyValueHeads: 2, scale: 0.125, best: 3, theta: 10000,
            scaling: Rotary.Scaling(factor: 8, low: 1, high: 4, original: 8192))),
    .raterAttention(RaterAttention(heads: 8, keyValueHeads: 2, scale: 0.125, columns: 64)),
    .rankCounts(RankCounts(scale: 9, bias: 6)),
    .recycleDensity(RecycleDensity(Recycling(top: 3))),
    .recycleDensity(RecycleDensity(Recycling(top: nil))),
    .recycleRows(RecycleRows(Recycling(top: 3), count: "K")),
    .recycleMerge(RecycleMerge()),
    .prefusionRows(PrefusionRows(count: "K")),
    .trimRows(TrimRows(image: 580, first: 576, count: "K")),
    .replaceRows(ReplaceRows()),
    .resizeGrid(ResizeGrid(to: 24)),
    .splitRows(SplitRows(.text, count: "K")),
    .splitRows(SplitRows(.vision, count: "K")),
    .maskHeads(MaskHeads(mask: [true, false])),
    .patchAttention(PatchAttention(mask: [true, false, true, true], keyValueHeads: 2, scale: 0.5, window: 3, side: 8)),
]

// swift-format-ignore: AlwaysUseLowerCamelCase
private let K = Dimension(Symbol("K", bound: 1024))

let reductionRules: [Rule] = {
    func scores(_ heads: Int, _ keyValueHeads: Int, raters: Bool = false) -> Op {
        .attentionScores(AttentionScores(heads: heads, keyValueHeads: keyValueHeads, scale: 1, hasRaters: raters))
    }
    func keep(_ top: Int, _ count: String = "K") -> Op { .keepRows(KeepRows(top: top, count: count)) }
    func strided(_ stride: Int, _ image: Int) -> Op { .strideRows(StrideRows(stride: stride, image: image, count: "K")) }
    let (find, list) = (Op.findRows(FindRows()), i32(T))
    let means = Op.strideMeans(StrideMeans(stride: 4))
    func rotary(_ best: Int, theta: Float = 10) -> Op {
        .rotaryScores(RotaryScores(heads: 4, keyValueHeads: 2, scale: 1, best: best, theta: theta))
    }
    func density(_ top: Int?, share: Float = 0.3, per: Int = 10) -> Op {
        .recycleDensity(RecycleDensity(Recycling(top: top, share: share, perCluster: per)))
    }
    let recycle = Op.recycleRows(RecycleRows(Recycling(top: 3), count: "K")), merge = Op.recycleMerge(RecycleMerge())
    func trimmed(_ image: Int, _ first: Int) -> Op { .trimRows(TrimRows(image: image, first: first, count: "K")) }
    func resized(_ edge: Int) -> Op { .resizeGrid(ResizeGrid(to: edge)) }
    let (fused, replaced) = (Op.prefusionRows(PrefusionRows(count: "K")), Op.replaceRows(ReplaceRows()))
    /// The operands of an attention of patches.
    func attended(query: Dimension = 8, value: Dimension = 4) -> [TensorType] {
        [f32(K, query), f32(K, 4), f32(K, value), i32(K), i32(K), f32(S, 4), f32(S, 4), i32(S), i32(S)]
    }
    func mask(_ mask: Bool...) -> Op { .maskHeads(MaskHeads(mask: mask)) }
    func patches(_ window: Int, _ side: Int) -> Op {
        .patchAttention(
            PatchAttention(mask: [true, false, true, true], keyValueHeads: 2, scale: 1, window: window, side: side))
    }
    let ranks = Op.rankCounts(RankCounts(scale: 9, bias: 6))
    let columns = Op.raterAttention(RaterAttention(heads: 4, keyValueHeads: 2, scale: 1, columns: 64))
    return [
        Rule(.raterRows(RaterRows()), [f32(T, 8), list, list], list),
        Rule(.raterRows(RaterRows()), [f32(T), list, list], refused: "the operand is f32[T]; expected 2 dimensions"),
        Rule(.raterRows(RaterRows()), [f32(T, 8), i32(S), list], refused: "the list of tokens is i32[S]; expected i32[T]"),
        Rule(rotary(4), [f32(T, 8), f32(T, 4), list, list, list, list], f32(T)),
        Rule(rotary(4), [f32(T, 8), f32(T, 4), list, list, list], refused: "takes 6 operands, not 5"),
        Rule(rotary(5), [f32(T, 8), f32(T, 4), list, list, list, list], refused: "counts 5 heads of 4"),
        Rule(
            rotary(1), [f32(T, 12), f32(T, 6), list, list, list, list],
            refused: "heads of 3 have no pairs; expected an even size of at most 1024"),
        Rule(
            rotary(1, theta: 0), [f32(T, 8), f32(T, 4), list, list, list, list],
            refused: "a theta of 0.0 has no powers; expected one above 0"),
        Rule(columns, [f32(T, 8), f32(T, 4), list, list, list], f32(T, 64)),
        Rule(columns, [f32(T, 8), f32(T, 4), list, list], refused: "takes 5 operands, not 4"),
        Rule(ranks, [f32(T, 64), list, list, list], list),
        Rule(ranks, [f32(T, 64), list, list, i32(S)], refused: "the list of raters is i32[S]; expected i32[T]"),
        Rule(
            .rankCounts(RankCounts(scale: -1, bias: 6)), [f32(T, 64), list, list, list],
            refused: "keeps -1.0 rows for each rank and 6.0 more"),
        Rule(density(3), [f32(T, 8), f32(T), list, list], f32(T, 2)),
        Rule(density(nil), [f32(T, 8), f32(T), list, list, list], f32(T, 2)),
        Rule(density(3), [f32(T, 8), f32(T), list, list, list], refused: "takes 4 operands, not 5"),
        Rule(density(nil), [f32(T, 8), f32(T), list, list], refused: "takes 5 operands, not 4"),
        Rule(density(3), [f32(T, 8), list, list, list], refused: "the list of scores is i32[T]; expected f32[T]"),
        Rule(
            density(3, per: 1), [f32(T, 8), f32(T), list, list],
            refused: "keeps 3 vision rows and merges 0.3 of the others in clusters of 1"),
        Rule(
            density(3), [f32(40000, 8), f32(40000), i32(40000), i32(40000)],
            refused: "makes clusters of 40000 rows; expected at most 1024 clusters"),
        Rule(recycle, [f32(T, 2), f32(T), list, list], i32(K)),
        Rule(recycle, [f32(T, 3), f32(T), list, list], refused: "the density is f32[T, 3]; expected f32[T, 2]"),
        Rule(merge, [f32(T, 8), f32(T, 2), list, i32(K)], f32(K, 8)),
        Rule(merge, [f32(T, 8), f32(S, 2), list, i32(K)], refused: "the density is f32[S, 2]; expected f32[T, 2]"),

        Rule(fused, [list, list], i32(K)),
        Rule(fused, [list], refused: "takes 2 operands, not 1"),
        Rule(fused, [list, i32(S)], refused: "the list of slots is i32[S]; expected i32[T]"),
        Rule(trimmed(5, 4), [list], i32(K)),
        Rule(trimmed(5, 5), [list], refused: "drops 5 rows of 5; expected 1 or more, and fewer than all"),
        Rule(trimmed(5, 0), [list], refused: "drops 0 rows of 5; expected 1 or more, and fewer than all"),
        Rule(trimmed(5, 4), [f32(T)], refused: "the list of tokens is f32[T]; expected i32 of 1 dimension"),
        Rule(replaced, [f32(T, 8), f32(K, 8), i32(K)], f32(T, 8)),
        Rule(replaced, [f32(T, 8), f32(K, 4), i32(K)], refused: "the operand of other rows is f32[K, 4]; expected f32[K, 8]"),
        Rule(replaced, [f32(T, 8), f32(K, 8), list], refused: "the list of places is i32[T]; expected i32[K]"),
        Rule(resized(24), [f32(4, 8)], f32(576, 8)),
        Rule(resized(2), [f32(1, 8)], f32(4, 8)),
        Rule(resized(24), [f32(5, 8)], refused: "resizes 5 rows to an edge of 24; expected squares of 1 to 1024"),
        Rule(resized(0), [f32(4, 8)], refused: "resizes 4 rows to an edge of 0; expected squares of 1 to 1024"),
        Rule(resized(24), [f32(T, 8)], refused: "the number of rows is T; expected a number"),

        Rule(scores(4, 2), [f32(T, 8), f32(T, 4), list, list], f32(T)),
        Rule(scores(4, 4, raters: true), [f32(T, 8), f32(T, 8), list, list, list], f32(T)),
        Rule(scores(4, 2), [f32(T, 8), f32(T, 4), list], refused: "takes 4 operands, not 3"),
        Rule(scores(4, 2, raters: true), [f32(T, 8), f32(T, 4), list, list], refused: "takes 5 operands, not 4"),
        Rule(scores(4, 2), [f32(T, 8), f32(T, 8), list, list], refused: "the key is f32[T, 8]; expected f32[T, 4]"),
        Rule(scores(4, 2), [f32(T, 8), f32(S, 4), list, list], refused: "the key is f32[S, 4]; expected f32[T, 4]"),
        Rule(
            scores(4, 3), [f32(T, 8), f32(T, 4), list, list],
            refused: "a query of width 8 has no 4 heads, at most 256, that share 3 key heads evenly"),
        Rule(
            scores(512, 512), [f32(T, 512), f32(T, 512), list, list],
            refused: "a query of width 512 has no 512 heads, at most 256, that share 512 key heads evenly"),
        Rule(scores(4, 2), [f32(T, 8), f32(T, 4), i32(S), list], refused: "the list of tokens is i32[S]; expected i32[T]"),
        Rule(scores(4, 2), [f32(T, 8), f32(T, 4), list, f32(T)], refused: "the list of slots is f32[T]; expected i32[T]"),

        Rule(keep(3), [f32(T), list, list], i32(K)),
        Rule(keep(3), [f32(9), i32(9), i32(9)], i32(Dimension(Symbol("K", bound: 9)))),
        Rule(keep(3), [f32(T), list], refused: "takes 3 operands, not 2"),
        Rule(keep(0), [f32(T), list, list], refused: "keeps 0 vision rows; expected 1 or more"),
        Rule(keep(3, "4x"), [f32(T), list, list], refused: "counts '4x'; expected a letter, then letters, digits and '_'"),
        Rule(keep(3), [list, list, list], refused: "the list of scores is i32[T]; expected f32"),
        Rule(keep(3), [f32(T), list, i32(S)], refused: "the list of slots is i32[S]; expected i32[T]"),

        Rule(.splitRows(SplitRows(.text, count: "K")), [list, list], i32(K)),
        Rule(.splitRows(SplitRows(.text, count: "K")), [list, i32(S)], refused: "the list of slots is i32[S]; expected i32[T]"),
        Rule(.splitRows(SplitRows(.vision, count: "K")), [list], refused: "takes 2 operands, not 1"),
        Rule(mask(true, false), [f32(T, 8)], f32(T, 8)),
        Rule(mask(true, false, true), [f32(T, 8)], refused: "8 columns have no 3 heads"),
        Rule(mask(), [f32(T, 8)], refused: "8 columns have no 0 heads"),
        Rule(mask(true), [f32(T)], refused: "the operand is f32[T]; expected 2 dimensions"),
        Rule(patches(3, 8), attended(), f32(K, 8)),
        Rule(
            patches(4, 8), attended(),
            refused: "a window of 4 patches in a grid of 8; expected an odd number and 1 or more"),
        Rule(
            patches(3, 0), attended(),
            refused: "a window of 3 patches in a grid of 0; expected an odd number and 1 or more"),
        Rule(
            patches(3, 8), attended(query: 10),
            refused: "a query of width 10 has no 4 heads, at most 256, that share 2 key heads evenly"),
        Rule(
            patches(3, 8), attended(value: 8),
            refused: "the value is f32[K, 8]; expected f32[K, 4]"),
        Rule(
            patches(3, 8), [f32(K, 8), f32(K, 4), f32(K, 4), i32(K), i32(K), f32(S, 4), f32(S, 4), i32(K), i32(S)],
            refused: "the list of rows is i32[K]; expected i32[S]"),
        Rule(patches(3, 8), [f32(K, 8), f32(K, 4), f32(K, 4)], refused: "takes 9 operands, not 3"),

        Rule(find, [i32(K), i32(S)], i32(S)),
        Rule(find, [i32(K)], refused: "takes 2 operands, not 1"),
        Rule(find, [f32(K), i32(S)], refused: "the list is f32[K]; expected i32 of 1 dimension"),
        Rule(.visionIndices(VisionIndices(lists: 2, bound: 3)), [list, i32(K)], i32(2, 3)),
        Rule(.visionIndices(VisionIndices(lists: 2, bound: 3)), [list], refused: "takes 2 operands, not 1"),
        Rule(
            .visionIndices(VisionIndices(lists: 0, bound: 3)), [], refused: "0 lists of 3 rows; expected 1 or more of 1 or more"),
        Rule(
            .visionIndices(VisionIndices(lists: 1, bound: 3)), [i32(T, 1)],
            refused: "a list of tokens is i32[T, 1]; expected i32 of 1 dimension"),

        Rule(strided(4, 64), [list, list], i32(K)),
        Rule(strided(4, 3), [list, list], refused: "means of 4 rows of 3; expected 1 to as many"),
        Rule(strided(0, 3), [list, list], refused: "means of 0 rows of 3; expected 1 to as many"),
        Rule(means, [f32(T, 8), list, i32(K)], f32(K, 8)),
        Rule(means, [f32(T, 8), i32(S), i32(K)], refused: "the list of tokens is i32[S]; expected i32[T]"),
        Rule(means, [f32(T), list, i32(K)], refused: "the operand is f32[T]; expected 2 dimensions"),
    ]
}()

@Suite struct ReductionTraitTests {
    @Test func whatSelectsRowsCountsThem() {
        for op in samples {
            let payload = op.payload
            let selects = ["keep_rows", "stride_rows", "recycle_rows", "trim_rows", "threshold_rows"].contains(op.mnemonic)
            let isText = op == .splitRows(SplitRows(.text, count: "K")), splits = op.mnemonic == "split_rows"
            let leaves = op.mnemonic == "prefusion_rows" || splits && !isText
            #expect(payload.selectsRows == (selects || isText) && payload.leavesText == leaves, "\(op.mnemonic)")
            #expect((payload.definedCount == "K") == (selects || leaves || splits), "\(op.mnemonic)")
            // By thresholds the values say how many.
            #expect(
                (payload.visionRowsKept(of: 64) != nil) == (selects && op.mnemonic != "threshold_rows" || leaves && !splits),
                "\(op.mnemonic)")
        }
        #expect(KeepRows(top: 3, count: "K").visionRowsKept(of: 2) == 2 && KeepRows(top: 3, count: "K").visionRowsKept(of: 9) == 3)
        #expect(KeepRows(top: 3, drop: 1, count: "K").visionRowsKept(of: 3) == 2)
        // SparseVLM's published 300, 200 and 110 of 576 rows.
        let kept = [300, 200, 110].reduce(into: [576]) { rows, top in
            rows.append(RecycleRows(Recycling(top: top), count: "K").visionRowsKept(of: rows.last!)!)
        }
        #expect(kept == [576, 309, 204, 113])
        let trim = TrimRows(image: 10, first: 7, count: "K")
        #expect([0, 10, 20, 25, 29].map { trim.visionRowsKept(of: $0) } == [0, 3, 6, 6, 8])
        // Each image's remainder is dropped.
        #expect(StrideRows(stride: 4, image: 10, count: "K").visionRowsKept(of: 25) == 5)
    }

    @Test func whatReadsASelectionPassesAnOperandOn() {
        let passed = Dictionary(samples.map { ($0.mnemonic, $0.payload.passedOperand) }) { first, _ in first }.compactMapValues(\.self)
        #expect(passed == ["gather_rows": 0, "find_rows": 1, "stride_means": 0, "recycle_merge": 0, "replace_rows": 0])
    }
}
