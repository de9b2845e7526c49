import Support

/// A checkpoint's tokenizer, whichever files hold it.
public enum Tokenizer: Sendable, Equatable {
    case sentencePiece(SentencePieceModel)

    /// Reads the folder's `tokenizer.model` and what other files add to it.
    init(folder: String, vocabularySize: Int) throws(Diagnostic) {
        self = .sentencePiece(try SentencePieceModel(folder: folder, vocabularySize: vocabularySize))
    }

    public var bosID: Int? {
        switch self {
        case .sentencePiece(let model): model.bosID
        }
    }

    public var eosID: Int? {
        switch self {
        case .sentencePiece(let model): model.eosID
        }
    }
}
