/// Any JSON value. Integers that fit in 64 bits are exact; other numbers are doubles.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// The kind with its article, as messages name it.
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// Parses UTF-8 JSON text; errors name `file` and count bytes from `origin`, where the text begins in the file.
    public static func parse(_ bytes: some Collection<UInt8>, file: String, origin: UInt64 = 0) throws(Diagnostic) -> JSONValue {
        var parser = JSONParser(bytes: Array(bytes), file: file, origin: origin)
        return try parser.parse()
    }

    /// Reads and parses the JSON file `path`, at most 256 MiB of it.
    public static func read(path: String) throws(Diagnostic) -> JSONValue {
        try parse(readFile(path, limit: 256 << 20), file: path)
    }
}

/// A JSON object of a file with typed look-ups whose errors name the file, the key, and both kinds.
///
/// Every look-up treats `null` as absent.
public struct JSONObject: Sendable, Equatable {
    public let file: String
    /// The dotted keys from the file's root to this object; empty for the root.
    public let path: String
    public let members: [String: JSONValue]

    public init(file: String, path: String = "", members: [String: JSONValue]) {
        self.file = file
        self.path = path
        self.members = members
    }

    /// Reads a file whose root is an object.
    public init(readingFile file: String) throws(Diagnostic) {
        try self.init(root: JSONValue.read(path: file), file: file)
    }

    /// Parses text whose root is an object; `file` and `origin` as in `JSONValue.parse`.
    public init(parsing bytes: some Collection<UInt8>, file: String, origin: UInt64 = 0) throws(Diagnostic) {
        try self.init(root: JSONValue.parse(bytes, file: file, origin: origin), file: file)
    }

    private init(root: JSONValue, file: String) throws(Diagnostic) {
        guard case .object(let members) = root else {
            throw .error("the top level is \(root.kind)", at: .file(file), expected: "an object")
        }
        self.init(file: file, members: members)
    }

    public subscript(key: String) -> JSONValue? {
        guard let value = members[key], value != .null else { return nil }
        return value
    }

    /// The dotted path of one of this object's keys, as messages name it.
    public func keyPath(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// An error about `key`: `key 'k' <problem>, at file 'f'; expected <expected>`.
    public func invalid(
        _ key: String, _ problem: String, expected: String? = nil, notes: [String] = []
    ) -> Diagnostic {
        .error("key \(quoted(keyPath(key))) \(problem)", at: .file(file), expected: expected, notes: notes)
    }

    public func string(_ key: String) throws(Diagnostic) -> String { try required(key, "a string", optionalString) }
    public func bool(_ key: String) throws(Diagnostic) -> Bool { try required(key, "a boolean", optionalBool) }
    public func integer(_ key: String) throws(Diagnostic) -> Int { try required(key, "an integer", optionalInteger) }
    /// Finite by construction; an integer is accepted.
    public func double(_ key: String) throws(Diagnostic) -> Double { try required(key, "a number", optionalDouble) }
    public func array(_ key: String) throws(Diagnostic) -> [JSONValue] { try required(key, "an array", optionalArray) }
    public func integers(_ key: String) throws(Diagnostic) -> [Int] { try required(key, "an array of integers", optionalIntegers) }
    public func doubles(_ key: String) throws(Diagnostic) -> [Double] { try required(key, "an array of numbers", optionalDoubles) }
    public func object(_ key: String) throws(Diagnostic) -> JSONObject { try required(key, "an object", optionalObject) }

    public func optionalString(_ key: String) throws(Diagnostic) -> String? {
        try lookup(key, expected: "a string") { if case .string(let value) = $0 { value } else { nil } }
    }

    public func optionalBool(_ key: String) throws(Diagnostic) -> Bool? {
        try lookup(key, expected: "a boolean") { if case .bool(let value) = $0 { value } else { nil } }
    }

    public func optionalInteger(_ key: String) throws(Diagnostic) -> Int? {
        try lookup(key, expected: "an integer", Self.integer)
    }

    public func optionalDouble(_ key: String) throws(Diagnostic) -> Double? {
        try lookup(key, expected: "a number", Self.double)
    }

    public func optionalArray(_ key: String) throws(Diagnostic) -> [JSONValue]? {
        try lookup(key, expected: "an array") { if case .array(let values) = $0 { values } else { nil } }
    }

    public func optionalIntegers(_ key: String) throws(Diagnostic) -> [Int]? {
        try elements(key, expected: "an array of integers", Self.integer)
    }

    public func optionalDoubles(_ key: String) throws(Diagnostic) -> [Double]? {
        try elements(key, expected: "an array of numbers", Self.double)
    }

    public func optionalObject(_ key: String) throws(Diagnostic) -> JSONObject? {
        try lookup(key, expected: "an object") { value in
            guard case .object(let members) = value else { return nil }
            return JSONObject(file: file, path: keyPath(key), members: members)
        }
    }

    private static func integer(_ value: JSONValue) -> Int? {
        switch value {
        case .integer(let value): Int(exactly: value)
        // 4096.0 is what some writers make of 4096.
        case .number(let value): Int(exactly: value)
        case .null, .bool, .string, .array, .object: nil
        }
    }

    private static func double(_ value: JSONValue) -> Double? {
        switch value {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .null, .bool, .string, .array, .object: nil
        }
    }

    private func required<T>(
        _ key: String, _ kind: String, _ lookup: (String) throws(Diagnostic) -> T?
    ) throws(Diagnostic) -> T {
        if let value = try lookup(key) { return value }
        throw invalid(key, members[key] == nil ? "is missing" : "is null", expected: kind)
    }

    private func lookup<T>(
        _ key: String, expected: String, _ convert: (JSONValue) -> T?
    ) throws(Diagnostic) -> T? {
        guard let value = self[key] else { return nil }
        if let result = convert(value) { return result }
        throw invalid(key, "is \(value.kind)", expected: expected)
    }

    private func elements<T>(
        _ key: String, expected: String, _ convert: (JSONValue) -> T?
    ) throws(Diagnostic) -> [T]? {
        guard let values = try lookup(key, expected: expected, { if case .array(let a) = $0 { a } else { nil } })
        else { return nil }
        var result: [T] = []
        result.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            guard let element = convert(value) else {
                throw invalid("\(key)[\(index)]", "is \(value.kind)", expected: expected)
            }
            result.append(element)
        }
        return result
    }
}
