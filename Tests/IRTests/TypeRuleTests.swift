import IR
import Testing

struct Rule: Sendable, CustomTestStringConvertible {
    enum Outcome: Equatable, Sendable {
        case type(TensorType?)
        case refusal(String)
    }

    let op: Op
    let operands: [TensorType]
    let outcome: Outcome

    init(_ op: Op, _ operands: [TensorType], _ type: TensorType?) { (self.op, self.operands, outcome) = (op, operands, .type(type)) }
    init(_ op: Op, _ operands: [TensorType], refused message: String) {
        (self.op, self.operands, outcome) = (op, operands, .refusal(message))
    }

    var testDescription: String { "\(op.mnemonic) \(operands)" }
}

private let huge = Dimension.fixed(1 << 62)

private let imageRules: [Rule] = {
    let normalize = Op.normalize(Normalize(mean: [0, 0, 0], std: [1, 1, 1]))
    func patches(_ patch: Int, _ window: Int = 1, _ center: [Float] = []) -> Op {
        .extractPatches(ExtractPatches(patch: patch, window: window, center: center))
    }
    func windows(_ height: Int, _ width: Int, _ kernel: Int) -> Op {
        .gatherWindows(GatherWindows(height: height, width: width, kernel: kernel))
    }
    func inner(_ kernel: Int, _ margin: Int) -> Op {
        .averageWindows(AverageWindows(height: 12, width: 12, kernel: kernel, margin: margin))
    }
    func attend(_ heads: Int) -> Op { .windowAttention(WindowAttention(heads: heads, scale: 0.5, height: 4, width: 6, kernel: 2)) }
    return [
        Rule(normalize, [u8(4, 5, 3)], f32(3, 4, 5)),
        Rule(normalize, [], refused: "takes 1 operand, not 0"),
        Rule(normalize, [u8(4, 3)], refused: "the image is u8[4, 3]; expected 3 dimensions"),
        Rule(normalize, [u8(4, 5, T)], refused: "the channel count is T; expected a number"),
        Rule(normalize, [f32(4, 5, 3)], refused: "the image is f32[4, 5, 3]; expected u8"),
        Rule(normalize, [u8(4, 5, 4)], refused: "3 means and 3 deviations for 4 channels"),
        Rule(.normalize(Normalize(mean: [0, 0, 0], std: [1])), [u8(4, 5, 3)], refused: "3 means and 1 deviations for 3 channels"),

        Rule(patches(2), [f32(3, 4, 7)], f32(6, 12)),
        Rule(patches(2, 2), [f32(3, 4, 8)], f32(8, 12)),
        Rule(patches(2), [], refused: "takes 1 operand, not 0"),
        Rule(patches(2), [f32(4, 4)], refused: "the image is f32[4, 4]; expected 3 dimensions"),
        Rule(patches(2), [u8(4, 7, 3)], f32(6, 12)),
        Rule(patches(2, 2, [1, 2, 3]), [u8(4, 8, 3)], f32(8, 12)),
        Rule(patches(2, 2, [1]), [u8(4, 8, 1)], f32(8, 4)),
        Rule(patches(2), [i32(3, 4, 4)], refused: "the image is i32[3, 4, 4]; expected f32 or u8"),
        Rule(patches(2, 1, [1, 2, 3]), [f32(3, 4, 4)], refused: "a center is for an image of bytes, not f32[3, 4, 4]"),
        Rule(patches(2, 1, [1, 2]), [u8(4, 4, 3)], refused: "2 centers for 3 channels"),
        Rule(patches(5), [u8(8, 4, 3)], refused: "a patch of 5 does not fit u8[8, 4, 3]"),
        Rule(patches(2), [f32(T, 4, 4)], refused: "the channel count is T; expected a number"),
        Rule(patches(2), [f32(3, T, 4)], refused: "the height is T; expected a number"),
        Rule(patches(2), [f32(3, 4, T)], refused: "the width is T; expected a number"),
        Rule(patches(5), [f32(3, 4, 8)], refused: "a patch of 5 does not fit f32[3, 4, 8]"),
        Rule(patches(5), [f32(3, 8, 4)], refused: "a patch of 5 does not fit f32[3, 8, 4]"),
        Rule(patches(0), [f32(3, 4, 4)], refused: "a patch of 0 does not fit f32[3, 4, 4]"),
        Rule(patches(2, 2), [f32(3, 4, 6)], refused: "a window of 2 does not divide the 2 x 3 grid"),
        Rule(patches(2, 2), [f32(3, 6, 4)], refused: "a window of 2 does not divide the 3 x 2 grid"),
        Rule(patches(2, 0), [f32(3, 4, 4)], refused: "a window of 0 does not divide the 2 x 2 grid"),

        Rule(windows(4, 6, 2), [f32(24, 5)], f32(6, 20)),
        Rule(windows(4, 6, 2), [], refused: "takes 1 operand, not 0"),
        Rule(windows(4, 6, 2), [f32(24)], refused: "the operand is f32[24]; expected 2 dimensions"),
        Rule(windows(4, 6, 2), [i32(24, 5)], refused: "the operand is i32[24, 5]; expected f32"),
        Rule(windows(4, 6, 2), [f32(T, 5)], refused: "the token count is T; expected a number"),
        Rule(windows(4, 6, 2), [f32(24, T)], refused: "the channel count is T; expected a number"),
        Rule(windows(4, 5, 1), [f32(24, 5)], refused: "24 tokens do not make a 4 x 5 grid"),
        Rule(windows(-4, -6, 2), [f32(24, 5)], refused: "24 tokens do not make a -4 x -6 grid"),
        Rule(windows(1 << 32, 1 << 32, 1), [f32(24, 5)], refused: "24 tokens do not make a 4294967296 x 4294967296 grid"),
        Rule(windows(4, 6, 3), [f32(24, 5)], refused: "a window of 3 does not divide the 4 x 6 grid"),
        Rule(windows(6, 4, 3), [f32(24, 5)], refused: "a window of 3 does not divide the 6 x 4 grid"),
        Rule(windows(4, 6, 0), [f32(24, 5)], refused: "a window of 0 does not divide the 4 x 6 grid"),
        Rule(.averageWindows(AverageWindows(height: 4, width: 6, kernel: 2)), [f32(24, 5)], f32(6, 5)),
        Rule(
            .averageWindows(AverageWindows(height: 4, width: 6, kernel: 3)), [f32(24, 5)],
            refused: "a window of 3 does not divide the 4 x 6 grid"),
        Rule(inner(3, 1), [f32(144, 5)], f32(16, 5)),
        Rule(inner(4, 1), [f32(144, 5)], f32(9, 5)),
        Rule(inner(2, 1), [f32(144, 5)], refused: "a margin of 1 leaves nothing of a window of 2"),
        Rule(inner(3, 2), [f32(144, 5)], refused: "a margin of 2 leaves nothing of a window of 3"),
        Rule(inner(4, -1), [f32(144, 5)], refused: "a margin of -1 leaves nothing of a window of 4"),
        Rule(inner(4, .max), [f32(144, 5)], refused: "a margin of 9223372036854775807 leaves nothing of a window of 4"),

        Rule(attend(2), [f32(6, 8), f32(24, 8), f32(24, 8)], f32(6, 8)),
        Rule(attend(2), [f32(6, 8), f32(24, 8)], refused: "takes 3 operands, not 2"),
        Rule(attend(2), [f32(6, 8), f32(24), f32(24)], refused: "the key is f32[24]; expected 2 dimensions"),
        Rule(attend(2), [f32(6, 8), i32(24, 8), i32(24, 8)], refused: "the key is i32[24, 8]; expected f32"),
        Rule(attend(2), [f32(6, 8), f32(T, 8), f32(T, 8)], refused: "the token count is T; expected a number"),
        Rule(attend(2), [f32(6, 8), f32(24, T), f32(24, T)], refused: "the channel count is T; expected a number"),
        Rule(attend(2), [f32(6, 8), f32(20, 8), f32(20, 8)], refused: "20 tokens do not make a 4 x 6 grid"),
        Rule(attend(2), [f32(24, 8), f32(24, 8), f32(24, 8)], refused: "the query is f32[24, 8]; expected f32[6, 8]"),
        Rule(attend(2), [f32(6, 4), f32(24, 8), f32(24, 8)], refused: "the query is f32[6, 4]; expected f32[6, 8]"),
        Rule(attend(2), [f32(6, 8), f32(24, 8), f32(24, 4)], refused: "the value is f32[24, 4]; expected f32[24, 8]"),
        Rule(attend(3), [f32(6, 8), f32(24, 8), f32(24, 8)], refused: "3 heads do not share a width of 8 evenly"),
        Rule(attend(0), [f32(6, 8), f32(24, 8), f32(24, 8)], refused: "0 heads do not share a width of 8 evenly"),
    ]
}()

