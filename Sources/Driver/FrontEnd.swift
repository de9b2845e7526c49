import Checkpoint
import Glibc
import IR
import ModelImport
import Passes
import Support

/// From a checkpoint folder to the optimised module, stage by stage.
struct FrontEnd {
    let checkpoint: Checkpoint
    /// Positions of the KV cache.
    let context: Int

    static let defaultContext = 4096

    static func open(_ options: ModelOptions) throws(Diagnostic) -> FrontEnd {
        try options.validate()
        let checkpoint = try Checkpoint.open(path: options.model, visionTower: options.visionTower)
        let limit = checkpoint.configuration.decoder.maxPositionEmbeddings
        let context = options.context ?? min(limit, defaultContext)
        guard context <= limit else {
            throw .usage("context \(context) is larger than the model's", at: .option("--context"), expected: "1 to \(limit) positions")
        }
        return FrontEnd(checkpoint: checkpoint, context: context)
    }

    /// Longest sequence of one prefill call.
    var chunk: Int { min(context, 1024) }

    /// Names of all stages in order, as `lmmc ir --stage` takes them.
    static var stageNames: [String] { ["imported"] + Pipeline.passes.map(\.name) + ["optimized"] }

    /// Runs import and passes; `observe` sees the module after every stage with what to say about it. Ends early when `observe` returns false.
    func run(observe: (_ stage: String, _ detail: String, Module) throws(Diagnostic) -> Bool) throws(Diagnostic) -> Module {
        var module = try importModel(checkpoint, context: context)
        let operations = module.functions.reduce(0) { $0 + $1.operations.count }
        guard try observe("imported", "\(operations) operations, \(module.weights.count) weights", module) else { return module }
        for pass in Pipeline.passes {
            var goesOn = true
            try Pipeline.run([pass], on: &module) { (pass, rewrites, module) throws(Diagnostic) in
                goesOn = try observe(pass.name, "\(rewrites) rewrites", module)
            }
            if !goesOn { return module }
        }
        module.stage = .optimized
        try module.verify(after: "optimized")
        _ = try observe("optimized", "\(module.functions.reduce(0) { $0 + $1.operations.count }) operations", module)
        return module
    }
}

/// Numbered files of IR text in a folder, one per stage.
struct StageDump {
    let folder: String
    private var count = 0

    init(folder: String) throws(Diagnostic) {
        self.folder = folder
        try makeFolders(folder)
    }

    mutating func write(_ stage: String, _ module: Module) throws(Diagnostic) {
        let number = count < 10 ? "0\(count)" : "\(count)"
        count += 1
        let text = module.description
        try AtomicFile.write(path: joinedPath(folder, "\(number)-\(stage).ir")) { file throws(Diagnostic) in try file.write(text) }
    }
}

/// Writes all of `text` to standard output. A reader that has gone away is no error.
func writeStandardOutput(_ text: String) throws(Diagnostic) {
    let bytes = Array(text.utf8)
    var done = 0
    while done < bytes.count {
        let written = bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress! + done, bytes.count - done) }
        if written < 0 && errno == EINTR { continue }
        if written < 0 && errno == EPIPE { return }
        guard written > 0 else { throw .system("write", path: "standard output", code: written < 0 ? errno : ENOSPC) }
        done += written
    }
}
