import Endings
import Glibc
import Support
import Synchronization

/// What must go when SIGINT, SIGTERM or SIGHUP ends lmmc: running programs, temporary files and folders.
///
/// `install` moves the three signals to a thread of their own, so that what is said then is ordinary code, not a handler's. Traps and faults
/// have one all the same (Endings), which leaves the process to its signal. Both clean up by the one list that Endings keeps.
/// Without it (in tests, say) registration still works and nothing else changes.
public enum Interrupts {
    private typealias BeforeExit = @Sendable () -> Void

    /// Held while something that must go begins or ends.
    private static let state = Mutex<BeforeExit?>(nil)

    /// Call before any other thread exists: threads inherit the blocked signals.
    public static func install() {
        // A file that grows past a limit must be an error of the write, not the end of the process.
        signal(SIGXFSZ, SIG_IGN)
        // Whoever makes files without rights for himself (umask 0777) could not even read what the compiler writes.
        let mask = umask(0o077)
        umask(mask & ~0o700)
        lmmc_endings_install()
        var set = watchedSignals
        pthread_sigmask(SIG_BLOCK, &set, nil)
        var thread = pthread_t()
        // Without the thread that waits for them, the signals must end this process as they always do.
        if pthread_create(&thread, nil, { _ in Interrupts.watch() }, nil) != 0 { pthread_sigmask(SIG_UNBLOCK, &set, nil) }
    }

    /// The three signals without those that whoever started lmmc had it ignore, as nohup does: a blocked signal would wait for the thread.
    private static var watchedSignals: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGINT, SIGTERM, SIGHUP] where !lmmc_endings_is_ignored(number) { sigaddset(&set, number) }
        return set
    }

    private static func watch() -> UnsafeMutableRawPointer? {
        var set = watchedSignals
        var number: Int32 = 0
        while sigwait(&set, &number) != 0 {}
        state.withLock { beforeExit in
            // The lock stays held: nothing new begins any more.
            AtomicFile.endAll()
            beforeExit?()
            let name = [SIGINT: "SIGINT", SIGTERM: "SIGTERM", SIGHUP: "SIGHUP"][number] ?? "signal \(number)"
            writeStandardError(Diagnostic.error("interrupted by \(name)").rendered + "\n")
            _exit(1)
        }
        return nil
    }

    /// Called before the error line is written; the progress bar clears its line here.
    static func beforeExit(_ action: @escaping @Sendable () -> Void) { state.withLock { $0 = action } }

    /// Makes a folder with `make`, which returns its path, and registers it in one step, so that no signal falls between the two. Gives its
    /// place among the endings too.
    static func registerFolder(_ make: () throws(Diagnostic) -> String) throws(Diagnostic) -> (path: String, place: Int32) {
        let result: Result<(String, Int32), Diagnostic> = state.withLock { _ in
            Result { () throws(Diagnostic) in
                let path = try make()
                return (path, withPath(path) { lmmc_endings_add_folder($0) })
            }
        }
        return try result.get()
    }

    static func unregister(folderAt place: Int32) { state.withLock { _ in lmmc_endings_drop_path(place) } }

    /// Starts a process in a group of its own with `start`, which returns its id or nil.
    static func startingProcess(_ start: () -> pid_t?) -> pid_t? {
        state.withLock { _ in
            let id = start()
            if let id { lmmc_endings_add_group(id) }
            return id
        }
    }

    static func processEnded(_ id: pid_t) { state.withLock { _ in lmmc_endings_drop_group(id) } }
}

/// Removes a folder of ours with all that is in it. A killed compiler may create one last file meanwhile, so it is tried again.
public func removeFolder(_ path: String) {
    for _ in 0..<50 {
        for name in (try? folderContents(path)) ?? [] {
            let inner = joinedPath(path, name)
            var status = stat()
            guard lstat(inner, &status) == 0 else { continue }
            if status.st_mode & S_IFMT == S_IFDIR { removeFolder(inner) } else { unlink(inner) }
        }
        if rmdir(path) == 0 || errno == ENOENT { return }
        usleep(10_000)
    }
}

/// Writes all of `text`, which may be lines, to standard error in one call where the system takes it so. Nothing of it drives a terminal.
public func writeStandardError(_ text: String) { writeToTerminal(escapingControlsInLines(text)) }

/// Writes `text` to standard error as it is: for the progress bar, which moves the cursor.
func writeToTerminal(_ text: String) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let written = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
        if written < 0 && errno == EINTR { continue }
        if written <= 0 { return }
        bytes = bytes.dropFirst(written)
    }
}
