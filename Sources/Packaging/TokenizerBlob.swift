import Checkpoint
import Support

/// The tokenizer as compiled programs read it in place; the layout is documented in Runtime/tokenizer/tokenizer.h.
///
/// The count is a multiple of 8. The readers bound lengths and numbers, so that all fits into 32 bits.
public func tokenizerBlob(_ tokenizer: Tokenizer) throws(Diagnostic) -> [UInt8] {
    switch tokenizer {
    case .sentencePiece(let model): try tokenizerBlob(model)
    case .mergeList(let model): try tokenizerBlob(model)
    }
}

func tokenizerBlob(_ model: SentencePieceModel) throws(Diagnostic) -> [UInt8] {
    let (pieces, added) = model.whole
    let wholes = pieces.indices.compactMap { id -> Whole? in
        switch pieces[id].kind {
        case .control: Whole(id: id, kind: .special, text: pieces[id].text[...])
        case .userDefined: Whole(id: id, kind: added.contains(id) ? .word : .inner, text: pieces[id].text[...])
        case .normal, .unknown, .unused, .byte: nil
        }
    }
    let dummyPrefix: UInt32 = 1, byteFallback: UInt32 = 2
    let found = pieces.indices.lazy.map { id -> ArraySlice<UInt8>? in
        let isFound = [.normal, .userDefined, .unused].contains(pieces[id].kind) && !added.contains(id) && !pieces[id].text.isEmpty
        return isFound ? pieces[id].text[...] : nil
    }
    return try blob(
        Header(
            kind: 1, flags: byteFallback | (model.addsDummyPrefix ? dummyPrefix : 0), unknownID: model.unknownID, bosID: model.bosID,
            eosID: model.eosID),
        scores: pieces.map(\.score.bitPattern), offsets: offsets(pieces.lazy.map(\.text.count)), found: found, wholes: wholes, merges: [],
        kinds: pieces.map(\.kind), text: Array(pieces.lazy.map(\.text).joined()))
}

func tokenizerBlob(_ model: MergeListModel) throws(Diagnostic) -> [UInt8] {
    let normalized: Whole.Kind = if case .sentencePiece(.always, _) = model.splitting { .inner } else { .late }
    let wholes = model.kinds.indices.compactMap { id -> Whole? in
        switch model.kinds[id] {
        case .control: Whole(id: id, kind: .special, text: model.bytes(of: id))
        case .userDefined where model.normalizedWords.contains(id): Whole(id: id, kind: normalized, text: model.bytes(of: id))
        case .userDefined: Whole(id: id, kind: .word, text: model.bytes(of: id))
        case .normal, .unknown, .unused, .byte: nil
        }
    }
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
    return try blob(
        header, scores: [], offsets: model.offsets,
        found: model.kinds.indices.lazy.map { id in model.kinds[id] == .normal ? model.bytes(of: id) : nil },
        wholes: wholes, merges: model.merges, kinds: model.kinds, text: model.text)
}

/// A token that is found whole, before the rest of a text becomes pieces.
private struct Whole {
    /// lmmc_whole_kind
    enum Kind: UInt8 {
        case special = 1
        case word = 2
        case late = 4
        case inner = 8
    }

    var id: Int
    var kind: Kind
    var text: ArraySlice<UInt8>

    /// Ascending, and each text once: the first of its ids.
    static func sorted(_ wholes: [Whole]) -> [Whole] {
        var result: [Whole] = []
        let ascending = wholes.filter { !$0.text.isEmpty }.enumerated().sorted { a, b in
            a.element.text.lexicographicallyPrecedes(b.element.text) || a.element.text.elementsEqual(b.element.text) && a.offset < b.offset
        }
        for (_, whole) in ascending where result.last.map({ !$0.text.elementsEqual(whole.text) }) ?? true { result.append(whole) }
        return result
    }
}

private let headerBytes = 64

private struct Header {
    var kind: UInt32
    var flags: UInt32
    var unknownID, bosID, eosID: Int?
    /// lmmc_split
    var split: UInt32 = 0
    /// The seed of the hash tables
    var seed: UInt32 = 0

    init(kind: UInt32, flags: UInt32, unknownID: Int?, bosID: Int?, eosID: Int?) {
        (self.kind, self.flags, self.unknownID, self.bosID, self.eosID) = (kind, flags, unknownID, bosID, eosID)
    }
}

