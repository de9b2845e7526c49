import Support

/// A mapped file of tensors in any format, which its first bytes tell.
struct TensorFile {
    let file: MappedFile
    let tensors: [String: StoredTensor]

    init(path: String) throws(Diagnostic) {
        let file = try MappedFile(path: path)
        let start = file.withBytes(0..<min(9, file.size)) { Array($0) }
        // Safetensors begins with a length, which may look like anything; the object behind it does not.
        if start.count == 9, start[8] == UInt8(ascii: "{") {
            tensors = try SafetensorsFile(file).tensors
        } else if [TorchArchive.magic, TorchArchive.legacyMagic].contains(Array(start.prefix(4))) {
            tensors = try TorchArchive(file).tensors
        } else if start.starts(with: GGUFFile.magic) {
            throw .error("the file is GGUF", at: .file(path), expected: "safetensors or a torch archive")
        } else {
            tensors = try SafetensorsFile(file).tensors
        }
        self.file = file
    }

    var entries: [String: TensorFolder.Entry] { tensors.mapValues { TensorFolder.Entry(tensor: $0, file: file) } }
}
