import Foundation

/// `EmbedFiles OUTPUT (NAME FILE)...`: Swift source with the text of each file as a static string, which the compiler lays into the executable as
/// it is. The plugin `EmbedRuntime` runs it.
@main struct EmbedFiles {
    static func main() throws {
        let arguments = CommandLine.arguments
        var source = "// Made by EmbedFiles.\nlet embeddedFiles: [(path: StaticString, text: StaticString)] = [\n"
        for index in stride(from: 2, to: arguments.count - 1, by: 2) {
            let text = try String(contentsOfFile: arguments[index + 1], encoding: .utf8)
            source += "(\"\(arguments[index])\", \(literal(text))),\n"
        }
        try (source + "]\n").write(toFile: arguments[1], atomically: true, encoding: .utf8)
    }

    /// A raw literal of several lines, with more number signs than the text has behind any three quotes.
    static func literal(_ text: String) -> String {
        var signs = "#"
        while text.contains("\"\"\"" + signs) || text.contains("\\" + signs) { signs += "#" }
        return "\(signs)\"\"\"\n\(text)\n\"\"\"\(signs)"
    }
}
