import IR

/// The operations by which rows of a tower merge: samples and type rules.
let rowMergingSamples: [Op] = [
    .segmentMeans(SegmentMeans(count: 3, hasWeights: true)),
    .matchRows(MatchRows(merges: 3)),
    .rowPlaces(RowPlaces(count: 3)),
    .rowPlaces(RowPlaces(count: 3, hasPlaces: true)),
    .segmentSizes(SegmentSizes(count: 3)),
    .segmentSizes(SegmentSizes(count: 3, hasWeights: true)),
    .log(Logarithm()),
]

let rowMergingRules: [Rule] = {
    func match(_ merges: Int) -> Op { .matchRows(MatchRows(merges: merges)) }
    let (sizes, weighted) = (Op.segmentSizes(SegmentSizes(count: 3)), Op.segmentSizes(SegmentSizes(count: 3, hasWeights: true)))
    let means = Op.segmentMeans(SegmentMeans(count: 3, hasWeights: true))
    return [
        Rule(match(4), [f32(9, 8)], i32(9)),
        Rule(match(4), [f32(10, 8)], i32(10)),
        Rule(match(5), [f32(10, 8)], refused: "merges 5 of 10 rows; expected 1 to 4, the candidates behind row 0"),
        Rule(match(0), [f32(9, 8)], refused: "merges 0 of 9 rows; expected 1 to 4, the candidates behind row 0"),
        Rule(match(1), [f32(T, 8)], refused: "the number of rows is T; expected a number"),
        Rule(match(1), [f32(9)], refused: "the operand is f32[9]; expected 2 dimensions"),
        Rule(match(1), [i32(9, 8)], refused: "the operand is i32[9, 8]; expected f32"),

        Rule(.rowPlaces(RowPlaces(count: 3)), [i32(T)], i32(3)),
        Rule(.rowPlaces(RowPlaces(count: 3, hasPlaces: true)), [i32(T), i32(T)], i32(3)),
        Rule(.rowPlaces(RowPlaces(count: 3, hasPlaces: true)), [i32(T)], refused: "takes 2 operands, not 1"),
        Rule(
            .rowPlaces(RowPlaces(count: 3, hasPlaces: true)), [i32(T), i32(S)], refused: "the list of places is i32[S]; expected i32[T]"),
        Rule(.rowPlaces(RowPlaces(count: 0)), [i32(T)], refused: "places of 0 rows; expected 1 or more"),

        Rule(sizes, [i32(T)], f32(3)),
        Rule(weighted, [i32(T), f32(T)], f32(3)),
        Rule(sizes, [i32(T), f32(T)], refused: "takes 1 operand, not 2"),
        Rule(weighted, [i32(T)], refused: "takes 2 operands, not 1"),
        Rule(weighted, [i32(T), f32(S)], refused: "the list of weights is f32[S]; expected f32[T]"),
        Rule(sizes, [f32(T)], refused: "the list of segments is f32[T]; expected i32 of 1 dimension"),
        Rule(.segmentSizes(SegmentSizes(count: 0)), [i32(T)], refused: "sizes of 0 segments; expected 1 or more"),
        Rule(means, [f32(T, 8), i32(T), f32(T)], f32(3, 8)),
        Rule(means, [f32(T, 8), i32(T)], refused: "takes 3 operands, not 2"),
        Rule(means, [f32(T, 8), i32(T), f32(S)], refused: "the list of weights is f32[S]; expected f32[T]"),

        Rule(.log(Logarithm()), [f32(T)], f32(T)),
        Rule(.log(Logarithm()), [f32(T, 8)], refused: "the operand is f32[T, 8]; expected 1 dimension"),
        Rule(.log(Logarithm()), [i32(T)], refused: "the operand is i32[T]; expected f32"),
    ]
}()
