/// A model's configuration, the same for every checkpoint layout.
public struct ModelConfiguration: Sendable, Equatable {
    public enum Layout: String, Sendable, Equatable {
        /// What LLaVA and LLaVA-STF publish.
        case llava
        /// LLaVA's layout with the key `mm_token_fusion`.
        case configurable
        /// What transformers' LlavaForConditionalGeneration writes.
        case transformers
        /// A decoder in a GGUF file.
        case gguf
        /// LLaMA without images (`model_type` "llama").
        case decoderOnly = "decoder"
    }

    /// The checkpoint folder's own name.
    public var name: String
    public var layout: Layout
    /// The three are nil together: a model without images.
    public var vision: VisionConfiguration?
    public var fusion: FusionConfiguration?
    public var preprocessing: PreprocessingConfiguration?
    public var decoder: DecoderConfiguration
    public var prompt: PromptConfiguration
    /// Nil where what follows an image sees its vision tokens.
    public var compression: CompressionConfiguration?
    /// Weights by canonical name that an adapter changes to W + scale * B A, and `embeddingName` to W + scale * (B A)^T. Its tensors
    /// A [rank, in] and B [out, rank], of the embedding [rank, vocabulary] and [hidden, rank], stand among the checkpoint's under `lowRankNames`.
    public var adapterScales: [String: Float] = [:]
    /// What the key `mm_token_reduction` asks for.
    public var reduction: TokenReduction?

    /// The canonical name of the decoder's embedding.
    public static let embeddingName = "decoder.embed_tokens.weight"

    /// What the canonical names of an adapter's tensors begin with.
    public static let adapterPrefix = "adapter."

    /// The canonical names of A and B for a weight.
    public static func lowRankNames(_ weight: String) -> (down: String, up: String) {
        (AdapterSource.canonicalName(of: "lora_A", weight), AdapterSource.canonicalName(of: "lora_B", weight))
    }
}

public enum Activation: String, Sendable, Equatable {
    /// x * sigmoid(1.702 x)
    case quickGELU
    /// The exact form with erf.
    case gelu
}

/// A CLIP vision tower.
public struct VisionConfiguration: Sendable, Equatable {
    public var hiddenSize: Int
    public var layerCount: Int
    public var headCount: Int
    public var intermediateSize: Int
    /// Pixels along each side; a multiple of `patchSize`.
    public var imageSize: Int
    public var patchSize: Int
    public var layerNormEpsilon: Float
    public var activation: Activation

    /// Patches along each side.
    public var grid: Int { imageSize / patchSize }
    public var headSize: Int { hiddenSize / headCount }
    /// Rows of the position embedding: the patches and the class token.
    public var positionCount: Int { grid * grid + 1 }
}

/// A convolution with stride = kernel, or a linear map when `kernel` is 1, and what follows it.
public struct ProjectionLayer: Sendable, Equatable {
    /// Canonical tensor names. The weight is [out, in] for kernel 1, else [out, in, kernel, kernel]; the bias is [out].
    public var weight: String
    public var bias: String
    public var inputChannels: Int
    public var outputChannels: Int
    /// `.gelu` or nothing.
    public var activation: Activation?
    public var kernel: Int
}

