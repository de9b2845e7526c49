import Glibc
import Support

/// A checkpoint folder, checked as a whole: configuration, tokenizer, and every tensor by its canonical name.
///
/// Canonical names: `vision.embeddings.{class_embedding,patch_embedding.weight,position_embedding.weight}`,
/// `vision.{pre_layernorm,post_layernorm}.{weight,bias}`,
/// `vision.layers.N.{layer_norm1,layer_norm2,self_attn.{q,k,v,out}_proj,mlp.fc1,mlp.fc2}.{weight,bias}`,
/// what `FusionConfiguration` names, `decoder.{embed_tokens,norm,lm_head}.weight`,
/// `decoder.layers.N.{self_attn.{q,k,v,o}_proj,mlp.{gate,up,down}_proj,input_layernorm,post_attention_layernorm}.weight`.
public struct Checkpoint: Sendable {
    /// The folder as it was given to `open`.
    public let path: String
    public var configuration: ModelConfiguration
    /// By canonical name. Tower blocks up to `fusion.lastTap` are always there; later blocks and the post-layernorm only
    /// when the file has them. With tied embeddings `decoder.lm_head.weight` is the entry of `decoder.embed_tokens.weight`.
    public let tensors: [String: TensorEntry]
    public let tokenizer: Tokenizer
    /// What `lmmc calibrate` measured, f32[hidden], by the name of the norm; empty unless it was given to `open`.
    public var calibration: [String: TensorEntry] = [:]
    /// What the checkpoint's files say about choosing tokens, which a program does not follow by itself.
    public var generation: [GenerationSetting] = []
    /// What the configuration says that is neither followed nor known to change anything.
    public var warnings: [Diagnostic] = []

    /// Weights by count of elements, each stored tensor once; `prefix` ("vision.", "decoder.", ...) narrows it.
    public func parameterCount(prefix: String = "") -> Int {
        uniqueEntries(prefix).reduce(0) { $0 + $1.elementCount }
    }

    /// Bytes in the files, each stored tensor once.
    public func byteCount(prefix: String = "") -> Int {
        uniqueEntries(prefix).reduce(0) { $0 + $1.byteCount }
    }

    private func uniqueEntries(_ prefix: String) -> some Sequence<TensorEntry> {
        // Under its own name only: a tied head stands under two.
        tensors.lazy.filter { $0.key == $0.value.canonicalName && $0.key.hasPrefix(prefix) }.map(\.value)
    }
}

/// Finds what is expected in a folder and remembers what is left over.
struct TensorMatcher {
    let folder: TensorFolder
    var entries: [String: TensorEntry] = [:]
    /// By the name in LLaVA's layout.
    private(set) var canonicalNames: [String: String] = [:]
    private var rest: Set<String>

    init(_ folder: TensorFolder) {
        self.folder = folder
        rest = Set(folder.tensors.keys)
    }

    mutating func match(_ expected: some Sequence<ExpectedTensor>) throws(Diagnostic) {
        for tensor in expected {
            guard let entry = try tensor.resolve(in: folder) else { continue }
            entries[tensor.canonicalName] = entry
            canonicalNames[tensor.sourceName] = tensor.canonicalName
            rest.remove(tensor.sourceName)
        }
    }

    /// Gives whether head and embedding are one weight: configured so, both stored with the same values, and neither among `changed`, the
    /// weights that an adapter updates.
    mutating func matchDecoder(_ decoder: DecoderConfiguration, changed: Set<String> = []) throws(Diagnostic) -> Bool {
        try match(decoderTensors(decoder))
        ignore { $0.hasPrefix("model.") && $0.hasSuffix("rotary_emb.inv_freq") }
        guard decoder.tiedEmbeddings else { return false }
        try match([headTensor(decoder)])
        guard changed.isDisjoint(with: ["model.embed_tokens.weight", "lm_head.weight"]), let table = entries["decoder.embed_tokens.weight"],
            let head = entries["decoder.lm_head.weight"], head.hasValues(of: table)
        else { return false }
        entries["decoder.lm_head.weight"] = table
        return true
    }

    /// The tower under the first of `prefixes` that the folder uses; newer transformers leave `vision_model.` out.
    mutating func matchVision(_ vision: VisionConfiguration, prefixes: [String], lastTap: Int) throws(Diagnostic) {
        let prefix = prefixes.first { prefix in folder.tensors.keys.contains { $0.hasPrefix(prefix) } } ?? prefixes[0]
        try match(visionTensors(vision, prefix: prefix, lastTap: lastTap))
        ignore { $0 == prefix + "embeddings.position_ids" }
    }

    mutating func ignore(_ isKnown: (String) -> Bool) {
        rest = rest.filter { !isKnown($0) }
    }

    func refuseSurplus() throws(Diagnostic) {
        guard let name = rest.min() else { return }
        let others = rest.count > 1 ? " (and \(rest.count - 1) more like it)" : ""
        throw .error("unknown tensor\(others)", at: folder.tensors[name]!.site, expected: "only what the configuration describes")
    }
}

extension Checkpoint {
    /// The checkpoint's tensors by the name that their file gives them, as the IR names its sources.
    public func sourceEntries() throws(Diagnostic) -> [String: TensorEntry] {
        var entries: [String: TensorEntry] = [:]
        for (_, entry) in tensors.sorted(by: { $0.key < $1.key }) + calibration.sorted(by: { $0.key < $1.key }) {
            if let other = entries.updateValue(entry, forKey: entry.sourceName), other != entry,
                other.range != entry.range || other.file !== entry.file
            {
                throw .error(
                    "the tensor is also in \(quoted(other.file.path)), as another part of the model", at: entry.site,
                    expected: "distinct names")
            }
        }
        return entries
    }
}
