/// JSON to write: members keep their order.
public indirect enum JSONText: Sendable {
    case string(String)
    case integer(Int)
    case number(Double)
    case bool(Bool)
    case null
    case array([JSONText])
    /// An array with one item per line where `indent` is given.
    case lines([JSONText])
    case object([(String, JSONText)])

    /// Members sorted by key.
    public init(_ value: JSONValue) {
        self =
            switch value {
            case .null: .null
            case .bool(let value): .bool(value)
            case .integer(let value): .integer(Int(value))
            case .number(let value): .number(value)
            case .string(let value): .string(value)
            case .array(let values): .array(values.map { JSONText($0) })
            case .object(let members): .object(members.sorted { $0.key < $1.key }.map { ($0.key, JSONText($0.value)) })
            }
    }

    /// On one line, or with two spaces per level when `indent` is given.
    public func text(indent: Int? = nil) -> String {
        switch self {
        case .string(let value): Self.quoted(value)
        case .integer(let value): String(value)
        case .number(let value): value.isFinite ? "\(value)" : "null"
        case .bool(let value): value ? "true" : "false"
        case .null: "null"
        case .array(let items): Self.list(items.map { $0.text() }, "[", "]", indent: nil)
        case .lines(let items): Self.list(items.map { $0.text() }, "[", "]", indent: indent)
        case .object(let members):
            Self.list(members.map { "\(Self.quoted($0.0)): \($0.1.text(indent: indent.map { $0 + 1 }))" }, "{", "}", indent: indent)
        }
    }

    private static func list(_ items: [String], _ open: String, _ close: String, indent: Int?) -> String {
        guard let indent, !items.isEmpty else { return open + items.joined(separator: ", ") + close }
        let space = String(repeating: "  ", count: indent)
        return "\(open)\n\(space)  " + items.joined(separator: ",\n\(space)  ") + "\n\(space)\(close)"
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case _ where isUnprintable(scalar):
                // JSON has no bytes: one of a path is shown as in messages.
                if let byte = pathByte(scalar) {
                    result += "\\\\x" + String(byte, radix: 16)
                    continue
                }
                for unit in UTF16.encode(scalar)! {
                    let digits = String(unit, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}

extension JSONText: ExpressibleByStringLiteral {
    public init(stringLiteral value: String) { self = .string(value) }
}

extension JSONText: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: Int) { self = .integer(value) }
}
