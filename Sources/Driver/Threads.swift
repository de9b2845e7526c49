import Endings
import Foundation

/// What a thread runs, behind a pointer.
private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Runs `body`, which takes its work from what all share, on up to `count` threads at once and waits for all: on those that can be had, on the
/// calling thread where there are none.
///
/// Evaluating a folded weight recurses and keeps buffers on the heap; 512 KiB of stack would do, the default is slack.
func onThreads(_ count: Int, stackBytes: Int = 4 << 20, _ body: @escaping @Sendable () -> Void) {
    guard count > 0 else { return }
    var threads: [pthread_t] = []
    if count > 1 {
        let work = Work(body)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackBytes)
        while threads.count < count {
            var thread = pthread_t()
            let argument = Unmanaged.passRetained(work).toOpaque()
            let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
                lmmc_endings_thread()
                Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }
            if pthread_create(&thread, &attributes, start, argument) != 0 {
                Unmanaged<Work>.fromOpaque(argument).release()
                break
            }
            threads.append(thread)
        }
    }
    if threads.isEmpty { body() }
    for thread in threads { pthread_join(thread, nil) }
}