/// How the tower's hidden states become the decoder's vision tokens.
public struct FusionConfiguration: Sendable, Equatable {
    /// Hidden-state indices in concatenation order: 0 is the embedding after the pre-layernorm, l the output of block l.
    public var taps: [Int]
    /// Window edge and stride; divides the grid.
    public var kernel: Int
    /// Tokens that each window becomes; divides the channels that enter the aligner.
    public var tokensPerWindow: Int
    /// Linear maps over the concatenated taps; empty when the concatenation itself goes on.
    public var mbtf: [ProjectionLayer]
    /// Nil when the channel-major window vector goes straight into the aligner.
    public var windowConvolution: ProjectionLayer?
    /// Linear maps over each token after the window was split; the last one's outputs are the decoder's hidden size.
    public var aligner: [ProjectionLayer]
    /// The class token stays as row 0, one token more; only with kernel 1 and one token per window.
    public var keepsClassToken: Bool
    /// Strategy 'avgpool': each window becomes its mean, without a window convolution and with one token.
    public var averagesWindow = false
    /// Strategy 'qformer': the fused tokens are read by learned queries, which the aligner then takes; no windows.
    public var qformer: QFormerConfiguration?
    /// TokenPacker: each window becomes a query of its own, which reads the window's taps; the aligner then takes it.
    public var tokenPacker: TokenPackerConfiguration?
    /// LLaVA-Mini: learned queries read the patches, and blocks of their own fuse both with the words ahead of the decoder; no windows.
    public var prefusion: PrefusionConfiguration?

    /// The last block of the tower that is needed; 0 when only the embedding is.
    public var lastTap: Int { taps.max() ?? 0 }

    /// Vision tokens per image for a patch grid of `grid` x `grid`.
    public func visionTokens(grid: Int) -> Int {
        let rows = qformer?.queries ?? (grid / kernel) * (grid / kernel) * tokensPerWindow + (keepsClassToken ? 1 : 0)
        return rows + (prefusion?.tokens ?? 0)
    }

    /// Those of them that the decoder's blocks run on.
    public func decoderTokens(grid: Int) -> Int { prefusion?.tokens ?? visionTokens(grid: grid) }

    /// Channels of one token after the taps and MBTF, for a tower of `hiddenSize`.
    public func fusedChannels(hiddenSize: Int) -> Int { mbtf.last?.outputChannels ?? taps.count * hiddenSize }
}

/// Learned queries with self attention and cross attention over the fused tokens, as transformers' `Blip2QFormerModel` has them.
///
/// Tensors by canonical name, each but the first with `.weight` and `.bias`: `qformer.query_tokens` [queries, hidden],
/// `qformer.layernorm`, and in `qformer.encoder.layer.N.`: `attention.attention.{query,key,value}`,
/// `attention.output.{dense,LayerNorm}`, the same in `crossattention` where the layer has it, `intermediate_query.dense`,
/// `output_query.{dense,LayerNorm}`.
public struct QFormerConfiguration: Sendable, Equatable {
    public var queries: Int
    public var hiddenSize: Int
    public var layerCount: Int
    public var headCount: Int
    public var intermediateSize: Int
    /// Layers 0, f, 2f, ... have a cross attention.
    public var crossAttentionFrequency: Int
    public var layerNormEpsilon: Float

    public var headSize: Int { hiddenSize / headCount }
    public func hasCrossAttention(layer: Int) -> Bool { layer % crossAttentionFrequency == 0 }
}

/// The projector of TokenPacker (arXiv 2407.02392): a tap, made smaller by the edge of a window, gives a query for each; the taps of the window, side
/// by side, give its keys and values.
///
/// Tensors by canonical name: `tokenpacker.q_proj_1.weight` [width, hidden]; in `tokenpacker.`, each with `.weight` and `.bias`: `k_proj_1.0`,
/// `v_proj_1.0` [width, taps * hidden], `k_proj_1.2`, `v_proj_1.2`, `clip_attn.out_proj` [width, width], `ln_q_1`, `ln_k_1`, `ln_v_1`; and of
/// query, key and value, one behind another, `clip_attn.in_proj_weight` [3 * width, width], `clip_attn.in_proj_bias`.
public struct TokenPackerConfiguration: Sendable, Equatable {
    /// Channels of queries, keys and values
    public var width: Int
    public var headCount: Int
    /// The tap of which the queries are made
    public var queryTap: Int
    public var layerNormEpsilon: Float

    public var headSize: Int { width / headCount }
}

