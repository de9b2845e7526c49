import Support

/// A mapped GGUF file (version 2 or 3, little-endian): metadata by key and tensors, all checked against the file's size.
struct GGUFFile {
    static let magic: [UInt8] = Array("GGUF".utf8)
    /// The most dimensions that the format has.
    private static let maximumRank = 4
    /// The most tensors, and the most keys, that a file may have: an entry takes more memory than its bytes in the file.
    static let maximumEntries: UInt64 = 1 << 18

    enum Value {
        case integer(Int)
        case number(Double)
        case bool(Bool)
        case string([UInt8])
        /// Elements are read when they are asked for.
        case array(Elements)
    }

    struct Elements {
        let element: UInt32
        let count: Int
        /// Where the elements begin.
        let offset: UInt64
    }

    let file: MappedFile
    let metadata: [String: Value]
    let tensors: [String: StoredTensor]

    init(path: String) throws(Diagnostic) { try self.init(MappedFile(path: path)) }

    init(_ file: MappedFile) throws(Diagnostic) {
        var reader = Reader(file: file)
        guard file.size >= 24, try reader.bytes(4) == Self.magic else {
            throw .error("the file does not begin with 'GGUF'", at: .file(file.path), expected: "a GGUF file, or a checkpoint folder")
        }
        let version = try reader.number(4)
        guard 2...3 ~= version else {
            // A big-endian file has its version's bytes at the other end.
            throw reader.fault("GGUF version \(version)", at: 4, version & 0xFFFF == 0 ? "a little-endian file" : "2 or 3")
        }
        let tensorCount = try reader.number(8), valueCount = try reader.number(8)
        guard max(tensorCount, valueCount) <= Self.maximumEntries else {
            throw reader.fault("\(tensorCount) tensors and \(valueCount) keys", at: 8, "at most \(Self.maximumEntries) of each")
        }
        var metadata: [String: Value] = [:]
        for _ in 0..<valueCount {
            let start = reader.position
            let key = try reader.text()
            let value = try reader.value(type: UInt32(reader.number(4)))
            if metadata.updateValue(value, forKey: key) != nil {
                throw reader.fault("key \(quoted(key)) stands twice", at: start, "distinct keys")
            }
        }
        self.metadata = metadata
        var infos: [(tensor: StoredTensor, size: UInt64)] = []
        for _ in 0..<tensorCount { infos.append(try Self.info(&reader)) }
        var alignment: UInt64 = 32
        if let value = metadata["general.alignment"] {
            guard case .integer(let number) = value, number > 0, number <= 1 << 20, number % 8 == 0 else {
                throw .error("key 'general.alignment' is no alignment", at: .file(file.path), expected: "a multiple of 8")
            }
            alignment = UInt64(number)
        }
        let base = (reader.position + alignment - 1) / alignment * alignment
        var tensors: [String: StoredTensor] = [:]
        for (info, size) in infos {
            let site = Site.tensor(info.name, file: file.path)
            let offset = info.range.lowerBound
            guard base <= file.size, offset <= file.size - base, size <= file.size - base - offset else {
                throw .error(
                    "the tensor takes \(size) bytes at \(offset)", at: site,
                    expected: "at most \(file.size - min(base, file.size)) bytes of data",
                    notes: ["the file seems to be truncated"])
            }
            let tensor = StoredTensor(name: info.name, dtype: info.dtype, shape: info.shape, range: base + offset..<base + offset + size)
            if tensors.updateValue(tensor, forKey: info.name) != nil {
                throw .error("the tensor stands twice", at: site, expected: "distinct names")
            }
        }
        var last: StoredTensor?
        for tensor in tensors.values.sorted(by: { ($0.range.lowerBound, $0.name) < ($1.range.lowerBound, $1.name) })
        where !tensor.range.isEmpty {
            if let last, tensor.range.lowerBound < last.range.upperBound {
                throw .error(
                    "the tensor overlaps tensor \(quoted(last.name))", at: .tensor(tensor.name, file: file.path), expected: "ranges apart")
            }
            last = tensor
        }
        (self.file, self.tensors) = (file, tensors)
    }

