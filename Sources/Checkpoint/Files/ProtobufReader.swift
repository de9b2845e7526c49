import Support

/// Reads the fields of one protocol-buffer message, with every length checked against its bounds.
struct ProtobufReader {
    enum Value {
        case varint(UInt64)
        case fixed32(UInt32)
        case fixed64(UInt64)
        case bytes(ArraySlice<UInt8>)
    }

    struct Field {
        let number: UInt64
        let value: Value
        /// Where the field's key stands in the file, in bytes.
        let offset: Int
    }

    /// Only named in errors.
    let file: String
    /// The slice's indices are offsets in the file.
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>, file: String) {
        (rest, self.file) = (bytes, file)
    }

    /// The next field, or nil at the message's end.
    mutating func next() throws(Diagnostic) -> Field? {
        guard !rest.isEmpty else { return nil }
        let offset = rest.startIndex
        let key = try varint()
        guard key >> 3 != 0, key >> 3 < 1 << 29 else { throw fault("field number \(key >> 3)", offset, "1 to 536870911") }
        let value: Value
        switch key & 7 {
        case 0: value = .varint(try varint())
        case 1: value = .fixed64(UInt64(littleEndian: try take(8, offset).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }))
        case 2:
            let length = try varint()
            guard length <= UInt64(rest.count) else { throw fault("a field of \(length) bytes", offset, "at most \(rest.count)") }
            value = .bytes(try take(Int(length), offset))
        case 5: value = .fixed32(UInt32(littleEndian: try take(4, offset).withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) }))
        default: throw fault("wire type \(key & 7)", offset, "0, 1, 2 or 5")
        }
        return Field(number: key >> 3, value: value, offset: offset)
    }

    private mutating func varint() throws(Diagnostic) -> UInt64 {
        let offset = rest.startIndex
        var result: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst() else { throw fault("the message ends inside a number", offset, "more bytes") }
            // The tenth byte holds the top bit alone.
            if shift == 63, byte > 1 { break }
            result |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return result }
        }
        throw fault("a number of more than 64 bits", offset, "a varint of at most 10 bytes")
    }

    private mutating func take(_ count: Int, _ offset: Int) throws(Diagnostic) -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw fault("the message ends inside a field", offset, "more bytes") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    func fault(_ problem: String, _ offset: Int, _ expected: String) -> Diagnostic {
        .error(problem, at: .byte(file: file, offset: UInt64(offset)), expected: expected)
    }
}

extension ProtobufReader.Field {
    // Each accessor demands the wire type that the format declares for the field.
    func integer(_ reader: ProtobufReader) throws(Diagnostic) -> Int {
        if case .varint(let value) = value { return Int(Int64(bitPattern: value)) }
        throw mismatch(reader, "a varint")
    }

    func bool(_ reader: ProtobufReader) throws(Diagnostic) -> Bool { try integer(reader) != 0 }

    func float(_ reader: ProtobufReader) throws(Diagnostic) -> Float {
        if case .fixed32(let value) = value { return Float(bitPattern: value) }
        throw mismatch(reader, "a 32-bit value")
    }

    func bytes(_ reader: ProtobufReader) throws(Diagnostic) -> ArraySlice<UInt8> {
        if case .bytes(let value) = value { return value }
        throw mismatch(reader, "a length-delimited value")
    }

    private func mismatch(_ reader: ProtobufReader, _ expected: String) -> Diagnostic {
        reader.fault("field \(number) has another wire type", offset, expected)
    }
}
