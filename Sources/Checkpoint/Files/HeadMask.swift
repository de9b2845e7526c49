import Support

/// Which heads of a decoder's blocks look at an image: a NumPy file, bool [blocks, heads].
public struct HeadMask: Hashable, Sendable {
    /// Whether each head of each block does
    public let blocks: [[Bool]]

    public init(blocks: [[Bool]]) { self.blocks = blocks }

    /// Reads the file of a decoder with so many blocks and heads.
    public init(path: String, blocks: Int, heads: Int) throws(Diagnostic) {
        // Far more than a header and a byte for each head take.
        try self.init(try readFile(path, limit: 1 << 24), path: path, blocks: blocks, heads: heads)
    }

    /// `bytes` are those of the file at `path`, which errors name.
    public init(_ bytes: [UInt8], path: String, blocks: Int, heads: Int) throws(Diagnostic) {
        let expected = "a NumPy file, bool [\(blocks), \(heads)]"
        func wrong(_ what: String) -> Diagnostic { .error("the mask of heads \(what)", at: .file(path), expected: expected) }
        guard bytes.count >= 12, bytes.starts(with: [0x93] + Array("NUMPY".utf8)) else { throw wrong("is no NumPy file") }
        // Version 1 has two bytes for the header's length, later ones four.
        let width = bytes[6] == 1 ? 2 : 4
        let length = bytes[8..<8 + width].reversed().reduce(0) { $0 << 8 | Int($1) }
        let start = 8 + width + length
        guard 1...3 ~= bytes[6], start <= bytes.count else { throw wrong("has no header of format 1 to 3") }
        let header = String(decoding: bytes[8 + width..<start], as: UTF8.self).filter { !$0.isWhitespace }
        guard let type = Self.member("descr", of: header), let order = Self.member("fortran_order", of: header),
            let shape = Self.member("shape", of: header)
        else { throw wrong("has no 'descr', 'fortran_order' and 'shape'") }
        guard type == "'|b1'" || type == "'?'" else { throw wrong("has elements \(quoted(type))") }
        guard order == "False" else { throw wrong("is in Fortran's order") }
        let sizes = shape.split(separator: ",").map { Int($0) }
        guard sizes == [blocks, heads] else { throw wrong("has shape \(quoted("(\(shape))"))") }
        guard bytes.count - start == blocks * heads else { throw wrong("has \(bytes.count - start) bytes of elements") }
        guard bytes[start...].allSatisfy({ $0 <= 1 }) else { throw wrong("has elements that are neither 0 nor 1") }
        self.blocks = (0..<blocks).map { block in
            (0..<heads).map { bytes[start + block * heads + $0] == 1 }
        }
    }

    /// The value of a key of the header, which is a dictionary in Python's notation; of a tuple what stands between its parentheses.
    private static func member(_ key: String, of header: String) -> String? {
        guard let rest = header.behind("'\(key)':") else { return nil }
        if rest.first == "(" { return rest.firstIndex(of: ")").map { String(rest[..<$0].dropFirst()) } }
        return String(rest.prefix { $0 != "," && $0 != "}" })
    }
}

extension String {
    /// What stands behind the first place of `text`.
    fileprivate func behind(_ text: String) -> Substring? {
        indices.lazy.map { self[$0...] }.first { $0.hasPrefix(text) }?.dropFirst(text.count)
    }
}