private let shapeRules: [Rule] = {
    func join(_ axis: Int) -> Op { .concatenate(Concatenate(axis: axis)) }
    func cut(_ axis: Int, _ start: Int, _ count: Int?) -> Op { .slice(Slice(axis: axis, start: start, count: count)) }
    func reshape(_ shape: Int...) -> Op { .reshape(Reshape(shape: shape)) }
    func transpose(_ permutation: Int...) -> Op { .transpose(Transpose(permutation: permutation)) }
    let gather = Op.gatherRows(GatherRows())
    let (embed, spliced) = (Op.embed(Embed(hasVision: false)), Op.embed(Embed(hasVision: true)))
    return [
        Rule(join(1), [f32(T, 2), f32(T, 3), f32(T, 1)], f32(T, 6)),
        Rule(join(0), [i32(2)], i32(2)),
        Rule(join(0), [], refused: "takes at least 1 operand, not 0"),
        Rule(join(2), [f32(2, 3)], refused: "axis 2 of f32[2, 3] does not exist"),
        Rule(join(-1), [f32(2, 3)], refused: "axis -1 of f32[2, 3] does not exist"),
        Rule(join(0), [f32(2, 3), f32(2)], refused: "operand 1 is f32[2]; expected 2 dimensions"),
        Rule(join(0), [f32(2, 3), f32(T, 3)], f32(T.adding(2)!, 3)),
        Rule(join(0), [f32(T, 3), f32(S, 3), f32(T, 3)], f32(T.multiplied(by: 2)!.adding(S)!, 3)),
        Rule(join(1), [i32(2, T), i32(2, 5)], i32(2, T.adding(5)!)),
        Rule(join(1), [f32(T, 2), f32(S, 3)], refused: "operand 1 is f32[S, 3]; expected f32[T, 3]"),
        Rule(join(0), [f32(2, 3), f32(4, 5)], refused: "operand 1 is f32[4, 5]; expected f32[4, 3]"),
        Rule(join(0), [f32(2, 3), i32(4, 3)], refused: "operand 1 is i32[4, 3]; expected f32[4, 3]"),
        Rule(join(0), [u8(huge), u8(huge), u8(huge)], refused: "dimension 0 of the result does not fit 64 bits"),

        Rule(cut(1, 1, 2), [f32(T, 3)], f32(T, 2)),
        Rule(cut(0, 0, 3), [u8(3)], u8(3)),
        Rule(cut(1, 1, 2), [], refused: "takes 1 operand, not 0"),
        Rule(cut(2, 0, 1), [f32(2, 3)], refused: "axis 2 of f32[2, 3] does not exist"),
        Rule(cut(0, 0, 1), [f32(T, 3)], refused: "entries 0 to 1 of dimension 0 of f32[T, 3] do not exist"),
        Rule(cut(0, 0, 1), [f32(T.adding(1)!, 3)], f32(1, 3)),
        Rule(cut(0, 1, nil), [f32(T.adding(1)!, 3)], f32(T, 3)),
        Rule(cut(0, 2, nil), [f32(T.adding(1)!, 3)], refused: "entries from 2 on of dimension 0 of f32[T + 1, 3] do not exist"),
        Rule(cut(1, 1, nil), [f32(T, 3)], f32(T, 2)),
        Rule(cut(1, 3, nil), [f32(T, 3)], refused: "entries from 3 on of dimension 1 of f32[T, 3] do not exist"),
        Rule(cut(1, -1, nil), [f32(T, 3)], refused: "entries from -1 on of dimension 1 of f32[T, 3] do not exist"),
        Rule(cut(1, 2, 2), [f32(2, 3)], refused: "entries 2 to 4 of dimension 1 of f32[2, 3] do not exist"),
        Rule(cut(1, -1, 2), [f32(2, 3)], refused: "entries -1 to 1 of dimension 1 of f32[2, 3] do not exist"),
        Rule(cut(1, 0, 0), [f32(2, 3)], refused: "entries 0 to 0 of dimension 1 of f32[2, 3] do not exist"),
        Rule(cut(1, 1, .max), [f32(2, 3)], refused: "entries 1 to -9223372036854775808 of dimension 1 of f32[2, 3] do not exist"),

        Rule(gather, [f32(T, 4), i32(S)], f32(S, 4)),
        Rule(gather, [f32(2, 4), i32(T)], f32(T, 4)),
        Rule(gather, [i32(T), i32(S)], i32(S)),
        Rule(gather, [u8(2, T), i32(3)], u8(3, T)),
        Rule(gather, [f32(T, 4)], refused: "takes 2 operands, not 1"),
        Rule(gather, [f32(T, 4, 5), i32(S)], refused: "the operand is f32[T, 4, 5]; expected 1 or 2 dimensions"),
        Rule(gather, [f32(), i32(S)], refused: "the operand is f32[]; expected 1 or 2 dimensions"),
        Rule(gather, [f32(T, 4), f32(S)], refused: "the list of rows is f32[S]; expected i32 of 1 dimension"),
        Rule(gather, [f32(T, 4), i32(S, 1)], refused: "the list of rows is i32[S, 1]; expected i32 of 1 dimension"),

        Rule(reshape(3, 2), [f32(6)], f32(3, 2)),
        Rule(reshape(), [f32(1, 1)], f32()),
        Rule(reshape(3), [], refused: "takes 1 operand, not 0"),
        Rule(reshape(3), [f32(T)], refused: "the operand is f32[T]; expected a static shape"),
        Rule(reshape(3, 3), [f32(6)], refused: "f32[6] does not have the elements of f32[3, 3]"),
        Rule(reshape(-2, -3), [f32(6)], refused: "f32[6] does not have the elements of f32[-2, -3]"),
        Rule(reshape(1 << 32, 1 << 32), [f32(6)], refused: "f32[6] does not have the elements of f32[4294967296, 4294967296]"),

        Rule(transpose(2, 0, 1), [f32(2, T, 4)], f32(4, 2, T)),
        Rule(transpose(0), [], refused: "takes 1 operand, not 0"),
        Rule(transpose(0, 0), [f32(2, 3)], refused: "[0, 0] is no permutation of the dimensions of f32[2, 3]"),
        Rule(transpose(1, 0, 2), [f32(2, 3)], refused: "[1, 0, 2] is no permutation of the dimensions of f32[2, 3]"),

        Rule(embed, [i32(T), f32(9, 4)], f32(T, 4)),
        Rule(spliced, [i32(T), f32(9, 4), f32(3, 4)], f32(T, 4)),
        Rule(embed, [i32(T), f32(9, 4), f32(3, 4)], refused: "takes 2 operands, not 3"),
        Rule(spliced, [i32(T), f32(9, 4)], refused: "takes 3 operands, not 2"),
        Rule(embed, [i32(T, 1), f32(9, 4)], refused: "the token list is i32[T, 1]; expected 1 dimension"),
        Rule(embed, [f32(T), f32(9, 4)], refused: "the tokens are f32[T]; expected i32"),
        Rule(embed, [i32(T), f32(9)], refused: "the table is f32[9]; expected 2 dimensions"),
        Rule(embed, [i32(T), u8(9, 4)], refused: "the table is u8[9, 4]; expected f32"),
        Rule(spliced, [i32(T), f32(9, 4), f32(4)], refused: "the vision operand is f32[4]; expected 2 dimensions"),
        Rule(spliced, [i32(T), f32(9, 4), f32(3, 5)], refused: "the vision operand is f32[3, 5]; expected f32[3, 4]"),
    ]
}()

