import Foundation
import TestSupport
import Testing

/// Each folder of examples/ with a checkpoint and `questions.json`: the binary gives the recorded answers, one at a time and as a batch.
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
        for form in Form.allCases {
            let requests = try scratch.write("\(form)", lines(of: questions, as: form))
            let batch = try run([scratch["program"], "--batch", requests, "--image-folder", folder])
            #expect(batch.status == 0, "\(batch.errors)")
            let texts = try batch.output.split(separator: "\n").map { try JSONDecoder().decode(Answer.self, from: Data($0.utf8)).text }
            let others = zip(questions, texts).filter { $0.answer != $1 }
            #expect(texts.count == questions.count && others.count <= mayDiffer, "\(form): \(others)")
        }
        if folder.hasSuffix("/fashion") && precision == "int8" { try spread(scratch, questions, folder) }
    }

    struct Answer: Decodable { var text: String }

    enum Form: CaseIterable { case lmmc, llava }

    func lines(of questions: [Question], as form: Form) throws -> String {
        try questions.enumerated().map { number, question in
            let id = form == .lmmc ? "id" : "question_id", text = form == .lmmc ? "prompt" : "text"
            let line: [String: Any] = [id: number, text: question.question, "image": question.image]
            return String(decoding: try JSONSerialization.data(withJSONObject: line), as: UTF8.self) + "\n"
        }.joined()
    }

    /// Shards of one file, each killed in its first run, are the file of one uninterrupted run in the end, to the byte: by hand, and under
    /// GNU parallel.
    func spread(_ scratch: Scratch, _ questions: [Question], _ folder: String) throws {
        let shards = "\(repository)/examples/batch/shards.sh"
        let requests = try scratch.write("requests", lines(of: questions, as: .llava))
        let whole = try run([scratch["program"], "--batch", requests, "--image-folder", folder, "--output", scratch["whole"]])
        try #require(whole.status == 0, "\(whole.errors)")
        let expected = try String(contentsOfFile: scratch["whole"], encoding: .utf8)
        // The first run of a shard ends by a signal, with a part of a line behind some whole ones.
        let dies = try scratch.write(
            "dies",
            """
            #!/bin/sh
            [ -e "$2.began" ] && exec "\(scratch["program"])" "$@"
            "\(scratch["program"])" "$@" && head -c 900 "$4" >"$2.began" && cp "$2.began" "$4" && kill -9 $$
            """, executable: true)

        let shard = scratch["by-hand"]
        func byHand(_ arguments: String...) throws -> Run { try run([shards] + arguments) }
        #expect(try byHand("split", requests, shard, "3").status == 0)
        #expect(try byHand("split", requests, shard, "4").status == 1)
        for number in 0..<3 {
            #expect(try byHand("answer", dies, shard, "\(number)", "--image-folder", folder).status == 128 + 9)
            let early = try byHand("join", shard, scratch["joined"])
            #expect(early.status == 1 && !FileManager.default.fileExists(atPath: scratch["joined"]), "\(early.errors)")
            #expect(try byHand("answer", dies, shard, "\(number)", "--image-folder", folder).status == 0)
        }
        let joined = try byHand("join", shard, scratch["joined"])
        #expect(joined.status == 0 && (try? String(contentsOfFile: scratch["joined"], encoding: .utf8)) == expected, "\(joined.errors)")

        guard try run(["/bin/sh", "-c", "command -v parallel"]).status == 0 else {
            return print("not run: a batch under GNU parallel, which is not here (Debian: parallel)")
        }
        let many = try run([
            "\(repository)/examples/batch/parallel.sh", dies, requests, scratch["parallel"], "3", "--image-folder", folder,
        ])
        #expect(many.status == 0 && (try? String(contentsOfFile: scratch["parallel"], encoding: .utf8)) == expected, "\(many.errors)")
    }
}
