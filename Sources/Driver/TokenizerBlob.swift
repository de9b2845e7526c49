import Checkpoint

/// The tokenizer as compiled programs read it in place; the layout is documented in Runtime/tokenizer.h.
///
/// The count is a multiple of 8. Texts together must stay below 4 GiB, which any readable checkpoint file does.
func tokenizerBlob(_ tokenizer: Tokenizer) -> [UInt8] {
    switch tokenizer {
    case .sentencePiece(let model): tokenizerBlob(model)
    }
}

func tokenizerBlob(_ model: SentencePieceModel) -> [UInt8] {
    let control = model.pieces.enumerated().filter { $0.element.kind == .control }.map { (id: $0.offset, text: $0.element.text) }
    let added = model.addedTokens.map { (id: $0.id, text: Array($0.text.utf8)) }
    let special = (control + added).filter { !$0.text.isEmpty }
    let table = pieceTable(model.pieces)

    var sections = Sections()
    sections.append(model.pieces.map(\.score.bitPattern))
    sections.append(offsets(model.pieces.lazy.map(\.text.count)))
    sections.append(table)
    sections.append(special.map { UInt32($0.id) })
    sections.append(offsets(special.lazy.map(\.text.count)))
    sections.append(model.pieces.map { UInt8($0.kind.rawValue) })
    sections.append(Array(model.pieces.lazy.map(\.text).joined()))
    sections.append(Array(special.lazy.map(\.text).joined()))

    let dummyPrefix: UInt32 = 1, byteFallback: UInt32 = 2
    let flags = byteFallback | (model.addsDummyPrefix ? dummyPrefix : 0)
    var header = Sections()
    header.bytes = Array("lmmctok1".utf8)
    header.append([UInt32(truncatingIfNeeded: headerBytes + sections.bytes.count), UInt32((headerBytes + sections.bytes.count) >> 32)])
    header.append([1, flags, UInt32(model.pieces.count), UInt32(table.count), UInt32(special.count)]
        + [model.unknownID, model.bosID ?? -1, model.eosID ?? -1].map { UInt32(bitPattern: Int32($0)) })
    header.append([UInt32](repeating: 0, count: 4))
    precondition(header.bytes.count == headerBytes)
    return header.bytes + sections.bytes
}

private let headerBytes = 64

/// Little-endian values, each section padded with zeros to 8 bytes.
private struct Sections {
    var bytes: [UInt8] = []

    mutating func append<Value: FixedWidthInteger>(_ values: [Value]) {
        bytes.reserveCapacity(bytes.count + values.count * MemoryLayout<Value>.size + 8)
        for value in values { withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) } }
        while bytes.count % 8 != 0 { bytes.append(0) }
    }
}

/// Where each of the texts begins when they stand one after the other, and where the last one ends.
private func offsets(_ counts: some Sequence<Int>) -> [UInt32] {
    counts.reduce(into: [0]) { $0.append($0.last! + UInt32($1)) }
}

/// Open addressing, at most half full, over the pieces that match text.
private func pieceTable(_ pieces: [SentencePieceModel.Piece]) -> [UInt32] {
    let members = pieces.indices.filter { [.normal, .userDefined, .unused].contains(pieces[$0].kind) }
    var slots = 8
    while slots < 2 * members.count { slots *= 2 }
    var table = [UInt32](repeating: .max, count: slots)
    for id in members {
        let hash = fnv1a(pieces[id].text)
        var slot = Int(truncatingIfNeeded: (hash ^ hash >> 32) & UInt64(slots - 1))
        while table[slot] != .max { slot = (slot + 1) & (slots - 1) }
        table[slot] = UInt32(id)
    }
    return table
}

/// 64-bit FNV-1a.
private func fnv1a(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
