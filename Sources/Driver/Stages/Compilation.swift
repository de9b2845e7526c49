import CEmit
import Checkpoint
import Glibc
import IR
import IRView
import Packaging
import Passes
import Plan
import RuntimeSources
import Support
import Toolchain
import Work

/// One compilation: everything that is known before code and weights are written.
struct Compilation {
    let options: CompileOptions
    let progress: Progress
    let target: Target
    let front: FrontEnd
    let module: Module
    let plan: Plan
    let tokenizer: [UInt8]
    let tree: [UInt8]
    let layout: AttachmentLayout

    init(_ options: CompileOptions, _ progress: Progress) throws(Diagnostic) {
        self.options = options
        self.progress = progress
        try options.model.validate()
        target = try Target.named(options.model.target, levels: options.model.targetLevels)
        let front = try progress.stage(
            "open",
            detail: { (front: FrontEnd) in
                let checkpoint = front.checkpoint
                return "\(checkpoint.tensors.count) tensors, \(byteCountText(UInt64(checkpoint.byteCount())))"
            }
        ) { () throws(Diagnostic) in try FrontEnd.open(options.model) }
        self.front = front
        for note in front.checkpoint.warnings + GenerationSetting.notes(front.checkpoint.generation) { progress.report(note) }

        var dump = if let folder = options.dumpIR { try StageDump(folder: folder) } else { StageDump?.none }
        var summary = ""
        var imported: Module?
        module = try progress.stage("optimize", detail: { (_: Module) in summary }) { () throws(Diagnostic) in
            try front.run(options.passes) { record throws(Diagnostic) in
                try dump?.write(record.name, record.module)
                if record.name == Stage.imported.rawValue { imported = record.module }
                summary = record.summary
                progress.verbose("\(record.name): \(record.summary)")
                return true
            }
        }
        let module = module
        if options.verbosity == .verbose, let imported {
            for line in try front.overrideSummary(imported: imported, optimized: module) { progress.verbose(line) }
        }
        plan = try progress.stage(
            "plan",
            detail: { (plan: Plan) in
                "\(byteCountText(UInt64(plan.weightBytes))) of weights, \(byteCountText(UInt64(plan.arenaBytes))) of working memory"
            }
        ) { () throws(Diagnostic) in try makePlan(module) }
        tokenizer = try tokenizerBlob(front.checkpoint.tokenizer)
        tree = try tokenTree(of: tokenizer, rows: front.checkpoint.configuration.decoder.vocabularySize)
        let prefix = try Self.prefix(options, target, front, plan, tokenizer, progress)
        layout = try AttachmentLayout(plan: plan, tokenizer: tokenizer, tree: tree, prefix: prefix)
    }

    func makeExecutable() throws(Diagnostic) {
        try checkFreeSpace(for: options.output, bytes: layout.totalBytes + Toolchain.programBytes)
        let folder = try TemporaryFolder()
        defer { folder.discard() }
        let toolchain = try progress.stage("toolchain", detail: { (t: Toolchain) in "\(t.version), \(t.mode.rawValue)" }) {
            () throws(Diagnostic) in
            try Toolchain.find(cc: options.cc, target: target, link: options.link, needs: libraryNeeds, progress: progress)
        }
        let program = folder.file("linked")  // the runtime has a folder `program`
        let needs = try buildProgram(toolchain, program, folder)
        try AtomicFile.write(path: options.output, executable: true) { file throws(Diagnostic) in
            let packager = try Packager(executable: program, output: file.descriptor, path: options.output, bytes: layout.totalBytes)
            let sums = AttachmentSums(of: layout.sumsOffset)
            let streamed = StreamedFile(file.descriptor, path: options.output, base: packager.offset, sums: sums)
            try progress.stage("weights", totalBytes: layout.totalBytes) { () throws(Diagnostic) in
                try writeAttachment(to: streamed, at: packager.offset, sums)
            }
            if let prefix = layout.prefix {
                try fold(prefix, by: program, weights: file.temporaryPath, streamed, at: packager.offset, folder)
                try streamed.write(sums.values, at: packager.offset + layout.sumsOffset)
            }
            try packager.finish()
        }
        if let needs, options.verbosity != .quiet { writeStandardError("\(padded("needs", 10)) \(needs.text)\n") }
    }

    /// The weights, the tokenizer, its tree, the first tokens of prompts and the sums at their places behind `base`.
    func writeAttachment(to file: StreamedFile, at base: Int, _ sums: AttachmentSums) throws(Diagnostic) {
        let writer = WeightWriter(module: module, plan: plan, checkpoint: front.checkpoint)
        let progress = progress
        try writer.write(to: file, at: base, report: { progress.report($0) }) { progress.advance($0) }
        try file.write(tokenizer, at: base + layout.tokenizerOffset)
        try file.write(tree, at: base + layout.treeOffset)
        if let prefix = layout.prefix { try file.write(prefix.head, at: base + layout.prefixOffset) }
        try file.write(sums.values, at: base + layout.sumsOffset)
        progress.advance(layout.totalBytes - layout.tokenizerOffset)
    }

