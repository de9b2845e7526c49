import Glibc
import Support
import Synchronization
import Work

/// Where OpenBLAS is.
public struct BLAS: Sendable, Equatable {
    public var name: String
    public var compileFlags: [String]
    public var linkFlags: [String]

    /// What this machine may have, best first: the build that shares OpenMP's threads, the serial one, whatever the linker finds.
    /// `multiarch`: the compiler's folder below /usr/lib; those of other architectures may stand beside it.
    public static func candidates(multiarch: String) -> [BLAS] {
        var list: [BLAS] = []
        for variant in ["openblas-openmp", "openblas-serial"] where fileKind("/usr/lib/\(multiarch)/\(variant)/libopenblas.so") == .regular
        {
            list.append(
                BLAS(
                    name: variant, compileFlags: ["-I/usr/include/\(multiarch)/\(variant)"],
                    linkFlags: ["-L/usr/lib/\(multiarch)/\(variant)", "-lopenblas"]))
        }
        return list + [BLAS(name: "openblas", compileFlags: [], linkFlags: ["-lopenblas"])]
    }
}

/// The libraries that not every program calls.
public struct LibraryNeeds: Sendable, Hashable {
    /// OpenBLAS, for products of float32 weights
    public var blas: Bool
    /// libevent, for `--serve`
    public var server: Bool

    public init(blas: Bool, server: Bool = false) { (self.blas, self.server) = (blas, server) }
}

/// What the value of `--link` asks for.
public enum LinkChoice: String, Sendable, CaseIterable { case `static`, dynamic }

public enum LinkMode: String, Sendable, CaseIterable {
    /// Needs nothing of the machine that it runs on, and is loaded at random addresses.
    case staticPIE = "static-pie"
    case `static`
    case dynamic

    /// In the order to try them; without a choice, static where the compiler can.
    public static func chosen(by link: LinkChoice?) -> [LinkMode] {
        switch link {
        case .static: [.staticPIE, .static]
        case .dynamic: [.dynamic]
        case nil: allCases
        }
    }

    var flags: [String] {
        switch self {
        case .staticPIE: ["-static-pie"]
        case .static: ["-static"]
        case .dynamic: ["-Wl,--as-needed"]
        }
    }
}

/// A C compiler that was seen to do what emitted programs need.
public struct Toolchain: Sendable {
    public var target: Target
    public var compiler: String
    /// First line of `--version`.
    public var version: String
    public var mode: LinkMode
    /// Everything but `-c`, the input and the output.
    public var compileFlags: [String]
    /// After the objects.
    public var linkFlags: [String]
    public var blas: BLAS?

    /// What a program without weights takes at most, OpenBLAS included.
    public static let programBytes = 64 << 20

    static let warningFlags = ["-Wall", "-Wextra"]

