import Support

/// A checkpoint's tokenizer, whichever files hold it.
public enum Tokenizer: Sendable, Equatable {
    case sentencePiece(SentencePieceModel)
    case mergeList(MergeListModel)

    /// Reads the folder's `tokenizer.json`, or `tokenizer.model` where there is none, and what other files add to it. Where both are there the first
    /// counts, as in transformers 5, which writes what was added later into it alone.
    init(folder: String, vocabularySize: Int) throws(Diagnostic) {
        guard !isAbsent(joinedPath(folder, "tokenizer.json")) else {
            self = .sentencePiece(try SentencePieceModel(folder: folder, vocabularySize: vocabularySize))
            return
        }
        do throws(Diagnostic) {
            self = .mergeList(try MergeListModel(folder: folder, vocabularySize: vocabularySize))
        } catch {
            if isAbsent(joinedPath(folder, "tokenizer.model")) { throw error }
            throw error.noting("'tokenizer.model' beside it is read where there is no 'tokenizer.json'")
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

    /// The id of a token that prompts can name by its text: a special one, or an added word.
    func id(of text: String) -> Int? {
        let wanted = Array(text.utf8)
        switch self {
        case .sentencePiece(let model):
            let (pieces, _) = model.whole
            return pieces.firstIndex { [.control, .userDefined].contains($0.kind) && $0.text == wanted }
        case .mergeList(let model):
            return model.kinds.indices.first {
                [.control, .userDefined].contains(model.kinds[$0]) && model.bytes(of: $0).elementsEqual(wanted)
            }
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
