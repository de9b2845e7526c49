import Foundation
import IR
import Testing

@testable import IRView

@Suite struct HistoryTests {
    private func stages() throws -> [StageRecord] {
        let declarations = "weight @a : f32[2] = source \"a\" f16[2]"
        func record(_ name: String, _ body: String, _ more: String = "") throws -> StageRecord {
            let module = try function("%x: f32[2]", body, declarations: declarations + more).0
            return StageRecord(name: name, reason: name == "imported" ? "" : "why \(name)", rewrites: 1, milliseconds: 2, module: module)
        }
        return [
            try record(
                "imported", "%u = scale %x {factor = 2.0} : f32[2] %v = add %u, @a : f32[2] %w = scale %v {factor = 3.0} : f32[2] return %w"
            ),
            try record("first", "%u = scale %x {factor = 2.0} : f32[2] %w = add %u, @a : f32[2] return %w"),
            try record(
                "second", "%u = scale %x {factor = 2.0} : f32[2] %n = scale %u {factor = 1.0} : f32[2] %w = add %n, @b : f32[2] return %w",
                "weight @b : f32[2] = fold { %c = scale @a {factor = 1.0} : f32[2] }"),
        ]
    }

    @Test func provenance() throws {
        let provenance = try Provenance(stages())
        #expect(provenance.operations == [[[0, 0, 0]], [[0, 1]], [[0, 2, 2]]])
        #expect(provenance.weights == [[0], [0], [0, 2]])
        #expect(provenance.changes[1] == StageChange(operationsRemoved: 1, operationsChanged: 1))
        #expect(provenance.changes[2] == StageChange(operationsAdded: 1, operationsChanged: 1, weightsAdded: 1))
    }

    @Test func summary() throws {
        var records = try stages()
        records[0].memory = StageRecord.Memory(stored: 3 << 20, peak: 1 << 19)
        #expect(
            summaryTable(records, sequence: 4) == """
                | stage    | rewrites | operations | weights | stored, MiB | peak, MiB | f, FLOP |
                | -------- | -------: | ---------: | ------: | ----------: | --------: | ------: |
                | imported |        1 |          3 |       1 |         3.0 |       0.5 |       6 |
                | `first`  |        1 |          2 |       1 |             |           |       4 |
                | `second` |        1 |          3 |       1 |             |           |       6 |

                """)
    }

    /// Nothing is loaded from anywhere, and names cannot end the script.
    @Test func pageIsOneFile() throws {
        var records = try stages()
        records[0].module.functions[0].operations[0].name = "</script><b>"
        let text = page(records, model: "a <b> & c", context: nil, sequence: 4)
        for outside in ["https:", "src=", "href=", "@import", "url(", "fetch(", "<b>"] {
            #expect(!text.contains(outside), "\(outside)")
        }
        // The one address is the name of the SVG namespace.
        #expect(text.components(separatedBy: "http:").count == text.components(separatedBy: "http://www.w3.org/2000/svg").count)
        #expect(text.components(separatedBy: "</script>").count == 3)
        #expect(text.contains("<title>a &lt;b> &amp; c - IR</title>"))
        let start = try #require(text.range(of: "id=\"data\">")), end = try #require(text.range(of: "</script>"))
        let data = try #require(
            try JSONSerialization.jsonObject(with: Data(text[start.upperBound..<end.lowerBound].utf8)) as? [String: Any])
        // three of the first stage, then u and w, then n and w
        #expect((data["operations"] as? [Any])?.count == 7 && (data["weights"] as? [Any])?.count == 2)
        let stages = try #require(data["stages"] as? [[String: Any]])
        #expect(stages.map { $0["name"] as? String } == ["imported", "first", "second"])
        let last = try #require((stages[2]["functions"] as? [[String: Any]])?.first)
        #expect(last["makers"] as? [Int] == [1, 2, 2])
    }
}
