import Support

/// A tensor as a safetensors file describes it.
public struct StoredTensor: Sendable, Equatable {
    public let name: String
    public let dtype: StorageType
    public let shape: [Int]
    /// Byte range in the file, inside it and of the size that `dtype` and `shape` ask for.
    public let range: Range<UInt64>
}

/// A mapped safetensors file whose whole header has been checked against the file's size.
///
/// Format: the header's length (8 bytes, little-endian), the header (JSON), the data. The tensors' byte ranges are
/// relative to the data and cover it without gap or overlap.
public struct SafetensorsFile: Sendable {
    public let file: MappedFile
    public let tensors: [String: StoredTensor]

    /// The format's own limit on the header.
    static let maximumHeaderLength: UInt64 = 100_000_000
    static let maximumRank = 16

    /// Maps `path` and reads its header, nothing else.
    public init(path: String) throws(Diagnostic) { try self.init(MappedFile(path: path)) }

    init(_ file: MappedFile) throws(Diagnostic) {
        let path = file.path
        guard file.size >= 8 else {
            throw .error(
                "the file has \(byteCountText(file.size))", at: .file(path), expected: "a safetensors file of at least 8 bytes")
        }
        let length = file.withBytes(0..<8) { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        guard length > 0 else {
            throw .error(
                "the file begins with zeros", at: .file(path), expected: "a safetensors file", notes: ["the download may not be finished"])
        }
        let beginning = file.withBytes(0..<min(file.size, 40)) { Array($0) }
        // A length of eight letters is none; what servers say in place of a file is text.
        guard !beginning[..<8].allSatisfy({ 0x20..<0x7F ~= $0 }) else {
            throw .error(
                "the file begins with the text \(quoted(String(decoding: beginning, as: UTF8.self)))", at: .file(path),
                expected: "safetensors or a torch archive")
        }
        guard length <= min(file.size - 8, Self.maximumHeaderLength) else {
            let room = "at most \(min(file.size - 8, Self.maximumHeaderLength))"
            throw .error("the header's length is \(length)", at: .byte(file: path, offset: 0), expected: room)
        }
        let header = try file.withBytes(8..<8 + length) { (bytes) throws(Diagnostic) in
            try JSONObject(parsing: bytes, file: path, origin: 8)
        }
        let (tensors, dataSize) = try Self.layOut(header, dataStart: 8 + length)
        // 8 + length fits in the file and the ranges were bounded, so neither sum can overflow.
        guard file.size == 8 + length + dataSize else {
            throw .error(
                "the file has \(file.size) bytes", at: .file(path),
                expected: "\(8 + length + dataSize) bytes, which its header describes",
                notes: file.size < 8 + length + dataSize ? ["the file seems to be truncated"] : [])
        }
        self.file = file
        self.tensors = tensors
    }

    /// Checks every entry of the header by itself, then that they cover the data. Gives the data's size in bytes.
    private static func layOut(
        _ header: JSONObject, dataStart: UInt64
    ) throws(Diagnostic) -> (tensors: [String: StoredTensor], dataSize: UInt64) {
        var stored: [StoredTensor] = []
        for name in header.members.keys.sorted() where name != "__metadata__" {
            stored.append(try entry(name, of: header, dataStart: dataStart))
        }
        stored.sort { ($0.range.lowerBound, $0.range.upperBound, $0.name) < ($1.range.lowerBound, $1.range.upperBound, $1.name) }
        var end = dataStart
        var previous: StoredTensor?
        for tensor in stored {
            let site = Site.tensor(tensor.name, file: header.file)
            guard tensor.range.lowerBound >= end else {
                throw .error("the tensor overlaps tensor \(quoted(previous?.name ?? ""))", at: site, expected: "ranges apart")
            }
            guard tensor.range.lowerBound == end else {
                let gap = tensor.range.lowerBound - end
                throw .error("\(byteCountText(gap)) before the tensor belong to none", at: site, expected: "ranges without gaps")
            }
            end = tensor.range.upperBound
            previous = tensor
        }
        return (Dictionary(uniqueKeysWithValues: stored.map { ($0.name, $0) }), end - dataStart)
    }

    private static func entry(_ name: String, of header: JSONObject, dataStart: UInt64) throws(Diagnostic) -> StoredTensor {
        let site = Site.tensor(name, file: header.file)
        let entry = try header.object(name)
        let typeName = try entry.string("dtype")
        guard let dtype = StorageType(name: typeName), let size = dtype.size else {
            throw .error("unknown dtype \(quoted(typeName))", at: site, expected: quotedList(ElementType.floats.map(\.rawValue)))
        }
        let shape = try entry.integers("shape")
        guard shape.count <= maximumRank else {
            throw .error("the tensor has \(shape.count) dimensions", at: site, expected: "at most \(maximumRank)")
        }
        guard shape.allSatisfy({ $0 >= 0 }), let bytes = checkedProduct(shape + [size]) else {
            throw .error("impossible shape \(shape)", at: site, expected: "sizes whose product is a 64-bit byte count")
        }
        let offsets = try entry.integers("data_offsets")
        let limit = Int.max - Int(dataStart)
        guard offsets.count == 2, 0 <= offsets[0], offsets[0] <= offsets[1], offsets[1] <= limit else {
            throw .error("impossible data_offsets \(offsets.prefix(4))", at: site, expected: "[begin, end] with 0 <= begin <= end")
        }
        guard offsets[1] - offsets[0] == bytes else {
            throw .error(
                "data_offsets \(offsets) span \(offsets[1] - offsets[0]) bytes", at: site,
                expected: "\(bytes) bytes for \(typeName) \(shape)")
        }
        let range = dataStart + UInt64(offsets[0])..<dataStart + UInt64(offsets[1])
        return StoredTensor(name: name, dtype: dtype, shape: shape, range: range)
    }
}

/// What a safetensors file begins with: the length of the JSON, then the JSON padded to a multiple of 8 bytes.
public func safetensorsHeader(_ members: [(String, JSONText)]) -> [UInt8] {
    var json = Array(JSONText.object(members).text().utf8)
    json += Array(repeating: UInt8(ascii: " "), count: (8 - json.count % 8) % 8)
    return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json
}
