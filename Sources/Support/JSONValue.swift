import Foundation

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

    /// Parses UTF-8 JSON text; `file` is only named in errors. NaN and Infinity, which Python writes, are refused.
    public static func parse(_ bytes: some Collection<UInt8>, file: String) throws(Diagnostic) -> JSONValue {
        do {
            return try JSONDecoder().decode(JSONValue.self, from: Data(bytes))
        } catch {
            let tokens = ["NaN", "Infinity"].filter { token in bareTokens(in: bytes).contains(token) }
            if let token = tokens.first {
                throw .error("number \(quoted(token)) is not JSON", at: .file(file), expected: "finite numbers")
            }
            throw .error("not valid JSON\(position(of: error))", at: .file(file), expected: "JSON text in UTF-8")
        }
    }

    /// Reads and parses the JSON file `path`, at most 256 MiB of it.
    public static func read(path: String) throws(Diagnostic) -> JSONValue {
        try parse(readFile(path, limit: 256 << 20), file: path)
    }

    /// The place of the fault, as far as Foundation tells it.
    private static func position(of error: any Error) -> String {
        guard case DecodingError.dataCorrupted(let context) = error,
            let text = (context.underlyingError as NSError?)?.userInfo["NSDebugDescription"] as? String,
            let place = text.range(of: #"line \d+, column \d+"#, options: .regularExpression)
        else { return "" }
        return " (\(text[place]))"
    }

    /// The words outside strings, to recognise what Python's json module writes for non-finite numbers.
    private static func bareTokens(in bytes: some Collection<UInt8>) -> Set<String> {
        var words: Set<String> = [], word: [UInt8] = []
        var inString = false, escaped = false
        for byte in bytes {
            if inString {
                (inString, escaped) = (escaped || byte != UInt8(ascii: "\""), !escaped && byte == UInt8(ascii: "\\"))
                continue
            }
            if (UInt8(ascii: "A")...UInt8(ascii: "z")).contains(byte) {
                word.append(byte)
                continue
            }
            if !word.isEmpty { words.insert(String(decoding: word, as: UTF8.self)) }
            word = []
            inString = byte == UInt8(ascii: "\"")
        }
        if !word.isEmpty { words.insert(String(decoding: word, as: UTF8.self)) }
        return words
    }
}

extension JSONValue: Decodable {
    public init(from decoder: any Decoder) throws {
        // A decoder gives no way to ask for the kind, so the kinds are tried, the frequent ones first.
        if let container = try? decoder.singleValueContainer() {
            if container.decodeNil() {
                self = .null
                return
            }
            if let value = try? container.decode(String.self) {
                self = .string(value)
                return
            }
            if let value = try? container.decode(Int64.self) {
                self = .integer(value)
                return
            }
            if let value = try? container.decode(Bool.self) {
                self = .bool(value)
                return
            }
            if let value = try? container.decode(Double.self) {
                self = .number(value)
                return
            }
        }
        if var container = try? decoder.unkeyedContainer() {
            var values: [JSONValue] = []
            while !container.isAtEnd { values.append(try container.decode(JSONValue.self)) }
            self = .array(values)
            return
        }
        let container = try decoder.container(keyedBy: AnyKey.self)
        var members: [String: JSONValue] = [:]
        for key in container.allKeys { members[key.stringValue] = try container.decode(JSONValue.self, forKey: key) }
        self = .object(members)
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
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

    /// Parses text whose root is an object; `file` is only named in errors.
    public init(parsing bytes: some Collection<UInt8>, file: String) throws(Diagnostic) {
        try self.init(root: JSONValue.parse(bytes, file: file), file: file)
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

    public func string(_ key: String) throws(Diagnostic) -> String { try required(key, optionalString) }
    public func bool(_ key: String) throws(Diagnostic) -> Bool { try required(key, optionalBool) }
    public func integer(_ key: String) throws(Diagnostic) -> Int { try required(key, optionalInteger) }
    /// Finite by construction; an integer is accepted.
    public func double(_ key: String) throws(Diagnostic) -> Double { try required(key, optionalDouble) }
    public func array(_ key: String) throws(Diagnostic) -> [JSONValue] { try required(key, optionalArray) }
    public func integers(_ key: String) throws(Diagnostic) -> [Int] { try required(key, optionalIntegers) }
    public func doubles(_ key: String) throws(Diagnostic) -> [Double] { try required(key, optionalDoubles) }
    public func object(_ key: String) throws(Diagnostic) -> JSONObject { try required(key, optionalObject) }

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
        if case .integer(let value) = value { Int(exactly: value) } else { nil }
    }

    private static func double(_ value: JSONValue) -> Double? {
        switch value {
        case .integer(let value): Double(value)
        case .number(let value): value
        case .null, .bool, .string, .array, .object: nil
        }
    }

    private func required<T>(
        _ key: String, _ lookup: (String) throws(Diagnostic) -> T?
    ) throws(Diagnostic) -> T {
        if let value = try lookup(key) { return value }
        throw invalid(key, members[key] == nil ? "is missing" : "is null")
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
