import IR
import Support

/// The result of one operation; for `cache_store` the new contents of the cache. The operands must obey the operation's type rule.
///
/// Elements are float32, sums and functions double, and each result is rounded once. `overStates` says that an attention reads
/// caches. Throws, without a site, where a token or the position is out of range.
public func evaluate(_ op: Op, _ operands: [Tensor], position: Int = 0, overStates: Bool = false) throws(Diagnostic) -> Tensor {
    switch op {
    case .normalize(let op): normalize(op, operands[0])
    case .extractPatches(let op): extractPatches(op, operands[0])
    case .gatherWindows(let op): gatherWindows(op, operands[0])
    case .averageWindows(let op): averageWindows(op, operands[0])
    case .concatenate(let op): concatenate(op, operands)
    case .slice(let op): slice(op, operands[0])
    case .lastRow: lastRow(operands[0])
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
    case .rotary(let op): rotary(op, operands[0], position: position)
    case .cacheStore: try cacheStore(operands, position: position)
    case .attention(let op): try attention(op, operands, position: position, overStates: overStates)
    }
}
