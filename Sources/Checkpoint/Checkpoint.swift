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
    public let configuration: ModelConfiguration
    /// By canonical name. Tower blocks up to `fusion.lastTap` are always there; later blocks and the post-layernorm only
    /// when the file has them. With tied embeddings `decoder.lm_head.weight` is the entry of `decoder.embed_tokens.weight`.
    public let tensors: [String: TensorEntry]
    public let tokenizer: SentencePieceModel

    /// Opens and validates the folder `path`; reads no weights. `visionTower` is a folder with the tower's
    /// configuration and, unless the checkpoint itself holds them, its weights.
    public static func open(path: String, visionTower: String? = nil) throws(Diagnostic) -> Checkpoint {
        throw .error("not written yet")
    }

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
