import Glibc
import Support

/// What a program that ran to its end left behind.
public struct SubprocessResult: Sendable {
    /// The exit status, or 128 + the signal's number.
    public var status: Int32
    /// Standard output and standard error together, at most 256 KiB.
    public var output: String
}

/// Runs the program at `arguments[0]` (searched in PATH when it has no slash) to its end, its output captured in the file `log`.
/// It gets a process group of its own, so that ending lmmc ends all of it. `temporary` becomes its TMPDIR.
public func runSubprocess(
    _ arguments: [String], environment: [String: String] = [:], temporary: String, log: String
) throws(Diagnostic) -> SubprocessResult {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    for number in [SIGINT, SIGTERM, SIGHUP, SIGPIPE] { sigaddset(&signals, number) }
    posix_spawnattr_setsigdefault(&attributes, &signals)

    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0o600)
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)

    // LC_ALL: messages are looked through for "error:".
    var variables = environmentVariables()
    variables.merge(["TMPDIR": temporary, "LC_ALL": "C"]) { $1 }
    variables.merge(environment) { $1 }

    var code: Int32 = 0
    let id = Interrupts.startingProcess {
        withCStrings(arguments) { argv in
            withCStrings(variables.map { "\($0.key)=\($0.value)" }) { envp in
                var id = pid_t()
                // A program that was just written may for a moment be open in a child of another thread.
                for _ in 0..<50 {
                    code = posix_spawnp(&id, arguments[0], &actions, &attributes, argv, envp)
                    guard code == ETXTBSY else { break }
                    usleep(20_000)
                }
                return code == 0 ? id : nil
            }
        }
    }
    guard let id else {
        if code == EACCES, isMountedWithoutPrograms(arguments[0]) {
            throw .error(
                "cannot run \(quoted(arguments[0])): its file system is mounted noexec",
                expected: "another folder in TMPDIR, where programs can be run")
        }
        let isFull = code == EAGAIN || code == ENOMEM
        throw .system(
            "run", path: arguments[0], code: code,
            expected: isFull ? "room for more processes, as 'ulimit -u' or a container's 'pids.max' sets it" : "a program that can be run")
    }
    var status: Int32 = 0
    while waitpid(id, &status, 0) < 0 && errno == EINTR {}
    Interrupts.processEnded(id)
    let signal = status & 0x7F
    return SubprocessResult(status: signal == 0 ? status >> 8 & 0xFF : 128 + signal, output: head(of: log, limit: 256 << 10))
}

private func head(of path: String, limit: Int) -> String {
    let number = open(path, O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return "" }
    defer { close(number) }
    let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
        while count < limit {
            let got = read(number, buffer.baseAddress! + count, limit - count)
            if got <= 0 { break }
            count += got
        }
    }
    // Messages name files.
    return pathText(bytes)
}

private func withCStrings<Result>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result) -> Result {
    let pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return body(pointers)
}

/// The file that `name` means to a shell: itself when it holds a slash, else its first match in PATH.
public func findProgram(_ name: String) -> String? { findPrograms(name).first }

/// All that PATH has of this name, in its order.
public func findPrograms(_ name: String) -> [String] {
    func isProgram(_ path: String) -> Bool { fileKind(path) == .regular && access(path, X_OK) == 0 }
    if hasSlash(name) { return isProgram(name) ? [name] : [] }
    let path = environmentVariable("PATH") ?? "/usr/bin:/bin"
    return path.utf8.split(separator: UInt8(ascii: ":")).map { "\(String(Substring($0)))/\(name)" }.filter(isProgram)
}

/// Runs a program that lmmc made; its output. Throws its message when it fails, at `site` or else at the program.
public func runCompiled(_ command: [String], in folder: TemporaryFolder, site: Site? = nil) throws(Diagnostic) -> String {
    let result = try runSubprocess(command, temporary: folder.path, log: folder.file("log"))
    guard result.status == 0 else {
        let line = result.output.split(separator: "\n").last.map { String($0.trimmingPrefix("error: ")) } ?? "no message"
        throw .error("the program ended with \(result.status): \(line)", at: site ?? .file(command[0]))
    }
    return result.output
}