private let arithmeticRules: [Rule] = {
    let matmul = Op.matmul(Matmul())
    let full = Op.matmul(Matmul(hasBias: true, hasAddend: true, activation: .gelu))
    let gate = Op.gate(Gate(.silu))
    let (layer, rms) = (Op.layerNorm(LayerNorm(epsilon: 1e-5)), Op.rmsNorm(RMSNorm(epsilon: 1e-5)))
    var rules = [
        Rule(matmul, [f32(T, 3), f32(5, 3)], f32(T, 5)),
        Rule(.matmul(Matmul(hasBias: true)), [f32(2, 3), f32(5, 3), f32(5)], f32(2, 5)),
        Rule(.matmul(Matmul(hasAddend: true)), [f32(2, 3), f32(5, 3), f32(2, 5)], f32(2, 5)),
        Rule(full, [f32(2, 3), f32(5, 3), f32(5), f32(2, 5)], f32(2, 5)),
        Rule(matmul, [f32(2, 3)], refused: "takes 2 operands, not 1"),
        Rule(full, [f32(2, 3), f32(5, 3), f32(5)], refused: "takes 4 operands, not 3"),
        Rule(matmul, [f32(3), f32(5, 3)], refused: "the left operand is f32[3]; expected 2 dimensions"),
        Rule(matmul, [u8(2, 3), f32(5, 3)], refused: "the left operand is u8[2, 3]; expected f32 for a weight in f32"),
        Rule(matmul, [f32(2, 3), f32(3)], refused: "the weight is f32[3]; expected 2 dimensions"),
        Rule(matmul, [f32(2, 3), i32(5, 3)], refused: "the weight is i32[5, 3]; expected f32 or panels"),
        Rule(matmul, [f32(2, 3), f32(3, 5)], refused: "f32[2, 3] and weight f32[3, 5] differ in K"),
        Rule(full, [f32(2, 3), f32(5, 3), f32(2), f32(2, 5)], refused: "the bias is f32[2]; expected f32[5]"),
        Rule(full, [f32(2, 3), f32(5, 3), f32(5), f32(5)], refused: "the addend is f32[5]; expected f32[2, 5]"),

        Rule(.scale(Scale(factor: 2)), [f32(T, 2)], f32(T, 2)),
        Rule(.scale(Scale(factor: 2)), [], refused: "takes 1 operand, not 0"),
        Rule(.power(Power(exponent: 0.5)), [f32(2)], f32(2)),
        Rule(.power(Power(exponent: 0.5)), [], refused: "takes 1 operand, not 0"),
        Rule(.power(Power(exponent: 0.5)), [i32(2)], refused: "the operand is i32[2]; expected f32"),
        Rule(.scale(Scale(factor: 2)), [i32(2)], refused: "the operand is i32[2]; expected f32"),
        Rule(.activation(Activation(.gelu)), [f32(T, 2)], f32(T, 2)),
        Rule(.activation(Activation(.gelu)), [], refused: "takes 1 operand, not 0"),
        Rule(.activation(Activation(.gelu)), [i32(2)], refused: "the operand is i32[2]; expected f32"),
        Rule(gate, [f32(T, 2), f32(T, 2)], f32(T, 2)),
        Rule(gate, [f32(T, 2)], refused: "takes 2 operands, not 1"),
        Rule(gate, [i32(2), f32(2)], refused: "the gate is i32[2]; expected f32"),
        Rule(gate, [f32(3, 2), f32(2)], refused: "the gated operand is f32[2]; expected f32[3, 2]"),

        Rule(layer, [f32(T, 2, 4), f32(4), f32(4)], f32(T, 2, 4)),
        Rule(layer, [f32(T, 2, 4)], f32(T, 2, 4)),
        Rule(layer, [], refused: "takes 3 operands, not 0"),
        Rule(layer, [f32(4), f32(4)], refused: "takes 3 operands, not 2"),
        Rule(layer, [f32()], refused: "the operand has no dimensions"),
        Rule(layer, [i32(4), f32(4), f32(4)], refused: "the operand is i32[4]; expected f32"),
        Rule(layer, [f32(), f32(4), f32(4)], refused: "the operand has no dimensions"),
        Rule(layer, [f32(2, 4), f32(2), f32(4)], refused: "the scale is f32[2]; expected f32[4]"),
        Rule(layer, [f32(2, 4), f32(4), f32(2)], refused: "the bias is f32[2]; expected f32[4]"),
        Rule(rms, [f32(T, 4), f32(4)], f32(T, 4)),
        Rule(rms, [f32(T, 4)], f32(T, 4)),
        Rule(rms, [i32(4)], refused: "the operand is i32[4]; expected f32"),
        Rule(rms, [], refused: "takes 2 operands, not 0"),
        Rule(rms, [f32(4), f32(4), f32(4)], refused: "takes 2 operands, not 3"),
        Rule(rms, [i32(4), f32(4)], refused: "the operand is i32[4]; expected f32"),
        Rule(rms, [f32(), f32(4)], refused: "the operand has no dimensions"),
        Rule(rms, [f32(2, 4), f32(2)], refused: "the scale is f32[2]; expected f32[4]"),
    ]
    for op in [Op.add(Add()), .multiply(Multiply())] {
        rules += [
            Rule(op, [f32(T, 3), f32(T, 3)], f32(T, 3)),
            Rule(op, [f32(T, 2, 3), f32(2, 3)], f32(T, 2, 3)),
            Rule(op, [f32(2, 3), f32()], f32(2, 3)),
            Rule(op, [f32(2)], refused: "takes 2 operands, not 1"),
            Rule(op, [i32(2), f32(2)], refused: "the left operand is i32[2]; expected f32"),
            Rule(op, [f32(2), i32(2)], refused: "the right operand is i32[2]; expected f32"),
            Rule(op, [f32(2, 3), f32(2)], refused: "f32[2] does not repeat over f32[2, 3]"),
            Rule(op, [f32(3), f32(2, 3)], refused: "f32[2, 3] does not repeat over f32[3]"),
        ]
    }
    return rules
}()

