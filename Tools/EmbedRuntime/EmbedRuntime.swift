import Foundation
import PackagePlugin

/// Makes the C files that lmmc carries into Swift source before each build: every one below `Runtime`, and the packager that an emitted C folder
/// brings along. The folders are read when a build begins, so that a new file needs no entry anywhere.
@main struct EmbedRuntime: BuildToolPlugin {
    /// A folder of the package, and what its files' paths begin with in lmmc.
    static let folders = [(path: "Runtime", prefix: ""), (path: "Sources/Packaging/Attach", prefix: "attach/")]

    func createBuildCommands(context: PluginContext, target: Target) throws -> [Command] {
        var inputs: [URL] = []
        var arguments: [String] = []
        for (path, prefix) in Self.folders {
            let folder = context.package.directoryURL.appending(path: path)
            for name in try FileManager.default.subpathsOfDirectory(atPath: folder.path).sorted()
            where name.hasSuffix(".c") || name.hasSuffix(".h") {
                inputs.append(folder.appending(path: name))
                arguments += [prefix + name, inputs[inputs.count - 1].path]
            }
        }
        let output = context.pluginWorkDirectoryURL.appending(path: "EmbeddedFiles.swift")
        return [
            .buildCommand(
                displayName: "Embedding the runtime", executable: try context.tool(named: "EmbedFiles").url,
                arguments: [output.path] + arguments,
                inputFiles: inputs, outputFiles: [output])
        ]
    }
}
