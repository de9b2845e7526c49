import IR
import Passes
import Support
import Work

/// How `compile`, `ir` and `opt` run passes.
public struct PassOptions: Sendable {
    public var disabled: [String]
    /// The IR text after each of these goes to standard error.
    public var printAfter: [String]
    public var verifyEach: Bool
    /// A table on standard error when the passes are done.
    public var timePasses: Bool

    public init(disabled: [String] = [], printAfter: [String] = [], verifyEach: Bool = true, timePasses: Bool = false) {
        self.disabled = disabled
        self.printAfter = printAfter
        self.verifyEach = verifyEach
        self.timePasses = timePasses
    }

    /// Those of `passes` that are not disabled; an option that names an unknown pass, or one that is not run, is an error.
    func chosen(from passes: [Pass]) throws(Diagnostic) -> [Pass] {
        for (option, names) in [("--disable-pass", disabled), ("--print-after", printAfter)] {
            for name in names {
                let pass = try Pipeline.pass(named: name, option: option)
                guard passes.contains(where: { $0.name == pass.name }), option == "--disable-pass" || !disabled.contains(name) else {
                    throw .usage("pass \(quoted(name)) is not run", at: .option(option), expected: "a pass that is")
                }
            }
        }
        return passes.filter { !disabled.contains($0.name) }
    }
}

/// One pass that has run.
struct PassRun {
    var pass: Pass
    var rewrites: Int
    var seconds: Double
    var verifySeconds: Double
    var operations: Int
}

extension PassOptions {
    /// Runs the passes of `passes` that are not disabled, and says on standard error what was asked for. `observe` sees each pass with the
    /// module after it; when it returns false, the rest is left out.
    func run(
        _ passes: [Pass], on module: inout Module,
        observe: (PassRun, Module) throws(Diagnostic) -> Bool = { _, _ throws(Diagnostic) in true }
    ) throws(Diagnostic) {
        var runs: [PassRun] = []
        defer { if timePasses { writeStandardError(Self.table(runs)) } }
        for pass in try chosen(from: passes) {
            let began = monotonicSeconds()
            var rewrites = 0
            try Pipeline.run([pass], on: &module, verifyEach: false) { (_, count, _) throws(Diagnostic) in rewrites = count }
            let done = monotonicSeconds()
            if verifyEach { try module.verify(after: pass.name) }
            let run = PassRun(
                pass: pass, rewrites: rewrites, seconds: done - began, verifySeconds: monotonicSeconds() - done,
                operations: module.operationCount)
            runs.append(run)
            if printAfter.contains(pass.name) { writeStandardError("// after pass '\(pass.name)', \(rewrites) rewrites\n\(module)") }
            guard try observe(run, module) else { return }
        }
    }

    private static func table(_ runs: [PassRun]) -> String {
        func milliseconds(_ seconds: Double) -> String {
            let tenths = Int((seconds * 10_000).rounded())
            return "\(tenths / 10).\(tenths % 10)"
        }
        let all = [
            "all", "\(runs.reduce(0) { $0 + $1.rewrites })", milliseconds(runs.reduce(0) { $0 + $1.seconds }),
            milliseconds(runs.reduce(0) { $0 + $1.verifySeconds }), runs.last.map { "\($0.operations)" } ?? "",
        ]
        let rows =
            [["pass", "rewrites", "ms", "verify ms", "operations"]]
            + runs.map {
                [$0.pass.name, "\($0.rewrites)", milliseconds($0.seconds), milliseconds($0.verifySeconds), "\($0.operations)"]
            } + [all]
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.indices.map { padded(row[$0], widths[$0], right: $0 > 0) }.joined(separator: "  ") + "\n"
        }.joined()
    }
}
