import Support
import Synth
import Work

extension Lmmc {
    /// `lmmc synth`: a checkpoint with random F16 weights, the same for the same preset, options and seed. `preset` "list" names the presets.
    public static func synth(_ choice: PresetChoice, seed: UInt64, output: String?, verbosity: Verbosity) throws(Diagnostic) {
        if choice.name == "list" { return try writeStandardOutput(SynthPreset.all.map { $0.name + "\n" }.joined()) }
        let preset = try SynthPreset.find(choice)
        guard let output else { throw .usage("the folder to make is missing", at: .option("-o"), expected: "a path") }
        let target = withoutTrailingSlashes(output)
        if fileKind(target) == .folder, !(try folderContents(target).isEmpty) {
            throw .error("output folder \(quoted(output)) is not empty", expected: "a new folder")
        }
        try checkOutput(target, isFolder: true)
        let shards = SynthShard.split(preset.tensors)
        let bytes = shards.reduce(0) { $0 + $1.byteCount }  // `find` has seen that it fits
        try checkFreeSpace(for: target, bytes: bytes + 16 << 20)
        let progress = Progress(verbosity)
        let folder = try TemporaryFolder(in: parentFolder(target), prefix: ".lmmc-")
        defer { folder.discard() }
        try preset.writeSmallFiles(to: folder.path, shards)
        try progress.stage("weights", totalBytes: bytes, detail: { (_: Void) in "\(shards.count) file(s)" }) { () throws(Diagnostic) in
            for shard in shards { try shard.write(folder.file(shard.name), seed: seed, output: target) { progress.advance($0) } }
        }
        try folder.rename(to: target)
    }
}
