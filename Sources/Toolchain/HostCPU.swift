import Glibc
import Support

/// The machine that lmmc runs on.
public struct HostCPU: Sendable {
    /// As `--target` spells it where it knows it.
    public var architecture: String
    public var name: String
    /// Those of the vector features that decide about kernels.
    public var features: [String]
    /// CPUs in this process's affinity mask.
    public var count: Int

    public static let current: HostCPU = {
        var system = utsname()
        uname(&system)
        let machine = withUnsafeBytes(of: &system.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let processor = fieldsOfProcFile("/proc/cpuinfo")
        let known = [
            "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16",
            "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2",
        ]
        let flags = Set((processor["flags"] ?? processor["Features"] ?? "").split(separator: " ").map(String.init))
        // A hexadecimal mask with commas; it may be smaller than the machine.
        let mask = fieldsOfProcFile("/proc/self/status")["Cpus_allowed"] ?? "1"
        let count = mask.compactMap(\.hexDigitValue).reduce(0) { $0 + $1.nonzeroBitCount }
        return HostCPU(
            architecture: machine == "x86_64" ? "x86-64" : machine, name: processor["model name"] ?? "unnamed CPU",
            features: known.filter(flags.contains), count: max(1, count))
    }()
}

/// `name: value` lines of a file in /proc, which has no size to read by. Of a name that repeats, the last value.
private func fieldsOfProcFile(_ path: String) -> [String: String] {
    guard let stream = fopen(path, "re") else { return [:] }
    defer { fclose(stream) }
    var line: UnsafeMutablePointer<CChar>?
    var capacity = 0
    defer { free(line) }
    var fields: [String: String] = [:]
    while getline(&line, &capacity, stream) >= 0, let line {
        let parts = String(cString: line).split(separator: ":", maxSplits: 1)
        guard parts.count == 2 else { continue }
        func trimmed(_ text: Substring) -> String { text.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
        fields[trimmed(parts[0])] = trimmed(parts[1])
    }
    return fields
}
