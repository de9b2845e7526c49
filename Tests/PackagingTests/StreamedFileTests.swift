import Foundation
import Packaging
import Support
import Testing

@Suite struct UnitTests {
    /// A disk that is full while weights stream.
    @Test func streamedFileReportsAFullDisk() throws {
        let number = open("/dev/full", O_WRONLY)
        defer { close(number) }
        let file = StreamedFile(number, path: "model.bin")
        #expect(throws: Diagnostic.system("write", path: "model.bin", code: ENOSPC)) {
            try file.write([Float](repeating: 1, count: 10), at: 0)
        }
    }
}
