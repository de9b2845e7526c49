import Foundation
import Support
import TestSupport
import Testing

@testable import Checkpoint

/// `keys.json` (make_keys.py) holds the keys that tools write; Docs/Checkpoints.md says of each what becomes of it, and that is held against
/// what opening a checkpoint does.
@Suite struct KeyTests {
    private enum Status: String { case honoured, refused, reported, harmless }

    /// By section and key: the rows of the tables under `### SECTION`, of which the first cell holds keys and the second begins with a status.
    private static func table() throws -> [String: [String: Status]] {
        let text = try String(contentsOfFile: repository + "/Docs/Checkpoints.md", encoding: .utf8)
        var table: [String: [String: Status]] = [:], section: String?
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("#") { section = line.hasPrefix("### ") ? String(line.dropFirst(4)) : nil }
            let cells = line.split(separator: "|", omittingEmptySubsequences: false)
            guard let section, cells.count > 3,
                let status = Status(rawValue: String(cells[2].trimming(while: { $0 == " " }).prefix { $0.isLetter }))
            else { continue }
            for key in cells[1].split(separator: "`").enumerated().filter({ $0.offset % 2 == 1 }).map(\.element) {
                #expect(table[section, default: [:]].updateValue(status, forKey: String(key)) == nil, "'\(key)' stands twice in \(section)")
            }
        }
        return table
    }

    private static func keys() throws -> [String: [String]] {
        let data = try Data(contentsOf: URL(filePath: repository + "/Tests/CheckpointTests/keys.json"))
        return try #require(try JSONSerialization.jsonObject(with: data) as? [String: [String]])
    }

    @Test func everyKeyHasAnEntry() throws {
        let table = try Self.table()
        let keys = try Self.keys()
        #expect(keys.count == 13 && keys.values.allSatisfy { !$0.isEmpty })
        for (section, keys) in keys {
            for key in keys { #expect(table[section]?[key] != nil, "no entry for '\(key)' under \(section)") }
        }
    }

    // MARK: Whether the entries are true

    /// An object in a file of a checkpoint, in which keys are set.
    private struct Place {
        let folder = TemporaryFolder()
        let file: String
        /// The file's members, and under which of them the keys stand.
        let members: [String: Any]
        let part: String?
        let isAdapter: Bool

        init(_ fixture: Fixture, _ file: String, _ members: [String: Any], part: String? = nil, isAdapter: Bool = false) {
            (self.file, self.members, self.part, self.isAdapter) = (file, members, part, isAdapter)
            fixture.write(to: folder)
            guard isAdapter else { return }
            folder.write(
                "a/adapter_model.safetensors",
                safetensors([
                    "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight": TensorFixture(dtype: "F32", shape: [2, 8]),
                    "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight": TensorFixture(dtype: "F32", shape: [6, 2]),
                ]))
        }

        var own: [String: Any] { part.map { members[$0] as! [String: Any] } ?? members }

        /// What opening gives: all that a program is made of, or the error.
        func outcome(_ changes: [String: Any]) -> String {
            let own = own.merging(changes) { $1 }
            folder.write(file, json: part.map { members.merging([$0: own]) { $1 } } ?? own)
            return errorText(in: folder) { () throws(Diagnostic) in
                let opened = try Checkpoint.open(path: folder.path, adapter: isAdapter ? folder.file("a") : nil)
                let tensors = opened.tensors.map { "\($0.key) \($0.value.sourceName) \($0.value.shape)" }.sorted()
                let template = try opened.chatTemplate()
                return
                    "\(opened.configuration) \(tensors) \(opened.tokenizer) \(opened.generation.map { "\($0.key) \($0.value)" }) \(template?.text ?? "")"
            }
        }
    }

    private static func places(_ section: String) -> [Place] {
        let transformers = Fixture.transformers(newer: true), decoder = Fixture.decoder, llava = Fixture.llava
        func config(_ fixture: Fixture, _ part: String? = nil) -> Place { Place(fixture, "config.json", fixture.config, part: part) }
        let text = config(transformers, "text_config"), tower = config(transformers, "vision_config"), whole = config(transformers)
        switch section {
        case "`config.json`: any part": return [config(decoder), text, tower, whole]
        case "`config.json`: the decoder": return [config(decoder), text]
        case "`config.json`: the vision tower": return [tower, Place(llava, "clip/config.json", llava.vision)]
        case "`config.json`: LLaVA in transformers": return [whole]
        case "`config.json`: LLaVA's own keys": return [config(llava)]
        case "`config.json`: TokenPacker's keys": return [config(.tokenPacker)]
        case "`config.json`: LLaVA-Mini's keys": return [config(.llavaMini)]
        case "`config.json`: YOPO's keys": return [config(llava)]
        case "`generation_config.json`": return [decoder, transformers].map { Place($0, "generation_config.json", [:]) }
        case "`preprocessor_config.json`":
            return [
                Place(transformers, "preprocessor_config.json", [:]), Place(llava, "clip/preprocessor_config.json", llava.preprocessor!),
            ]
        case "`processor_config.json`": return [Place(transformers, "processor_config.json", ["image_processor": [String: Any]()])]
        case "`adapter_config.json`":
            return [Place(llava, "a/adapter_config.json", ["peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none"], isAdapter: true)]
        case "`tokenizer_config.json`": return [Place(llava, "tokenizer_config.json", [:])]
        default: return []
        }
    }

    private static var values: [Any] { [true, false, 7, 0.5, "x", [7], ["x": 1], ["x": true]] }

    @Test func harmlessKeysChangeNothing() throws {
        for (section, rows) in try Self.table() {
            let harmless = rows.filter { $0.value == .harmless }.keys
            for place in Self.places(section) {
                let before = place.outcome([:])
                #expect(!before.hasPrefix("error"), "\(section): \(before)")
                for value in Self.values {
                    func all(_ keys: some Sequence<String>) -> [String: Any] { Dictionary(uniqueKeysWithValues: keys.map { ($0, value) }) }
                    if place.outcome(all(harmless)) == before { continue }
                    for key in harmless {
                        let after = place.outcome(all([key]))
                        #expect(after == before, "\(value) for '\(key)' in \(section) does something: \(after)")
                    }
                }
            }
        }
    }

    /// A trap would end the test's process.
    @Test func extremesEndInAnErrorOrNot() throws {
        let extremes: [Any] = [
            -1, 0, 1, Int.min, Int.max, Int(Int32.max), Int(Int32.max) + 1, Int(UInt32.max), 1 << 62, Double.leastNonzeroMagnitude, 1e-40,
            -1e300, 1e300, 1.5, "", "-1", [Any](), [-1], [Int.max],
            [Int.min, 1], [1e300, 1, 1], [[Any]()], ["": Int.max],
        ]
        var count = 0
        for (section, rows) in try Self.table() where !section.contains("adapter") {
            for place in Self.places(section) {
                for key in rows.filter({ $0.value != .harmless && $0.value != .reported }).keys {
                    for value in extremes where !place.outcome([key: value]).isEmpty { count += 1 }
                }
            }
        }
        for (name, keys) in [
            ("", ["kernel", "taps", "tokens_per_window", "mbtf", "stf", "strategy"]), ("mbtf", ["channels", "final_activation"]),
            ("stf", ["channels", "window_conv"]),
        ] {
            for key in keys {
                for value in extremes {
                    count +=
                        Fixture.configurable.failure { if name.isEmpty { $0.fusion[key] = value } else { $0.setFusion(name, key, value) } }
                            .isEmpty ? 0 : 1
                }
            }
        }
        #expect(count > 1000)
    }

    /// But among the rotary settings null is what an absent key is.
    @Test func nullIsNothing() throws {
        for (section, rows) in try Self.table() {
            for place in Self.places(section) {
                let keys = rows.keys.filter { place.own[$0] == nil && !$0.hasPrefix("rope_") }
                #expect(place.outcome(Dictionary(uniqueKeysWithValues: keys.map { ($0, NSNull()) })) == place.outcome([:]), "\(section)")
            }
        }
    }

    /// What the tokenizer's keys do is held by its own tests.
    @Test func otherKeysDoWhatIsSaid() throws {
        for (section, rows) in try Self.table() where section != "`tokenizer_config.json`" {
            let places = Self.places(section)
            #expect(!places.isEmpty, "no place for \(section)")
            let before = places.map { $0.outcome([:]) }
            for (key, status) in rows where status != .harmless {
                func does(_ isRight: (String) -> Bool) -> Bool {
                    zip(places, before).contains { place, before in
                        Self.values.contains { value in
                            let after = place.outcome([key: value])
                            return after != before && isRight(after)
                        }
                    }
                }
                switch status {
                case .refused: #expect(does { $0.hasPrefix("error: ") && $0.contains("\(key)'") }, "'\(key)' in \(section) is not refused")
                case .reported:
                    #expect(does { $0.contains("\"\(key) ") && !$0.hasPrefix("error: ") }, "'\(key)' in \(section) is not reported")
                default: #expect(does { _ in true }, "'\(key)' in \(section) does nothing")
                }
            }
        }
    }
}

extension Substring {
    fileprivate func trimming(while isTrimmed: (Character) -> Bool) -> Substring { drop(while: isTrimmed) }
}