    /// What makes an error of the C code end the program rather than run on, of those that the compiler knows: it works on bytes of
    /// strangers, images and prompts. Each is one question to the compiler; `Runtime` is built so by scripts too (`SourceFolder`).
    public static func hardeningFlags(_ architecture: Target.Architecture) -> [[String]] {
        [
            ["-fstack-protector-strong"], ["-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3"], ["-fstack-clash-protection"],
            [architecture == .x86_64 ? "-fcf-protection" : "-mbranch-protection=standard"],
        ]
    }
    /// Where the compiler or its library knows no third level.
    public static let lesserFlags = ["-D_FORTIFY_SOURCE=3": "-D_FORTIFY_SOURCE=2"]
    public static let hardeningLinkFlags = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]

    static let formatLibraries = ["-lwebpdemux", "-lwebp", "-ljpeg", "-lpng", "-lz", "-ljansson"]
    /// libedit, and what it is made of.
    static let editorLibraries = ["-ledit", "-ltinfo", "-lbsd"]
    /// libevent without what programs have no use for, TLS and its name resolver among it.
    static let serverLibraries = ["-levent_extra", "-levent_core"]
    /// Those of a program, beside OpenBLAS, which is found in several places.
    public static func programLibraries(_ needs: LibraryNeeds) -> [String] {
        formatLibraries + editorLibraries + (needs.server ? serverLibraries : [])
    }

    /// What the target leaves out is not linked (Runtime/kernels/common/target.h).
    public static let optionalFlag = "-DLMMC_OPTIONAL=__attribute__((weak))"

    private struct Key: Hashable {
        var cc: String?
        /// Levels make no difference here.
        var target: String
        var link: LinkChoice?
        var needs: LibraryNeeds
    }
    private static let cache = Mutex<[Key: Toolchain]>([:])

    /// The compiler `cc`, or else the first of gcc, cc and clang that works. `needs`: what the program calls.
    /// Throws one line that names what is missing and the package that brings it.
    public static func find(cc: String?, target: Target, link: LinkChoice? = nil, needs: LibraryNeeds, progress: Progress)
        throws(Diagnostic)
        -> Toolchain
    {
        let key = Key(cc: cc, target: target.name, link: link, needs: needs)
        if var known = cache.withLock({ $0[key] }) {
            known.target = target
            return known
        }
        var compilers: [String] = []
        if let cc {
            // A name stands for all that PATH has of it: the first `clang` may be a Swift toolchain's, as below.
            compilers = findPrograms(cc)
            guard !compilers.isEmpty else {
                let reason = isMountedWithoutPrograms(cc) ? "on a file system that is mounted noexec" : "not a program"
                throw .usage("\(quoted(cc)) is \(reason)", at: .option("--cc"), expected: "a C compiler, gcc or clang")
            }
        } else {
            // A Swift toolchain's clang may come first in PATH and has no omp.h; the distribution's is tried by its place.
            for name in target.isHosts ? ["gcc", "cc", "/usr/bin/clang", "clang"] : [target.architecture.triple + "-gcc"] {
                compilers += findPrograms(name).filter { !compilers.contains($0) }
            }
        }
        var first: Diagnostic?
        for compiler in compilers {
            do throws(Diagnostic) {
                let toolchain = try Probe(
                    compiler: compiler, target: target, modes: LinkMode.chosen(by: link), needs: needs, progress: progress
                ).run()
                cache.withLock { $0[key] = toolchain }
                return toolchain
            } catch {
                progress.verbose("\(compiler): \(error.message)")
                first = first ?? error
            }
        }
        if let first { throw first }
        guard target.isHosts else {
            let packages = ProbeProgram.requirements(
                isClang: false, target: target, needs: needs, blas: needs.blas ? BLAS.candidates(multiarch: "").last : nil)
            throw .error(
                "there is no C compiler for \(quoted(target.name))",
                expected: "'\(target.architecture.triple)-gcc' in PATH, or '--cc PATH'; on Debian: "
                    + target.architecture.installCommand(packages.map(\.package)))
        }
        throw .error("there is no C compiler", expected: "gcc or clang in PATH, or '--cc PATH'; install package 'gcc'")
    }

    /// Compiles `source` to `object`, for `level` where it is compiled for each; the compiler's whole output goes to `progress` when it says anything.
    public func compile(
        _ source: String, level: Target.Level?, to object: String, include: [String], in folder: TemporaryFolder, progress: Progress
    ) throws(Diagnostic) {
        let name = lastPathComponent(source)
        let arguments = [compiler] + compileFlags + (level?.allFlags ?? []) + include.map { "-I\($0)" } + ["-c", source, "-o", object]
        let result = try runTool(arguments, in: folder, log: object + ".log", progress: progress)
        guard result.status == 0 else {
            throw .error("compiler '\(compiler)' failed on '\(name)': \(firstError(result, folder: folder.path))")
        }
    }

    /// What the headers that the runtime includes say to this compiler: another version of a library is another text.
    func headerText(in folder: TemporaryFolder) throws(Diagnostic) -> [UInt8] {
        let (source, output) = (folder.file("headers.c"), folder.file("headers.i"))
        try writeFile(source, ProbeProgram.headers)
        let result = try runTool(
            [compiler] + compileFlags + ["-E", "-P", "-dD", source, "-o", output], in: folder, log: folder.file("headers.log"))
        guard result.status == 0 else {
            throw .error("compiler '\(compiler)' cannot read the headers: \(firstError(result, folder: folder.path))")
        }
        return try readFile(output, limit: 1 << 26)
    }

    /// Links `objects` to `executable`.
    public func link(_ objects: [String], to executable: String, in folder: TemporaryFolder, progress: Progress) throws(Diagnostic) {
        let arguments = [compiler] + mode.flags + Self.hardeningLinkFlags + ["-fopenmp"] + objects + ["-o", executable] + linkFlags
        let result = try runTool(arguments, in: folder, log: executable + ".log", progress: progress)
        guard result.status == 0 else {
            throw .error("compiler '\(compiler)' failed to link: \(firstError(result, folder: folder.path))")
        }
    }
}

