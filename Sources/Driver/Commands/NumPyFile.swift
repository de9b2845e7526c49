import Support

/// A C-order little-endian float32 array of a .npy file, format 1.0, as programs write it.
struct NumPyFile {
    var values: [Float]
    /// Named in errors
    private let path: String

    init(values: [Float]) { (self.values, path) = (values, "") }

    init(_ path: String) throws(Diagnostic) {
        self.path = path
        let bytes = try readFile(path, limit: 1 << 34)
        let length = bytes.count > 10 ? Int(bytes[8]) | Int(bytes[9]) << 8 : 0
        guard bytes.starts(with: [0x93] + Array("NUMPY".utf8) + [1, 0]), bytes.count >= 10 + length, (bytes.count - 10 - length) % 4 == 0,
            String(decoding: bytes[10..<10 + length], as: UTF8.self).contains("'descr': '<f4', 'fortran_order': False")
        else { throw .error("the array is not one of floats", at: .file(path), expected: "a file of '--dump-tensors'") }
        values = bytes.withUnsafeBytes { raw in
            (0..<(bytes.count - 10 - length) / 4).map {
                Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 10 + length + $0 * 4, as: UInt32.self)))
            }
        }
    }

    /// The values as integers. Throws where one is no integer of the type.
    func integers<Integer: FixedWidthInteger>(of type: Integer.Type) throws(Diagnostic) -> [Integer] {
        var integers: [Integer] = []
        integers.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            guard let integer = Integer(exactly: value) else {
                throw .error("element \(index) is \(value)", at: .file(path), expected: "an integer from \(Integer.min) to \(Integer.max)")
            }
            integers.append(integer)
        }
        return integers
    }
}