    /// ggml's numbers of the types that are read.
    private static let types: [UInt64: StorageType] = [
        0: .weight(.float32), 1: .weight(.float16), 2: .weight(.q4_0), 3: .weight(.q4_1), 6: .weight(.q5_0), 7: .weight(.q5_1),
        8: .weight(.q8_0), 12: .weight(.q4_K), 13: .weight(.q5_K), 14: .weight(.q6_K), 24: .other(.int8), 25: .other(.int16),
        26: .other(.int32), 27: .other(.int64), 28: .other(.float64), 30: .weight(.bfloat16),
    ]
    private static let otherTypes: [UInt64: String] = [
        9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S",
        22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
    ]

    /// One entry of the list of tensors; the range's start is still relative to the data. Dimensions are written innermost first.
    private static func info(_ reader: inout Reader) throws(Diagnostic) -> (StoredTensor, UInt64) {
        let start = reader.position
        let name = try reader.text()
        let rank = try reader.number(4)
        guard rank <= maximumRank else {
            throw reader.fault("tensor \(quoted(name)) has \(rank) dimensions", at: start, "at most \(maximumRank)")
        }
        var shape: [Int] = []
        for _ in 0..<rank {
            let size = try reader.number(8)
            guard let size = Int(exactly: size) else {
                throw reader.fault("tensor \(quoted(name)) has a dimension of \(size)", at: start, "a 63-bit size")
            }
            shape.insert(size, at: 0)
        }
        let number = try reader.number(4), offset = try reader.number(8)
        guard let type = types[number] else {
            throw .error(
                "type \(quoted(otherTypes[number] ?? String(number))) is not supported", at: .tensor(name, file: reader.file.path),
                expected: quotedList(ElementType.allCases.map(\.rawValue)))
        }
        let element = type.elementType
        let block = element?.blockElements ?? 1
        guard let elements = checkedProduct(shape), (shape.last ?? 1) % block == 0,
            let bytes = checkedProduct(elements / block, element?.blockBytes ?? type.size ?? 1)
        else {
            throw reader.fault("tensor \(quoted(name)) has the impossible shape \(shape)", at: start, "rows of whole blocks of \(block)")
        }
        return (StoredTensor(name: name, dtype: type, shape: shape, range: offset..<offset), UInt64(bytes))
    }

    // MARK: Metadata

    private func wrong(_ key: String, _ expected: String) -> Diagnostic {
        .error("key \(quoted(key)) \(metadata[key] == nil ? "is missing" : "has another type")", at: .file(file.path), expected: expected)
    }

    func invalid(_ key: String, _ problem: String, expected: String) -> Diagnostic {
        .error("key \(quoted(key)) \(problem)", at: .file(file.path), expected: expected)
    }

    func optionalInteger(_ key: String) throws(Diagnostic) -> Int? {
        guard let value = metadata[key] else { return nil }
        guard case .integer(let number) = value else { throw wrong(key, "an integer") }
        return number
    }

    /// A positive size of at most `limit`.
    func dimension(_ key: String, default fallback: Int? = nil, limit: Int = JSONObject.maximumDimension) throws(Diagnostic) -> Int {
        guard let value = try optionalInteger(key) ?? fallback else { throw wrong(key, "an integer") }
        guard 1...limit ~= value else { throw invalid(key, "is \(value)", expected: "1 to \(limit)") }
        return value
    }

    func positive(_ key: String, default fallback: Double? = nil) throws(Diagnostic) -> Double {
        guard let value = metadata[key] else {
            if let fallback { return fallback }
            throw wrong(key, "a number")
        }
        guard case .number(let number) = value, Float(number) > 0, Float(number).isFinite else { throw wrong(key, "a positive number") }
        return number
    }

    func optionalBool(_ key: String) throws(Diagnostic) -> Bool? {
        guard let value = metadata[key] else { return nil }
        guard case .bool(let bool) = value else { throw wrong(key, "a boolean") }
        return bool
    }

    func optionalString(_ key: String) throws(Diagnostic) -> String? {
        guard let value = metadata[key] else { return nil }
        guard case .string(let bytes) = value, let text = String(validating: bytes, as: UTF8.self), hasFewMarks(text) else {
            throw wrong(key, "text")
        }
        return text
    }

    private func array(_ key: String, _ types: [UInt32], _ expected: String) throws(Diagnostic) -> Elements? {
        guard let value = metadata[key] else { return nil }
        guard case .array(let array) = value, types.contains(array.element) else { throw wrong(key, expected) }
        return array
    }

