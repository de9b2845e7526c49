import IR
import Support

/// What one operation makes: its result, and the new contents of the state that it updates. The operands must obey the operation's type rule.
///
/// Elements are float32, sums and functions double, and each result is rounded once. Throws, without a site, where a token, a row, a slot or
/// a place is out of range.
public func outcome(of op: Op, _ operands: [Tensor]) throws(Diagnostic) -> (result: Tensor?, state: Tensor?) {
    switch op {
    case .reserve:
        let (places, lengths) = try reserve(operands)
        return (places, lengths)
    case .cacheStore: return (nil, try cacheStore(operands))
    case .cacheKeep: return (nil, try cacheKeep(operands))
    case .release: return (nil, try release(operands))
    default: return (try evaluate(op, operands), nil)
    }
}

/// The result of an operation that updates no state.
public func evaluate(_ op: Op, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    switch op {
    case .normalize(let op): normalize(op, operands[0])
    case .extractPatches(let op): extractPatches(op, operands[0])
    case .gatherWindows(let op): gatherWindows(op, operands[0])
    case .averageWindows(let op): averageWindows(op, operands[0])
    case .windowAttention(let op): windowAttention(op, operands)
    case .concatenate(let op): concatenate(op, operands)
    case .slice(let op): slice(op, operands[0])
    case .gatherRows: try gatherRows(operands)
    case .reshape(let op): Tensor(shape: op.shape, elements: operands[0].elements)
    case .transpose(let op): transpose(op, operands[0])
    case .embed(let op): try embed(op, operands)
    case .matmul(let op): try matmul(op, operands)
    case .add: elementwise(operands, +)
    case .multiply: elementwise(operands, *)
    case .scale(let op): mapped(operands[0]) { $0 * op.factor }
    case .power(let op): mapped(operands[0]) { op.value($0) }
    case .activation(let op): mapped(operands[0]) { Float(op.function.value(Double($0))) }
    case .gate(let op): quantized(elementwise(operands) { Float(op.function.value(Double($0)) * Double($1)) }, to: op.rows)
    case .layerNorm(let op): quantized(layerNorm(op, operands), to: op.rows)
    case .rmsNorm(let op): quantized(rmsNorm(op, operands), to: op.rows)
    case .quantize(let op): quantized(operands[0], to: op.type)
    case .pack(let op): try pack(op, operands[0])
    case .rotary(let op): rotary(op, operands)
    case .attention(let op): op.isCached ? try cachedAttention(op, operands) : try attention(op, operands)
    case .attentionScores(let op): attentionScores(op, operands)
    case .keepRows(let op): keepRows(op, operands)
    case .findRows: findRows(operands)
    case .visionIndices(let op): visionIndices(op, operands)
    case .strideRows(let op): strideRows(op, operands)
    case .strideMeans(let op): strideMeans(op, operands)
    case .rowAttention(let op): rowAttention(op, operands)
    case .topRows(let op): topRows(op, operands)
    case .complementRows(let op): try complementRows(op, operands)
    case .meanHeads(let op): meanHeads(op, operands)
    case .unitRows(let op): unitRows(op, operands)
    case .clusterRows(let op): clusterRows(op, operands)
    case .segmentMeans(let op): try segmentMeans(op, operands)
    case .outlierRows(let op): outlierRows(op, operands)
    case .appendSamples(let op): appendSamples(op, operands)
    case .mergeNeighbours(let op): try mergeNeighbours(op, operands)
    case .padList(let op): padList(op, operands)
    case .matchRows(let op): matchRows(op, operands)
    case .rowPlaces(let op): rowPlaces(op, operands)
    case .segmentSizes(let op): try segmentSizes(op, operands)
    case .log: logarithm(operands)
    case .softmaxSimilarity(let op): softmaxSimilarity(op, operands)
    case .greedyCover(let op): greedyCover(op, operands)
    case .raterRows: raterRows(operands)
    case .rotaryScores(let op): rotaryScores(op, operands)
    case .raterAttention(let op): raterAttention(op, operands)
    case .rankCounts(let op): rankCounts(op, operands)
    case .recycleDensity(let op): recycleDensity(op, operands)
    case .recycleRows(let op): recycleRows(op, operands)
    case .recycleMerge: recycleMerge(operands)
    case .prefusionRows: prefusionRows(operands)
    case .trimRows(let op): trimRows(op, operands)
    case .replaceRows: try replaceRows(operands)
    case .resizeGrid(let op): resizeGrid(op, operands)
    case .splitRows(let op): splitRows(op, operands)
    case .maskHeads(let op): maskHeads(op, operands)
    case .patchAttention(let op): patchAttention(op, operands)
    case .similarWindows(let op): similarWindows(op, operands[0])
    case .windowMeans(let op): try windowMeans(op, operands)
    case .keyRows(let op): keyRows(op, operands[0])
    case .postRows: postRows(operands)
    case .thresholdRows(let op): try thresholdRows(op, operands)
    case .reserve, .cacheStore, .cacheKeep, .release: preconditionFailure("'\(op.mnemonic)' updates a state")
    }
}
