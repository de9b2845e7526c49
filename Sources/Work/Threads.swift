import Endings
import Foundation
import Support
import Synchronization

/// What a thread runs, behind a pointer.
private final class ThreadBody: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

/// Runs `body`, which takes its work from what all share, on up to `count` threads at once and waits for all: on those that can be had, on the
/// calling thread where there are none.
///
/// Evaluating a folded weight recurses and keeps buffers on the heap; 512 KiB of stack would do, the default is slack.
public func onThreads(_ count: Int, stackBytes: Int = 4 << 20, _ body: @escaping @Sendable () -> Void) {
    guard count > 0 else { return }
    var threads: [pthread_t] = []
    if count > 1 {
        let work = ThreadBody(body)
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackBytes)
        while threads.count < count {
            var thread = pthread_t()
            let argument = Unmanaged.passRetained(work).toOpaque()
            let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
                lmmc_endings_thread()
                Unmanaged<ThreadBody>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }
            if pthread_create(&thread, &attributes, start, argument) != 0 {
                Unmanaged<ThreadBody>.fromOpaque(argument).release()
                break
            }
            threads.append(thread)
        }
    }
    if threads.isEmpty { body() }
    for thread in threads { pthread_join(thread, nil) }
}

/// Runs `body` for 0..<count on up to `jobs` threads; the first error stops the rest.
public func inParallel(_ count: Int, jobs: Int, _ body: @escaping @Sendable (Int) throws(Diagnostic) -> Void) throws(Diagnostic) {
    struct State {
        var next = 0
        var failure: Diagnostic?
    }
    let shared = SharedState(State())
    onThreads(min(jobs, count)) {
        while let index = shared.mutex.withLock({ state -> Int? in
            guard state.failure == nil, state.next < count else { return nil }
            defer { state.next += 1 }
            return state.next
        }) {
            do throws(Diagnostic) { try body(index) } catch {
                shared.mutex.withLock { $0.failure = $0.failure ?? error }
            }
        }
    }
    if let failure = shared.mutex.withLock({ $0.failure }) { throw failure }
}

/// A lock that closures of several threads can hold on to.
public final class SharedState<State: Sendable>: Sendable {
    public let mutex: Mutex<State>
    public init(_ state: State) { mutex = Mutex(state) }
}
