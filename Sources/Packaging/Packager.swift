import Attach
import Support

/// Attaches bytes to a linked executable (Attach): `begin`, the bytes at `offset`, `finish`.
public final class Packager {
    /// Where the attachment begins in the output file.
    public let offset: Int
    private var handle: OpaquePointer?
    private let path: String

    /// Writes `executable`, prepared for `bytes` more, to the empty file `descriptor`; errors name it `path`.
    public init(executable: String, output descriptor: Int32, path: String, bytes: Int) throws(Diagnostic) {
        self.path = path
        var error = [CChar](repeating: 0, count: LMMC_ATTACH_ERROR)
        var offset: UInt64 = 0
        handle = withPath(executable) { lmmc_attach_begin($0, descriptor, UInt64(bytes), &offset, &error) }
        self.offset = Int(offset)
        if handle == nil { throw failure(error) }
    }

    public func finish() throws(Diagnostic) {
        var error = [CChar](repeating: 0, count: LMMC_ATTACH_ERROR)
        let succeeded = lmmc_attach_finish(handle, &error)
        handle = nil
        if !succeeded { throw failure(error) }
    }

    deinit { if let handle { lmmc_attach_abandon(handle) } }

    private func failure(_ text: [CChar]) -> Diagnostic {
        let message = pathText(text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) })
        return .error("cannot make \(quoted(path)): \(message)")
    }
}