/// Runs a compiler, or a program that it made, to its end. Throws where the machine lacked something, which is no answer to what was asked:
/// whatever else went wrong, the result says. `program` is the name for messages. With `progress` the command and its output are told.
func runTool(
    _ arguments: [String], program: String? = nil, environment: [String: String] = [:], in folder: TemporaryFolder, log: String,
    progress: Progress? = nil
) throws(Diagnostic) -> SubprocessResult {
    progress?.verbose(escapingControls(arguments.joined(separator: " ")))
    let result = try runSubprocess(arguments, environment: environment, temporary: folder.path, log: log)
    if !result.output.isEmpty { progress?.verbose(result.output) }
    if let failure = machineFailure(program ?? arguments[0], result, folder: folder.path) { throw failure }
    return result
}

/// What a program that failed lacked of the machine; nil when it was something else.
private func machineFailure(_ program: String, _ result: SubprocessResult, folder: String) -> Diagnostic? {
    guard result.status != 0 else { return nil }
    if result.output.contains("No space left on device") {
        return .error(
            "the disk of the temporary folder \(quoted(folder)) is full",
            expected: "room for \(byteCountText(UInt64(Toolchain.programBytes))), or another folder in TMPDIR")
    }
    // gcc says this of its compiler, assembler and linker, and libgomp and libomp say it of a thread.
    if result.output.contains("Resource temporarily unavailable") {
        return .error(
            "\(quoted(program)) could not start a process or thread: resource temporarily unavailable",
            expected: "room for more of them, as 'ulimit -u' or a container's 'pids.max' sets it")
    }
    if result.output.contains("Too many open files") {
        return .error(
            "\(quoted(program)) could not open all of its files: too many open files",
            expected: "room for more of them, as 'ulimit -n' sets it")
    }
    for text in ["Cannot allocate memory", "out of memory", "memory exhausted", "Killed signal"] where result.output.contains(text) {
        return .error(
            "\(quoted(program)) ran out of memory: \(firstError(result, folder: folder))", expected: "more memory, or fewer '--jobs'")
    }
    return nil
}

/// The line of a compiler's output that says what is wrong.
func firstError(_ result: SubprocessResult, folder: String) -> String {
    if result.status > 128 { return "ended by signal \(result.status - 128)" }
    let lines = result.output.split(separator: "\n").map { String($0.replacing("\(folder)/", with: "")) }
    // collect2 only says that the linker failed.
    let telling = lines.filter { !$0.hasPrefix("collect2:") }
    for marker in ["error:", "undefined reference", "cannot find", "multiple definition", "failed:"] {
        if let line = telling.first(where: { $0.contains(marker) }) { return line }
    }
    return lines.last ?? "exit status \(result.status)"
}

/// The questions to one compiler.
private struct Probe {
    let compiler: String
    let target: Target
    let modes: [LinkMode]
    let needs: LibraryNeeds
    let progress: Progress

