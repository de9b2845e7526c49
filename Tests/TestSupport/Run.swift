import Foundation

public struct Run {
    public var status: Int32
    public var output: String
    public var errors: String

    /// The single line on standard error.
    public var errorLine: String { errors.hasSuffix("\n") ? String(errors.dropLast()) : errors }
}

/// Runs a program to its end. SIGINT and SIGTERM are as a shell in the foreground leaves them.
public func run(
    _ arguments: [String], environment: [String: String] = [:], folder: String? = nil, input: String = "",
    while running: ((Process) throws -> Void)? = nil
) throws -> Run {
    let process = Process()
    process.executableURL = URL(filePath: arguments[0])
    process.arguments = Array(arguments.dropFirst())
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    if let folder { process.currentDirectoryURL = URL(filePath: folder) }
    // Files, because nobody would empty pipes while `running` works.
    let scratch = try Scratch()
    for name in ["out", "err", "in"] { _ = try scratch.write(name, name == "in" ? input : "") }
    process.standardOutput = try FileHandle(forWritingTo: URL(filePath: scratch["out"]))
    process.standardError = try FileHandle(forWritingTo: URL(filePath: scratch["err"]))
    process.standardInput = try FileHandle(forReadingFrom: URL(filePath: scratch["in"]))
    try process.run()
    try running?(process)
    process.waitUntilExit()
    func text(_ name: String) throws -> String { String(decoding: try Data(contentsOf: URL(filePath: scratch[name])), as: UTF8.self) }
    return Run(
        status: process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus,
        output: try text("out"), errors: try text("err"))
}
