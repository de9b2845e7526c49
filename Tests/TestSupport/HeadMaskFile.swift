/// The bytes of a NumPy file, bool [blocks, heads], as numpy writes it.
public func headMaskFile(_ blocks: [[Bool]], header: String? = nil) -> [UInt8] {
    let text = header ?? "{'descr': '|b1', 'fortran_order': False, 'shape': (\(blocks.count), \(blocks.first?.count ?? 0)), }"
    let padded = text + String(repeating: " ", count: (64 - (10 + text.utf8.count + 1) % 64) % 64) + "\n"
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(padded.utf8.count & 255), UInt8(padded.utf8.count >> 8)] + Array(padded.utf8)
        + blocks.flatMap { $0.map { $0 ? 1 : 0 } }
}
