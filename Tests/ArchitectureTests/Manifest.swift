import Foundation

/// A target as `Package.swift` writes it.
struct Target: Equatable {
    var name: String
    /// Relative to the package.
    var folder: String
    /// Names of modules.
    var dependencies: Set<String>
    var isTest: Bool
}

/// Reads the targets out of the text of a `Package.swift` in which names, dependencies and paths are literals, or names of the manifest's own
/// constants for products.
struct Manifest {
    private(set) var targets: [Target] = []
    /// What stands where a literal should.
    private(set) var unread: [String] = []

    init(_ source: String) {
        let text = source.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.drop { $0 == " " }.hasPrefix("//") ? "" : String(line)
        }.joined(separator: "\n")
        var products: [String: String] = [:]
        for match in text.matches(of: #/let (\w+): Target\.Dependency = \.product\(name: "(\w+)"/#) {
            products[String(match.1)] = String(match.2)
        }
        var rest = text[...]
        while let match = rest.firstMatch(of: #/\.(target|executableTarget|testTarget)\(/#) {
            let body = rest[match.range.upperBound...]
            let arguments = Self.untilClosing(body)
            rest = body[arguments.endIndex...]
            let isTest = match.1 == "testTarget"
            guard let name = arguments.firstMatch(of: #/name:\s*"(\w+)"/#)?.1 else {
                unread.append("a target without a name")
                continue
            }
            var dependencies: Set<String> = []
            if let list = arguments.firstMatch(of: #/dependencies:\s*\[/#) {
                for part in Self.untilClosing(arguments[list.range.upperBound...]).split(separator: ",") {
                    let item = part.trimmingCharacters(in: .whitespacesAndNewlines)
                    if let literal = item.wholeMatch(of: #/"(\w+)"/#) {
                        dependencies.insert(String(literal.1))
                    } else if let product = products[item] {
                        dependencies.insert(product)
                    } else if !item.isEmpty {
                        unread.append("dependency '\(item)' of \(name)")
                    }
                }
            } else if arguments.contains("dependencies:") {
                unread.append("the dependencies of \(name)")
            }
            let path = arguments.firstMatch(of: #/path:\s*"([^"]+)"/#).map { String($0.1) }
            targets.append(
                Target(
                    name: String(name), folder: path ?? (isTest ? "Tests/" : "Sources/") + name, dependencies: dependencies, isTest: isTest)
            )
        }
    }

    /// What stands before the bracket that closes one before `text`.
    private static func untilClosing(_ text: Substring) -> Substring {
        var depth = 1
        for index in text.indices {
            if "([".contains(text[index]) { depth += 1 }
            if ")]".contains(text[index]) { depth -= 1 }
            if depth == 0 { return text[..<index] }
        }
        return text
    }
}

/// The table of rooms in Docs/Architecture.md: for each folder what its third column names.
func rooms(_ document: String) -> [(folder: String, imports: Set<String>)] {
    let lines = document.split(separator: "\n", omittingEmptySubsequences: false)
    guard let header = lines.firstIndex(of: "| folder | owns | imports |") else { return [] }
    return lines[(header + 2)...].prefix { $0.hasPrefix("|") }.flatMap { line in
        let cells = line.split(separator: "|", omittingEmptySubsequences: false).map { $0.trimmingCharacters(in: .whitespaces) }
        let imports = Set(cells.count > 3 ? cells[3].split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) } : [])
        return cells[1].matches(of: #/`([^`]+)`/#).map { (String($0.1), imports) }
    }
}

/// The modules that a Swift file imports.
func imports(_ source: String) -> Set<String> {
    let statement =
        #/^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|fileprivate|private)\s+)?import\s+(?:(?:enum|struct|class|protocol|typealias|func|var|let)\s+)?(\w+)/#
    return Set(source.split(separator: "\n").compactMap { $0.prefixMatch(of: statement).map { String($0.1) } })
}
