import IR

/// What a step computes, whichever routine does it. Operands are the step's inputs in the order of the IR operation's, where nothing else is
/// said; all are rows of unit stride with a row stride of their own, unless contiguous is said.
public enum Computation: Hashable, Sendable {
    /// u8 [S, S, 3] -> f32 [3, S, S], contiguous
    case normalize(Normalize)
    /// f32 [C, H, W] or u8 [H, W, C] -> f32 [rows, C*p*p], contiguous
    case extractPatches(ExtractPatches)
    case gatherWindows(GatherWindows)
    case averageWindows(AverageWindows)
    case windowAttention(WindowAttention)
    /// i32 [M], f32 or panels [V, C] and perhaps f32 [R, C] -> f32 [M, C]
    case embed
    /// f32 [M, K] -> rows of the type, each filled up to whole blocks
    case quantize(RowType)
    case matmul(Matmul)
    /// The second input has as many rows as the first, or one that is repeated.
    case add
    case multiply
    case scale(Float)
    case activation(ActivationFunction)
    /// This and the norms quantise their rows where the output's type is one of rows.
    case gate(ActivationFunction)
    /// With scale and bias, or the rows alone
    case layerNorm(epsilon: Float)
    /// With a scale, or the rows alone
    case rmsNorm(epsilon: Float)
    /// i32 [M], the positions -> f32 [M, d]: row i holds the cosines, then the sines, of positions[i] * frequency[j]
    case rotaryTable(frequencies: [Float])
    /// f32 [M, H*d] and the table of M rows -> f32 [M, H*d]
    case rotary(headSize: Int)
    /// Over values: every row sees all keys. Over caches: row i sees the rows 0 ... places[i] of slot slots[i].
    case attention(Attention)
    /// Any strides on both sides
    case copy
    /// [M, C] and i32 [N] -> [N, C]
    case gatherRows
    /// i32 [slots], which grow, and i32 [M] -> i32 [M]
    case reserve
    /// [M, W], i32 [M] and i32 [M] -> rows of a cache in slots; `heads` where it has a scale per head
    case storeRows(heads: Int?)
    /// i32 [slots], i32 [M] and i32 [K], of rows that stay of a cache in slots
    case keepStoredRows
    /// i32 [M] and i32 [K], of lengths, i32 [slots]
    case release
    /// An operation with `callArguments`: tables, and lists as tables of one column
    case call(Op)
}

extension Computation {
    /// What the plan asks of a computation beside what it computes.
    struct Traits {
        /// As the operation's.
        var isProduct = false
        /// Whether its inputs may be rows that do not follow each other.
        var readsStridedRows = false
        /// The input that it changes beside its output.
        var updatedInput: Int?
        /// The inputs over which it may write its result: it reads each element, row or pair before it writes it.
        var overwritableInputs: [Int] = []
    }

    var traits: Traits {
        switch self {
        case .normalize, .extractPatches, .gatherWindows, .averageWindows, .embed, .copy: Traits()
        case .windowAttention: Traits(isProduct: true, readsStridedRows: true)
        case .quantize, .gatherRows, .storeRows: Traits(readsStridedRows: true)
        case .call(let op): Traits(isProduct: op.payload.isProduct, readsStridedRows: true)
        case .scale, .activation, .layerNorm, .rmsNorm, .rotary: Traits(readsStridedRows: true, overwritableInputs: [0])
        case .add, .multiply, .gate: Traits(readsStridedRows: true, overwritableInputs: [0, 1])
        case .matmul(let matmul):
            Traits(isProduct: true, readsStridedRows: true, overwritableInputs: [matmul.addendIndex].compactMap(\.self))
        case .attention: Traits(isProduct: true)
        case .rotaryTable, .keepStoredRows, .release: Traits()
        case .reserve: Traits(updatedInput: 0)
        }
    }
}
