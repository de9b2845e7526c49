import Foundation
import Support
import Testing
import Work

@Suite struct UnitTests {
    @Test func times() {
        #expect(secondsText(0.0124) == "12 ms")
        #expect(secondsText(0.9996) == "1.0 s")
        #expect(secondsText(99.96) == "1 min 40 s")
        #expect(secondsText(3725) == "62 min 5 s")
    }

    /// Work on several threads: everything once, and the first failure stops the rest.
    @Test func parallelWork() throws {
        let seen = SharedState([Int]())
        try inParallel(100, jobs: 4) { index throws(Diagnostic) in seen.mutex.withLock { $0.append(index) } }
        #expect(seen.mutex.withLock { $0.sorted() } == Array(0..<100))
        let done = SharedState(0)
        #expect(throws: Diagnostic.self) {
            try inParallel(1000, jobs: 3) { index throws(Diagnostic) in
                if index == 5 { throw .error("five") }
                usleep(1000)  // what fails must come to run before the others are through
                done.mutex.withLock { $0 += 1 }
            }
        }
        #expect(done.mutex.withLock { $0 } < 900)
    }

    /// Where no thread can be had (no address space holds such a stack) the work is done all the same.
    @Test func workWithoutThreads() {
        let calls = SharedState([Bool]())
        onThreads(3, stackBytes: 1 << 50) { calls.mutex.withLock { $0.append(true) } }
        #expect(calls.mutex.withLock { $0.count } == 1)
        onThreads(3) { calls.mutex.withLock { $0.append(true) } }
        onThreads(1) { calls.mutex.withLock { $0.append(true) } }
        onThreads(0) { calls.mutex.withLock { $0.append(true) } }
        #expect(calls.mutex.withLock { $0.count } == 5)
    }
}
