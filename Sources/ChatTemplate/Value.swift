import Support

indirect enum TemplateValue {
    /// What a missing name or member gives; used for more than a question whether it is there, it is an error by its name.
    case undefined(String)
    case none
    case bool(Bool)
    case integer(Int)
    case text(TemplateText)
    case list([TemplateValue])
    /// In the order of insertion.
    case map([(key: String, value: TemplateValue)])
    case namespace(TemplateNamespace)

    static func string(_ text: String) -> TemplateValue { .text(TemplateText(text)) }

    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .text(let text): !text.isEmpty
        case .list(let list): !list.isEmpty
        case .map(let entries): !entries.isEmpty
        case .namespace: true
        }
    }

    /// As messages name it.
    var kind: String {
        switch self {
        case .undefined(let name): "\(quoted(name)), which is not defined,"
        case .none: "none"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .text: "a text"
        case .list: "a list"
        case .map: "a mapping"
        case .namespace: "a namespace"
        }
    }

    func member(_ name: String) -> TemplateValue? {
        switch self {
        case .map(let entries): entries.first { isSame($0.key, name) }?.value
        case .namespace(let namespace): namespace.members[name]
        case .undefined, .none, .bool, .integer, .text, .list: nil
        }
    }

    /// As `str` writes it; nil where the subset has no such text.
    var printed: TemplateText? {
        switch self {
        case .undefined: TemplateText("")
        case .none: TemplateText("None")
        case .bool(let value): TemplateText(value ? "True" : "False")
        case .integer(let value): TemplateText("\(value)")
        case .text(let text): text
        case .list, .map, .namespace: nil
        }
    }

    var number: Int? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): value
        default: nil
        }
    }
}

/// What `namespace()` makes: the one thing that a template can change.
final class TemplateNamespace {
    var members: [String: TemplateValue] = [:]
}
