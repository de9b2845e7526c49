import Checkpoint
import Packaging
import Plan
import Support
import Toolchain
import Work

/// What every prompt begins with is a constant of the program, and so are its keys and values: the finished program computes them.
extension Compilation {
    /// Fewer tokens are computed as fast as copied; the program asks for as many (Runtime/session/prefix.c).
    static let leastTokens = 8

    /// What is folded; nil where nothing can be, of which a note says why where it is the machine's doing.
    static func prefix(
        _ options: CompileOptions, _ target: Target, _ front: FrontEnd, _ plan: Plan, _ tokenizer: [UInt8], _ progress: Progress
    ) throws(Diagnostic) -> FoldedPrefix? {
        guard options.foldsPrefix else { return nil }
        func leftOut(_ reason: String) -> FoldedPrefix? {
            progress.verbose("the prompt's first tokens are not folded: \(reason)")
            return nil
        }
        let configuration = front.checkpoint.configuration
        let head = try promptHead(
            of: front.template, tokenizer: tokenizer, vocabulary: configuration.decoder.vocabularySize,
            hasImages: configuration.vision != nil, bos: configuration.prompt.addsBOS ? configuration.prompt.bosID.flatMap(Int32.init) : nil
        )
        guard head.count >= leastTokens else { return leftOut("there are \(head.count)") }
        guard head.count < front.context else { return leftOut("there are \(head.count), and the context has \(front.context) positions") }
        if plan.hasFloat32Products { return leftOut("products of float32 weights depend on the rows beside them") }
        if plan.takesWholePrompts { return leftOut("the reducer reads whole prompts") }
        guard target.isHosts else {
            progress.report(
                .note("the prompt's first \(head.count) tokens are not folded, since code for \(target.name) does not run on this machine"))
            return nil
        }
        guard options.emit == .executable else { return leftOut("no program is made to compute them") }
        return try FoldedPrefix(head, plan.slots)
    }

    /// Has `program` compute the rows with the weights that stand in the file `weights` from `base` on, and puts them there. Where it does not,
    /// a note says why and the program computes them each time.
    func fold(
        _ prefix: FoldedPrefix, by program: String, weights: String, _ file: StreamedFile, at base: Int, _ folder: TemporaryFolder
    ) throws(Diagnostic) {
        var reason: String?
        try progress.stage(
            "fold",
            detail: { _ in reason == nil ? "\(prefix.tokens.count) tokens, \(byteCountText(UInt64(prefix.byteCount)))" : "left out" }
        ) { () throws(Diagnostic) in
            let computed = folder.file("prefix")
            do throws(Diagnostic) {
                let result = try runSubprocess(
                    [program, "--fold-prefix", computed],
                    environment: ["LMMC_WEIGHTS": weights, "LMMC_WEIGHTS_OFFSET": "\(base)"], temporary: folder.path,
                    log: folder.file("log"))
                if result.status == Self.alarmStatus {
                    reason = "it takes the program more than 30 s here"
                } else if result.status != 0 {
                    let line = result.output.split(separator: "\n").last.map { String($0.trimmingPrefix("error: ")) }
                    reason = line ?? "the program ended with \(result.status)"
                }
            } catch { reason = error.message }
            if reason == nil { try prefix.fill(from: computed, in: file, at: base + layout.prefixOffset) }
        }
        if let reason { progress.report(.note("the prompt's first \(prefix.tokens.count) tokens are not folded: \(reason)")) }
    }

    /// The status of a program that SIGALRM ended, as it has asked for
    private static let alarmStatus: Int32 = 128 + 14
}
