/// A layer of the model: of the decoder, of the tower, or of what lies between. Names begin with it (`decoder.layer3.mlp.down`), in the modules that
/// are imported and in those that passes make of them, and it is read off them here alone.
public struct ModelLayer: Hashable, Sendable {
    /// What the names of all layers of its kind begin with: `decoder.layer`
    public let stem: String
    /// What the names of its own parts begin with: `decoder.layer3`
    public let name: String

    /// The layer that something called `name` belongs to: all up to the first component that ends in a digit. Nil for a name without one, and where
    /// nothing follows it.
    public init?(of name: String) {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard let index = parts.firstIndex(where: { $0.last?.isASCIIDigit == true }), index < parts.count - 1 else { return nil }
        self.name = parts[...index].joined(separator: ".")
        var stem = self.name[...]
        while stem.last?.isASCIIDigit == true { stem.removeLast() }
        while stem.last == "." { stem.removeLast() }
        guard !stem.isEmpty else { return nil }
        self.stem = String(stem)
    }

    /// Which of its kind it is, from 0.
    public var index: Int { Int(name.dropFirst(stem.count).drop { $0 == "." }) ?? 0 }

    /// `name` as it is called within the layer, or all of it where it is of another.
    public func local(_ name: String) -> String {
        name.hasPrefix(self.name + ".") ? String(name.dropFirst(self.name.count + 1)) : name
    }
}

extension Operation {
    /// The layer of the model that it is a step of; nil for what stands outside of layers.
    public var layer: ModelLayer? { ModelLayer(of: name) }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { isASCII && isNumber }
}
