import Checkpoint
import Foundation
import IR
import Plan
import Reference
import Support

/// Streams a plan's weights into a file as 32-bit floats, a few megabytes at a time, on two threads.
///
/// Memory stays small whatever the size: sources are mapped and their pages given back as they are read, and what was
/// written is flushed and dropped from the page cache every so often, since dirty pages count as memory, too.
struct WeightWriter: Sendable {
    let module: Module
    let plan: Plan
    let checkpoint: Checkpoint
    /// Named in errors.
    let path: String
    /// Called with the bytes written, from any thread.
    let advance: @Sendable (Int) -> Void

    /// Elements per piece: 4 MiB as floats.
    static let pieceElements = 1 << 20
    /// Bytes between flushes.
    static let flushInterval = 128 << 20

    init(module: Module, plan: Plan, checkpoint: Checkpoint, path: String, advance: @escaping @Sendable (Int) -> Void) {
        self.module = module
        self.plan = plan
        self.checkpoint = checkpoint
        self.path = path
        self.advance = advance
    }
}

extension WeightWriter {
    func write(to descriptor: Int32, at base: Int) throws(Diagnostic) { throw .error("weights are not written yet") }
}
