import Foundation
import RuntimeSources
import TestSupport
import Testing

@Suite struct RuntimeFileTests {
    /// Every C file of Runtime/ and of the packager, byte for byte.
    @Test func everyRuntimeFileIsCarried() throws {
        var expected: [String: [UInt8]] = [:]
        for (folder, prefix) in [("/Runtime", ""), ("/Sources/Packaging/Attach", "attach/")] {
            for name in try FileManager.default.subpathsOfDirectory(atPath: repository + folder)
            where name.hasSuffix(".c") || name.hasSuffix(".h") {
                expected[prefix + name] = [UInt8](try Data(contentsOf: URL(filePath: "\(repository)\(folder)/\(name)")))
            }
        }
        #expect(expected.count > 100)
        #expect(Dictionary(uniqueKeysWithValues: RuntimeFile.all.map { ($0.path, Array($0.bytes)) }) == expected)
    }
}