    func run() throws(Diagnostic) -> Toolchain {
        let folder = try TemporaryFolder.forPrograms(prefix: "lmmc-probe-")
        defer { folder.discard() }
        let version = try runTool([compiler, "--version"], in: folder, log: folder.file("version.log"))
        guard version.status == 0 else {
            throw .error("compiler '\(compiler)' does not answer '--version'", expected: "gcc or clang")
        }
        let name = version.output.split(separator: "\n").first.map(String.init) ?? compiler
        let machine = try answer("-dumpmachine", folder)
        guard target.isHosts || machine.hasPrefix(target.architecture.triple.prefix { $0 != "-" } + "-") else {
            throw .error(
                "compiler '\(compiler)' makes code for \(quoted(machine)), not for \(quoted(target.name))",
                expected: "'\(target.architecture.triple)-gcc'")
        }
        let architecture = target.isNative ? try nativeFlags(folder) : target.flags
        let hardening = try hardeningFlags(folder)
        let candidates: [BLAS?] = needs.blas ? BLAS.candidates(multiarch: try answer("-print-multiarch", folder)) : [nil]
        var reason = ""
        for blas in candidates {
            // Position-independent objects fit all three ways of linking.
            let flags =
                ["-std=gnu11", "-O3"] + architecture + hardening + ["-fopenmp", "-fPIE", Toolchain.optionalFlag] + Toolchain.warningFlags
                + (blas?.compileFlags ?? [])
            let object = folder.file("probe.o")
            try writeFile(folder.file("probe.c"), ProbeProgram.whole(blas: blas != nil, server: needs.server))
            let compiled = try runTool(
                [compiler] + flags + ["-c", folder.file("probe.c"), "-o", object], in: folder, log: folder.file("compile.log"))
            guard compiled.status == 0 else {
                reason = firstError(compiled, folder: folder.path)
                continue
            }
            let libraries = Toolchain.programLibraries(needs) + (blas?.linkFlags ?? []) + ["-lpthread", "-lm"]
            for mode in modes {
                if let problem = try tryLinking(object, mode, libraries, folder) {
                    progress.verbose(
                        "\(compiler): \(mode.rawValue) linking\(blas.map { " with \($0.name)" } ?? "") does not work: \(problem)")
                    reason = problem
                    continue
                }
                progress.verbose(
                    "\(compiler) (\(name)): \(runner == nil ? "not tried, since there is no '\(target.architecture.emulator)'" : "OpenMP runs in parallel"), \(mode.rawValue) linking"
                        + (blas.map { ", BLAS from \($0.name)" } ?? "") + ", \(architecture.joined(separator: " "))")
                return Toolchain(
                    target: target, compiler: compiler, version: name, mode: mode, compileFlags: flags, linkFlags: libraries, blas: blas)
            }
        }
        throw try missing(folder, isClang: name.contains("clang"), flags: architecture, blas: candidates[0])
            ?? .error(
                modes.contains(.dynamic)
                    ? "compiler '\(compiler)' cannot build parallel programs: \(reason)"
                    : "compiler '\(compiler)' cannot link parallel programs statically: \(reason)",
                expected: modes.contains(.dynamic) ? "gcc, or clang with package 'libomp-dev'" : "gcc, or '--link dynamic'")
    }

    /// The words before a program's name that run it here; nil where nothing does.
    private var runner: [String]? { target.isHosts ? [] : findProgram(target.architecture.emulator).map { [$0] } }

    /// What the compiler says to a question of one word.
    private func answer(_ question: String, _ folder: TemporaryFolder) throws(Diagnostic) -> String {
        let result = try runTool([compiler, question], in: folder, log: folder.file("answer.log"))
        return result.status == 0 ? String(result.output.prefix { !$0.isWhitespace }) : ""
    }

    /// Nil when the program links and, where it can be run, its parallel region has more than one thread; otherwise what went wrong.
    private func tryLinking(_ object: String, _ mode: LinkMode, _ libraries: [String], _ folder: TemporaryFolder) throws(Diagnostic)
        -> String?
    {
        let program = folder.file("probe")
        let linked = try runTool(
            [compiler] + mode.flags + Toolchain.hardeningLinkFlags + ["-fopenmp", object, "-o", program] + libraries, in: folder,
            log: folder.file("link.log"))
        guard linked.status == 0 else { return firstError(linked, folder: folder.path) }
        guard let runner else { return nil }
        if isMountedWithoutPrograms(folder.path) {
            progress.verbose("the probe was not run, since programs cannot be run in \(quoted(folder.path)), which is mounted noexec")
            return nil
        }
        let ran = try runTool(
            runner + [program], program: program,
            environment: ["OMP_NUM_THREADS": "2", "OMP_DYNAMIC": "false", "OMP_THREAD_LIMIT": "8"], in: folder,
            log: folder.file("run.log"))
        guard ran.status == 0 else { return "the probe ended with status \(ran.status): \(ran.output.prefix(200))" }
        let threads = ran.output.split(separator: "\n").last.flatMap { Int($0) } ?? 0
        return threads > 1 ? nil : "a parallel region has \(threads) thread(s)"
    }

