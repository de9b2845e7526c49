import Checkpoint

/// The tokenizer as compiled programs read it in place; the layout is documented in Runtime/tokenizer.h.
///
/// The count is a multiple of 8. Texts together must stay below 4 GiB, which any readable checkpoint file does.
func tokenizerBlob(_ tokenizer: Tokenizer) -> [UInt8] {
    switch tokenizer {
    case .sentencePiece(let model): tokenizerBlob(model)
    case .mergeList(let model): tokenizerBlob(model)
    }
}

func tokenizerBlob(_ model: SentencePieceModel) -> [UInt8] {
    let control = model.pieces.enumerated().filter { $0.element.kind == .control }.map { (id: $0.offset, text: $0.element.text[...]) }
    let added = model.addedTokens.map { (id: $0.id, text: Array($0.text.utf8)[...]) }
    let dummyPrefix: UInt32 = 1, byteFallback: UInt32 = 2
    let table = pieceTable(model.pieces.lazy.map { [.normal, .userDefined, .unused].contains($0.kind) ? $0.text[...] : nil })
    return blob(
        Header(
            kind: 1, flags: byteFallback | (model.addsDummyPrefix ? dummyPrefix : 0), unknownID: model.unknownID, bosID: model.bosID,
            eosID: model.eosID),
        scores: model.pieces.map(\.score.bitPattern), offsets: offsets(model.pieces.lazy.map(\.text.count)), table: table,
        special: (control + added).filter { !$0.text.isEmpty }, merges: [], kinds: model.pieces.map(\.kind),
        text: Array(model.pieces.lazy.map(\.text).joined()))
}

func tokenizerBlob(_ model: MergeListModel) -> [UInt8] {
    let special = model.kinds.indices.filter { [.control, .userDefined].contains(model.kinds[$0]) }.map { (id: $0, text: model.bytes(of: $0)) }
    let table = pieceTable(model.kinds.indices.lazy.map { id in model.kinds[id] == .normal ? model.bytes(of: id) : nil })
    var header = Header(kind: 2, flags: 0, unknownID: nil, bosID: model.bosID, eosID: model.eosID)
    if model.keepsWholeWords { header.flags |= 64 }
    switch model.splitting {
    case .byteLevel(let pattern, let digits):
        header.flags |= 4 | (digits ? 128 : 0)
        switch pattern {
        case .gpt2: header.split = 1
        case .llama3: header.split = 2
        }
    case .sentencePiece(let prefix, let splitsWords):
        header.flags |= 2 | (splitsWords ? 32 : 0)
        switch prefix {
        case .none: break
        case .always: header.flags |= 1
        case .unlessSpaced: header.flags |= 1 | 16
        case .onceUnlessSpaced: header.flags |= 1 | 16 | 8
        }
    }
    return blob(
        header, scores: [], offsets: model.offsets, table: table, special: special, merges: model.merges, kinds: model.kinds, text: model.text)
}

private let headerBytes = 64

private struct Header {
    var kind: UInt32
    var flags: UInt32
    var unknownID, bosID, eosID: Int?
    /// lmmc_split
    var split: UInt32 = 0

    init(kind: UInt32, flags: UInt32, unknownID: Int?, bosID: Int?, eosID: Int?) {
        (self.kind, self.flags, self.unknownID, self.bosID, self.eosID) = (kind, flags, unknownID, bosID, eosID)
    }
}

private func blob(
    _ header: Header, scores: [UInt32], offsets: [UInt32], table: [UInt32], special: [(id: Int, text: ArraySlice<UInt8>)],
    merges: [MergeListModel.Merge], kinds: [SentencePieceModel.Piece.Kind], text: [UInt8]
) -> [UInt8] {
    let mergeTable = header.kind == 2 ? mergeTable(merges) : []
    var sections = Sections()
    sections.append(scores)
    sections.append(offsets)
    sections.append(table)
    sections.append(special.map { UInt32($0.id) })
    sections.append(Driver.offsets(special.lazy.map(\.text.count)))
    sections.append(merges.flatMap { [$0.left, $0.right, $0.result] })
    sections.append(mergeTable)
    sections.append(kinds.map { UInt8($0.rawValue) })
    sections.append(text)
    sections.append(Array(special.lazy.map(\.text).joined()))

    var result = Sections()
    result.bytes = Array("lmmctok1".utf8)
    result.append([UInt64(headerBytes + sections.bytes.count)])
    result.append([header.kind, header.flags, UInt32(kinds.count), UInt32(table.count), UInt32(special.count)]
        + [header.unknownID, header.bosID, header.eosID].map { UInt32(bitPattern: Int32($0 ?? -1)) })
    result.append([header.split, UInt32(merges.count), UInt32(mergeTable.count), 0])
    precondition(result.bytes.count == headerBytes)
    return result.bytes + sections.bytes
}

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

/// Open addressing, at most half full, over the pieces that match text: those that are not nil.
private func pieceTable(_ pieces: some Collection<ArraySlice<UInt8>?>) -> [UInt32] {
    openAddressing(pieces.lazy.map { $0.map { $0.withUnsafeBufferPointer(fnv1a) } }, count: pieces.count { $0 != nil })
}

private func mergeTable(_ merges: [MergeListModel.Merge]) -> [UInt32] {
    let hashes = merges.lazy.map { merge -> UInt64? in
        (UInt64(UInt32(bitPattern: merge.left)) << 32 | UInt64(UInt32(bitPattern: merge.right))) &* 0x9E37_79B9_7F4A_7C15
    }
    return openAddressing(hashes, count: merges.count)
}

/// The index of each hash that is not nil, in the first free slot from its own on.
private func openAddressing(_ hashes: some Sequence<UInt64?>, count: Int) -> [UInt32] {
    var slots = 8
    while slots < 2 * count { slots *= 2 }
    var table = [UInt32](repeating: .max, count: slots)
    for (index, hash) in hashes.enumerated() {
        guard let hash else { continue }
        var slot = Int(truncatingIfNeeded: (hash ^ hash >> 32) & UInt64(slots - 1))
        while table[slot] != .max { slot = (slot + 1) & (slots - 1) }
        table[slot] = UInt32(index)
    }
    return table
}
