import Support

/// A mapped file of tensors in any format, which its first bytes tell.
struct TensorFile {
    let file: MappedFile
    let tensors: [String: StoredTensor]

    enum Format {
        case safetensors, torch, gguf

        /// Nil for a file that begins like none of them.
        init?(_ file: MappedFile) {
            let start = file.withBytes(0..<min(9, file.size)) { Array($0) }
            // Read as a header's length, GGUF's name is more than safetensors allows, and 123 tensors of GGUF look like the object behind one.
            if start.starts(with: GGUFFile.magic) {
                self = .gguf
            } else if start.count == 9, start[8] == UInt8(ascii: "{") {
                // Safetensors begins with a length, which may look like anything; the object behind it does not.
                self = .safetensors
            } else if [TorchArchive.magic, TorchArchive.legacyMagic].contains(Array(start.prefix(4))) {
                self = .torch
            } else {
                return nil
            }
        }
    }

    init(path: String) throws(Diagnostic) { try self.init(MappedFile(path: path)) }

    init(_ file: MappedFile) throws(Diagnostic) {
        switch Format(file) {
        // What begins like nothing known gets the preferred format's errors.
        case .safetensors, nil: tensors = try SafetensorsFile(file).tensors
        case .torch: tensors = try TorchArchive(file).tensors
        case .gguf: throw .error("the file is GGUF", at: .file(file.path), expected: "safetensors or a torch archive")
        }
        self.file = file
    }

    var entries: [String: TensorFolder.Entry] { tensors.mapValues { TensorFolder.Entry(tensor: $0, file: file) } }
}
