import Foundation
import TestSupport
import Testing

/// Each folder of examples/ with a checkpoint and `questions.json`: the binary gives the recorded answers.
@Suite(.serialized) struct ExampleTests {
    struct Question: Decodable {
        var image: String
        var question: String
        var answer: String
    }

    static let folders: [String] = ((try? FileManager.default.contentsOfDirectory(atPath: repository + "/examples")) ?? []).sorted()
        .map { "\(repository)/examples/\($0)" }
        .filter {
            FileManager.default.fileExists(atPath: $0 + "/questions.json") && FileManager.default.fileExists(atPath: $0 + "/checkpoint")
        }

    /// In int8, which rounds, one answer of the sibling without fusion may differ: two of its logits are 0.08 apart there in float32.
    static let cases = folders.flatMap { folder in
        [(folder, "f32", 0), (folder, "int8", folder.hasSuffix("fashion-llava") ? 1 : 0)]
    }

    @Test func thereAreExamples() { #expect(Self.folders.map { ($0 as NSString).lastPathComponent } == ["fashion", "fashion-llava"]) }

    @Test(arguments: cases)
    func answers(_ folder: String, _ precision: String, _ mayDiffer: Int) throws {
        let scratch = try Scratch()
        let compiled = try lmmc("compile", folder + "/checkpoint", "-o", scratch["program"], "--quiet", "--precision", precision)
        try #require(compiled.status == 0, "\(compiled.errors)")
        let questions = try JSONDecoder().decode([Question].self, from: Data(contentsOf: URL(filePath: folder + "/questions.json")))
        #expect(questions.count == 30)
        var differing: [String] = []
        for question in questions {
            let result = try run([scratch["program"], "--image", "\(folder)/\(question.image)", "--prompt", question.question])
            #expect(result.status == 0, "\(result.errors)")
            // The stream ends its last line.
            if result.output != question.answer + "\n" { differing.append("\(question.image): \(question.question) \(result.output)") }
        }
        #expect(differing.count <= mayDiffer, "\(differing)")
    }
}