    /// The emitted C files; `build` is nil when somebody else will compile them.
    func emittedFiles(_ build: BuildFacts?) throws(Diagnostic) -> [EmittedFile] {
        let description = try front.describe(plan, layout, options: options.model, target: target, build: build)
        return emitProgram(plan, description)
    }

    /// Compiles and links. A dynamic program is linked once to see what it needs, and once more when it can say so.
    private func buildProgram(_ toolchain: Toolchain, _ program: String, _ folder: TemporaryFolder) throws(Diagnostic) -> DynamicNeeds? {
        var facts = BuildFacts(compilerVersion: toolchain.version, mode: toolchain.mode)
        let runtime = runtimeFiles.filter { !$0.isPackager }
        let emitted = try progress.stage(
            "emit",
            detail: { (files: [EmittedFile]) in
                byteCountText(UInt64(files.reduce(0) { $0 + $1.text.utf8.count })) + " of C"
            }
        ) { () throws(Diagnostic) in
            let emitted = try emittedFiles(facts)
            try RuntimeFile.write(runtime, to: folder.path)
            for file in emitted { try writeFile(folder.file(file.name), file.text) }
            return emitted
        }
        let units = compiledUnits(emitted)
        let cache = ObjectCache(toolchain, in: folder, progress: progress)
        func build(_ units: [CompiledUnit]) throws(Diagnostic) {
            try inParallel(units.count, jobs: options.jobs ?? HostCPU.current.count) { index throws(Diagnostic) in
                let unit = units[index], object = folder.file(unit.objectName)
                try toolchain.compile(
                    folder.file(unit.source), level: unit.level, to: object, include: [folder.path], in: folder, progress: progress)
                if !unit.isEmitted { cache.keep(object, as: unit.objectName) }
            }
        }
        func link(known: [CompiledUnit] = []) throws(Diagnostic) {
            let objects = units.map { known.contains($0) ? cache.object($0.objectName) ?? "" : folder.file($0.objectName) }
            try toolchain.link(objects, to: program, in: folder, progress: progress)
        }
        let known = try progress.stage(
            "compile",
            detail: { (known: [CompiledUnit]) in
                "\(units.count) files" + (known.isEmpty ? "" : ", \(known.count) of them compiled before")
            }
        ) { () throws(Diagnostic) in
            let known = units.filter { !$0.isEmitted && cache.object($0.objectName) != nil }
            try build(units.filter { !known.contains($0) })
            do throws(Diagnostic) {
                try link(known: known)
                return known
            } catch {
                guard !known.isEmpty else { throw error }
                // The reason may be a damaged cache.
                progress.verbose("linking failed, so all files are compiled anew: \(error.message)")
                try build(known)
                try link()
                return []
            }
        }
        guard toolchain.mode == .dynamic else { return nil }
        let needs = try DynamicNeeds(path: program)
        facts.needs = needs
        for file in try emittedFiles(facts) where !file.isLeveled {
            try writeFile(folder.file(file.name), file.text)
            try build(units.filter { $0.source == file.name })
        }
        try link(known: known)
        return needs
    }

    /// What is compiled, in the order in which it is started: the emitted code first, since it takes longest.
    func compiledUnits(_ emitted: [EmittedFile]) -> [CompiledUnit] {
        func units(_ source: String, isEmitted: Bool, isLeveled: Bool) -> [CompiledUnit] {
            (isLeveled ? target.levels.map(Optional.some) : [nil]).map { CompiledUnit(source: source, level: $0, isEmitted: isEmitted) }
        }
        return emitted.filter { $0.name.hasSuffix(".c") }.flatMap { units($0.name, isEmitted: true, isLeveled: $0.isLeveled) }
            + runtimeFiles.filter(\.isCompiled).flatMap { units($0.path, isEmitted: false, isLeveled: $0.isLeveled) }
    }

    var libraryNeeds: LibraryNeeds { LibraryNeeds(blas: plan.hasFloat32Products, server: options.serves) }

    /// The files of the runtime that the program is built of. OpenBLAS takes 26 MB in a program, so only one that calls it has the files that do.
    var runtimeFiles: [RuntimeFile] {
        RuntimeFile.all.filter {
            !target.leavesOut($0.path) && (libraryNeeds.blas || !$0.needsBLAS) && (libraryNeeds.server || !$0.serves)
        }
    }
}

/// A C file as it is compiled once; `level` is nil for a file that is the same on all.
struct CompiledUnit: Sendable, Equatable {
    var source: String
    var level: Target.Level?
    /// The file was emitted for this model; otherwise it belongs to the runtime.
    var isEmitted: Bool

    var objectName: String { source.replacing("/", with: "-") + (level.map { ".\($0.symbol)" } ?? "") + ".o" }
}

extension StageRecord {
    /// What `--verbose` says of it.
    var summary: String {
        rewrites.map { "\($0) rewrites" } ?? "\(operationCount) operations, \(module.storedWeights.count) weights"
    }
}
