import Foundation

/// A folder for one test, gone with the value.
public final class Scratch {
    public let path: String

    public init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "lmmc-driver-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    public subscript(name: String) -> String { "\(path)/\(name)" }

    public func write(_ name: String, _ text: String, executable: Bool = false) throws -> String {
        try text.write(toFile: self[name], atomically: true, encoding: .utf8)
        if executable { chmod(self[name], 0o755) }
        return self[name]
    }

    /// Everything in the folder, hidden files too.
    public var contents: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path).sorted()) ?? [] }
}

public func unlinkFile(_ path: String) -> Bool { unlink(path) == 0 }

public func copyFile(_ from: String, _ to: String) throws { try FileManager.default.copyItem(atPath: from, toPath: to) }

public func parent(_ path: String) -> String { URL(filePath: path).deletingLastPathComponent().path }
