/// A SentencePiece BPE tokenizer with byte fallback, as `tokenizer.model` holds it.
public struct SentencePieceModel: Sendable, Equatable {
    public struct Piece: Sendable, Equatable {
        public enum Kind: Int, Sendable, Equatable {
            case normal = 1, unknown, control, userDefined, unused, byte
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
    }

    /// The id is the index.
    public var pieces: [Piece]
    public var unknownID: Int
    public var bosID: Int?
    public var eosID: Int?
    public var padID: Int?
    /// A space is put before every text.
    public var addsDummyPrefix: Bool
    /// Ids at or beyond `pieces.count`, ascending.
    public var addedTokens: [AddedToken]
}