    /// Those of `Toolchain.hardeningFlags` that the compiler takes without a word.
    private func hardeningFlags(_ folder: TemporaryFolder) throws(Diagnostic) -> [String] {
        try writeFile(folder.file("harden.c"), "#include <stdio.h>\nint main(void) { return puts(\"\") < 0; }\n")
        func takes(_ flags: [String]) throws(Diagnostic) -> Bool {
            let result = try runTool(
                [compiler, "-O2", "-Werror"] + flags + ["-c", folder.file("harden.c"), "-o", folder.file("harden.o")], in: folder,
                log: folder.file("harden.log"))
            return result.status == 0
        }
        let wanted = Toolchain.hardeningFlags(target.architecture)
        if try takes(wanted.flatMap { $0 }) { return wanted.flatMap { $0 } }
        var taken: [String] = []
        for flags in wanted {
            for variant in [flags, flags.map { Toolchain.lesserFlags[$0] ?? $0 }] where try takes(variant) {
                taken += variant
                break
            }
        }
        return taken
    }

    /// What makes code for this CPU; spelt differently by compilers for ARM.
    private func nativeFlags(_ folder: TemporaryFolder) throws(Diagnostic) -> [String] {
        try writeFile(folder.file("empty.c"), "int main(void) { return 0; }\n")
        for flag in ["-march=native", "-mcpu=native"] {
            let result = try runTool(
                [compiler, flag, "-c", folder.file("empty.c"), "-o", folder.file("empty.o")], in: folder, log: folder.file("flag.log"))
            if result.status == 0 { return [flag] }
        }
        return []
    }

    /// The first thing that this compiler lacks; for another architecture than this machine's, all of them with the command that brings them.
    private func missing(_ folder: TemporaryFolder, isClang: Bool, flags: [String], blas: BLAS?) throws(Diagnostic) -> Diagnostic? {
        var lacking: [ProbeProgram.Requirement] = []
        for requirement in ProbeProgram.requirements(isClang: isClang, target: target, needs: needs, blas: blas) {
            try writeFile(folder.file("part.c"), requirement.program)
            let result = try runTool(
                [compiler, folder.file("part.c"), "-o", folder.file("part")] + requirement.flags, in: folder, log: folder.file("part.log"))
            guard result.status != 0 else { continue }
            let problem = firstError(result, folder: folder.path)
            if let tool = ["as", "ld"].first(where: {
                problem.contains("cannot execute '\($0)'") || problem.contains("cannot find '\($0)'")
            }) {
                throw .error("compiler '\(compiler)' finds no '\(tool)'", expected: "package 'binutils', which brings it")
            }
            // What fails for another reason is not missing.
            let absences = ["o such file", "not found", "cannot find", "unable to find", "undefined reference", "undefined symbol"]
            guard absences.contains(where: { problem.contains($0) }) else {
                throw .error("compiler '\(compiler)' fails on a program that needs \(requirement.name) alone: \(problem)")
            }
            lacking.append(requirement)
            if target.isHosts {
                return .error(
                    "\(requirement.name) is missing for compiler '\(compiler)'",
                    expected: "package '\(requirement.package)', which brings it" + (requirement.instead.map { ", or \($0)" } ?? ""))
            }
        }
        guard !lacking.isEmpty else { return nil }
        return .error(
            "\(lacking.map(\.name).joined(separator: ", ")) \(lacking.count == 1 ? "is" : "are") missing for compiler '\(compiler)'",
            expected: "Debian's packages: " + target.architecture.installCommand(lacking.map(\.package))
                + lacking.compactMap(\.instead).map { ", or \($0)" }.joined())
    }
}
