import ArgumentParser
import Driver
import Glibc
import Support
import Work

// Before any thread exists: the signals that end lmmc are then watched by one thread that cleans up.
Interrupts.install()
exit(run(commandLineArguments()))

/// Parses and runs; the exit code is 0 (done), 1 (the work failed) or 2 (the command line is wrong).
func run(_ arguments: [String]) -> Int32 {
    let names = Command.configuration.subcommands.map { $0._commandName }
    if arguments.isEmpty {
        return report(.usage("the command is missing", expected: "one of \(quotedList(names)); 'lmmc --help' says more"))
    }
    if let name = arguments.first, !name.hasPrefix("-"), name != "help", !names.contains(name) {
        return report(.usage("unknown command \(quoted(name))\(nearestHint(to: name, among: names))", expected: quotedList(names)))
    }
    do {
        var command = try Command.parseAsRoot(arguments)
        try command.run()
        return 0
    } catch let diagnostic as Diagnostic {
        return report(diagnostic)
    } catch {
        guard Command.exitCode(for: error) != .success else {
            print(Command.fullMessage(for: error))
            return 0
        }
        return report(.usage(oneLine(Command.message(for: error)), notes: ["'lmmc --help' says more"]))
    }
}

func report(_ diagnostic: Diagnostic) -> Int32 {
    writeStandardError(diagnostic.rendered + "\n")
    return diagnostic.exitCode
}

/// The parser's message in the form that all messages have: one line, lower case, no full stop.
func oneLine(_ message: String) -> String {
    let lines = message.split(whereSeparator: \.isNewline).map { line in
        var line = line.split(separator: " ").joined(separator: " ")
        if line.hasSuffix(".") { line.removeLast() }
        return line
    }
    let text = lines.filter { !$0.isEmpty }.joined(separator: "; ")
    return text.prefix(1).lowercased() + text.dropFirst()
}
