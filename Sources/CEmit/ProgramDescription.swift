import ChatTemplate
import Contract
import Support

/// What `lmmc_model` (Runtime/contract/program.h) says about a program beyond its plan.
public struct ProgramDescription: Sendable {
    public enum Resize: Sendable, CaseIterable { case pad, crop }

    /// Preprocessing and size of an image; absent for a decoder alone.
    public struct Vision: Sendable {
        public var mode: Resize
        /// Shortest edge in pixels, for `crop`; 0 for `pad`.
        public var resize: Int
        /// S: side of the square that the tower reads, in pixels.
        public var size: Int
        /// Colour of the padding, for `pad`: three channels.
        public var background: [UInt8]
        /// Three channels each.
        public var mean: [Float]
        public var std: [Float]
        /// N: rows that one image becomes.
        public var tokens: Int
        public var maxImages: Int

        public init(
            mode: Resize, resize: Int, size: Int, background: [UInt8], mean: [Float], std: [Float], tokens: Int, maxImages: Int
        ) {
            self.mode = mode
            self.resize = resize
            self.size = size
            self.background = background
            self.mean = mean
            self.std = std
            self.tokens = tokens
            self.maxImages = maxImages
        }
    }

    /// So many of a token, side by side.
    public struct Compression: Sendable {
        public var token: Int32
        public var count: Int32

        public init(token: Int32, count: Int32) {
            self.token = token
            self.count = count
        }
    }

    /// What leaves the decoder fewer vision rows.
    public struct Reducer: Hashable, Sendable {
        /// As `--reduce` has it.
        public var name: String
        /// A prompt may have one image at most.
        public var knowsOneImage: Bool
        /// Each step of an answer about an image is a prefill of prompt and answer.
        public var recomputes: Bool
        /// How many of an image's rows, the first, only blocks ahead of the decoder run on.
        public var prefusedRows: Int

        public init(name: String, knowsOneImage: Bool, recomputes: Bool = false, prefusedRows: Int = 0) {
            (self.name, self.knowsOneImage, self.recomputes, self.prefusedRows) = (name, knowsOneImage, recomputes, prefusedRows)
        }
    }

    /// The version of lmmc that made the program.
    public var version: String
    /// JSON text that `--info` prints.
    public var info: String
    public var vision: Vision?
    public var reducer: Reducer?
    /// Positions that the KV cache holds.
    public var context: Int
    /// What `--prompt` is wrapped in.
    public var template: PromptTemplate
    public var addsBOS: Bool
    public var bos: Int32
    /// At most `maxEOSCount` are printed.
    public var eos: [Int32]
    /// What a prompt has behind its image; nil where nothing is compressed.
    public var compression: Compression?
    /// Bytes, from the start of the attachment.
    public var tokenizerOffset: Int
    public var tokenizerBytes: Int
    /// The tree of the tokens' texts; 0 bytes without one
    public var treeOffset: Int
    public var treeBytes: Int
    /// The first tokens of prompts and their rows; 0 bytes without any
    public var prefixOffset: Int
    public var prefixBytes: Int
    /// Where the sums of the bytes before stand; 0 without any
    public var sumsOffset: Int
    public var attachmentBytes: Int

    public static let maxEOSCount = LMMC_MAX_EOS

    /// Throws when there are more than `maxEOSCount` eos ids or a list of `vision` does not have three channels.
    public init(
        version: String, info: String, vision: Vision?, reducer: Reducer? = nil, context: Int, template: PromptTemplate, addsBOS: Bool,
        bos: Int32, eos: [Int32], compression: Compression? = nil, tokenizerOffset: Int, tokenizerBytes: Int, treeOffset: Int = 0,
        treeBytes: Int = 0, prefixOffset: Int = 0, prefixBytes: Int = 0, sumsOffset: Int = 0, attachmentBytes: Int
    ) throws(Diagnostic) {
        guard eos.count <= Self.maxEOSCount else {
            throw .error("the model has \(eos.count) eos ids", expected: "at most \(Self.maxEOSCount)")
        }
        if let vision {
            for (name, count) in [("mean", vision.mean.count), ("std", vision.std.count), ("background", vision.background.count)]
            where count != 3 {
                throw .error("image preprocessing '\(name)' has \(count) channels", expected: "3")
            }
        }
        self.version = version
        self.info = info
        self.vision = vision
        self.reducer = reducer
        self.context = context
        self.template = template
        self.addsBOS = addsBOS
        self.bos = bos
        self.eos = eos
        self.compression = compression
        self.tokenizerOffset = tokenizerOffset
        self.tokenizerBytes = tokenizerBytes
        self.treeOffset = treeOffset
        self.treeBytes = treeBytes
        (self.prefixOffset, self.prefixBytes) = (prefixOffset, prefixBytes)
        self.sumsOffset = sumsOffset
        self.attachmentBytes = attachmentBytes
    }
}
