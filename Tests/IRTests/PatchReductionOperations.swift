import IR
import Testing

/// The operations of reducers before the decoder: samples and type rules.
let patchReductionSamples: [Op] = [
    .rowAttention(RowAttention(heads: 8, scale: 0.125)),
    .topRows(TopRows(rows: 3, order: .score)),
    .topRows(TopRows(rows: 3, order: .index)),
    .complementRows(ComplementRows(of: 9)),
    .meanHeads(MeanHeads(heads: 4)),
    .unitRows(UnitRows(epsilon: 1e-12)),
    .clusterRows(ClusterRows(step: 4, count: 3)),
    .segmentMeans(SegmentMeans(count: 3)),
    .outlierRows(OutlierRows(factor: 1.5, count: "O")),
    .outlierRows(OutlierRows(factor: 1.5, isSampled: true, count: "O")),
    .appendSamples(AppendSamples(start: 4, step: 8, rows: 72)),
    .mergeNeighbours(MergeNeighbours(neighbours: 32)),
    .padList(PadList(length: 9)),
]

let patchReductionRules: [Rule] = {
    func outliers(most: Int) -> Dimension { Dimension(Symbol("O", bound: most)) }
    func row(_ heads: Int) -> Op { .rowAttention(RowAttention(heads: heads, scale: 1)) }
    func top(_ rows: Int) -> Op { .topRows(TopRows(rows: rows, order: .index)) }
    func cluster(_ step: Int, _ count: Int) -> Op { .clusterRows(ClusterRows(step: step, count: count)) }
    func append(_ start: Int, _ step: Int, _ rows: Int) -> Op { .appendSamples(AppendSamples(start: start, step: step, rows: rows)) }
    func outlierRows(_ factor: Float, sampled: Bool = false, _ count: String = "O") -> Op {
        .outlierRows(OutlierRows(factor: factor, isSampled: sampled, count: count))
    }
    let complement = Op.complementRows(ComplementRows(of: 9)), pad = Op.padList(PadList(length: 9))
    let (means, unit) = (Op.meanHeads(MeanHeads(heads: 4)), Op.unitRows(UnitRows(epsilon: 1)))
    let segments = Op.segmentMeans(SegmentMeans(count: 3)), merge = Op.mergeNeighbours(MergeNeighbours(neighbours: 32))
    let kept = outliers(most: 2), rest = Dimension(9).adding(kept.multiplied(by: -1)!)!
    return [
        Rule(row(4), [f32(1, 8), f32(T, 8)], f32(T)),
        Rule(row(4), [f32(1, 8)], refused: "takes 2 operands, not 1"),
        Rule(row(4), [f32(2, 8), f32(T, 8)], refused: "the query is f32[2, 8]; expected f32[1, 8]"),
        Rule(row(4), [f32(1, 8), f32(T, 4)], refused: "the key is f32[T, 4]; expected f32[T, 8]"),
        Rule(row(3), [f32(1, 8), f32(T, 8)], refused: "a query of width 8 has no 3 heads, at most 256"),
        Rule(row(512), [f32(1, 512), f32(T, 512)], refused: "a query of width 512 has no 512 heads, at most 256"),

        Rule(top(3), [f32(9)], i32(3)),
        Rule(top(9), [f32(9)], i32(9)),
        Rule(top(10), [f32(9)], refused: "takes 10 of 9 entries; expected 1 to as many"),
        Rule(top(0), [f32(9)], refused: "takes 0 of 9 entries; expected 1 to as many"),
        Rule(top(3), [f32(T)], refused: "the number of entries is T; expected a number"),
        Rule(complement, [i32(4)], i32(5)),
        Rule(complement, [i32(kept)], i32(rest)),
        Rule(complement, [i32(9)], refused: "the list has 9 entries; expected fewer than 9"),
        Rule(complement, [i32(outliers(most: 10))], refused: "the list has O entries; expected fewer than 9"),
        Rule(append(4, 8, 72), [i32(72)], i32(144)),
        Rule(append(0, 1, 2), [i32(kept)], i32(kept.adding(2)!)),
        Rule(append(0, 0, 2), [i32(3)], refused: "appends 2 entries from 0 on, 0 apart; expected 1 or more below 2^31"),
        Rule(
            append(1 << 30, 1 << 29, 2), [i32(3)],
            refused: "appends 2 entries from 1073741824 on, 536870912 apart; expected 1 or more below 2^31"),
        Rule(pad, [i32(kept)], i32(9)),
        Rule(pad, [i32(10)], refused: "the list has 10 entries; expected at most 9"),
        Rule(pad, [f32(9)], refused: "the list is f32[9]; expected i32 of 1 dimension"),

        Rule(means, [f32(T, 8)], f32(T, 2)),
        Rule(means, [f32(T, 6)], refused: "rows of width 6 have no 4 heads"),
        Rule(unit, [f32(T, 8)], f32(T, 8)),
        Rule(unit, [f32(8)], refused: "the operand is f32[8]; expected 2 dimensions"),
        Rule(.unitRows(UnitRows(epsilon: 0)), [f32(T, 8)], refused: "epsilon is 0.0; expected a positive number"),
        Rule(cluster(4, 3), [f32(9, 8)], i32(9)),
        Rule(cluster(4, 3), [f32(8, 8)], refused: "8 rows have no 3 centres, 4 apart"),
        Rule(cluster(.max, .max), [f32(8, 8)], refused: "8 rows have no \(Int.max) centres, \(Int.max) apart"),
        Rule(segments, [f32(T, 8), i32(T)], f32(3, 8)),
        Rule(segments, [f32(T, 8), i32(S)], refused: "the list of segments is i32[S]; expected i32[T]"),
        Rule(.segmentMeans(SegmentMeans(count: 0)), [f32(T, 8), i32(T)], refused: "means of 0 segments; expected 1 or more"),

        Rule(outlierRows(1.5), [f32(64)], i32(outliers(most: 16))),
        Rule(outlierRows(1.5), [f32(3)], i32(outliers(most: 1))),
        Rule(outlierRows(1.5, sampled: true), [f32(64)], i32(outliers(most: 64))),
        Rule(outlierRows(0.5), [f32(64)], refused: "factor is 0.5; expected 1 or more"),
        Rule(outlierRows(1.5, "4x"), [f32(64)], refused: "counts '4x'; expected a letter, then letters, digits and '_'"),
        Rule(merge, [f32(9, 8), f32(9, 4), f32(9), i32(kept), i32(rest)], f32(kept.adding(1)!, 8)),
        Rule(merge, [f32(9, 8), f32(9, 4), f32(9), i32(2), i32(7)], f32(3, 8)),
        Rule(merge, [f32(9, 8), f32(9, 4), f32(9), i32(2), i32(6)], refused: "keeps 2 rows beside 6 others; expected 9 in all"),
        Rule(merge, [f32(9, 8), f32(8, 4), f32(9), i32(2), i32(7)], refused: "the matrix of keys is f32[8, 4]; expected f32[9, 4]"),
        Rule(merge, [f32(9, 8), f32(9, 4), f32(8), i32(2), i32(7)], refused: "the list of weights is f32[8]; expected f32[9]"),
        Rule(
            .mergeNeighbours(MergeNeighbours(neighbours: 1025)), [f32(9, 8), f32(9, 4), f32(9), i32(2), i32(7)],
            refused: "merges 1025 neighbours; expected 1 to 1024"),
    ]
}()
