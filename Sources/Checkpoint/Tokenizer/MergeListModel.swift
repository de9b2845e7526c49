import Support

/// A BPE tokenizer that merges by rank, as `tokenizer.json` holds it.
public struct MergeListModel: Sendable, Equatable {
    /// How a text becomes the words that merge, and their first symbols.
    public enum Splitting: Sendable, Equatable {
        /// Words by a regular expression, which begin as bytes. `digits`: each numeric character is a word.
        case byteLevel(Pattern, digits: Bool)
        /// Characters, a space as U+2581, and bytes for those without a token. `splitsWords`: a word ends before each U+2581.
        case sentencePiece(Prefix, splitsWords: Bool)
    }

    /// The regular expressions that Runtime/tokenizer/split.h spells out.
    public enum Pattern: Sendable, Equatable { case gpt2, llama3 }

    /// The space that is put before a text.
    public enum Prefix: Sendable, Equatable {
        case none, always
        /// But not before a text that begins with a space.
        case unlessSpaced
        /// The same, and only at the start of a whole prompt.
        case onceUnlessSpaced
    }

    /// Ids: two pieces become a third. The rank is the index.
    public struct Merge: Sendable, Equatable {
        public var left, right, result: Int32
    }

    /// All texts one after the other: raw bytes of a byte-level tokenizer, else UTF-8. Piece i lies in `offsets[i]..<offsets[i + 1]`, and is empty
    /// where no token has that id.
    public var text: [UInt8]
    public var offsets: [UInt32]
    /// Normal pieces match text; control pieces are special tokens; user-defined ones are added tokens that plain text finds too.
    public var kinds: [SentencePieceModel.Piece.Kind]
    /// Ids of those user-defined tokens that are looked for behind the normalizer, after the others.
    public var normalizedWords: Set<Int>
    public var merges: [Merge]
    public var splitting: Splitting
    /// A word that is a piece is not built by merges.
    public var keepsWholeWords: Bool
    public var bosID: Int?
    public var eosID: Int?
    /// The tokenizer puts its BOS before a text.
    public var addsBOS: Bool

    public var count: Int { kinds.count }

    public func bytes(of id: Int) -> ArraySlice<UInt8> { text[Int(offsets[id])..<Int(offsets[id + 1])] }

    /// The id of a special token by its text.
    public func special(_ name: String) -> Int? {
        let wanted = Array(name.utf8)
        return kinds.indices.first { kinds[$0] == .control && bytes(of: $0).elementsEqual(wanted) }
    }

    /// Whether Llama 3's conversation can be written in this tokenizer's special tokens.
    var hasLlama3Turns: Bool {
        ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"].allSatisfy { special($0) != nil }
    }
}

/// Byte strings by number, found by their bytes. Swift's own dictionaries hash a String by canonical equivalence, which texts of a vocabulary are not
/// equal by, and an array of arrays costs an allocation for each.
struct ByteStringTable {
    private(set) var text: [UInt8] = []
    private(set) var offsets: [Int] = [0]
    private var slots: [Int32]
    private var used = 0

    init() { slots = Array(repeating: -1, count: 1 << 12) }

    var count: Int { offsets.count - 1 }

    func bytes(of index: Int) -> ArraySlice<UInt8> { text[offsets[index]..<offsets[index + 1]] }

    /// The index of the string, new or not.
    mutating func insert(_ bytes: [UInt8]) -> (index: Int, isNew: Bool) {
        if 2 * used >= slots.count { grow() }
        let slot = slot(of: bytes)
        if slots[slot] >= 0 { return (Int(slots[slot]), false) }
        slots[slot] = Int32(count)
        used += 1
        text.append(contentsOf: bytes)
        offsets.append(text.count)
        return (count - 1, true)
    }

    func find(_ bytes: [UInt8]) -> Int? {
        let index = slots[slot(of: bytes)]
        return index < 0 ? nil : Int(index)
    }

    /// Where the string stands, or where it would. The hash has a key of this process, so that no file can be made to collide.
    private func slot(of bytes: [UInt8]) -> Int {
        var slot = bytes.withUnsafeBytes(Self.hash) & (slots.count - 1)
        while slots[slot] >= 0, !isEqual(Int(slots[slot]), bytes) { slot = (slot + 1) & (slots.count - 1) }
        return slot
    }

    private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: bytes)
        return hasher.finalize()
    }

    private func isEqual(_ index: Int, _ bytes: [UInt8]) -> Bool {
        let start = offsets[index], length = offsets[index + 1] - start
        guard length == bytes.count else { return false }
        for position in 0..<length where text[start + position] != bytes[position] { return false }
        return true
    }

    private mutating func grow() {
        slots = Array(repeating: -1, count: 2 * slots.count)
        for index in 0..<count {
            var slot = text[offsets[index]..<offsets[index + 1]].withUnsafeBytes(Self.hash) & (slots.count - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(index)
        }
    }
}