private let attentionRules: [Rule] = {
    func rotary(_ size: Int, theta: Float = 10000, _ scaling: Rotary.Scaling? = nil) -> Op {
        .rotary(Rotary(headSize: size, theta: theta, scaling: scaling))
    }
    func attention(_ heads: Int, _ keyHeads: Int) -> Op { .attention(Attention(heads: heads, keyValueHeads: keyHeads, scale: 1)) }
    func cached(_ heads: Int, _ keyHeads: Int) -> Op {
        .attention(Attention(heads: heads, keyValueHeads: keyHeads, scale: 1, isCached: true))
    }
    let biased = Op.attention(Attention(heads: 4, keyValueHeads: 2, scale: 1, hasBias: true))
    func bf16(_ shape: Dimension...) -> TensorType { TensorType(.bfloat16, shape) }
    func heads(_ shape: Dimension...) -> TensorType { TensorType(.int8Heads, shape) }
    let (reserve, store) = (Op.reserve(Reserve()), Op.cacheStore(CacheStore()))
    let scaling = Rotary.Scaling(factor: 8, low: 1, high: 4, original: 8192)
    return [
        Rule(rotary(4), [f32(T, 8), i32(T)], f32(T, 8)),
        Rule(rotary(8, scaling), [f32(T, 8), i32(T)], f32(T, 8)),
        Rule(rotary(4), [f32(2, 8)], refused: "takes 2 operands, not 1"),
        Rule(rotary(4), [f32(T, 8), i32(S)], refused: "the list of positions is i32[S]; expected i32[T]"),
        Rule(rotary(4), [f32(T, 8), f32(T)], refused: "the list of positions is f32[T]; expected i32[T]"),
        Rule(rotary(4), [f32(8), i32(8)], refused: "the operand is f32[8]; expected 2 dimensions"),
        Rule(rotary(4), [i32(2, 8), i32(2)], refused: "the operand is i32[2, 8]; expected f32"),
        Rule(rotary(4), [f32(2, T), i32(2)], refused: "the width is T; expected a number"),
        Rule(rotary(4), [f32(2, 6), i32(2)], refused: "heads of 4 do not divide a width of 6 into pairs"),
        Rule(rotary(3), [f32(2, 6), i32(2)], refused: "heads of 3 do not divide a width of 6 into pairs"),
        Rule(rotary(0), [f32(2, 6), i32(2)], refused: "heads of 0 do not divide a width of 6 into pairs"),
        Rule(rotary(4, theta: 0), [f32(2, 8), i32(2)], refused: "a theta of 0.0 has no powers; expected one above 0"),
        Rule(
            rotary(4, .init(factor: 8, low: 4, high: 4, original: 8192)), [f32(2, 8), i32(2)],
            refused: "a scaling from 4.0 to 4.0 by 8.0 over 8192 positions is none"),
        Rule(
            rotary(4, .init(factor: 0, low: 1, high: 4, original: 8192)), [f32(2, 8), i32(2)],
            refused: "a scaling from 1.0 to 4.0 by 0.0 over 8192 positions is none"),
        Rule(
            rotary(4, .init(factor: 8, low: 0, high: 4, original: 8192)), [f32(2, 8), i32(2)],
            refused: "a scaling from 0.0 to 4.0 by 8.0 over 8192 positions is none"),
        Rule(
            rotary(4, .init(factor: 8, low: 1, high: 4, original: 0)), [f32(2, 8), i32(2)],
            refused: "a scaling from 1.0 to 4.0 by 8.0 over 0 positions is none"),

        Rule(reserve, [i32(8), i32(T)], i32(T)),
        Rule(reserve, [i32(1), i32(3)], i32(3)),
        Rule(reserve, [i32(8)], refused: "takes 2 operands, not 1"),
        Rule(reserve, [f32(8), i32(T)], refused: "the lengths is f32[8]; expected i32 of 1 dimension"),
        Rule(reserve, [i32(8, 1), i32(T)], refused: "the lengths is i32[8, 1]; expected i32 of 1 dimension"),
        Rule(reserve, [i32(8), f32(T)], refused: "the list of slots is f32[T]; expected i32 of 1 dimension"),
        Rule(reserve, [i32(8), i32(T, 1)], refused: "the list of slots is i32[T, 1]; expected i32 of 1 dimension"),

        Rule(store, [f32(8, 16, 4), f32(T, 4), i32(T), i32(T)], nil),
        Rule(store, [i32(1, 16, 4), i32(2, 4), i32(2), i32(2)], nil),
        Rule(store, [TensorType(.bfloat16, [8, 16, 4]), f32(T, 4), i32(T), i32(T)], nil),
        Rule(store, [heads(8, 16, 2, 2), f32(T, 4), i32(T), i32(T)], nil),
        Rule(store, [heads(16, 2, 2), f32(T, 4), i32(T), i32(T)], refused: "the cache is q8h[16, 2, 2]; expected 4 dimensions"),
        Rule(
            store, [heads(8, 16, huge, 4), f32(T, 4), i32(T), i32(T)], refused: "the rows of the cache do not fit 64 bits"),
        Rule(store, [heads(8, 16, T, 4), f32(T, 4), i32(T), i32(T)], refused: "the heads of the cache is T; expected a number"),
        Rule(store, [f32(8, 16, 4), f32(T, 4)], refused: "takes 4 operands, not 2"),
        Rule(store, [f32(16, 4), f32(T, 4), i32(T), i32(T)], refused: "the cache is f32[16, 4]; expected 3 dimensions"),
        Rule(store, [f32(8, 16, 4), f32(4), i32(4), i32(4)], refused: "the stored operand is f32[4]; expected 2 dimensions"),
        Rule(store, [f32(8, 16, 4), f32(T, 5), i32(T), i32(T)], refused: "the stored operand is f32[T, 5]; expected f32[T, 4]"),
        Rule(store, [f32(8, 16, 4), i32(T, 4), i32(T), i32(T)], refused: "the stored operand is i32[T, 4]; expected f32[T, 4]"),
        Rule(
            store, [TensorType(.bfloat16, [8, 16, 4]), TensorType(.bfloat16, [T, 4]), i32(T), i32(T)],
            refused: "the stored operand is bf16[T, 4]; expected f32[T, 4]"),
        Rule(store, [f32(8, 16, 4), f32(T, 4), i32(S), i32(T)], refused: "the list of slots is i32[S]; expected i32[T]"),
        Rule(store, [f32(8, 16, 4), f32(T, 4), i32(T), i32(S)], refused: "the list of places is i32[S]; expected i32[T]"),
        Rule(store, [f32(8, 16, 4), f32(T, 4), i32(T), f32(T)], refused: "the list of places is f32[T]; expected i32[T]"),

        Rule(attention(2, 2), [f32(5, 8), f32(7, 8), f32(7, 8)], f32(5, 8)),
        Rule(attention(4, 2), [f32(T, 8), f32(S, 4), f32(S, 4)], f32(T, 8)),
        Rule(biased, [f32(T, 8), f32(S, 4), f32(S, 4), f32(S)], f32(T, 8)),
        Rule(biased, [f32(T, 8), f32(S, 4), f32(S, 4)], refused: "takes 4 operands, not 3"),
        Rule(biased, [f32(T, 8), f32(S, 4), f32(S, 4), f32(T)], refused: "the bias is f32[T]; expected f32[S]"),
        Rule(biased, [f32(5, 8), f32(7, 4), f32(7, 4), f32(7, 1)], refused: "the bias is f32[7, 1]; expected f32[7]"),
        Rule(
            .attention(Attention(heads: 2, keyValueHeads: 2, scale: 1, isCached: true, hasBias: true)),
            [f32(5, 8), f32(3, 7, 8), f32(3, 7, 8), f32(7), i32(5), i32(5)], refused: "keys in a cache have no bias"),
        Rule(cached(4, 2), [f32(T, 8), f32(3, 16, 4), f32(3, 16, 4), i32(T), i32(T)], f32(T, 8)),
        Rule(cached(2, 2), [f32(5, 8), bf16(3, 7, 8), bf16(3, 7, 8), i32(5), i32(5)], f32(5, 8)),
        Rule(cached(4, 2), [f32(5, 8), heads(3, 7, 2, 2), heads(3, 7, 2, 2), i32(5), i32(5)], f32(5, 8)),
        Rule(
            cached(4, 2), [f32(5, 8), heads(3, 7, 4, 1), heads(3, 7, 4, 1), i32(5), i32(5)],
            refused: "a cache of 4 heads does not hold 2 key heads"),
        Rule(cached(2, 2), [f32(5, 8), f32(3, 7, 8), f32(3, 7, 8)], refused: "takes 5 operands, not 3"),
        Rule(cached(2, 2), [f32(5, 8), f32(7, 8), f32(7, 8), i32(5), i32(5)], refused: "the key is f32[7, 8]; expected 3 dimensions"),
        Rule(cached(2, 2), [f32(5, 8), f32(3, 7, 8), f32(7, 8), i32(5), i32(5)], refused: "the value is f32[7, 8]; expected 3 dimensions"),
        Rule(
            cached(2, 2), [f32(5, 8), f32(3, 7, 8), f32(2, 7, 8), i32(5), i32(5)],
            refused: "the value is f32[2, 7, 8]; expected f32[3, 7, 8]"),
        Rule(
            cached(2, 2), [f32(5, 8), bf16(3, 7, 8), f32(3, 7, 8), i32(5), i32(5)],
            refused: "the value is f32[3, 7, 8]; expected bf16[3, 7, 8]"),
        Rule(
            cached(2, 2), [f32(5, 8), i32(3, 7, 8), i32(3, 7, 8), i32(5), i32(5)],
            refused: "the key is i32[3, 7, 8]; expected f32"),
        Rule(
            cached(2, 2), [f32(T, 8), f32(3, 7, 8), f32(3, 7, 8), i32(S), i32(T)],
            refused: "the list of slots is i32[S]; expected i32[T]"),
        Rule(
            cached(2, 2), [f32(T, 8), f32(3, 7, 8), f32(3, 7, 8), i32(T), i32(T, 1)],
            refused: "the list of places is i32[T, 1]; expected i32[T]"),
        Rule(attention(2, 2), [f32(5, 8), bf16(7, 8), bf16(7, 8)], refused: "the key is bf16[7, 8]; expected f32"),
        Rule(attention(2, 2), [f32(5, 8), f32(7, 8), f32(7, 8), i32(5), i32(5)], refused: "takes 3 operands, not 5"),
        Rule(attention(2, 2), [f32(5, 8), f32(7, 8)], refused: "takes 3 operands, not 2"),
        Rule(attention(2, 2), [f32(8), f32(7, 8), f32(7, 8)], refused: "the query is f32[8]; expected 2 dimensions"),
        Rule(attention(2, 2), [f32(5, 8), f32(8), f32(7, 8)], refused: "the key is f32[8]; expected 2 dimensions"),
        Rule(attention(2, 2), [f32(5, 8), f32(7, 8), u8(7, 8)], refused: "the value is u8[7, 8]; expected f32"),
        Rule(attention(2, 2), [f32(5, 8), f32(7, 8), f32(6, 8)], refused: "the value is f32[6, 8]; expected f32[7, 8]"),
        Rule(attention(2, 2), [f32(5, T), f32(7, 8), f32(7, 8)], refused: "the query's width is T; expected a number"),
        Rule(attention(2, 2), [f32(5, 8), f32(7, T), f32(7, T)], refused: "the key's width is T; expected a number"),
        Rule(attention(3, 2), [f32(5, 8), f32(7, 8), f32(7, 8)], refused: "3 heads do not share 2 key heads evenly"),
        Rule(attention(0, 1), [f32(5, 8), f32(7, 8), f32(7, 8)], refused: "0 heads do not share 1 key heads evenly"),
        Rule(attention(2, 0), [f32(5, 8), f32(7, 8), f32(7, 8)], refused: "2 heads do not share 0 key heads evenly"),
        Rule(
            attention(3, 3), [f32(5, 8), f32(7, 8), f32(7, 8)],
            refused: "a query of width 8 with 3 heads does not fit keys of width 8 with 3"),
        Rule(
            attention(4, 2), [f32(5, 8), f32(7, 8), f32(7, 8)],
            refused: "a query of width 8 with 4 heads does not fit keys of width 8 with 2"),
    ]
}()

