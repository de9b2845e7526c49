import Endings
import Foundation

/// Runs `body` on `count` threads at once and waits for all.
func onThreads(_ count: Int, _ body: @escaping @Sendable () -> Void) {
    guard count > 1 else {
        if count == 1 { body() }
        return
    }
    let group = DispatchGroup()
    for _ in 0..<count {
        group.enter()
        let thread = Thread {
            lmmc_endings_thread()
            body()
            group.leave()
        }
        // Evaluating a folded weight recurses and keeps buffers on the heap; the usual 512 KiB would do, this is slack.
        thread.stackSize = 4 << 20
        thread.start()
    }
    group.wait()
}
