import Foundation
import TestSupport
import Testing

/// What the runtime's C files include is what the table of rooms in Docs/Architecture.md says, and goes one way.
@Suite struct IncludeTests {
    /// `files`: the text of each C file of `Runtime/`, by its path in the package.
    private func findings(table: String, files: [String: String]) -> [String] {
        var findings: [String] = []
        let rows = rooms(table).filter { $0.folder.hasPrefix("Runtime/") }
        var declared: [String: Set<String>] = [:]
        for row in rows {
            let name = String(row.folder.dropFirst("Runtime/".count))
            if declared.updateValue(row.imports, forKey: name) != nil {
                findings.append("the table of rooms has two rows for \(row.folder)")
            }
        }
        /// The room of a file is its folder, or the one above of those in which a room keeps how some of its files are compiled.
        func owner(_ path: String) -> String? {
            var parts = folder(path).split(separator: "/").dropFirst()
            if let last = parts.last, Self.partsOfRooms.contains(String(last)) { parts.removeLast() }
            let name = parts.joined(separator: "/")
            return declared[name] == nil ? nil : name
        }
        var used: [String: [String: String]] = [:]  // room, included room: the first file that does
        for (path, text) in files.sorted(by: { $0.key < $1.key }) {
            guard let room = owner(path) else {
                findings.append("the table of rooms has no row for the folder of \(path)")
                continue
            }
            used[room, default: [:]].merge([:]) { first, _ in first }
            for name in includes(text) {
                let included = name.contains("/") ? "Runtime/\(name)" : "\(folder(path))/\(name)"
                guard files[included] != nil, !name.contains("/") || folder(included) != folder(path) else {
                    findings.append("\(path) includes \"\(name)\"; expected a path from Runtime/, or the name alone in the same folder")
                    continue
                }
                guard let other = owner(included), other != room else { continue }
                used[room, default: [:]].merge([other: path]) { first, _ in first }
            }
        }
        for (name, imports) in declared.sorted(by: { $0.key < $1.key }) {
            guard let used = used[name] else {
                findings.append("the table of rooms has a row for Runtime/\(name), which holds no C file")
                continue
            }
            for (other, path) in used.sorted(by: { $0.key < $1.key }) where !imports.contains(other) {
                findings.append("\(path) includes what is in \(other), which the table of rooms does not have for Runtime/\(name)")
            }
            for other in imports.subtracting(used.keys).sorted() {
                findings.append("the table of rooms has \(other) for Runtime/\(name), which includes nothing of it")
            }
        }
        if let cycle = cycle(used.mapValues { Set($0.keys) }) {
            findings.append("rooms include each other: \(cycle.joined(separator: ", "))")
        }
        return findings + headerFindings(files)
    }

    /// Folders within rooms: files for one architecture, and those that are compiled for each level.
    private static let partsOfRooms: Set = ["x86_64", "arm64", "leveled"]

    /// Headers that share a name, of which whoever includes both may lose one, and those whose guard is not their path from Runtime/, which no
    /// two of them share.
    private func headerFindings(_ files: [String: String]) -> [String] {
        var findings: [String] = []
        var names: [String: String] = [:]
        for (path, text) in files.sorted(by: { $0.key < $1.key }) where path.hasSuffix(".h") {
            let name = String(path.split(separator: "/").last ?? "")
            if let other = names.updateValue(path, forKey: name) { findings.append("\(other) and \(path) share a name") }
            guard let match = text.firstMatch(of: #/#ifndef (\w+)\n#define (\w+)\n/#), match.1 == match.2 else {
                findings.append("\(path) has no guard")
                continue
            }
            let wanted =
                "LMMC_" + path.dropFirst("Runtime/".count).uppercased().map { $0.isLetter || $0.isNumber ? String($0) : "_" }.joined()
            if match.1 != wanted { findings.append("\(path) has the guard \(match.1); expected \(wanted)") }
        }
        return findings
    }

    /// The rooms of one cycle, the first again at its end; nil where there is none.
    private func cycle(_ graph: [String: Set<String>]) -> [String]? {
        var done: Set<String> = []
        func search(_ room: String, _ path: [String]) -> [String]? {
            if let start = path.firstIndex(of: room) { return path[start...] + [room] }
            if done.contains(room) { return nil }
            for other in (graph[room] ?? []).sorted() {
                if let found = search(other, path + [room]) { return found }
            }
            done.insert(room)
            return nil
        }
        for room in graph.keys.sorted() {
            if let found = search(room, []) { return found }
        }
        return nil
    }

    private func folder(_ path: String) -> String { path.split(separator: "/").dropLast().joined(separator: "/") }

