import RuntimeSources
import Support
import Work

extension RuntimeFile {
    /// Writes `files` below `folder`, with the folders that their paths name.
    public static func write(_ files: [RuntimeFile], to folder: String) throws(Diagnostic) {
        for file in files {
            try makeFolders(above: joinedPath(folder, file.path))
            try writeFile(joinedPath(folder, file.path), file.bytes)
        }
    }
}
