import Checkpoint
import Contract
import Support

/// The tokenizer as compiled programs read it in place; the layout is that of Runtime/contract/tokenizer_blob.h.
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
        case .control: Whole(id: id, kind: LMMC_SPECIAL, text: pieces[id].text[...])
        case .userDefined: Whole(id: id, kind: added.contains(id) ? LMMC_WORD : LMMC_INNER, text: pieces[id].text[...])
        case .normal, .unknown, .unused, .byte: nil
        }
    }
    let found = pieces.indices.lazy.map { id -> ArraySlice<UInt8>? in
        let isFound = [.normal, .userDefined, .unused].contains(pieces[id].kind) && !added.contains(id) && !pieces[id].text.isEmpty
        return isFound ? pieces[id].text[...] : nil
    }
    return try blob(
        header(
            LMMC_SCORED_PIECES, [LMMC_TOKENIZER_BYTE_FALLBACK] + (model.addsDummyPrefix ? [LMMC_TOKENIZER_DUMMY_PREFIX] : []),
            unknownID: model.unknownID, bosID: model.bosID, eosID: model.eosID),
        scores: pieces.map(\.score.bitPattern), offsets: offsets(pieces.lazy.map(\.text.count)), found: found, wholes: wholes, merges: [],
        kinds: pieces.map(\.kind), text: Array(pieces.lazy.map(\.text).joined()))
}

func tokenizerBlob(_ model: MergeListModel) throws(Diagnostic) -> [UInt8] {
    let normalized = if case .sentencePiece(.always, _) = model.splitting { LMMC_INNER } else { LMMC_LATE }
    let wholes = model.kinds.indices.compactMap { id -> Whole? in
        switch model.kinds[id] {
        case .control: Whole(id: id, kind: LMMC_SPECIAL, text: model.bytes(of: id))
        case .userDefined where model.normalizedWords.contains(id): Whole(id: id, kind: normalized, text: model.bytes(of: id))
        case .userDefined: Whole(id: id, kind: LMMC_WORD, text: model.bytes(of: id))
        case .normal, .unknown, .unused, .byte: nil
        }
    }
    var flags = model.keepsWholeWords ? [LMMC_TOKENIZER_WHOLE_WORDS] : []
    var split = LMMC_SPLIT_NONE
    switch model.splitting {
    case .byteLevel(let pattern, let digits):
        flags += [LMMC_TOKENIZER_BYTE_LEVEL] + (digits ? [LMMC_TOKENIZER_DIGITS] : [])
        switch pattern {
        case .gpt2: split = LMMC_SPLIT_GPT2
        case .llama3: split = LMMC_SPLIT_LLAMA3
        }
    case .sentencePiece(let prefix, let splitsWords):
        flags += [LMMC_TOKENIZER_BYTE_FALLBACK] + (splitsWords ? [LMMC_TOKENIZER_SPLIT_MARKS] : [])
        switch prefix {
        case .none: break
        case .always: flags += [LMMC_TOKENIZER_DUMMY_PREFIX]
        case .unlessSpaced: flags += [LMMC_TOKENIZER_DUMMY_PREFIX, LMMC_TOKENIZER_PREFIX_UNLESS_MARK]
        case .onceUnlessSpaced: flags += [LMMC_TOKENIZER_DUMMY_PREFIX, LMMC_TOKENIZER_PREFIX_UNLESS_MARK, LMMC_TOKENIZER_PREFIX_ONCE]
        }
    }
    return try blob(
        header(LMMC_MERGE_LIST, flags, split: split, unknownID: nil, bosID: model.bosID, eosID: model.eosID), scores: [],
        offsets: model.offsets,
        found: model.kinds.indices.lazy.map { id in model.kinds[id] == .normal ? model.bytes(of: id) : nil },
        wholes: wholes, merges: model.merges, kinds: model.kinds, text: model.text)
}

