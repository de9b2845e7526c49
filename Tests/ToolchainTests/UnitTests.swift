import Testing

@testable import Toolchain
@testable import Work

@Suite struct UnitTests {
    @Test func firstErrorOfACompiler() {
        func first(_ output: String, status: Int32 = 1) -> String {
            firstError(SubprocessResult(status: status, output: output), folder: "/tmp/x")
        }
        #expect(first("/tmp/x/a.c: In function 'f':\n/tmp/x/a.c:3:1: error: no\nmore\n") == "a.c:3:1: error: no")
        #expect(
            first("/tmp/x/a.o: undefined reference to `g'\ncollect2: error: ld returned 1 exit status") == "a.o: undefined reference to `g'"
        )
        #expect(
            first("/usr/bin/ld: final link failed: No space left on device\ncollect2: error: ld returned 1 exit status")
                == "/usr/bin/ld: final link failed: No space left on device")
        #expect(first("", status: 137) == "ended by signal 9")
        #expect(first("", status: 3) == "exit status 3")
    }
}
