import Support

/// The file in which `lmmc calibrate` keeps what it measured: safetensors, for each calibrated norm the root of the mean square of each of its
/// input's channels, of rows whose own mean square is 1; f32[hidden].
public enum Calibration {
    /// What the names of its tensors begin with; the name of a norm follows.
    public static let prefix = "calibration."

    /// By the name of the norm. Throws for a file that belongs to another model or holds something else.
    /// `prefused`: layers of the decoder's kind ahead of it.
    static func read(_ path: String, for decoder: DecoderConfiguration, prefused: Int) throws(Diagnostic) -> [String: TensorEntry] {
        let file = try TensorFile(path: path)
        let names = names(decoder, prefused)
        var entries: [String: TensorEntry] = [:]
        for (name, entry) in file.entries.sorted(by: { $0.key < $1.key }) {
            guard name.hasPrefix(prefix) else {
                throw .error("unknown tensor", at: entry.site, expected: "a file that 'lmmc calibrate' wrote")
            }
            let norm = String(name.dropFirst(prefix.count))
            guard names.contains(norm) else {
                throw .error("the model has no norm \(quoted(norm))", at: entry.site, expected: "norms of \(decoder.layerCount) layers")
            }
            let resolved = try ExpectedTensor(canonicalName: name, sourceName: name, shape: [decoder.hiddenSize]).entry(entry)
            let values = resolved.floats()
            guard values.allSatisfy({ $0.isFinite && $0 > 0 }) else {
                throw .error(
                    "the tensor has a value that is not a positive number", at: entry.site, expected: "what 'lmmc calibrate' wrote")
            }
            entries[norm] = resolved
        }
        return entries
    }

    private static func names(_ decoder: DecoderConfiguration, _ prefused: Int) -> Set<String> {
        let layers = (0..<decoder.layerCount).map { "decoder.layer\($0)" } + (0..<prefused).map { "prefusion.layer\($0)" }
        return Set(layers.flatMap { ["\($0).attention.norm", "\($0).mlp.norm"] } + ["decoder.norm"])
    }
}