private let precisionRules: [Rule] = {
    let (codes, panels) = (TensorType(.int8Rows, [T, 70]), TensorType(.int8Panels, [5, 70]))
    return [
        Rule(.quantize(Quantize(.int8)), [f32(T, 70)], codes),
        Rule(.quantize(Quantize(.bfloat16)), [f32(3, 70)], TensorType(.bfloat16, [3, 70])),
        Rule(.quantize(Quantize(.int8)), [f32(70)], refused: "the quantised result is f32[70]; expected 2 dimensions"),
        Rule(.quantize(Quantize(.int8)), [f32(3, T)], refused: "the width of the quantised result is T; expected a number"),
        Rule(.quantize(Quantize(.int8)), [codes], refused: "the operand is q8[T, 70]; expected f32"),
        Rule(.pack(Pack(.int8)), [f32(5, 70)], panels),
        Rule(.pack(Pack(.int4)), [f32(5, 70)], TensorType(.int4Panels, [5, 70])),
        Rule(.pack(Pack(.int8)), [f32(T, 70)], refused: "the height is T; expected a number"),
        Rule(.pack(Pack(.int8)), [f32(5)], refused: "the operand is f32[5]; expected 2 dimensions"),
        Rule(.matmul(Matmul()), [codes, panels], f32(T, 5)),
        Rule(.matmul(Matmul()), [codes, TensorType(.int4Panels, [5, 70])], f32(T, 5)),
        Rule(.matmul(Matmul()), [TensorType(.bfloat16, [3, 70]), TensorType(.bfloat16Panels, [5, 70])], f32(3, 5)),
        Rule(.matmul(Matmul()), [f32(T, 70), panels], refused: "the left operand is f32[T, 70]; expected q8 for a weight in q8p"),
        Rule(
            .matmul(Matmul()), [codes, TensorType(.bfloat16Panels, [5, 70])],
            refused: "the left operand is q8[T, 70]; expected bf16 for a weight in bf16p"),
        Rule(.embed(Embed(hasVision: false)), [i32(T), panels], f32(T, 70)),
        Rule(.embed(Embed(hasVision: false)), [i32(T), codes], refused: "the table is q8[T, 70]; expected f32"),
        Rule(.rmsNorm(RMSNorm(epsilon: 1, rows: .int8)), [f32(T, 70)], codes),
        Rule(.layerNorm(LayerNorm(epsilon: 1, rows: .bfloat16)), [f32(T, 70)], TensorType(.bfloat16, [T, 70])),
        Rule(.gate(Gate(.silu, rows: .int8)), [f32(T, 70), f32(T, 70)], codes),
        Rule(.rmsNorm(RMSNorm(epsilon: 1, rows: .int8)), [f32(70)], refused: "the quantised result is f32[70]; expected 2 dimensions"),
    ]
}()

