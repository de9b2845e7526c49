import Foundation
import TestSupport
import Testing

/// What `Package.swift` declares, what the files import and what the table of rooms in Docs/Architecture.md says are the same.
@Suite struct ImportTests {
    /// Modules of the system and of Swift's toolchain, which need no declaration.
    private static let free: Set = ["Foundation", "Glibc", "Synchronization", "Testing"]

    /// `imports`: for each Swift file, by its path in the package, what it imports. `exists` tells whether a path is there.
    private func findings(manifest: Manifest, table: String, imports: [String: Set<String>], exists: (String) -> Bool) -> [String] {
        var findings = manifest.unread.map { "Package.swift has \($0) in another form than a literal" }
        let rooms = rooms(table)
        let folders = manifest.targets.map(\.folder)
        for target in manifest.targets {
            func isInside(_ path: String, _ folder: String) -> Bool { path.hasPrefix(folder + "/") }
            // A target may stand in another's folder.
            let inner = folders.filter { isInside($0, target.folder) }
            let files = imports.filter { path, _ in isInside(path, target.folder) && !inner.contains { isInside(path, $0) } }
            let used = files.values.reduce(into: Set()) { $0.formUnion($1) }.subtracting(Self.free)
            for name in used.subtracting(target.dependencies).sorted() {
                let path = files.filter { $0.value.contains(name) }.keys.sorted()[0]
                findings.append("\(path) imports \(name), which Package.swift does not declare for \(target.name)")
            }
            // What C needs of C is told by its includes.
            guard !files.isEmpty else { continue }
            for name in target.dependencies.subtracting(used).sorted() {
                findings.append("Package.swift declares \(name) for \(target.name), which does not import it")
            }
        }
        for target in manifest.targets where !target.isTest && !isTestSupport(target) {
            guard let room = rooms.first(where: { $0.folder == target.folder }) else {
                findings.append("the table of rooms has no row for \(target.folder)")
                continue
            }
            let isSwift = imports.keys.contains { $0.hasPrefix(target.folder + "/") }
            if isSwift, room.imports != target.dependencies {
                findings.append(
                    "the table of rooms has \(room.imports.sorted().joined(separator: ", ")) for \(target.folder), "
                        + "Package.swift \(target.dependencies.sorted().joined(separator: ", "))")
            }
        }
        for room in rooms where !exists(room.folder) || room.folder.hasPrefix("Sources/") && !folders.contains(room.folder) {
            findings.append("the table of rooms has a row for \(room.folder), which is none")
        }
        if rooms.isEmpty { findings.append("there is no table of rooms") }
        return findings
    }

    private func isTestSupport(_ target: Target) -> Bool { target.folder.hasPrefix("Tests/") }

    @Test func theRepositoryIsAsItSays() throws {
        let root = repository
        func text(_ path: String) throws -> String { try String(contentsOfFile: "\(root)/\(path)", encoding: .utf8) }
        let manifest = Manifest(try text("Package.swift"))
        var imported: [String: Set<String>] = [:]
        for folder in ["Sources", "Tests"] {
            for path in try FileManager.default.subpathsOfDirectory(atPath: "\(root)/\(folder)") where path.hasSuffix(".swift") {
                imported["\(folder)/\(path)"] = imports(try text("\(folder)/\(path)"))
            }
        }
        #expect(manifest.targets.count > 30 && imported.count > 200)
        let found = findings(manifest: manifest, table: try text("Docs/Architecture.md"), imports: imported) {
            FileManager.default.fileExists(atPath: "\(root)/\($0)")
        }
        #expect(found == [])
    }

    private static let manifest = """
        let ordered: Target.Dependency = .product(name: "OrderedCollections", package: "swift-collections")
        let package = Package(targets: [
            // .target(name: "Gone"),
            .target(name: "Low", cSettings: [.define("X", to: "2")]),
            .target(name: "High", dependencies: [
                "Low", ordered,
            ], exclude: ["page.js"]),
            .target(name: "C", path: "Sources/High/C"),
            .testTarget(name: "HighTests", dependencies: ["High"]),
        ])
        """
    private static let table = """
        | folder | owns | imports |
        |---|---|---|
        | `Sources/Low` | little | |
        | `Sources/High`, `Docs` | much | OrderedCollections, Low |
        | `Sources/High/C` | C | libc |

        | `Sources/Other` | another table | |
        """
    private static let files = [
        "Sources/Low/a.swift": "import Glibc\n", "Sources/High/b.swift": "import Low\n@testable import OrderedCollections\n",
        "Sources/High/Inner/c.swift": "import struct Low.Thing\n// import Nothing\n",
        "Tests/HighTests/d.swift": "import Testing\nimport High\n",
    ]

    private func findings(_ manifest: String = manifest, _ table: String = table, _ files: [String: String] = files) -> [String] {
        findings(manifest: Manifest(manifest), table: table, imports: files.mapValues(imports)) { !$0.contains("Absent") }
    }

    @Test func manifestIsRead() {
        let manifest = Manifest(Self.manifest)
        #expect(manifest.unread == [])
        #expect(
            manifest.targets == [
                Target(name: "Low", folder: "Sources/Low", dependencies: [], isTest: false),
                Target(name: "High", folder: "Sources/High", dependencies: ["Low", "OrderedCollections"], isTest: false),
                Target(name: "C", folder: "Sources/High/C", dependencies: [], isTest: false),
                Target(name: "HighTests", folder: "Tests/HighTests", dependencies: ["High"], isTest: true),
            ])
        #expect(findings() == [])
    }

    /// Each kind of fault, alone in what has none.
    @Test func everyFaultIsFound() {
        func changed(_ text: String, _ from: String, _ to: String) -> String { text.replacing(from, with: to) }
        func with(_ path: String, _ text: String) -> [String: String] { Self.files.merging([path: text]) { $1 } }
        #expect(
            findings(Self.manifest, Self.table, with("Sources/Low/e.swift", "import High\n")) == [
                "Sources/Low/e.swift imports High, which Package.swift does not declare for Low"
            ])
        #expect(
            findings(Self.manifest, Self.table, with("Tests/HighTests/e.swift", "@testable import Low\n")) == [
                "Tests/HighTests/e.swift imports Low, which Package.swift does not declare for HighTests"
            ])
        #expect(
            findings(Self.manifest, Self.table, with("Sources/High/b.swift", "import Low\n")) == [
                "Package.swift declares OrderedCollections for High, which does not import it"
            ])
        #expect(
            findings(Self.manifest, changed(Self.table, "| `Sources/Low` | little | |\n", "")) == [
                "the table of rooms has no row for Sources/Low"
            ])
        #expect(
            findings(Self.manifest, changed(Self.table, "OrderedCollections, Low", "Low")) == [
                "the table of rooms has Low for Sources/High, Package.swift Low, OrderedCollections"
            ])
        #expect(
            findings(Self.manifest, changed(Self.table, "`Docs`", "`Absent`")) == ["the table of rooms has a row for Absent, which is none"]
        )
        #expect(
            findings(Self.manifest, changed(Self.table, "`Docs`", "`Sources/Old`")) == [
                "the table of rooms has a row for Sources/Old, which is none"
            ])
        #expect(
            findings(Self.manifest, "") == [
                "the table of rooms has no row for Sources/Low", "the table of rooms has no row for Sources/High",
                "the table of rooms has no row for Sources/High/C", "there is no table of rooms",
            ])
        #expect(
            findings(changed(Self.manifest, #"["High"]"#, #"["High", other]"#)) == [
                "Package.swift has dependency 'other' of HighTests in another form than a literal"
            ])
    }
}
