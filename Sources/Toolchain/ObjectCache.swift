import Glibc
import RuntimeSources
import Support
import Work

/// Compiled files of the runtime, which are the same for every model: kept between compilations in a folder of the user's, by everything that
/// they depend on. Whatever goes wrong with it only means that files are compiled again.
///
/// `LMMC_CACHE` names another folder; set and empty it turns the cache off.
public struct ObjectCache: Sendable {
    /// The folder of one toolchain, one set of flags and one runtime; nil without a cache.
    let folder: String?

    /// Sets of objects that are kept: toolchains and machines differ, and older compilers' go.
    static let keptSets = 8
    /// Our own folder inside of the one that is named, which may hold what others wrote.
    static let folderName = "lmmc-objects"
    /// What says that it is ours, and tells programs that make backups that it may be left out.
    static let markName = "CACHEDIR.TAG"
    private static let markText = """
        Signature: 8a477f597d28d172789f06886806bc55
        # Objects that lmmc keeps between compilations. This folder may be deleted.

        """

    public init(folder: String?) { self.folder = folder }

    public init(_ toolchain: Toolchain, in temporary: TemporaryFolder, progress: Progress) {
        guard let (root, isChosen) = Self.root else {
            folder = nil
            return
        }
        do throws(Diagnostic) {
            folder = try Self.makeSet(try Self.key(toolchain, in: temporary), root: root)
        } catch {
            folder = nil
            let warning = Diagnostic.warning("compiled files are not kept in \(quoted(root)): \(error.message)", expected: error.expected)
            // A home that cannot be written is no mistake of the user's.
            if isChosen || error.level == .warning { progress.report(warning) } else { progress.verbose(warning.rendered) }
        }
    }

    /// The folder of the set `key` below `root`, trusted and made. An object in it becomes code of programs, so whoever can write there
    /// can make them do anything.
    static func makeSet(_ key: String, root: String) throws(Diagnostic) -> String {
        // Before anything is made: below another user's home, as HOME may be under sudo, it would be closed to him.
        var existing = withoutTrailingSlashes(root)
        while isAbsent(existing) { existing = parentFolder(existing) }
        _ = try trustedFolder(existing)
        try makeFolders(root, mode: 0o700)
        let own = try ownFolder(folderName, in: try trustedFolder(root))
        let mark = joinedPath(own, markName)
        if !isOwnFile(mark) {
            guard try folderContents(own).isEmpty else {
                throw .warning("\(quoted(own)) holds what lmmc did not write", expected: "an empty folder, or one that lmmc made")
            }
            try AtomicFile.write(path: mark) { file throws(Diagnostic) in try file.write(markText) }
        }
        let path = joinedPath(own, key)
        if isAbsent(path) { prune(own) }
        _ = try ownFolder(key, in: own)
        // The longest unused set goes first.
        touch(path)
        return path
    }

    private static var root: (path: String, isChosen: Bool)? {
        if let chosen = environmentVariable("LMMC_CACHE") { return chosen.isEmpty ? nil : (chosen, true) }
        if let cache = environmentVariable("XDG_CACHE_HOME"), cache.hasPrefix("/") { return (joinedPath(cache, "lmmc"), false) }
        guard let home = environmentVariable("HOME"), home.hasPrefix("/"), fileKind(home) == .folder else { return nil }
        return (joinedPath(home, ".cache/lmmc"), false)
    }

    /// Makes room for one more set in our own folder. Only what a set is made of goes, and no link is followed.
    private static func prune(_ own: String) {
        var ages: [(path: String, age: Int)] = []
        for name in (try? folderContents(own)) ?? [] where isKey(name) {
            var status = stat()
            let path = joinedPath(own, name)
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid() else { continue }
            ages.append((path, status.st_mtim.tv_sec))
        }
        for old in ages.sorted(by: { $0.age > $1.age }).dropFirst(keptSets - 1) {
            for name in (try? folderContents(old.path)) ?? [] where name.hasSuffix(".o") || name.hasPrefix(".") && name.hasSuffix(".tmp") {
                unlink(joinedPath(old.path, name))
            }
            rmdir(old.path)
        }
    }

    /// Everything that an object depends on.
    static func key(
        _ toolchain: Toolchain, in temporary: TemporaryFolder,
        environment: (String) -> String? = environmentVariable
    ) throws(Diagnostic) -> String {
        var hash = Fingerprint()
        // What 'native' means is this machine's; the levels of other targets are in the names of the objects, their flags here.
        let target = toolchain.target
        let flags =
            target.isNative
            ? [HostCPU.current.name] + HostCPU.current.features : Target.every(target.architecture).levels.flatMap(\.allFlags)
        hash.add([lmmcVersion, toolchain.compiler, toolchain.version] + toolchain.compileFlags + flags)
        for program in [findProgram(toolchain.compiler), findProgram("as")].compactMap({ $0 }) {
            guard let status = fileStatus(program) else { continue }
            hash.add([program, "\(status.st_size)", "\(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"])
        }
        for name in environmentOfCompilers { hash.add([name, environment(name).map { "=" + $0 } ?? ""]) }
        hash.add(try toolchain.headerText(in: temporary))
        for file in RuntimeFile.all {
            hash.add([file.path])
            hash.add(file.bytes)
        }
        return hash.text
    }

    /// What gcc and clang take from their environment that changes what they read or write.
    static let environmentOfCompilers = [
        "CPATH", "C_INCLUDE_PATH", "LIBRARY_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "GCC_ROOT", "CCC_OVERRIDE_OPTIONS", "SDKROOT",
        "SOURCE_DATE_EPOCH", "LD_LIBRARY_PATH", "LD_PRELOAD",
    ]

    private static func isKey(_ name: String) -> Bool {
        name.utf8.count == 33
            && name.utf8.enumerated().allSatisfy { index, byte in
                index == 16
                    ? byte == UInt8(ascii: "-")
                    : (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            }
    }

    private func place(_ name: String) -> String? { folder.map { joinedPath($0, name) } }

    /// An object of the runtime, where it is known.
    public func object(_ name: String) -> String? {
        guard let path = place(name), isOwnFile(path) else { return nil }
        return path
    }

    public func keep(_ object: String, as name: String) {
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

    var text: String {
        func digits(_ value: UInt64) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return digits(low) + "-" + digits(high)
    }
}