/// A token that is found whole, before the rest of a text becomes pieces.
private struct Whole {
    var id: Int
    var kind: lmmc_whole_kind
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

extension SentencePieceModel.Piece.Kind {
    fileprivate var type: lmmc_piece_type {
        switch self {
        case .normal: LMMC_NORMAL
        case .unknown: LMMC_UNKNOWN
        case .control: LMMC_CONTROL
        case .userDefined: LMMC_USER_DEFINED
        case .unused: LMMC_UNUSED
        case .byte: LMMC_BYTE
        }
    }
}

/// Without what the sections decide.
private func header(
    _ kind: lmmc_tokenizer_kind, _ flags: [lmmc_tokenizer_flags], split: lmmc_split = LMMC_SPLIT_NONE, unknownID: Int?, bosID: Int?,
    eosID: Int?
) -> lmmc_tokenizer_header {
    var header = lmmc_tokenizer_header()
    withUnsafeMutableBytes(of: &header.magic) { $0.copyBytes(from: LMMC_TOKENIZER_MAGIC.utf8) }
    header.kind = kind.rawValue
    header.flags = flags.reduce(0) { $0 | $1.rawValue }
    (header.unk, header.bos, header.eos) = (Int32(unknownID ?? -1), Int32(bosID ?? -1), Int32(eosID ?? -1))
    header.split = split.rawValue
    return header
}

private func blob(
    _ given: lmmc_tokenizer_header, scores: [UInt32], offsets: [UInt32], found: some Collection<ArraySlice<UInt8>?>, wholes: [Whole],
    merges: [MergeListModel.Merge], kinds: [SentencePieceModel.Piece.Kind], text: [UInt8]
) throws(Diagnostic) -> [UInt8] {
    var header = given
    let table: [UInt32], mergeTable: [UInt32]
    (header.seed, table, mergeTable) = try tables(found, header.kind == LMMC_MERGE_LIST.rawValue ? merges : nil)
    let wholes = Whole.sorted(wholes)
    var sections = Sections()
    sections.append(scores)
    sections.append(offsets)
    sections.append(table)
    sections.append(wholes.map { UInt32($0.id) })
    sections.append(Packaging.offsets(wholes.lazy.map(\.text.count)))
    sections.append(merges.flatMap { [$0.left, $0.right, $0.result] })
    sections.append(mergeTable)
    sections.append(wholes.map { UInt8($0.kind.rawValue) })
    sections.append(kinds.map { UInt8($0.type.rawValue) })
    sections.append(text)
    sections.append(Array(wholes.lazy.map(\.text).joined()))

    (header.pieces, header.slots, header.wholes) = (UInt32(kinds.count), UInt32(table.count), UInt32(wholes.count))
    (header.merges, header.merge_slots) = (UInt32(merges.count), UInt32(mergeTable.count))
    header.bytes = UInt64(MemoryLayout.size(ofValue: header) + sections.bytes.count)
    return withUnsafeBytes(of: header, Array.init) + sections.bytes
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
    for seed in UInt32(0)..<32 {
        let (basis, factor) = (lmmc_piece_basis(seed), lmmc_merge_factor(seed))
        func hash(_ piece: ArraySlice<UInt8>) -> UInt64 {
            piece.withUnsafeBufferPointer { lmmc_piece_hash(basis, $0.baseAddress, UInt32($0.count)) }
        }
        guard let table = openAddressing(pieces.lazy.map { $0.map(hash) }, count: count) else { continue }
        guard let merges else { return (seed, table, []) }
        let pairs = merges.lazy.map { merge -> UInt64? in
            (UInt64(UInt32(bitPattern: merge.left)) << 32 | UInt64(UInt32(bitPattern: merge.right))) &* factor
        }
        if let mergeTable = openAddressing(pairs, count: merges.count) { return (seed, table, mergeTable) }
    }
    throw .error(
        "the tokenizer's tokens or merges all fall on the same places of a hash table", expected: "a vocabulary that was not made for it")
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
