/// Where a diagnostic points.
public enum Site: Sendable, Equatable {
    case file(String)
    /// `offset` counts bytes from the start of the file.
    case byte(file: String, offset: UInt64)
    /// A tensor by the name its file gives it.
    case tensor(String, file: String?)
    /// A place in a tensor, as `elementPlace` has it.
    case element(String, of: String, file: String)
    /// A command-line option with its dashes.
    case option(String)
    /// `line` and `column` count from 1.
    case line(file: String, line: Int, column: Int)
    /// An operation of the IR by its result name or mnemonic.
    case operation(String)

    var rendered: String {
        switch self {
        case .file(let file): "file \(quoted(file))"
        case .byte(let file, let offset): "byte \(offset) of file \(quoted(file))"
        case .tensor(let name, nil): "tensor \(quoted(name))"
        case .tensor(let name, let file?): "tensor \(quoted(name)) of file \(quoted(file))"
        case .element(let place, let name, let file): "tensor \(quoted(name)) \(place) of file \(quoted(file))"
        case .option(let name): "option \(quoted(name))"
        case .line(let file, let line, let column): "line \(line), column \(column) of file \(quoted(file))"
        case .operation(let name): "operation \(quoted(name))"
        }
    }
}

/// One thing to tell the user, as a value: what is wrong, where, and what would be right.
///
/// Texts are lower case without a full stop; names stand in single quotes (`quoted`).
public struct Diagnostic: Error, Sendable, Equatable {
    public enum Level: String, Sendable, Equatable {
        case error, warning, note
    }

    public var level: Level
    public var message: String
    public var site: Site?
    /// What would be right, as a noun phrase.
    public var expected: String?
    public var notes: [String]
    /// 1: the work failed; 2: the command line is wrong.
    public var exitCode: Int32

    public init(
        level: Level, message: String, site: Site? = nil, expected: String? = nil, notes: [String] = [],
        exitCode: Int32 = 1
    ) {
        self.level = level
        self.message = message
        self.site = site
        self.expected = expected
        self.notes = notes
        self.exitCode = exitCode
    }

    /// The work cannot go on (exit code 1).
    public static func error(
        _ message: String, at site: Site? = nil, expected: String? = nil, notes: [String] = []
    ) -> Diagnostic {
        Diagnostic(level: .error, message: message, site: site, expected: expected, notes: notes)
    }

    /// The command line is wrong (exit code 2).
    public static func usage(
        _ message: String, at site: Site? = nil, expected: String? = nil, notes: [String] = []
    ) -> Diagnostic {
        Diagnostic(level: .error, message: message, site: site, expected: expected, notes: notes, exitCode: 2)
    }

    public static func warning(
        _ message: String, at site: Site? = nil, expected: String? = nil, notes: [String] = []
    ) -> Diagnostic {
        Diagnostic(level: .warning, message: message, site: site, expected: expected, notes: notes)
    }

    public static func note(_ message: String, at site: Site? = nil) -> Diagnostic {
        Diagnostic(level: .note, message: message, site: site)
    }

    /// A failed system call: `cannot open 'x': no such file or directory`.
    public static func system(_ action: String, path: String, code: Int32, expected: String? = nil) -> Diagnostic {
        .error("cannot \(action) \(quoted(path)): \(systemErrorText(code))", expected: expected)
    }

    /// A copy with one more note.
    public func noting(_ note: String) -> Diagnostic {
        var copy = self
        copy.notes.append(note)
        return copy
    }

    /// One line: `error: message, at site; expected this; note: that`; the middle of one that nobody would read is left out.
    public var rendered: String {
        var line = "\(level.rawValue): \(message)"
        if let site { line += ", at \(site.rendered)" }
        if let expected { line += "; expected \(expected)" }
        for note in notes { line += "; note: \(note)" }
        line = escapingControls(line)
        // A type of the IR has as many dimensions as its text.
        guard line.utf8.count > 4000 else { return line }
        return "\(line.prefix(2000))...\(line.suffix(1000))"
    }
}

extension Diagnostic: CustomStringConvertible {
    public var description: String { rendered }
}
