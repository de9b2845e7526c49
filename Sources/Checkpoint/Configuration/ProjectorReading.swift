import Support

/// Where the keys about images stand. A projector or an adapter may come with a `config.json` of its own, since the decoder that it
/// was trained on knows nothing of images.
struct ImageConfiguration {
    let config: JSONObject
    /// What paths in it are relative to.
    let folder: String

    /// Nil for a decoder without images.
    init?(_ base: DecoderPart, projector: String?, adapter: String?) throws(Diagnostic) {
        for folder in [projector.map(parentFolder), adapter].compactMap(\.self) where !isAbsent(joinedPath(folder, "config.json")) {
            let config = try JSONObject(readingFile: joinedPath(folder, "config.json"))
            guard config["mm_vision_tower"] != nil else { continue }
            (self.config, self.folder) = (config, folder)
            return
        }
        guard let config = base.config, !(try base.isBlind()) else {
            guard let projector else { return nil }
            throw .error(
                "the checkpoint is a decoder without images, and no configuration stands beside the projector", at: .file(projector),
                expected: "'config.json' with 'mm_vision_tower' in the same folder")
        }
        (self.config, folder) = (config, base.path)
    }
}

extension TensorFolder {
    /// What a projector's names begin with in LLaVA's layout.
    private static let projectorPrefixes = [
        "model.mm_projector.", "model.mm_projector_crosslayer.", "model.mbtf.", "model.stf.", "model.qformer",
    ]

    /// Puts the projector of a file in the place of this one's. Its names may lack what stands before `mm_projector`, or have a wrapper's there.
    mutating func overlay(projector path: String) throws(Diagnostic) {
        if fileKind(path) == .folder {
            let names = ["mm_projector.bin", "mm_projector.safetensors"].map { joinedPath(path, $0) }
            throw .error(
                "\(quoted(path)) is a folder", at: .option("--projector"),
                expected: "a file\(names.first { !isAbsent($0) }.map { ", as \(quoted($0))" } ?? "")")
        }
        let file = try TensorFile(path: path)
        tensors = tensors.filter { name, _ in !Self.isProjector(name) }
        let naming = anyNaming
        for (name, entry) in file.entries.sorted(by: { $0.key < $1.key }) {
            let start = ["mm_projector", "multi_modal_projector", "mbtf.", "stf.", "qformer"].compactMap {
                name.firstRange(of: $0)?.lowerBound
            }.min()
            try tensors.add(entry, as: naming("model." + name[(start ?? name.startIndex)...]))
        }
        projectorListing = path
    }

    private static func isProjector(_ name: String) -> Bool { projectorPrefixes.contains { name.hasPrefix($0) } }

    /// The file to name when the tensor `name` is missing.
    func listing(of name: String) -> String { Self.isProjector(name) ? projectorListing ?? listing : listing }
}