    func optionalStrings(_ key: String) throws(Diagnostic) -> [[UInt8]]? {
        guard let array = try array(key, [8], "an array of strings") else { return nil }
        var reader = Reader(file: file, position: array.offset)
        var texts: [[UInt8]] = []
        texts.reserveCapacity(array.count)
        for _ in 0..<array.count { texts.append(try reader.string()) }
        return texts
    }

    func optionalIntegers(_ key: String) throws(Diagnostic) -> [Int]? {
        guard let array = try array(key, [0, 1, 2, 3, 4, 5, 10, 11], "an array of integers") else { return nil }
        return try elements(array) { value in if case .integer(let number) = value { number } else { nil } }
    }

    func optionalFloats(_ key: String) throws(Diagnostic) -> [Float]? {
        guard let array = try array(key, [6, 12], "an array of numbers") else { return nil }
        return try elements(array) { value in if case .number(let number) = value { Float(number) } else { nil } }
    }

    private func elements<T>(_ array: Elements, _ convert: (Value) -> T?) throws(Diagnostic) -> [T] {
        var reader = Reader(file: file, position: array.offset)
        var result: [T] = []
        result.reserveCapacity(array.count)
        for _ in 0..<array.count {
            guard let element = convert(try reader.value(type: array.element)) else {
                throw reader.fault("a number beyond 63 bits", at: reader.position, "a smaller one")
            }
            result.append(element)
        }
        return result
    }
}

extension GGUFFile {
    /// Reads forward, and never past the file's end.
    private struct Reader {
        let file: MappedFile
        var position: UInt64 = 0

        func fault(_ problem: String, at offset: UInt64, _ expected: String) -> Diagnostic {
            .error(problem, at: .byte(file: file.path, offset: offset), expected: expected)
        }

        private mutating func take(_ count: UInt64) throws(Diagnostic) -> Range<UInt64> {
            let rest = file.size - position
            guard count <= rest else { throw fault("\(count) bytes", at: position, "at most the \(rest) that are left") }
            defer { position += count }
            return position..<position + count
        }

        mutating func bytes(_ count: UInt64) throws(Diagnostic) -> [UInt8] { file.withBytes(try take(count)) { Array($0) } }

        mutating func number(_ count: UInt64) throws(Diagnostic) -> UInt64 {
            file.withBytes(try take(count)) { bytes in bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) } }
        }

        mutating func string() throws(Diagnostic) -> [UInt8] { try bytes(number(8)) }

        mutating func text() throws(Diagnostic) -> String {
            let start = position
            guard let text = String(validating: try string(), as: UTF8.self), hasFewMarks(text) else {
                throw fault("a name is no UTF-8 text", at: start, "text")
            }
            return text
        }

        mutating func value(type: UInt32) throws(Diagnostic) -> Value {
            let start = position
            switch type {
            case 0: return .integer(Int(try number(1)))
            case 1: return .integer(Int(Int8(truncatingIfNeeded: try number(1))))
            case 2: return .integer(Int(try number(2)))
            case 3: return .integer(Int(Int16(truncatingIfNeeded: try number(2))))
            case 4: return .integer(Int(try number(4)))
            case 5: return .integer(Int(Int32(truncatingIfNeeded: try number(4))))
            case 6: return .number(Double(Float(bitPattern: UInt32(try number(4)))))
            case 7: return .bool(try number(1) != 0)
            case 8: return .string(try string())
            case 9:
                let element = UInt32(try number(4)), count = try number(8)
                let offset = position
                if element == 8 {
                    for _ in 0..<count { _ = try take(number(8)) }
                } else {
                    guard let size = [0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8][element] as UInt64? else {
                        throw fault("an array of type \(element)", at: start, "numbers, booleans or strings")
                    }
                    let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
                    guard !overflow else { throw fault("an array of \(count) elements", at: start, "what the file holds") }
                    _ = try take(bytes)
                }
                return .array(Elements(element: element, count: Int(count), offset: offset))
            case 10, 11:
                let bits = try number(8)
                // Beyond 63 bits it is no size of anything; as a number it stays what it is.
                return type == 11 || bits <= Int.max ? .integer(Int(truncatingIfNeeded: bits)) : .number(Double(bits))
            case 12: return .number(Double(bitPattern: try number(8)))
            default: throw fault("a value of type \(type)", at: start, "0 to 12")
            }
        }
    }
}