private func blob(
    _ given: Header, scores: [UInt32], offsets: [UInt32], found: some Collection<ArraySlice<UInt8>?>, wholes: [Whole],
    merges: [MergeListModel.Merge], kinds: [SentencePieceModel.Piece.Kind], text: [UInt8]
) throws(Diagnostic) -> [UInt8] {
    var header = given
    let table: [UInt32], mergeTable: [UInt32]
    (header.seed, table, mergeTable) = try tables(found, header.kind == 2 ? merges : nil)
    let wholes = Whole.sorted(wholes)
    var sections = Sections()
    sections.append(scores)
    sections.append(offsets)
    sections.append(table)
    sections.append(wholes.map { UInt32($0.id) })
    sections.append(Packaging.offsets(wholes.lazy.map(\.text.count)))
    sections.append(merges.flatMap { [$0.left, $0.right, $0.result] })
    sections.append(mergeTable)
    sections.append(wholes.map(\.kind.rawValue))
    sections.append(kinds.map { UInt8($0.rawValue) })
    sections.append(text)
    sections.append(Array(wholes.lazy.map(\.text).joined()))

    var result = Sections()
    result.bytes = Array("lmmctok2".utf8)
    result.append([UInt64(headerBytes + sections.bytes.count)])
    result.append(
        [header.kind, header.flags, UInt32(kinds.count), UInt32(table.count), UInt32(wholes.count)]
            + [header.unknownID, header.bosID, header.eosID].map { UInt32(bitPattern: Int32($0 ?? -1)) })
    result.append([header.split, UInt32(merges.count), UInt32(mergeTable.count), header.seed])
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

/// The hash tables of pieces and merges with the first seed that keeps both from filling up in one place, as a vocabulary that was made for it could.
private func tables(
    _ pieces: some Collection<ArraySlice<UInt8>?>, _ merges: [MergeListModel.Merge]?
) throws(Diagnostic) -> (seed: UInt32, pieces: [UInt32], merges: [UInt32]) {
    let count = pieces.count { $0 != nil }
    for seed in UInt64(0)..<32 {
        let basis = 0xcbf2_9ce4_8422_2325 &+ seed &* 0x9E37_79B9_7F4A_7C15
        let factor = 0x9E37_79B9_7F4A_7C15 &+ 2 &* seed &* 0xD1B5_4A32_D192_ED03
        guard let table = openAddressing(pieces.lazy.map { $0.map { fnv1a($0, basis) } }, count: count) else { continue }
        guard let merges else { return (UInt32(seed), table, []) }
        let pairs = merges.lazy.map { merge -> UInt64? in
            (UInt64(UInt32(bitPattern: merge.left)) << 32 | UInt64(UInt32(bitPattern: merge.right))) &* factor
        }
        if let mergeTable = openAddressing(pairs, count: merges.count) { return (UInt32(seed), table, mergeTable) }
    }
    throw .error(
        "the tokenizer's tokens or merges all fall on the same places of a hash table", expected: "a vocabulary that was not made for it")
}

/// 64-bit FNV-1a.
private func fnv1a(_ bytes: ArraySlice<UInt8>, _ basis: UInt64) -> UInt64 {
    bytes.withUnsafeBufferPointer { bytes in
        var hash = basis
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }
}

/// Slots in a row that may be full: a good hash comes to fewer than 100 for any vocabulary.
private let longestRun = 256

/// At most half full; the index of each hash that is not nil, in the first free slot from its own on. Nil where a run of full slots becomes too long.
private func openAddressing(_ hashes: some Sequence<UInt64?>, count: Int) -> [UInt32]? {
    var slots = 8
    while slots < 2 * count { slots *= 2 }
    var table = [UInt32](repeating: .max, count: slots)
    for (index, hash) in hashes.enumerated() {
        guard let hash else { continue }
        var slot = Int(truncatingIfNeeded: (hash ^ hash >> 32) & UInt64(slots - 1)), probes = 1
        while table[slot] != .max {
            slot = (slot + 1) & (slots - 1)
            probes += 1
            if probes > longestRun { return nil }
        }
        table[slot] = UInt32(index)
    }
    // Twice around, for a run that goes over the end.
    var run = 0
    for slot in 0..<(2 * slots) {
        run = table[slot & (slots - 1)] == .max ? 0 : run + 1
        if run > longestRun { return nil }
    }
    return table
}
