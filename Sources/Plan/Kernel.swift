import IR

/// How a step is done. All of it is decided here, once it is known where the step's operands lie; CEmit prints it.
public struct Kernel: Hashable, Sendable {
    public var computation: Computation
    public var routine: Routine
    public var loop: Loop
}

/// The loop around a call of the routine.
public enum Loop: Hashable, Sendable {
    /// One call for everything: the routine walks over the rows and shares them out to threads.
    case inside
    /// One call for the one row that there is
    case once
    /// One call per row, the rows shared out to threads: those of the result, or of the image that is normalised, or the entries of the first
    /// dimension of elements that are copied.
    case parallel(Affine)
}

/// A function of the runtime, with what it is told beside sizes and operands.
public enum Routine: Hashable, Sendable {
    /// A row of the image, once per channel
    case normalizeRow(Normalize)
    /// From float32 planes
    case extractPatch(ExtractPatches)
    /// From bytes, minus a value per channel
    case centerPatch(ExtractPatches, center: [Float])
    case gatherWindow(GatherWindows)
    case averageWindow(AverageWindows)
    case attendWindow(WindowAttention)
    /// `hasVisionRows`: a negative token stands for one of them.
    case embedRow(WeightFormat, hasVisionRows: Bool)
    case matmul(Matmul, WeightFormat)
    case attention(Attention, KeyValueType)
    /// `rounded`: what the function makes is float32 and rounded to this while it is in the cache; nil where it stays float32.
    case row(RowFunction, rounded: RowType?)
    case quantizeRow(RowType)
    case rotaryAngles(frequencies: [Float])
    case rotateRow(headSize: Int)
    /// A row into a cache of that type; `heads` of an 8-bit one
    case storeRow(KeyValueType, heads: Int)
    case gatherRow
    case reserve
    /// In a cache of that many bytes from slot to slot and from row to row
    case keepStoredRows(slotBytes: Int, rowBytes: Int)
    case release
    /// The routine of the runtime that is named for an operation, with what it is told behind its tables, and the symbol that its result counts
    case call(String, [Attribute], count: String?)
    /// No function: a loop per dimension
    case copyElements
}

/// What a function makes of rows that have as many columns as its result.
public enum RowFunction: Hashable, Sendable {
    case copy
    case add
    case multiply
    case scale(Float)
    case activation(ActivationFunction)
    case gate(ActivationFunction)
    /// Layer norm without scale and bias
    case standardize(epsilon: Float)
    case layerNorm(epsilon: Float)
    /// RMS norm without a scale
    case divideByRMS(epsilon: Float)
    case rmsNorm(epsilon: Float)
}

/// How the weight of a product or the table of an embedding is stored.
public enum WeightFormat: Hashable, Sendable {
    /// Row-major
    case float32
    /// Panels
    case bfloat16, int8, int4

    init(_ dtype: DType) {
        switch dtype {
        case .float32: self = .float32
        case .bfloat16Panels: self = .bfloat16
        case .int8Panels: self = .int8
        case .int4Panels: self = .int4
        case .float16, .bfloat16, .int32, .uint8, .int8Rows, .int8Heads:
            preconditionFailure("the verifier lets no product read \(dtype.rawValue)")
        }
    }
}

extension Kernel {
    /// The kernel for operands that lie as these buffers do.
    init(_ computation: Computation, inputs: [Buffer], output: Buffer) {
        let rows = output.rowLayout?.rows
        var loop: Loop = if let rows, rows.isMany { .parallel(rows) } else { .once }
        func row(_ function: RowFunction) -> Routine { .row(function, rounded: RowType(output.type.dtype)) }

        let routine: Routine
        switch computation {
        case .normalize(let normalize):
            routine = .normalizeRow(normalize)
            loop = .parallel(inputs[0].type.shape[0])
        case .extractPatches(let extract):
            let image = inputs[0].type
            if image.dtype == .uint8 {
                let zeros = Array(repeating: Float(0), count: image.shape[2].fixedValue ?? 0)
                routine = .centerPatch(extract, center: extract.center.isEmpty ? zeros : extract.center)
            } else {
                routine = .extractPatch(extract)
            }
        case .gatherWindows(let windows): routine = .gatherWindow(windows)
        case .averageWindows(let average): routine = .averageWindow(average)
        case .windowAttention(let attention): routine = .attendWindow(attention)
        case .embed: routine = .embedRow(WeightFormat(inputs[1].type.dtype), hasVisionRows: inputs.count > 2)
        case .quantize(let type): routine = .quantizeRow(type)
        case .matmul(let matmul):
            routine = .matmul(matmul, WeightFormat(inputs[1].type.dtype))
            loop = .inside
        case .add: routine = row(.add)
        case .multiply: routine = row(.multiply)
        case .scale(let factor): routine = row(.scale(factor))
        case .activation(let function): routine = row(.activation(function))
        case .gate(let function): routine = row(.gate(function))
        case .layerNorm(let epsilon): routine = row(inputs.count == 1 ? .standardize(epsilon: epsilon) : .layerNorm(epsilon: epsilon))
        case .rmsNorm(let epsilon): routine = row(inputs.count == 1 ? .divideByRMS(epsilon: epsilon) : .rmsNorm(epsilon: epsilon))
        case .rotaryTable(let frequencies): routine = .rotaryAngles(frequencies: frequencies)
        case .rotary(let headSize): routine = .rotateRow(headSize: headSize)
        case .attention(let attention):
            routine = .attention(attention, KeyValueType(cache: inputs[1].type.dtype))
            loop = .inside
        case .gatherRows: routine = .gatherRow
        case .reserve:
            routine = .reserve
            loop = .inside
        case .storeRows(let heads):
            routine = .storeRow(KeyValueType(cache: output.type.dtype), heads: heads ?? 1)
            let rows = inputs[0].rowLayout?.rows ?? 1
            loop = rows.isMany ? .parallel(rows) : .once
        case .keepStoredRows:
            let size = output.type.dtype.byteCount
            routine = .keepStoredRows(slotBytes: output.strides[0] * size, rowBytes: output.strides[1] * size)
            loop = .inside
        case .release:
            routine = .release
            loop = .inside
        case .call(let op):
            routine = .call(op.mnemonic, op.payload.callArguments ?? [], count: op.payload.definedCount)
            loop = .inside
        case .copy:
            if inputs[0].type.dtype == .float32, rows != nil, inputs[0].rowLayout?.rows == rows {
                routine = row(.copy)
            } else {
                routine = .copyElements
                loop = output.type.shape.first.map { .parallel($0) } ?? .once
            }
        }
        self.init(computation: computation, routine: routine, loop: loop)
    }
}

extension RowType {
    /// nil for float32, which nothing is rounded to.
    fileprivate init?(_ dtype: DType) {
        switch dtype {
        case .bfloat16: self = .bfloat16
        case .int8Rows: self = .int8
        case .float32, .float16, .int32, .uint8, .int8Heads, .bfloat16Panels, .int8Panels, .int4Panels: return nil
        }
    }
}

extension KeyValueType {
    /// The type of keys or values that the verifier has let pass.
    fileprivate init(cache dtype: DType) {
        guard let type = KeyValueType(dtype) else { preconditionFailure("the verifier lets no cache be \(dtype.rawValue)") }
        self = type
    }
}
