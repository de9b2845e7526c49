import Support

/// The directory of a zip archive whose entries are stored, not compressed, so that they can be mapped. Every offset and
/// length is checked against the file; no two entries share a byte.
struct ZipArchive {
    let file: MappedFile
    /// Where the contents of each entry are.
    let entries: [String: Range<UInt64>]

    private struct Directory {
        var count: UInt64
        var size: UInt64
        var offset: UInt64
    }

    /// A torch archive has an entry per storage.
    static let maximumEntries: UInt64 = 1 << 20

    private static let endLength: UInt64 = 22, locatorLength: UInt64 = 20, wideEndLength: UInt64 = 56
    private static let entryLength: UInt64 = 46, localLength: UInt64 = 30

    init(_ file: MappedFile) throws(Diagnostic) {
        self.file = file
        let reader = Reader(file: file)
        let (directory, end) = try Self.directory(reader)
        guard directory.size <= end, directory.offset <= end - directory.size else {
            throw reader.fault("the directory does not fit", at: end, "\(directory.size) bytes at \(directory.offset), before byte \(end)")
        }
        guard directory.count <= Self.maximumEntries else {
            throw reader.fault("an archive of \(directory.count) entries", at: end, "at most \(Self.maximumEntries)")
        }
        var entries: [String: Range<UInt64>] = [:]
        var position = directory.offset
        let limit = directory.offset + directory.size
        for _ in 0..<directory.count {
            let (name, range, next) = try Self.entry(reader, at: position, limit: limit, data: directory.offset)
            if entries.updateValue(range, forKey: name) != nil {
                throw reader.fault("entry \(quoted(name)) stands twice", at: position, "distinct names")
            }
            position = next
        }
        guard position == limit else { throw reader.fault("the directory goes on", at: position, "its end, at byte \(limit)") }
        var last: UInt64 = 0
        for (name, range) in entries.sorted(by: {
            ($0.value.lowerBound, $0.value.upperBound, $0.key) < ($1.value.lowerBound, $1.value.upperBound, $1.key)
        })
        where !range.isEmpty {
            guard range.lowerBound >= last else {
                throw reader.fault("entry \(quoted(name)) overlaps another", at: range.lowerBound, "entries apart")
            }
            last = range.upperBound
        }
        self.entries = entries
    }

    /// The directory that the end of the file describes, and where that description begins.
    private static func directory(_ reader: Reader) throws(Diagnostic) -> (Directory, end: UInt64) {
        let size = reader.file.size
        guard size >= endLength else { throw reader.fault("the file has \(size) bytes", at: 0, "a zip archive") }
        // A comment of up to 64 KiB may follow the end record.
        let first = size - min(size, endLength + 0xFFFF)
        var end: UInt64?
        for offset in stride(from: size - endLength, through: first, by: -1) {
            if try reader.number(offset, 4) == 0x0605_4b50, try reader.number(offset + 20, 2) == size - endLength - offset {
                end = offset
                break
            }
            if offset == 0 { break }
        }
        guard let end else {
            throw .error(
                "the zip archive has no directory", at: .file(reader.file.path), expected: "a whole file",
                notes: ["the file seems to be truncated"])
        }
        let narrow = Directory(
            count: try reader.number(end + 10, 2), size: try reader.number(end + 12, 4), offset: try reader.number(end + 16, 4))
        guard end >= locatorLength, try reader.number(end - locatorLength, 4) == 0x0706_4b50 else {
            guard narrow.count != 0xFFFF || narrow.offset != 0xFFFF_FFFF else {
                throw reader.fault("the archive's zip64 directory is missing", at: end, "its locator")
            }
            return (narrow, end)
        }
        let wide = try reader.number(end - locatorLength + 8, 8)
        guard end - locatorLength >= wideEndLength, wide <= end - locatorLength - wideEndLength, try reader.number(wide, 4) == 0x0606_4b50
        else {
            throw reader.fault("the zip64 directory is not at \(wide)", at: end - locatorLength, "its end record")
        }
        return (
            Directory(
                count: try reader.number(wide + 32, 8), size: try reader.number(wide + 40, 8), offset: try reader.number(wide + 48, 8)),
            wide
        )
    }

