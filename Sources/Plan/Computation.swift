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
    /// No input -> f32 [M, d]: row i holds the cosines, then the sines, of (P + i) * frequency[j]
    case rotaryTable(frequencies: [Float])
    /// f32 [M, H*d] and the table of M rows -> f32 [M, H*d]
    case rotary(headSize: Int)
    /// Over values: every row sees all keys. Over caches (`isCached`): row i sees the rows 0 ... P + i.
    case attention(Attention, isCached: Bool)
    /// Any strides on both sides; also what stores rows in a cache of f32 or bf16.
    case copy
    /// f32 [M, heads * size] -> rows of a q8h cache
    case storeHeads(heads: Int, size: Int)
}

extension Computation {
    /// What the plan asks of a computation beside what it computes.
    struct Traits {
        /// Whether what it computes depends on P.
        var usesPosition = false
        /// As the operation's.
        var isProduct = false
        /// Whether its inputs may be rows that do not follow each other.
        var readsStridedRows = false
        /// The inputs over which it may write its result: it reads each element, row or pair before it writes it.
        var overwritableInputs: [Int] = []
    }

    var traits: Traits {
        switch self {
        case .normalize, .extractPatches, .gatherWindows, .averageWindows, .embed, .copy: Traits()
        case .quantize, .storeHeads: Traits(readsStridedRows: true)
        case .scale, .activation, .layerNorm, .rmsNorm, .rotary: Traits(readsStridedRows: true, overwritableInputs: [0])
        case .add, .multiply, .gate: Traits(readsStridedRows: true, overwritableInputs: [0, 1])
        case .matmul(let matmul):
            Traits(isProduct: true, readsStridedRows: true, overwritableInputs: [matmul.addendIndex].compactMap(\.self))
        case .attention(_, let isCached): Traits(usesPosition: isCached, isProduct: true)
        case .rotaryTable: Traits(usesPosition: true)
        }
    }
}
