import IR
import Testing

/// The operations of reducers that choose patches by the question: samples and type rules.
let coverSamples: [Op] = [
    .softmaxSimilarity(SoftmaxSimilarity(temperature: 0.02)),
    .greedyCover(GreedyCover(keep: 3, weight: 0.5, patch: 14, hasBars: false)),
    .greedyCover(GreedyCover(keep: 3, weight: 0.5, patch: 14, hasBars: true)),
]

let coverRules: [Rule] = {
    func similar(_ temperature: Float = 1) -> Op { .softmaxSimilarity(SoftmaxSimilarity(temperature: temperature)) }
    func cover(_ keep: Int, patch: Int = 14, bars: Bool = false) -> Op {
        .greedyCover(GreedyCover(keep: keep, weight: 0.5, patch: patch, hasBars: bars))
    }
    return [
        Rule(similar(), [f32(T, 8), f32(9, 8)], f32(T, 9)),
        Rule(similar(), [f32(9, 8), f32(T, 8)], f32(9, T)),
        Rule(similar(), [f32(T, 8)], refused: "takes 2 operands, not 1"),
        Rule(similar(), [f32(T, 8), f32(9, 7)], refused: "the second operand is f32[9, 7]; expected f32[9, 8]"),
        Rule(similar(), [f32(T, 8), i32(9, 8)], refused: "an operand is i32[9, 8]; expected f32"),
        Rule(similar(), [f32(8), f32(9, 8)], refused: "an operand is f32[8]; expected 2 dimensions"),
        Rule(similar(0), [f32(T, 8), f32(9, 8)], refused: "the temperature is 0.0; expected a positive number"),

        Rule(cover(9), [f32(T, 9), f32(9, 9)], i32(9)),
        Rule(cover(3), [f32(2, 5), f32(4, 5)], i32(3)),
        Rule(cover(3, bars: true), [f32(T, 9), f32(9, 9), i32(4)], i32(3)),
        Rule(cover(3), [f32(T, 9)], refused: "takes 2 operands, not 1"),
        Rule(cover(3, bars: true), [f32(T, 9), f32(9, 9)], refused: "takes 3 operands, not 2"),
        Rule(cover(3), [f32(T, 9), f32(9, 8)], refused: "the second operand is f32[9, 8]; expected f32[9, 9]"),
        Rule(cover(3), [f32(9, T), f32(9, T)], refused: "the number of columns is T; expected a number"),
        Rule(cover(3, bars: true), [f32(T, 9), f32(9, 9), i32(3)], refused: "the list of bars is i32[3]; expected i32[4]"),
        Rule(cover(3, bars: true), [f32(T, 8), f32(9, 8), i32(4)], refused: "has 8 columns; expected the patches of a square"),
        Rule(
            cover(10), [f32(T, 9), f32(9, 9)], refused: "takes 10 of 9 columns, patches of 14 pixels; expected 1 to as many, and 1 or more"),
        Rule(
            cover(3, patch: 0), [f32(T, 9), f32(9, 9)],
            refused: "takes 3 of 9 columns, patches of 0 pixels; expected 1 to as many, and 1 or more"),
        Rule(cover(3), [f32(T, 9), f32(8000, 9)], refused: "covers 9024 rows by 9 columns; expected at most 8192 of both"),
        Rule(cover(3), [f32(1, 8193), f32(1, 8193)], refused: "covers 2 rows by 8193 columns; expected at most 8192 of both"),
    ]
}()
