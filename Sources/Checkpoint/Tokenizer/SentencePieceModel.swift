/// A SentencePiece BPE tokenizer with byte fallback, as `tokenizer.model` holds it.
public struct SentencePieceModel: Sendable, Equatable {
    public struct Piece: Sendable, Equatable {
        public enum Kind: Int, Sendable, Equatable {
            case normal = 1
            case unknown, control, userDefined, unused, byte
        }
        /// UTF-8; a word boundary is U+2581.
        public var text: [UInt8]
        public var score: Float
        public var kind: Kind
    }

    /// A token that other files add to the pieces, `[PAD]` say.
    public struct AddedToken: Sendable, Equatable {
        public var id: Int
        public var text: String
        /// Read in templates and raw prompts, and not printed; else a word, which is found in any text as it was typed.
        public var isSpecial = true
    }

    /// The id is the index.
    public var pieces: [Piece]
    /// Byte fallback needs none.
    public var unknownID: Int?
    public var bosID: Int?
    public var eosID: Int?
    public var padID: Int?
    /// A space is put before every text.
    public var addsDummyPrefix: Bool
    /// Ids ascending; one below `pieces.count` takes that piece's place.
    public var addedTokens: [AddedToken]

    /// The pieces with the added tokens among them, control or user-defined, and those tokens' ids; an id between without a token has no text.
    public var whole: (pieces: [Piece], added: Set<Int>) {
        var pieces = pieces, added = Set<Int>()
        for token in addedTokens where !token.text.isEmpty {
            while pieces.count <= token.id { pieces.append(Piece(text: [], score: 0, kind: .unused)) }
            pieces[token.id].text = Array(token.text.utf8)
            pieces[token.id].kind = token.isSpecial ? .control : .userDefined
            added.insert(token.id)
        }
        return (pieces, added)
    }
}
