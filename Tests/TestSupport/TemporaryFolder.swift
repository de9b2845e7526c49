import Foundation

/// A folder that is removed with the value.
public final class TemporaryFolder {
    public let path: String

    public init() {
        path = NSTemporaryDirectory() + "lmmc-test-\(UUID().uuidString)"
        try! FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    public func file(_ name: String) -> String { "\(path)/\(name)" }

    /// The path of the file; folders in its name are made.
    @discardableResult
    public func write(_ name: String, _ bytes: [UInt8]) -> String {
        let url = URL(fileURLWithPath: file(name))
        try! FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try! Data(bytes).write(to: url)
        return file(name)
    }

    @discardableResult
    public func write(_ name: String, _ text: String) -> String { write(name, Array(text.utf8)) }

    @discardableResult
    public func write(_ name: String, json: Any) -> String {
        write(name, [UInt8](try! JSONSerialization.data(withJSONObject: json, options: [.fragmentsAllowed])))
    }

    public func text(_ name: String) -> String? {
        FileManager.default.contents(atPath: file(name)).map { String(decoding: $0, as: UTF8.self) }
    }

    public var contents: [String] { try! FileManager.default.contentsOfDirectory(atPath: path).sorted() }
}
