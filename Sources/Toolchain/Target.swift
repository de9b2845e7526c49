import RuntimeSources
import Support

/// What code is made for: an architecture, and the levels of it that stand side by side in one executable, of which one is chosen when it starts.
public struct Target: Sendable, Equatable {
    public enum Architecture: String, Sendable, CaseIterable {
        case x86_64 = "x86-64"
        case aarch64

        /// As GNU's tools and Debian's folders name it.
        public var triple: String {
            switch self {
            case .x86_64: "x86_64-linux-gnu"
            case .aarch64: "aarch64-linux-gnu"
            }
        }

        /// As Debian names it.
        public var debianName: String {
            switch self {
            case .x86_64: "amd64"
            case .aarch64: "arm64"
            }
        }

        /// What runs its programs on another machine.
        public var emulator: String { "qemu-" + triple.prefix { $0 != "-" } }

        /// The command that installs packages for it beside those of another architecture.
        public func installCommand(_ packages: [String]) -> String {
            // Debian's libevent-dev stands beside no other architecture's; their headers are the same, so it is unpacked there.
            let alone = "libevent-dev:\(debianName)"
            let others = packages.filter { $0 != alone }
            return
                (["dpkg --add-architecture \(debianName) && apt-get update"]
                + (others.isEmpty ? [] : ["apt-get install " + others.joined(separator: " ")])
                + (others.count == packages.count ? [] : ["apt-get download \(alone)", "dpkg -x libevent-dev_*_\(debianName).deb /"]))
                .joined(separator: " && ")
        }
    }

    /// Instructions that emitted code, and kernels that the C compiler vectorises, are compiled for once more.
    public struct Level: Sendable, Equatable {
        /// As `--target-level` and, for its kernels, LMMC_ISA spell it.
        public var name: String
        /// LMMC_LEVEL of these compilations (Runtime/contract/level.h, Runtime/program/levels.c).
        public var symbol: String
        /// Compiler flags behind `Target.flags`.
        public var flags: [String]
        /// Endings of the names of runtime files, `int_avx2.c` say, that hold kernels for it and are left out with it.
        public var kernels: [String]

        /// The flags of a compilation for this level.
        public var allFlags: [String] { flags + ["-DLMMC_LEVEL=\(symbol)"] }
    }

    /// As `--target` spells it.
    public var name: String
    public var architecture: Architecture
    /// Compiler flags for everything that is compiled once: the least that the program runs on.
    public var flags: [String]
    /// Lowest first.
    public var levels: [Level]

    public static let names = Architecture.allCases.map(\.rawValue) + ["native"]

    public static func named(_ name: String, levels chosen: [String]? = nil) throws(Diagnostic) -> Target {
        guard names.contains(name) else {
            throw .usage("unknown value \(quoted(name))", at: .option("--target"), expected: quotedList(names))
        }
        if name == "native" {
            guard chosen == nil else {
                throw .usage("target 'native' has one level", at: .option("--target-level"), expected: "'--target' with an architecture")
            }
            return native
        }
        guard let architecture = Architecture(rawValue: name) else { preconditionFailure("every other name is an architecture") }
        var target = every(architecture)
        guard let chosen else { return target }
        let known = target.levels.map(\.name)
        guard !chosen.isEmpty else {
            throw .usage("no level is chosen", at: .option("--target-level"), expected: quotedList(known) + ", or several with commas")
        }
        for level in chosen where !known.contains(level) {
            throw .usage(
                "target \(quoted(name)) has no level \(quoted(level))\(nearestHint(to: level, among: known))",
                at: .option("--target-level"),
                expected: quotedList(known) + ", or several with commas")
        }
        target.levels.removeAll { !chosen.contains($0.name) }
        return target
    }

    /// All levels of an architecture.
    public static func every(_ architecture: Architecture) -> Target {
        switch architecture {
        case .x86_64:
            // The instructions of VNNI, BF16 and AVX-VNNI multiply matrices, which emitted code leaves to the kernels of these files.
            Target(
                name: architecture.rawValue, architecture: architecture, flags: ["-march=x86-64-v2"],
                levels: [
                    Level(name: "sse4.2", symbol: "sse42", flags: ["-march=x86-64-v2"], kernels: ["_sse42.c"]),
                    Level(name: "avx2", symbol: "avx2", flags: ["-march=x86-64-v3"], kernels: ["_avx2.c", "_avxvnni.c"]),
                    Level(
                        name: "avx512", symbol: "avx512", flags: ["-march=x86-64-v4", "-mprefer-vector-width=512"],
                        kernels: ["_avx512.c", "_avx512vnni.c", "_avx512bf16.c"]),
                ])
        case .aarch64:
            Target(
                name: architecture.rawValue, architecture: architecture, flags: ["-march=armv8-a"],
                // Dot products, I8MM and BF16 multiply matrices only, as the kernels do.
                levels: [
                    Level(
                        name: "neon", symbol: "neon", flags: [], kernels: ["_neon.c", "_dotprod.c", "_i8mm.c", "_bfdot.c", "_bfmmla.c"])
                ])
        }
    }

    /// This CPU alone. Its flags are the compiler's to say: ``Toolchain/find(cc:target:link:needs:progress:)`` fills them in.
    public static var native: Target {
        Target(
            name: "native", architecture: Architecture(rawValue: HostCPU.current.architecture) ?? .x86_64, flags: [],
            levels: [Level(name: "native", symbol: "native", flags: [], kernels: [])])
    }

    /// The host's architecture, every level of it; `native` on a host that lmmc makes no levels for.
    public static var defaultName: String { Architecture(rawValue: HostCPU.current.architecture)?.rawValue ?? "native" }

    public var isNative: Bool { name == "native" }

    /// Whether code for it runs here.
    public var isHosts: Bool { isNative || architecture.rawValue == HostCPU.current.architecture }

    /// Whether the file `path` of the runtime has code that no CPU which the program supports would run.
    public func leavesOut(_ path: String) -> Bool {
        let all = Architecture.allCases.flatMap { Target.every($0).levels }
        let own = isNative ? Target.every(architecture).levels : levels
        let missing = all.filter { !own.contains($0) }
        return missing.contains { $0.kernels.contains { path.hasSuffix($0) } }
    }
}