    /// The directory's entry at `position`; its contents must end before `data`.
    private static func entry(
        _ reader: Reader, at position: UInt64, limit: UInt64, data: UInt64
    ) throws(Diagnostic) -> (name: String, range: Range<UInt64>, next: UInt64) {
        guard position <= limit, limit - position >= entryLength, try reader.number(position, 4) == 0x0201_4b50 else {
            throw reader.fault("no directory entry", at: position, "one of those that the archive counts")
        }
        let nameLength = try reader.number(position + 28, 2), extraLength = try reader.number(position + 30, 2)
        let next = position + entryLength + nameLength + extraLength + (try reader.number(position + 32, 2))
        guard next <= limit else {
            throw reader.fault("a directory entry of \(next - position) bytes", at: position, "at most \(limit - position)")
        }
        let bytes = reader.file.withBytes(position + entryLength..<position + entryLength + nameLength) { Array($0) }
        guard let name = String(validating: bytes, as: UTF8.self), hasFewMarks(name) else {
            throw reader.fault("an entry's name is no UTF-8 text", at: position, "text")
        }
        func refuse(_ what: String, _ expected: String) -> Diagnostic {
            reader.fault("entry \(quoted(name)) \(what)", at: position, expected)
        }
        guard try reader.number(position + 8, 2) & 1 == 0 else { throw refuse("is encrypted", "plain contents") }
        guard try reader.number(position + 10, 2) == 0 else { throw refuse("is compressed", "stored contents, as torch writes them") }
        var packed = try reader.number(position + 20, 4), size = try reader.number(position + 24, 4)
        var local = try reader.number(position + 42, 4)
        // Values that do not fit stand in the extra field, in this order.
        var wide = try wideValues(reader, position + entryLength + nameLength, extraLength)[...]
        for (isWide, set) in [
            (size == 0xFFFF_FFFF, { size = $0 }), (packed == 0xFFFF_FFFF, { packed = $0 }), (local == 0xFFFF_FFFF, { local = $0 }),
        ]
            as [(Bool, (UInt64) -> Void)] where isWide
        {
            guard let value = wide.popFirst() else { throw refuse("lacks its zip64 sizes", "them in its extra field") }
            set(value)
        }
        guard packed == size else { throw refuse("has \(packed) bytes for \(size)", "equal sizes") }
        guard local <= data, data - local >= localLength, try reader.number(local, 4) == 0x0403_4b50 else {
            throw refuse("is not at byte \(local)", "a local header before byte \(data)")
        }
        // The local header's own lengths decide where the contents begin.
        let start = local + localLength + (try reader.number(local + 26, 2)) + (try reader.number(local + 28, 2))
        guard start <= data, size <= data - start else { throw refuse("has \(size) bytes", "at most \(data - min(start, data))") }
        return (name, start..<start + size, next)
    }

    /// The 64-bit values of the zip64 part of an extra field.
    private static func wideValues(_ reader: Reader, _ start: UInt64, _ length: UInt64) throws(Diagnostic) -> [UInt64] {
        var position = start
        let end = start + length
        while end - position >= 4 {
            let kind = try reader.number(position, 2), count = try reader.number(position + 2, 2)
            guard count <= end - position - 4 else { break }
            if kind == 1 {
                var values: [UInt64] = []
                for index in 0..<count / 8 { values.append(try reader.number(position + 4 + 8 * index, 8)) }
                return values
            }
            position += 4 + count
        }
        return []
    }

    /// Little-endian numbers, refused beyond the file's end.
    private struct Reader {
        let file: MappedFile

        func number(_ offset: UInt64, _ count: UInt64) throws(Diagnostic) -> UInt64 {
            guard offset <= file.size, count <= file.size - offset else { throw fault("the file ends", at: file.size, "more bytes") }
            return file.withBytes(offset..<offset + count) { bytes in bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        }

        func fault(_ problem: String, at offset: UInt64, _ expected: String) -> Diagnostic {
            .error(problem, at: .byte(file: file.path, offset: offset), expected: expected)
        }
    }
}
