import Glibc
import Support
import Synchronization

public enum Verbosity: Sendable {
    case quiet, normal, verbose
}

/// Tells on standard error what stage the work is in, with bytes and times: a bar on a terminal, plain lines otherwise.
public final class Progress: Sendable {
    public let verbosity: Verbosity
    private let isTerminal: Bool

    private struct Stage {
        var name = ""
        var began = 0.0
        var total = 0
        var done = 0
        /// When the bar was last drawn, or the last tenth that a line was written for
        var drawn = 0.0
        var tenth = 0
        var barIsVisible = false
    }
    private let state = Mutex(Stage())

    public init(_ verbosity: Verbosity) {
        self.verbosity = verbosity
        isTerminal = isatty(STDERR_FILENO) == 1
        if isTerminal { Interrupts.beforeExit { writeToTerminal("\r\u{1B}[K") } }
    }

    /// Runs one stage; `detail` turns its result into what the closing line says.
    public func stage<Result>(
        _ name: String, totalBytes: Int = 0, detail: (Result) -> String = { _ in "" }, _ body: () throws(Diagnostic) -> Result
    ) throws(Diagnostic) -> Result {
        let began = monotonicSeconds()
        state.withLock { $0 = Stage(name: name, began: began, total: totalBytes) }
        if isTerminal && verbosity != .quiet { draw(force: true) }
        let result: Result
        do throws(Diagnostic) {
            result = try body()
        } catch {
            clearBar()
            throw error
        }
        clearBar()
        if verbosity != .quiet {
            let seconds = monotonicSeconds() - began
            var parts = [detail(result)]
            if totalBytes > 0 {
                parts.append(byteCountText(UInt64(totalBytes)))
                if seconds > 0.5 { parts.append(byteCountText(UInt64(Double(totalBytes) / seconds)) + "/s") }
            }
            let text = parts.filter { !$0.isEmpty }.joined(separator: ", ")
            line("\(padded(name, 10)) \(padded(secondsText(seconds), 8, right: true))  \(text)")
        }
        return result
    }

    /// Counts bytes of the running stage; from any thread.
    public func advance(_ bytes: Int) {
        let (tenth, fraction) = state.withLock { stage in
            stage.done += bytes
            let fraction = stage.total > 0 ? Double(stage.done) / Double(stage.total) : 0
            let tenth = Int(fraction * 10)
            // Lines only for stages that take a while.
            let isDue = tenth > stage.tenth && tenth < 10 && monotonicSeconds() - stage.began > 5
            if isDue { stage.tenth = tenth }
            return (isDue ? tenth : nil, fraction)
        }
        guard verbosity != .quiet else { return }
        if isTerminal {
            draw(force: false)
        } else if tenth != nil {
            let (name, done, total, began) = state.withLock { ($0.name, $0.done, $0.total, $0.began) }
            let amounts = "\(byteCountText(UInt64(done))) of \(byteCountText(UInt64(total)))"
            line(
                "\(padded(name, 10)) \(padded(secondsText(monotonicSeconds() - began), 8, right: true))  \(Int(fraction * 100)) %, \(amounts)"
            )
        }
    }

    /// One line with `--verbose`.
    public func verbose(_ text: @autoclosure () -> String) {
        guard verbosity == .verbose else { return }
        clearBar()
        line("  " + text())
    }

    /// A warning or a note.
    public func report(_ diagnostic: Diagnostic) {
        guard verbosity != .quiet else { return }
        clearBar()
        line(diagnostic.rendered)
    }

    private func line(_ text: String) {
        var text = text
        while text.last == " " { text.removeLast() }
        writeStandardError(text + "\n")
    }

    private func draw(force: Bool) {
        let now = monotonicSeconds()
        let text: String? = state.withLock { stage in
            guard force || now - stage.drawn > 0.1 else { return nil }
            stage.drawn = now
            stage.barIsVisible = true
            var text = "\(padded(stage.name, 10)) \(padded(secondsText(now - stage.began), 8, right: true))"
            if stage.total > 0 {
                let fraction = min(1, Double(stage.done) / Double(stage.total))
                let filled = Int(fraction * 24)
                text += "  [" + String(repeating: "#", count: filled) + String(repeating: ".", count: 24 - filled) + "]"
                text += " \(Int(fraction * 100)) %  \(byteCountText(UInt64(stage.done)))"
            }
            return text
        }
        if let text { writeToTerminal("\r\u{1B}[K" + text) }
    }

    private func clearBar() {
        let wasVisible = state.withLock { stage in
            defer { stage.barIsVisible = false }
            return stage.barIsVisible
        }
        if wasVisible { writeToTerminal("\r\u{1B}[K") }
    }
}

public func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

/// `12 ms`, `3.4 s`, `2 min 5 s`.
public func secondsText(_ seconds: Double) -> String {
    if seconds < 0.9995 { return "\(Int((seconds * 1000).rounded())) ms" }
    if seconds < 99.95 {
        let tenths = Int((seconds * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) s"
    }
    let whole = Int(seconds.rounded())
    return "\(whole / 60) min \(whole % 60) s"
}

public func padded(_ text: String, _ width: Int, right: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - text.count))
    return right ? space + text : text + space
}
