import Support

/// A mapped file of `torch.save` (1.6 or later): a zip archive with a pickle that describes tensors, and their storages beside it.
struct TorchArchive {
    let file: MappedFile
    let tensors: [String: StoredTensor]

    static let maximumPickle = 64 << 20
    /// How the zip archive and the format before it begin.
    static let magic: [UInt8] = [0x50, 0x4B, 0x03, 0x04]
    static let legacyMagic: [UInt8] = [0x80, 0x02, 0x8A, 0x0A]

    init(_ file: MappedFile) throws(Diagnostic) {
        let start = file.withBytes(0..<min(4, file.size)) { Array($0) }
        if start == Self.legacyMagic {
            throw .error(
                "the file is in torch's format before 1.6, which is no zip archive", at: .file(file.path),
                expected: "a file saved by torch 1.6 or later, or safetensors")
        }
        let archive = try ZipArchive(file)
        // Everything stands in one folder, which has any name.
        let pickles = archive.entries.keys.filter { $0 == "data.pkl" || $0.hasSuffix("/data.pkl") }
        guard pickles.count == 1, let pickle = pickles.first, let range = archive.entries[pickle] else {
            throw .error("\(pickles.count) entries 'data.pkl'", at: .file(file.path), expected: "one, as torch.save writes it")
        }
        let folder = String(pickle.dropLast("data.pkl".count))
        if let order = archive.entries[folder + "byteorder"] {
            let name = file.withBytes(order.lowerBound..<min(order.upperBound, order.lowerBound + 16)) {
                String(decoding: $0, as: UTF8.self)
            }
            guard name == "little" else {
                throw .error("byte order \(quoted(name))", at: .file(file.path), expected: "'little'")
            }
        }
        guard range.count <= Self.maximumPickle else {
            throw .error(
                "a pickle of \(byteCountText(UInt64(range.count)))", at: .file(file.path),
                expected: "at most \(byteCountText(UInt64(Self.maximumPickle)))")
        }
        let described = try TorchPickle.tensors(file.withBytes(range) { Array($0) }, file: file.path, origin: range.lowerBound)
        var tensors: [String: StoredTensor] = [:]
        for name in described.keys.sorted() {
            tensors[name] = try Self.tensor(name, described[name]!, storages: folder + "data/", archive)
        }
        (self.file, self.tensors) = (file, tensors)
    }

    private static func tensor(
        _ name: String, _ tensor: TorchPickle.Tensor, storages: String, _ archive: ZipArchive
    ) throws(Diagnostic) -> StoredTensor {
        let site = Site.tensor(name, file: archive.file.path)
        guard let storage = archive.entries[storages + tensor.key] else {
            throw .error("storage \(quoted(tensor.key)) is missing", at: site, expected: "the entry \(quoted(storages + tensor.key))")
        }
        let size = tensor.type.size ?? 0
        guard checkedProduct(tensor.storageCount, size) == storage.count, let bytes = checkedProduct(tensor.shape + [size]) else {
            throw .error(
                "storage \(quoted(tensor.key)) has \(storage.count) bytes", at: site,
                expected: "\(tensor.storageCount) elements of \(size) bytes")
        }
        // Inside the storage, by what the pickle's reader checked.
        let start = storage.lowerBound + UInt64(tensor.offset * size)
        return StoredTensor(
            name: name, dtype: tensor.type, shape: tensor.shape, range: start..<start + UInt64(bytes))
    }
}
