import Support

/// What a dynamically linked executable needs of the machine that it runs on, as its ELF headers say.
public struct DynamicNeeds: Sendable, Equatable {
    public struct Library: Sendable, Equatable {
        /// `libc.so.6` say
        public var name: String
        /// The versions of its symbols; empty where they have none
        public var versions: [String]
    }

    /// Path of the dynamic linker; nil for a static executable
    public var interpreter: String?
    public var libraries: [Library] = []

    /// The newest version of the GNU C library that a symbol asks for, `2.34` say.
    public var glibc: String? {
        func parts(_ version: String) -> [Int] { version.split(separator: ".").map { Int($0) ?? 0 } }
        return libraries.flatMap(\.versions).filter { $0.hasPrefix("GLIBC_2") }.map { String($0.dropFirst("GLIBC_".count)) }
            .max { parts($0).lexicographicallyPrecedes(parts($1)) }
    }

    /// One line.
    public var text: String {
        let names = libraries.map { library in
            let newest = library.versions.filter { !$0.hasPrefix("GLIBC_") }
            return library.name + (newest.isEmpty ? "" : " (\(newest.joined(separator: ", ")))")
        }
        return
            "the target needs glibc \(glibc ?? "of any version") or later, with \(interpreter ?? "no dynamic linker"), and \(names.joined(separator: ", "))"
    }

    public var json: JSONText {
        .object([
            ("interpreter", interpreter.map { .string($0) } ?? .null), ("glibc", glibc.map { .string($0) } ?? .null),
            (
                "libraries",
                .array(libraries.map { .object([("name", .string($0.name)), ("versions", .array($0.versions.map { .string($0) }))]) })
            ),
        ])
    }

    /// Reads a 64-bit little-endian ELF file.
    public init(path: String) throws(Diagnostic) {
        let reader = ELFBytes(try readFile(path, limit: 1 << 30))
        guard reader.bytes.starts(with: [0x7F, 0x45, 0x4C, 0x46, 2, 1]) else {
            throw .error("executable \(quoted(path)) is not a 64-bit little-endian ELF file")
        }
        let (table, size, count) = (reader.u64(32), reader.u16(54), reader.u16(56))
        // Numbers of a damaged file may be anything: sums wrap, and what they lead to lies outside.
        let segments = (0..<count).map { table &+ $0 * size }
        func segment(_ type: Int) -> Int? { segments.first { reader.u32($0) == type } }
        /// File offset of an address
        func offset(_ address: Int) -> Int? {
            segments.first {
                reader.u32($0) == 1 && address >= reader.u64($0 &+ 16) && address &- reader.u64($0 &+ 16) < reader.u64($0 &+ 32)
            }
            .map { reader.u64($0 &+ 8) &+ address &- reader.u64($0 &+ 16) }
        }
        interpreter = segment(3).map { reader.string(reader.u64($0 &+ 8)) }
        // A static-pie executable has a dynamic segment too, for its relocations, but no name in it.
        guard interpreter != nil, let dynamic = segment(2) else { return }
        var tags: [(tag: Int, value: Int)] = []
        var at = reader.u64(dynamic &+ 8)
        while reader.u64(at) != 0 {
            tags.append((reader.u64(at), reader.u64(at &+ 8)))
            at &+= 16
        }
        func value(_ tag: Int) -> Int? { tags.first { $0.tag == tag }?.value }
        guard let strings = value(5).flatMap(offset) else { return }
        libraries = tags.filter { $0.tag == 1 }.map { Library(name: reader.string(strings &+ $0.value), versions: []) }
        // DT_VERNEED and DT_VERNEEDNUM: for each library a list of names.
        var entry = value(0x6FFF_FFFE).flatMap(offset) ?? 0
        for _ in 0..<max(0, min(value(0x6FFF_FFFF) ?? 0, libraries.count)) {
            let name = reader.string(strings &+ reader.u32(entry &+ 4))
            var (version, versions) = (entry &+ reader.u32(entry &+ 8), [String]())
            for _ in 0..<reader.u16(entry &+ 2) {
                versions.append(reader.string(strings &+ reader.u32(version &+ 8)))
                // The last one has no next.
                guard reader.u32(version &+ 12) != 0 else { break }
                version &+= reader.u32(version &+ 12)
            }
            if let index = libraries.firstIndex(where: { $0.name == name }) { libraries[index].versions = versions.sorted() }
            entry &+= reader.u32(entry &+ 12)
        }
    }
}

/// Little-endian numbers and texts of a file; what lies outside of it is zero, so that a damaged file gives no more than wrong answers.
private struct ELFBytes {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func u16(_ offset: Int) -> Int { number(16, at: offset) }
    func u32(_ offset: Int) -> Int { number(32, at: offset) }
    func u64(_ offset: Int) -> Int { number(64, at: offset) }

    private func number(_ bits: Int, at offset: Int) -> Int {
        guard offset >= 0, offset <= bytes.count - bits / 8 else { return 0 }
        return Int(truncatingIfNeeded: (0..<bits / 8).reduce(UInt64(0)) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) })
    }

    func string(_ offset: Int) -> String {
        guard offset >= 0, offset < bytes.count else { return "" }
        return String(decoding: bytes[offset...].prefix { $0 != 0 }, as: UTF8.self)
    }
}