    /// The files that a C file includes by a name in quotes.
    private func includes(_ source: String) -> [String] {
        source.split(separator: "\n").compactMap { $0.prefixMatch(of: #/\s*#\s*include\s*"([^"]+)"/#).map { String($0.1) } }
    }

    @Test func theRuntimeIsAsTheTableSays() throws {
        let root = repository
        var files: [String: String] = [:]
        for path in try FileManager.default.subpathsOfDirectory(atPath: "\(root)/Runtime")
        where path.hasSuffix(".c") || path.hasSuffix(".h") {
            files["Runtime/\(path)"] = try String(contentsOfFile: "\(root)/Runtime/\(path)", encoding: .utf8)
        }
        #expect(files.count > 80)
        let found = findings(table: try String(contentsOfFile: "\(root)/Docs/Architecture.md", encoding: .utf8), files: files)
        #expect(found == [])
    }

    private static let table = """
        | folder | owns | imports |
        |---|---|---|
        | `Sources/Low` | Swift | |
        | `Runtime/base` | little | |
        | `Runtime/high` | more | base, high/part |
        | `Runtime/high/part` | a part | base |
        """
    private static let files = [
        "Runtime/base/text.h": header("BASE_TEXT"), "Runtime/base/text.c": "#include \"text.h\"\n#include <stdio.h>\n",
        "Runtime/high/part/part.h": header("HIGH_PART_PART", "base/text.h"),
        "Runtime/high/part/x86_64/fast.c": "#include \"high/part/part.h\"\n",
        "Runtime/high/all.c": "# include \"high/part/part.h\"\n#include \"base/text.h\"\n// #include \"nothing.h\"\n",
    ]

    private static func header(_ name: String, _ included: String? = nil) -> String {
        "// What it is.\n#ifndef LMMC_\(name)_H\n#define LMMC_\(name)_H\n" + (included.map { "#include \"\($0)\"\n" } ?? "") + "#endif\n"
    }

    /// Each kind of fault, alone in what has none.
    @Test func everyFaultIsFound() {
        func found(_ changes: [String: String?] = [:], _ from: String = "", _ to: String = "") -> [String] {
            var files = Self.files
            for (path, text) in changes { files[path] = text }
            return findings(table: from.isEmpty ? Self.table : Self.table.replacing(from, with: to), files: files)
        }
        #expect(found() == [])
        #expect(
            found(["Runtime/high/other.h": Self.header("HIGH_OTHER"), "Runtime/high/part/part.c": "#include \"high/other.h\"\n"]) == [
                "Runtime/high/part/part.c includes what is in high, which the table of rooms does not have for Runtime/high/part",
                "rooms include each other: high, high/part, high",
            ])
        #expect(
            found([:], "base, high/part", "high/part") == [
                "Runtime/high/all.c includes what is in base, which the table of rooms does not have for Runtime/high"
            ])
        #expect(
            found(["Runtime/high/part/part.h": Self.header("HIGH_PART_PART")]) == [
                "the table of rooms has base for Runtime/high/part, which includes nothing of it"
            ])
        #expect(
            found(["Runtime/new/new.c": ""]) == ["the table of rooms has no row for the folder of Runtime/new/new.c"])
        #expect(
            found(["Runtime/high/new/new.c": ""]) == ["the table of rooms has no row for the folder of Runtime/high/new/new.c"])
        #expect(
            found([:], "| `Runtime/base` | little | |", "| `Runtime/base`, `Runtime/old` | little | |") == [
                "the table of rooms has a row for Runtime/old, which holds no C file"
            ])
        #expect(
            found([:], "| `Runtime/base` | little | |", "| `Runtime/base`, `Runtime/base` | little | |") == [
                "the table of rooms has two rows for Runtime/base"
            ])
        for name in ["part.h", "../part.h", "part/part.h", "high/part/absent.h"] {
            #expect(
                found(["Runtime/high/part/x86_64/slow.c": "#include \"\(name)\"\n"]) == [
                    "Runtime/high/part/x86_64/slow.c includes \"\(name)\"; expected a path from Runtime/, or the name alone in the same folder"
                ])
        }
        #expect(
            found(["Runtime/base/text.c": "#include \"base/text.h\"\n"]) == [
                "Runtime/base/text.c includes \"base/text.h\"; expected a path from Runtime/, or the name alone in the same folder"
            ])
        #expect(
            found(["Runtime/high/text.h": Self.header("HIGH_TEXT")]) == ["Runtime/base/text.h and Runtime/high/text.h share a name"])
        #expect(
            found(["Runtime/high/other.h": Self.header("BASE_TEXT")]) == [
                "Runtime/high/other.h has the guard LMMC_BASE_TEXT_H; expected LMMC_HIGH_OTHER_H"
            ]
        )
        #expect(found(["Runtime/high/other.h": "#pragma once\n"]) == ["Runtime/high/other.h has no guard"])
    }
}
