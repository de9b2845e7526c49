import Foundation
import TestSupport
import Testing

/// Documents and comments name files by their paths in the repository; a file that moves takes its name along.
@Suite struct NamedPathTests {
    /// The paths of the repository that `text` names, by hand, since regular expressions over all files take half a minute. What a pattern begins
    /// with (`Tests/Runtime/check*`) is none, nor is a path behind a variable, and NAME stands for any.
    private func paths(in text: String) -> [String] {
        let bytes = Array(text.utf8)
        func isPart(_ byte: UInt8) -> Bool { byte == 0x5F || byte >= 0x30 && byte < 0x3A || byte | 0x20 >= 0x61 && byte | 0x20 <= 0x7A }
        func isPath(_ byte: UInt8) -> Bool { isPart(byte) || "./+-".utf8.contains(byte) }
        var found: [String] = []
        for (slash, byte) in bytes.enumerated() where byte == UInt8(ascii: "/") {
            var start = slash, end = slash + 1
            while start > 0, isPart(bytes[start - 1]) { start -= 1 }
            guard Self.tops.contains(String(decoding: bytes[start..<slash], as: UTF8.self)) else { continue }
            if start > 0, isPath(bytes[start - 1]) || "}$\"".utf8.contains(bytes[start - 1]) { continue }
            while end < bytes.count, isPath(bytes[end]) { end += 1 }
            if end < bytes.count, bytes[end] == UInt8(ascii: "*") { continue }
            while !isPart(bytes[end - 1]) { end -= 1 }
            let path = String(decoding: bytes[start..<end], as: UTF8.self)
            if path.contains("/"), !path.contains("/NAME") { found.append(path) }
        }
        return found
    }
    private static let tops: Set = ["Sources", "Runtime", "Tests", "Tools", "Docs", "examples"]

    @Test func everyPathIsThere() throws {
        let root = repository
        let own = "Tests/ArchitectureTests/"
        var count = 0
        for top in ["README.md", "SECURITY.md", "Package.swift", "Docs", "Sources", "Runtime", "Tests", "Tools"] {
            let inner = (try? FileManager.default.subpathsOfDirectory(atPath: "\(root)/\(top)"))?.map { "\(top)/\($0)" } ?? [top]
            for name in inner where [".md", ".swift", ".c", ".h", ".sh", ".py"].contains(where: name.hasSuffix) && !name.hasPrefix(own) {
                let text = try String(contentsOfFile: "\(root)/\(name)", encoding: .utf8)
                for path in paths(in: text) {
                    count += 1
                    #expect(FileManager.default.fileExists(atPath: "\(root)/\(path)"), "\(name) names \(path)")
                }
            }
        }
        #expect(count > 100)
    }

    @Test func pathsAreFound() {
        #expect(
            paths(in: "See `Docs/IR.md`, (Runtime/base/error.h) and Tests/run.sh.") == [
                "Docs/IR.md", "Runtime/base/error.h", "Tests/run.sh",
            ])
        #expect(paths(in: "Sources/IR/Operations/NAME.swift, \"$root/Tests/x\", -ITests/y, ../Docs/z") == [])
    }
}
