import Glibc
import IR
import IRText
import Passes
import Support

extension Lmmc {
    /// `lmmc ir MODEL --stage NAME`: the IR text after a stage, on standard output; `list` names the stages.
    public static func ir(_ options: ModelOptions?, stage: String, format: String) throws(Diagnostic) {
        let formats = ["text", "dot", "json"]
        guard formats.contains(format) else {
            throw .usage("unknown value \(quoted(format))", at: .option("--format"), expected: quotedList(formats))
        }
        guard format == "text" else {
            throw .usage("format \(quoted(format)) is not supported yet", at: .option("--format"), expected: "'text'")
        }
        if stage == "list" { return try writeStandardOutput(FrontEnd.stageNames.map { $0 + "\n" }.joined()) }
        let stage = stage == "final" ? "optimized" : stage
        guard FrontEnd.stageNames.contains(stage) else {
            let nearest = nearestName(to: stage, among: FrontEnd.stageNames).map { "; did you mean \(quoted($0))?" } ?? ""
            throw .usage("unknown stage \(quoted(stage))\(nearest)", at: .option("--stage"), expected: quotedList(FrontEnd.stageNames))
        }
        guard let options else { throw .usage("the checkpoint folder is missing", expected: "'lmmc ir MODEL --stage NAME'") }
        let module = try FrontEnd.open(options).run { name, _, _ throws(Diagnostic) in name != stage }
        try writeStandardOutput(module.description)
    }

    /// `lmmc opt FILE.ir --passes a,b,c`: exactly those passes over IR text; `list` names them, `-` is standard input.
    public static func opt(file: String?, passes: String) throws(Diagnostic) {
        if passes == "list" {
            let width = Pipeline.passes.map(\.name.count).max() ?? 0
            return try writeStandardOutput(Pipeline.passes.map { "\(padded($0.name, width))  \($0.reason)\n" }.joined())
        }
        guard let file else { throw .usage("the file of IR text is missing", expected: "'lmmc opt FILE.ir --passes NAME,...'") }
        let names = passes.split(separator: ",", omittingEmptySubsequences: false).map { $0.trimmingPrefix(while: \.isWhitespace) }
        var chosen: [Pass] = []
        for name in names where !(names.count == 1 && name.isEmpty) { chosen.append(try Pipeline.pass(named: String(name))) }
        let bytes = file == "-" ? try readStandardInput() : try readFile(file, limit: 1 << 30)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .error("the text is not UTF-8", at: .file(file), expected: "IR text")
        }
        var module = try parseModule(text, file: file == "-" ? "standard input" : file)
        try Pipeline.run(chosen, on: &module)
        try writeStandardOutput(module.description)
    }
}

private func readStandardInput() throws(Diagnostic) -> [UInt8] {
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 1 << 16)
    while true {
        let got = read(STDIN_FILENO, &block, block.count)
        if got < 0 && errno == EINTR { continue }
        guard got >= 0 else { throw .system("read", path: "standard input", code: errno) }
        if got == 0 { return bytes }
        bytes += block[..<got]
    }
}
