import Foundation
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
        .filter { FileManager.default.fileExists(atPath: $0 + "/questions.json") && FileManager.default.fileExists(atPath: $0 + "/checkpoint") }

    @Test func thereAreExamples() { #expect(!Self.folders.isEmpty) }

    @Test(arguments: folders)
    func answers(_ folder: String) throws {
        let scratch = try Scratch()
        let compiled = try lmmc("compile", folder + "/checkpoint", "-o", scratch["program"], "--quiet")
        try #require(compiled.status == 0, "\(compiled.errors)")
        let questions = try JSONDecoder().decode([Question].self, from: Data(contentsOf: URL(filePath: folder + "/questions.json")))
        #expect(!questions.isEmpty)
        for question in questions {
            let result = try run([scratch["program"], "--image", "\(folder)/\(question.image)", "--prompt", question.question])
            #expect(result.status == 0, "\(result.errors)")
            // The stream ends its last line.
            #expect(result.output == question.answer + "\n", "\(question.image): \(question.question)")
        }
    }
}
