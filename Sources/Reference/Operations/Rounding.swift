import IR
import Pack
import Support

/// The nearest bf16, ties to even; a NaN stays one.
func bfloat16Value(_ x: Float) -> Float {
    guard x.isFinite else { return x }
    let bits = x.bitPattern
    return Float(bitPattern: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) & 0xFFFF_0000)
}

/// Blocks along rows of `width` to the nearest of 255 multiples of their greatest magnitude / 127.
func roundBlocks(_ values: inout [Float], width: Int, block: Int) {
    for row in stride(from: 0, to: values.count, by: width) {
        for start in stride(from: row, to: row + width, by: block) {
            let block = start..<min(start + block, row + width)
            let largest = values[block].reduce(0) { max($0, abs($1)) }
            let (scale, inverse) = (largest / 127, largest > 0 ? 127 / largest : 0)
            for index in block { values[index] = scale * (values[index] * inverse).rounded(.toNearestOrEven) }
        }
    }
}

/// The tensor itself where `rows` is nil.
func quantized(_ operand: Tensor, to rows: RowType?) -> Tensor {
    guard let rows else { return operand }
    var values = operand.floats
    switch rows {
    case .bfloat16: values = values.map(bfloat16Value)
    case .int8: roundBlocks(&values, width: operand.shape[1], block: BlockFormat.block)
    }
    return Tensor(shape: operand.shape, elements: .rounded(rows.dtype, values))
}

/// Packs by the same code as the executable's weights, and reads the panels back by a reader of its own. Throws, without a site, where the
/// type has no number near to an element.
func pack(_ op: Pack, _ operand: Tensor) throws(Diagnostic) -> Tensor {
    let (rows, columns) = (operand.shape[0], operand.shape[1])
    let values = operand.floats
    var result: [Float] = []
    result.reserveCapacity(values.count)
    var panel = [UInt8](repeating: 0, count: BlockFormat.panelBytes(op.type.dtype, columns: columns) ?? 0)
    for first in stride(from: 0, to: rows, by: BlockFormat.panel) {
        let count = min(BlockFormat.panel, rows - first)
        var exponents = [Int8](repeating: 0, count: BlockFormat.panel)
        let subnormal = values.withUnsafeBufferPointer { values in
            lmmc_pack_panel(op.type.layout, Int64(count), Int64(columns), values.baseAddress! + first * columns, &panel, &exponents)
        }
        guard subnormal >= 0 else { throw .error("a weight is no number that \(op.type.rawValue) has", expected: op.type.range) }
        for row in 0..<count {
            for column in 0..<columns { result.append(element(op.type, panel, exponents, columns: columns, row: row, column: column)) }
        }
    }
    return Tensor(shape: operand.shape, elements: .rounded(op.type.dtype, result))
}

/// One element of a panel, from the layout that `BlockFormat` describes.
private func element(_ type: PanelType, _ panel: [UInt8], _ exponents: [Int8], columns: Int, row: Int, column: Int) -> Float {
    let (blockSize, rows) = (BlockFormat.block, BlockFormat.panel)
    let blocks = (columns + blockSize - 1) / blockSize
    let (block, k) = (column / blockSize, column % blockSize)
    let power = type == .bfloat16 ? 1 : Float(sign: .plus, exponent: Int(exponents[row]), significand: 1)
    func half(_ offset: Int) -> UInt16 { UInt16(panel[offset]) | UInt16(panel[offset + 1]) << 8 }
    switch type {
    case .bfloat16:
        let place = block * blockSize * rows * 2 + (k / 2 * rows + row) * 4 + k % 2 * 2
        return Float(bitPattern: UInt32(half(place)) << 16)
    case .int8:
        let code = panel[block * blockSize * rows + (k / 4 * rows + row) * 4 + k % 4]
        return Float(Float16(bitPattern: half(blocks * blockSize * rows + (block * rows + row) * 2))) * (Float(code) - 128) * power
    case .int4:
        let byte = panel[block * blockSize / 2 * rows + (k / 8 * rows + row) * 4 + k % 4]
        let code = k % 8 < 4 ? byte & 15 : byte >> 4
        let scales = blocks * blockSize / 2 * rows
        let offset = panel[scales + blocks * rows * 2 + block * rows + row]
        return Float(Float16(bitPattern: half(scales + (block * rows + row) * 2))) * (8 * Float(code) - Float(offset)) * power
    }
}
