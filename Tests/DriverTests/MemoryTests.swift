import Foundation
import TestSupport
import Testing

@testable import Driver

/// The memory of programs as they run, against what was foretold.
@Suite struct MemoryTests {
    private let model = "\(repository)/examples/fashion/checkpoint"

    private func object(_ result: Run) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any], "\(result.errors)")
    }

    /// A program whose context is full takes what was foretold, within a tenth: weights, cache, activations and the program itself.
    @Test(arguments: ["f32", "bf16", "int8", "int4"]) func residentMemory(precision: String) throws {
        let scratch = try Scratch()
        try #require(try lmmc("compile", model, "-o", scratch["program"], "--quiet", "--precision", precision).status == 0)
        let bytes = try #require((object(lmmc("inspect", model, "--json"))["bytes"] as? [String: Any])?[precision] as? [String: Any])
        let result = try run([scratch["program"], "--bench", "--runs", "1", "--prompt-tokens", "252", "--max-tokens", "4", "--json"])
        let foretold = try #require(bytes["total"] as? Double), peak = try #require(object(result)["peak_rss_bytes"] as? Double)
        #expect(abs(peak / foretold - 1) < 0.1, "\(peak) bytes, foretold \(foretold)")
    }

    /// `--info` has the slots and their size, and a program of many of which one is used takes no more than one of one, and answers the same.
    @Test func unusedSlotsTakeNoMemory() throws {
        let scratch = try Scratch()
        var peaks: [Int: Double] = [:], sizes: [Int: [String: Int]] = [:], answers: Set<String> = []
        for sequences in [1, 64] {
            let program = scratch["program\(sequences)"]
            try #require(try lmmc("compile", model, "-o", program, "--quiet", "--sequences", "\(sequences)").status == 0)
            let info = try object(run([program, "--info"]))
            #expect(info["sequences"] as? Int == sequences && info["context"] as? Int == 256)
            sizes[sequences] = try #require(info["sizes"] as? [String: Int])
            let bench = try run([program, "--bench", "--runs", "1", "--prompt-tokens", "252", "--max-tokens", "4", "--json"])
            peaks[sequences] = try #require(object(bench)["peak_rss_bytes"] as? Double)
            let answer = try run([program, "--image", "\(repository)/examples/fashion/images/first.png", "--prompt", "What is there?"])
            #expect(answer.status == 0 && answer.output != "", "\(answer.errors)")
            answers.insert(answer.output)
        }
        let (one, many) = (try #require(sizes[1]), try #require(sizes[64])), page = 4096
        let bytes = try #require(object(lmmc("inspect", model, "--json"))["bytes"] as? [String: Any])
        let caches = try #require((bytes["int8"] as? [String: Any])?["kv_cache"] as? Int)
        for size in [one, many] {
            #expect(size["kv_cache_bytes"] == caches && size["slot_bytes"]! >= caches && size["slot_bytes"]! % page == 0, "\(size)")
        }
        #expect(many["arena_bytes"]! - one["arena_bytes"]! >= 63 * caches && 63 * caches > Int(peaks[1]!))
        #expect(peaks[64]! < 1.05 * peaks[1]!, "\(peaks)")
        #expect(answers.count == 1)
    }

    /// Figures of /proc/PID/smaps over all mappings of a file that are not written to, in KiB.
    private func mapped(_ file: String, by process: Process) throws -> [String: Int] {
        var sums: [String: Int] = [:], counts = false
        // Its size is told as 0, so it is read to its end.
        let smaps = try FileHandle(forReadingFrom: URL(filePath: "/proc/\(process.processIdentifier)/smaps")).readToEnd() ?? Data()
        let text = String(decoding: smaps, as: UTF8.self)
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            if words.count > 4, words[0].contains("-") { counts = words[1].hasPrefix("r--") && line.hasSuffix(file) }
            if words[0] == "Size:", Int(words[1]) ?? 0 < 1024 { counts = false }  // headers and tables, some of which are relocated
            if counts, words.count == 3, words[2] == "kB", let value = Int(words[1]) {
                sums[String(words[0].dropLast()), default: 0] += value
            }
        }
        return sums
    }

    /// Two processes of one executable hold its weights once: all of them are pages of the file that both map.
    @Test func weightsAreShared() throws {
        let scratch = try Scratch()
        try #require(try lmmc("compile", model, "-o", scratch["program"], "--quiet").status == 0)
        let processes = try (0..<2).map { _ in
            let process = Process()
            process.executableURL = URL(filePath: scratch["program"])
            process.arguments = ["--bench", "--runs", "100000", "--threads", "1"]
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            return process
        }
        // A child of a thread that blocks signals blocks them too, all but this one.
        defer {
            for process in processes {
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
            }
        }
        let weights = 5 << 10  // KiB; the example has 5.7 MiB
        var seen: [[String: Int]] = []
        for _ in 0..<600 {
            seen = try processes.map { try mapped(scratch["program"], by: $0) }
            if seen.allSatisfy({ ($0["Rss"] ?? 0) > weights && ($0["Private_Clean"] ?? 0) < weights / 10 }) { break }
            Thread.sleep(forTimeInterval: 0.1)
        }
        for figures in seen {
            #expect(figures["Rss"] ?? 0 > weights && figures["Shared_Clean"] ?? 0 > weights, "\(figures)")
            #expect(
                figures["Private_Dirty"] ?? 1 < 64 && figures["Private_Clean"] ?? 0 < weights / 10 && figures["Pss"] ?? 0 < weights * 3 / 4,
                "\(figures)")
        }
    }
}
