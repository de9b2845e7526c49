import Glibc
import Support

/// Compiled files of the runtime, which are the same for every model: kept between compilations in a folder of the user's, by everything that
/// they depend on. Whatever goes wrong with it only means that files are compiled again.
///
/// `LMMC_CACHE` names another folder; set and empty it turns the cache off.
struct ObjectCache: Sendable {
    /// Of one toolchain, one set of flags and one runtime; nil without a cache.
    let folder: String?

    /// Sets of objects that are kept: toolchains and machines differ, and older compilers' go.
    private static let keptSets = 8

    init(_ toolchain: Toolchain) {
        guard let root = Self.root else {
            folder = nil
            return
        }
        var hash = Fingerprint()
        // What 'native' means is this machine's; the levels of other targets are in the names of the objects, their flags here.
        let target = toolchain.target
        let flags = target.isNative
            ? [HostCPU.current.name] + HostCPU.current.features : Target.every(target.architecture).levels.flatMap(\.allFlags)
        hash.add([Lmmc.version, toolchain.compiler, toolchain.version] + toolchain.compileFlags + flags)
        for file in RuntimeFile.all {
            hash.add([file.path])
            hash.add(file.bytes)
        }
        let path = joinedPath(root, hash.text)
        folder = path
        if fileKind(path) == nil {
            Self.prune(root)
            try? makeFolders(path)
        }
    }

    private static var root: String? {
        if let chosen = environmentVariable("LMMC_CACHE") { return chosen.isEmpty ? nil : chosen }
        if let cache = environmentVariable("XDG_CACHE_HOME"), cache.hasPrefix("/") { return joinedPath(cache, "lmmc") }
        guard let home = environmentVariable("HOME"), home.hasPrefix("/"), fileKind(home) == .folder else { return nil }
        return joinedPath(home, ".cache/lmmc")
    }

    /// Makes room for one more set: the longest unused go.
    private static func prune(_ root: String) {
        let sets = ((try? folderContents(root)) ?? []).map { joinedPath(root, $0) }.filter { fileKind($0) == .folder }
        func age(_ path: String) -> Int { fileStatus(path)?.st_mtim.tv_sec ?? 0 }
        for old in sets.sorted(by: { age($0) > age($1) }).dropFirst(keptSets - 1) {
            for name in (try? folderContents(old)) ?? [] { unlink(joinedPath(old, name)) }
            rmdir(old)
        }
    }

    private func place(_ name: String) -> String? { folder.map { joinedPath($0, name) } }

    /// An object of the runtime, where it is known.
    func object(_ name: String) -> String? {
        guard let path = place(name), fileKind(path) == .regular else { return nil }
        return path
    }

    func keep(_ object: String, as name: String) {
        guard let path = place(name), let bytes = try? readFile(object, limit: 1 << 26) else { return }
        try? AtomicFile.write(path: path) { file throws(Diagnostic) in try file.write(bytes) }
    }
}

/// 128 bits that texts and bytes leave behind: two FNV-1a sums. The cache is the user's own, so nobody looks for collisions.
private struct Fingerprint {
    private var low: UInt64 = 0xcbf2_9ce4_8422_2325
    private var high: UInt64 = 0x6c62_272e_07bb_0142

    mutating func add(_ bytes: some Sequence<UInt8>) {
        for byte in bytes {
            low = (low ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
            high = (high ^ UInt64(byte)) &* 0x0000_0100_0000_01cf
        }
    }

    mutating func add(_ texts: [String]) {
        for text in texts { add(Array(text.utf8) + [0]) }
    }

    var text: String { String(low, radix: 16) + "-" + String(high, radix: 16) }
}
