import Support

/// Every tensor of a folder that holds `model.safetensors`, or shards with `model.safetensors.index.json`, or the same as
/// `pytorch_model.bin`, under the names of LLaVA's original layout.
struct TensorFolder {
    static let singleName = "model.safetensors"
    static let indexName = "model.safetensors.index.json"

    struct Entry {
        let tensor: StoredTensor
        let file: MappedFile
        var site: Site { .tensor(tensor.name, file: file.path) }

        /// The diagnostic for two tensors that become one of the model.
        func sameName(as other: Entry, _ name: String) -> Diagnostic {
            let place = other.file === file ? "" : " of file \(quoted(other.file.path))"
            return .error("the tensor and \(quoted(other.tensor.name))\(place) are both \(quoted(name))", at: site, expected: "one of them")
        }

        fileprivate func isCopy(of other: Entry) -> Bool {
            tensor.dtype == other.tensor.dtype && tensor.shape == other.tensor.shape
                && file.hasBytes(tensor.range, of: other.file, other.tensor.range)
        }
    }

    var tensors: [String: Entry]
    /// The file to name when a tensor is missing: the single file or the index.
    private(set) var listing: String
    /// The same for the projector, where it has a file of its own.
    var projectorListing: String?
    /// A name of LLaVA's layout as these files spell it, for what is missing.
    var spelling: @Sendable (String) -> String = { $0 }
    /// The inverse, for what other files say of these tensors.
    var naming: @Sendable (String) -> String = { $0 }

    /// Names of a whole file and of the index of shards, the preferred format first.
    private static let formats = [(singleName, indexName), ("pytorch_model.bin", "pytorch_model.bin.index.json")]

    static func hasWeights(_ folder: String) -> Bool {
        formats.contains { !isAbsent(joinedPath(folder, $0.0)) || !isAbsent(joinedPath(folder, $0.1)) }
    }

    init(tensors: [String: Entry], listing: String) { (self.tensors, self.listing) = (tensors, listing) }

    init(path: String) throws(Diagnostic) {
        for (single, index) in Self.formats.map({ (joinedPath(path, $0.0), joinedPath(path, $0.1)) }) {
            if !isAbsent(single) {
                let file = try TensorFile(path: single)
                tensors = file.entries
                listing = single
                return
            }
            if !isAbsent(index) {
                tensors = try Self.shards(index: JSONObject(readingFile: index), folder: path)
                listing = index
                return
            }
        }
        throw try Self.noWeights(path)
    }

    private static func shards(index: JSONObject, folder: String) throws(Diagnostic) -> [String: Entry] {
        let map = try index.object("weight_map")
        var namesByShard: [String: [String]] = [:]
        for name in map.members.keys.sorted() {
            let shard = try map.string(name)
            guard !shard.isEmpty, !hasSlash(shard), !shard.contains("\0"), shard != ".", shard != ".." else {
                throw map.invalid(name, "is \(quoted(shard))", expected: "the name of a file in the same folder")
            }
            namesByShard[shard, default: []].append(name)
        }
        var tensors: [String: Entry] = [:]
        for (shard, names) in namesByShard.sorted(by: { $0.key < $1.key }) {
            let path = joinedPath(folder, pathText(shard.utf8))
            guard !isAbsent(path) else {
                throw .error("shard \(quoted(shard)) is missing", at: .file(index.file), expected: "the file \(quoted(path))")
            }
            let file = try TensorFile(path: path)
            if let absent = names.first(where: { file.tensors[$0] == nil }) {
                throw .error(
                    "tensor \(quoted(absent)) is missing from its shard", at: .file(path), expected: "what \(quoted(index.file)) lists")
            }
            for name in file.tensors.keys.sorted() {
                let entry = Entry(tensor: file.tensors[name]!, file: file.file)
                if let other = tensors.updateValue(entry, forKey: name) {
                    throw .error("the tensor is also in shard \(quoted(other.file.path))", at: entry.site, expected: "one shard per tensor")
                }
            }
        }
        return tensors
    }

    /// The diagnostic for a folder without either file, by what it has instead.
    private static func noWeights(_ path: String) throws(Diagnostic) -> Diagnostic {
        let names = try folderContents(path)
        let expected = quotedList([singleName, indexName])
        let others = names.filter { $0.hasSuffix(".safetensors") }
        if others.count == 1 {
            return .error("no \(quoted(singleName)), only \(quoted(others[0]))", at: .file(path), expected: expected)
        }
        if others.count > 1 {
            return .error("\(others.count) safetensors files without an index", at: .file(path), expected: quoted(indexName))
        }
        if let archive = names.first(where: { $0.hasSuffix(".bin") || $0.hasSuffix(".pth") || $0.hasSuffix(".pt") }) {
            let names = formats[1...].flatMap { [$0.0, $0.1] }
            return .error("PyTorch weights under the name \(quoted(archive))", at: .file(path), expected: quotedList(names))
        }
        return .error("no weights", at: .file(path), expected: expected)
    }
}

extension [String: TensorFolder.Entry] {
    /// Refuses a second tensor of one name, unless it is a copy of the first.
    mutating func add(_ entry: TensorFolder.Entry, as name: String) throws(Diagnostic) {
        guard let other = self[name] else {
            self[name] = entry
            return
        }
        guard entry.isCopy(of: other) else { throw entry.sameName(as: other, name) }
    }
}