/// LLaVA-Mini's compressor and prefusion (arXiv 2501.03895): edge x edge learned queries read the tower's patches by one attention, and patches and
/// queries, both through the projector, stand before the words of the prompt in `layerCount` blocks of the decoder's kind. The decoder then gets
/// the queries and the words as they come out of these.
///
/// Tensors by canonical name, in `compressor.`: `query`, `pos_embed` [edge * edge, width], `ln_q`, `ln_kv`, `attn.out_proj`, each with `.weight`
/// and `.bias`, and of query, key and value, one behind another, `attn.in_proj_weight` [3 * width, width], `attn.in_proj_bias`. The blocks are
/// `prefusion.layers.N`, with the names that the decoder's have.
public struct PrefusionConfiguration: Sendable, Equatable {
    /// Queries along each side
    public var edge: Int
    public var layerCount: Int
    /// Channels of the queries, which are the tower's
    public var width: Int
    public var headCount: Int
    public var layerNormEpsilon: Float

    /// Rows of an image that the decoder gets.
    public var tokens: Int { edge * edge }
    public var headSize: Int { width / headCount }
}

/// A LLaMA decoder.
public struct DecoderConfiguration: Sendable, Equatable {
    public var hiddenSize: Int
    public var layerCount: Int
    public var headCount: Int
    public var keyValueHeadCount: Int
    public var headSize: Int
    public var intermediateSize: Int
    public var vocabularySize: Int
    public var rmsNormEpsilon: Float
    public var ropeTheta: Double
    /// Nil for the plain rotary embedding.
    public var ropeScaling: RopeScaling?
    public var maxPositionEmbeddings: Int
    /// The head's weight is the embedding's. As configured, until a checkpoint is opened: two tensors that differ are not tied.
    public var tiedEmbeddings: Bool
    /// The stored rows of q and k have each pair of the rotary embedding side by side; the decoder computes with halves.
    public var interleavedRotary = false
}

/// Llama 3.1's `rope_scaling` of type "llama3": wavelengths above `originalPositions / lowFrequencyFactor` grow by `factor`.
public struct RopeScaling: Sendable, Equatable {
    public var factor: Double
    public var lowFrequencyFactor: Double
    public var highFrequencyFactor: Double
    public var originalPositions: Int
}

/// How an image becomes pixels [3, imageSize, imageSize].
public struct PreprocessingConfiguration: Sendable, Equatable {
    public enum Mode: Sendable, Equatable {
        /// Paste onto a square canvas of the colour int(255 * mean), then resize to `imageSize`.
        case pad
        /// Resize the shortest edge to `resize`, then cut `crop` x `crop` out of the centre.
        case shortestEdgeCrop(resize: Int, crop: Int)
    }

    public var imageSize: Int
    public var mode: Mode
    /// Per channel, red, green, blue, for values in 0...1.
    public var mean: [Float]
    public var std: [Float]
}

/// Compression tokens, as VoCo-LLaMA has them: `count` of the token stand side by side behind an image, and what follows them sees them and nothing
/// before.
public struct CompressionConfiguration: Sendable, Equatable {
    public var token: Int
    public var count: Int

    /// The token's text in a vocabulary.
    public static let text = "<voco>"
    /// What the published checkpoint was trained with.
    public static let publishedCount = 2

    /// Nil where the tokenizer has no such token.
    public init?(_ tokenizer: Tokenizer, count: Int = publishedCount) {
        guard let token = tokenizer.id(of: Self.text) else { return nil }
        (self.token, self.count) = (token, count)
    }
}

public struct PromptConfiguration: Sendable, Equatable {
    public var bosID: Int?
    /// A BOS stands at the start of every prompt.
    public var addsBOS: Bool
    /// End-of-sequence ids from config.json and generation_config.json, ascending; generation ends at any of them.
    public var eosIDs: [Int]
    /// `vicuna_v1`, `llava_v1`, `llama-3` or `none`.
    public var templateName: String
}