private let rules =
    imageRules + shapeRules + arithmeticRules + precisionRules + attentionRules + reductionRules
    + patchReductionRules + rowMergingRules + coverRules + thresholdRules

@Suite struct TypeRuleTests {
    @Test(arguments: rules) func rule(_ rule: Rule) {
        let found: Rule.Outcome
        do throws(TypeError) {
            found = .type(try rule.op.payload.resultType(rule.operands))
        } catch {
            found = .refusal(error.message)
        }
        #expect(found == rule.outcome)
    }

    @Test func everyOperationIsAcceptedAndRefusedSomewhere() {
        for (mnemonic, _) in Op.parsers {
            let outcomes = rules.filter { $0.op.mnemonic == mnemonic }.map(\.outcome)
            #expect(outcomes.contains { if case .type = $0 { true } else { false } }, "\(mnemonic)")
            #expect(outcomes.contains { if case .refusal = $0 { true } else { false } }, "\(mnemonic)")
        }
    }

    @Test func resultsBeyondTheAddressSpaceAreRefused() {
        let types = ["a": f32(.fixed(1 << 31), 1), "b": f32(.fixed(1 << 31), 1)]
        #expect(throws: TypeError("makes f32[2147483648, 2147483648], which is more than 2^63 bytes")) {
            try makeOperation("c", .matmul(Matmul()), [.value("a"), .value("b")]) { types[$0.name] }
        }
        #expect(throws: TypeError("reads '%c', which is not defined")) {
            try makeOperation("d", .gatherRows(GatherRows()), [.value("c")]) { types[$0.name] }
        }
    }

    @Test func gridIsHeightAndWidth() {
        var reader = AttributeReader(["grid": .integers([1, 2, 3]), "kernel": .integer(1)], labels: [])
        #expect(throws: TypeError("attribute 'grid' has 3 numbers; expected height and width")) { try GatherWindows(&reader) }
    }

    @Test func patchOrder() {
        let raster = ExtractPatches(patch: 1).order(rows: 2, columns: 2).map { [$0.row, $0.column] }
        #expect(raster == [[0, 0], [0, 1], [1, 0], [1, 1]])
        let windows = ExtractPatches(patch: 1, window: 2).order(rows: 2, columns: 4).map { [$0.row, $0.column] }
        #expect(windows == [[0, 0], [0, 1], [1, 0], [1, 1], [0, 2], [0, 3], [1, 2], [1, 3]])
    }
}
