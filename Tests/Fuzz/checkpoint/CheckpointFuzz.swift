import Checkpoint
import Glibc
import Support

/// Fuzz target: a checkpoint folder whose `config.json`, `clip/config.json` and tensors are the bytes, in three parts with a zero between.
/// The third is the header of `model.safetensors`, behind it after one zero more how many bytes of data there are; or a line for each
/// tensor, `NAME DTYPE d,d,d`, from which header and data are made. All of them are read as a mask of heads too. Opening it ends in a
/// checkpoint whose tensors lie inside of the file, or in a diagnostic.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = UnsafeBufferPointer(start: data, count: size)
    do throws(Diagnostic) {
        let mask = try HeadMask(Array(bytes), path: "mask", blocks: 6, heads: 4)
        precondition(mask.blocks.count == 6 && mask.blocks.allSatisfy { $0.count == 4 }, "a mask of another shape")
    } catch {
        precondition(!error.rendered.contains("\n"), "more than one line")
    }
    let parts = bytes.split(separator: 0, maxSplits: 3, omittingEmptySubsequences: false)
    let folder = Folder.shared
    folder.write("config.json", parts[0])
    folder.write("clip/config.json", parts.count > 1 ? parts[1] : parts[0][..<0])
    let tensors = parts.count > 2 ? Array(parts[2]) : []
    let (header, dataSize) =
        tensors.first == UInt8(ascii: "{") || parts.count > 3
        ? (tensors, parts.count > 3 ? Int(String(decoding: parts[3], as: UTF8.self)) ?? 0 : 0)
        : header(String(decoding: tensors, as: UTF8.self))
    folder.write("model.safetensors", withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header, more: dataSize)

    do throws(Diagnostic) {
        let checkpoint = try Checkpoint.open(path: folder.path)
        let end = UInt64(8 + header.count + max(0, min(dataSize, Folder.mostData)))
        for entry in try checkpoint.sourceEntries().values {
            precondition(entry.range.upperBound <= end && entry.elementCount >= 0, "a tensor beyond the file")
        }
        precondition(checkpoint.byteCount() <= end && checkpoint.parameterCount() > 0, "sizes")
        let configuration = checkpoint.configuration
        if let reduction = configuration.reduction, let vision = configuration.vision, let fusion = configuration.fusion {
            let shape = VisionShape(vision, fusion, configuration.decoder)
            try reduction.check(shape, askedBy: .configuration(path: folder.path))
            precondition(reduction.rows(shape).perBlock.allSatisfy { $0 >= 0 } && !reduction.description.isEmpty, "rows")
            try reduction.check(against: configuration, askedBy: .configuration(path: folder.path))
        }
        precondition(!checkpoint.warnings.contains { $0.rendered.contains("\n") }, "more than one line")
    } catch {
        precondition(!error.rendered.contains("\n"), "more than one line")
    }
    return 0
}

/// Header and size of data of the tensors that the lines name, one behind the other; a line in another form is left out.
private func header(_ lines: String) -> ([UInt8], Int) {
    var entries: [String] = [], at = 0
    for line in lines.split(separator: "\n") {
        let words = line.split(separator: " "), shape = words.count == 3 ? words[2].split(separator: ",").compactMap { Int($0) } : []
        guard words.count == 3, let size = ["F16": 2, "BF16": 2, "F32": 4, "I64": 8][words[1]] else { continue }
        let count = shape.reduce(size) { $0.multipliedReportingOverflow(by: $1).partialValue }
        let end = at.addingReportingOverflow(count).partialValue
        let name = words[0].filter { $0 != "\"" && $0 != "\\" && !$0.isNewline }
        entries.append("\"\(name)\":{\"dtype\":\"\(words[1])\",\"shape\":\(shape),\"data_offsets\":[\(at),\(end)]}")
        at = end
    }
    return (Array("{\(entries.joined(separator: ","))}".utf8), at)
}

/// A folder of this process, gone with it, with a golden checkpoint's tokenizer.
private struct Folder {
    static let shared = Folder()
    static let mostData = 1 << 24

    let path: String

    private init() {
        path = "\(getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp")/lmmc-fuzz-\(getpid())"
        precondition(mkdir(path, 0o700) == 0 && mkdir(path + "/clip", 0o700) == 0, "no folder")
        let golden = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/Golden/llava-mlp"
        for name in ["tokenizer.model", "clip/preprocessor_config.json"] {
            precondition(symlink("\(golden)/\(name)", "\(path)/\(name)") == 0, name)
        }
        atexit {
            for name in [
                "tokenizer.model", "clip/preprocessor_config.json", "config.json", "clip/config.json", "model.safetensors", "clip", "",
            ] {
                remove("\(Folder.shared.path)/\(name)")
            }
        }
    }

    /// The bytes and, behind them, `more` zeros.
    func write(_ name: String, _ bytes: some Sequence<UInt8>, more: Int = 0) {
        let bytes = Array(bytes)
        // Another file than the one that may still be mapped.
        unlink("\(path)/\(name)")
        let file = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        precondition(Glibc.write(file, bytes, bytes.count) == bytes.count, "cannot write")
        precondition(ftruncate(file, bytes.count + max(0, min(more, Self.mostData))) == 0, "cannot write")
        close(file)
    }
}
