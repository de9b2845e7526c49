import Support

/// A checkpoint's tokenizer, whichever files hold it.
public enum Tokenizer: Sendable, Equatable {
    case sentencePiece(SentencePieceModel)
    case mergeList(MergeListModel)

    /// Reads the folder's `tokenizer.model` and what other files add to it, or `tokenizer.json` when that stands alone.
    init(folder: String, vocabularySize: Int) throws(Diagnostic) {
        if isAbsent(joinedPath(folder, "tokenizer.model")), !isAbsent(joinedPath(folder, "tokenizer.json")) {
            self = .mergeList(try MergeListModel(folder: folder, vocabularySize: vocabularySize))
        } else {
            self = .sentencePiece(try SentencePieceModel(folder: folder, vocabularySize: vocabularySize))
        }
    }

    public var bosID: Int? {
        switch self {
        case .sentencePiece(let model): model.bosID
        case .mergeList(let model): model.bosID
        }
    }

    public var eosID: Int? {
        switch self {
        case .sentencePiece(let model): model.eosID
        case .mergeList(let model): model.eosID
        }
    }

    /// Whether a prompt begins with the BOS when no other file says so.
    var addsBOS: Bool {
        switch self {
        case .sentencePiece: true
        case .mergeList(let model): model.addsBOS
        }
    }

    /// The conversation that LLaVA trains a decoder with such a tokenizer on.
    var templateName: String {
        switch self {
        case .sentencePiece: "vicuna_v1"
        case .mergeList(let model):
            switch model.splitting {
            case .sentencePiece: "vicuna_v1"
            case .byteLevel: model.hasLlama3Turns ? "llama-3" : "none"
            }
        }
    }
}
