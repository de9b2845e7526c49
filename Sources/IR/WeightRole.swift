/// What a weight is to the model, as far as the passes tell weights apart. Set where a model is imported, and kept by what passes make of it.
public enum WeightRole: Hashable, Sendable, CaseIterable {
    /// The table of the decoder's embedding, which is the head too where the two are tied
    case embedding
    /// A weight of the decoder's head
    case head
    /// A weight of a layer of the decoder, which decoding reads once per token, or of one of the same kind ahead of it
    case decoderLayer
    /// A weight of the vision tower, of the projector, or of what stands beside the decoder's layers
    case other

    /// The role of a weight that is made of weights of these roles: the one that all have, else `other`.
    public init(of parts: some Sequence<WeightRole>) {
        let roles = Set(parts)
        self = roles.count == 1 ? roles.first! : .other
    }
}

/// Who made a weight's definition.
public enum WeightOrigin: Hashable, Sendable {
    /// The import of the model, or a pass that made one weight of a subgraph
    case model
    /// A pass that put it in the place of another weight. A pass that changes it once more writes its definition out, so that it has one from
    /// the checkpoint's tensors on.
    case replacement
}

/// What IR text does not say, because the names of `lmmc`'s own modules do. This is the one place where names are read for it.
extension Weight {
    /// What the name of a weight ends in that stands in the place of another.
    public static let replacementSuffix = ".folded"

    /// A weight as text has it.
    public init(named name: String, type: TensorType, definition: Definition) {
        let role: WeightRole =
            if name.hasPrefix("decoder.embedding") {
                .embedding
            } else if name.hasPrefix("decoder.head.") {
                .head
            } else if name.hasPrefix("decoder.layer") || name.hasPrefix("prefusion.layer") {
                .decoderLayer
            } else {
                .other
            }
        self.init(
            type: type, definition: definition, role: role, origin: Self.replacedName(name) == name ? .model : .replacement)
    }

    /// The name of the weight in whose place one called `name` stands, or `name`. Of several replacements of one weight the others are numbered.
    public static func replacedName(_ name: String) -> String {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false)
        if parts.count > 2, Int(parts.last!) != nil { parts.removeLast() }
        return parts.count > 1 && parts.last == replacementSuffix.dropFirst() ? parts.dropLast().joined(separator: ".") : name
    }
}
