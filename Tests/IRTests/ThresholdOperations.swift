import IR

/// The operations by which windows of patches merge, rows leave by thresholds, and caches lose what has left: samples and type rules.
let calledThresholdSamples: [Op] = [
    .similarWindows(SimilarWindows(window: 2, similarity: 0.5, count: "V")),
    .windowMeans(WindowMeans(window: 2)),
    .keyRows(KeyRows(part: 2, of: 25)),
    .postRows(PostRows()),
    .thresholdRows(ThresholdRows(global: 0.25, individual: 0.125, count: "K")),
]

let thresholdSamples: [Op] = calledThresholdSamples + [.cacheKeep(CacheKeep()), .release(Release())]

let thresholdRules: [Rule] = {
    func windows(_ window: Int, _ count: String = "V") -> Op {
        .similarWindows(SimilarWindows(window: window, similarity: 0.5, count: count))
    }
    func means(_ window: Int) -> Op { .windowMeans(WindowMeans(window: window)) }
    func keys(_ part: Int, _ of: Int) -> Op { .keyRows(KeyRows(part: part, of: of)) }
    let threshold = Op.thresholdRows(ThresholdRows(global: 0.25, individual: 0.125, count: "K"))
    let (keep, release) = (Op.cacheKeep(CacheKeep()), Op.release(Release()))
    let (counted, kept) = (Dimension(Symbol("V", bound: 36)), Dimension(Symbol("K", bound: 1024)))
    let list = i32(T)
    return [
        Rule(windows(3), [f32(36, 8)], i32(counted)),
        Rule(windows(2), [f32(36, 8)], i32(counted)),
        Rule(windows(4), [f32(36, 8)], refused: "36 patches are no square grid that windows of 4 x 4, at least 2 x 2, cut up"),
        Rule(windows(1), [f32(36, 8)], refused: "36 patches are no square grid that windows of 1 x 1, at least 2 x 2, cut up"),
        Rule(windows(2), [f32(24, 8)], refused: "24 patches are no square grid that windows of 2 x 2, at least 2 x 2, cut up"),
        Rule(windows(2), [f32(T, 8)], refused: "the number of patches is T; expected a number"),
        Rule(windows(2), [f32(36)], refused: "the operand is f32[36]; expected 2 dimensions"),
        Rule(windows(2, "2"), [f32(36, 8)], refused: "counts '2'; expected a letter, then letters, digits and '_'"),
        Rule(means(3), [f32(36, 8), i32(counted)], f32(counted, 8)),
        Rule(means(4), [f32(36, 8), i32(T)], refused: "36 patches are no square grid that windows of 4 x 4, at least 2 x 2, cut up"),
        Rule(means(3), [f32(36, 8), f32(T)], refused: "the list is f32[T]; expected i32 of 1 dimension"),
        Rule(means(3), [f32(36, 8)], refused: "takes 2 operands, not 1"),

        Rule(keys(2, 25), [f32(T)], i32(T)),
        Rule(keys(0, 1), [f32(9)], i32(9)),
        Rule(keys(26, 25), [f32(T)], refused: "marks 26 of 25; expected 0 to all of 1 to 1000000000"),
        Rule(keys(0, 0), [f32(T)], refused: "marks 0 of 0; expected 0 to all of 1 to 1000000000"),
        Rule(keys(2, 25), [i32(T)], refused: "the list of scores is i32[T]; expected f32"),

        Rule(.postRows(PostRows()), [list, list], list),
        Rule(.postRows(PostRows()), [list, i32(S)], refused: "the list of slots is i32[S]; expected i32[T]"),
        Rule(.postRows(PostRows()), [f32(T), list], refused: "the list of tokens is f32[T]; expected i32 of 1 dimension"),

        Rule(threshold, [f32(T), f32(T), list, list, i32(64)], i32(kept)),
        Rule(threshold, [f32(T), f32(T), list, list], refused: "takes 5 operands, not 4"),
        Rule(threshold, [f32(T), f32(S), list, list, i32(64)], refused: "the list of greatest scores is f32[S]; expected f32[T]"),
        Rule(threshold, [f32(T), f32(T), list, i32(S), i32(64)], refused: "the list of slots is i32[S]; expected i32[T]"),
        Rule(
            threshold, [f32(T), f32(T), list, list, f32(64)],
            refused: "the list of protected rows is f32[64]; expected i32 of 1 dimension"),

        Rule(keep, [f32(3, 16, 4), i32(3), list, i32(kept)], nil),
        Rule(keep, [TensorType(.bfloat16, [3, 16, 4]), i32(3), list, i32(kept)], nil),
        Rule(keep, [TensorType(.int8Heads, [3, 16, 2, 2]), i32(3), list, i32(kept)], nil),
        Rule(keep, [f32(16, 4), i32(3), list, i32(kept)], refused: "the cache is f32[16, 4]; expected 3 dimensions"),
        Rule(keep, [f32(3, 16, 4), i32(4), list, i32(kept)], refused: "the lengths is i32[4]; expected i32[3]"),
        Rule(keep, [f32(3, 16, 4), i32(3), list], refused: "takes 4 operands, not 3"),
        Rule(keep, [f32(3, 16, 4), i32(3), list, f32(T)], refused: "the list of rows is f32[T]; expected i32 of 1 dimension"),
        Rule(release, [i32(3), list, i32(kept)], nil),
        Rule(release, [f32(3), list, i32(kept)], refused: "the lengths is f32[3]; expected i32 of 1 dimension"),
        Rule(release, [i32(3), list], refused: "takes 3 operands, not 2"),
    ]
}()
