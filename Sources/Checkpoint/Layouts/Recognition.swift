import Support

/// Tells what was given as the model where that is something else.
enum Recognition {
    private static let unfinished = [".incomplete", ".part", ".crdownload", ".aria2", ".download"]

    /// The diagnostic for a folder that holds no checkpoint, or an adapter beside one; nil where there is nothing to say. `adapter` is the
    /// option.
    static func refusal(folder: String, adapter: String?) throws(Diagnostic) -> Diagnostic? {
        func has(_ name: String) -> Bool { !isAbsent(joinedPath(folder, name)) }
        func refusal(_ what: String, expected: String) -> Diagnostic {
            .error("the folder holds \(what)", at: .file(folder), expected: expected)
        }
        let isModel = has("config.json") && TensorFolder.hasWeights(folder)
        let hasAdapter = has("adapter_config.json")
        if hasAdapter && !isModel {
            return refusal(
                "an adapter, not a model",
                expected:
                    "its base\(named(try string("base_model_name_or_path", of: joinedPath(folder, "adapter_config.json")))) as the model, with the option '--adapter' for this folder"
            )
        }
        if hasAdapter, adapter == nil, AdapterSource.weightNames.contains(where: has) {
            return refusal(
                "a model and an adapter", expected: "the option '--adapter', which may name this folder, or no 'adapter_config.json' in it")
        }
        if isModel { return nil }
        let names = try folderContents(folder)
        if let projector = ["mm_projector.bin", "mm_projector.safetensors"].first(where: names.contains), !TensorFolder.hasWeights(folder) {
            let decoder = has("config.json") ? try string("_name_or_path", of: joinedPath(folder, "config.json")) : nil
            return refusal(
                "a projector, not a model",
                expected:
                    "its decoder\(named(decoder)) as the model, with the option '--projector' for \(quoted(joinedPath(folder, projector)))")
        }
        if let name = names.first(where: { name in unfinished.contains { name.hasSuffix($0) } }) {
            return refusal("a download that is not finished, \(quoted(name))", expected: "the whole files")
        }
        guard !has("config.json") else { return nil }
        let ggufs = names.filter { $0.hasSuffix(".gguf") }
        if let file = ggufs.first(where: { !$0.contains("mmproj") }) ?? ggufs.first {
            return refusal("GGUF files", expected: "one of them, as \(quoted(joinedPath(folder, file)))")
        }
        if has("model_index.json") { return refusal("a pipeline of diffusers", expected: "a LLaVA or a LLaMA decoder") }
        if has("params.json") || names.contains(where: { $0.hasPrefix("consolidated.") }) {
            return refusal("weights in Meta's own format", expected: "the same model in transformers' format")
        }
        if has("snapshots"), let snapshot = try folderContents(joinedPath(folder, "snapshots")).first {
            return refusal(
                "a cache of Hugging Face", expected: "a snapshot in it, as \(quoted(joinedPath(folder, "snapshots/\(snapshot)")))")
        }
        if let inner = names.last(where: { $0.hasPrefix("checkpoint-") && fileKind(joinedPath(folder, $0)) == .folder }) {
            return refusal("checkpoints in folders of their own", expected: "one of them, as \(quoted(joinedPath(folder, inner)))")
        }
        return nil
    }

    /// The same for a file; nil for GGUF, and for what nothing is known of.
    static func refusal(file path: String) throws(Diagnostic) -> Diagnostic? {
        let file = try MappedFile(path: path)
        switch TensorFile.Format(file) {
        case .gguf: return nil
        case .safetensors, .torch:
            let names = try TensorFile(file).tensors.keys
            if names.contains(where: { $0.contains(".lora_A.") }) {
                return .error(
                    "the file is an adapter, not a model", at: .file(path),
                    expected: "its base as the model, with the option '--adapter' for its folder")
            }
            if names.contains(where: { $0.contains("mm_projector") }), !names.contains(where: { $0.contains("layers.") }) {
                return .error(
                    "the file is a projector, not a model", at: .file(path),
                    expected: "its decoder as the model, with the option '--projector' for this file")
            }
            return .error("the file has weights only", at: .file(path), expected: "the folder that it stands in, with 'config.json'")
        case nil: break
        }
        let start = file.withBytes(0..<min(4, file.size)) { Array($0) }
        if start.first == UInt8(ascii: "{") {
            return .error("the file is JSON", at: .file(path), expected: "the folder that it stands in")
        }
        if ["lmgg", "tjgg", "algg", "fmgg"].contains(String(decoding: start, as: UTF8.self)) {
            return .error("the file is in a format before GGUF", at: .file(path), expected: "a GGUF file, or a checkpoint folder")
        }
        return nil
    }

    private static func string(_ key: String, of file: String) throws(Diagnostic) -> String? {
        try JSONObject(readingFile: file).optionalString(key)
    }

    private static func named(_ name: String?) -> String { name.map { $0.isEmpty ? "" : ", \(quoted($0))," } ?? "" }
}
