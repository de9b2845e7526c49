import ChatTemplate
import IR
import IRText
import Plan
import Support
import Testing

@testable import CEmit

/// A projector that chooses patches by the question: where the runtime gives that, and how the code takes it.
@Suite struct QuestionTests {
    private func files(bars: Bool) throws -> (model: String, program: String) {
        let text = """
            module "m" stage imported {
              symbol Q <= 5
              weight @table : f32[7, 3] = source "table" f32[7, 3]
              func vision(%image: u8[2, 2, 3]) {
                %pixels = normalize %image {mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0]} : f32[3, 2, 2]
                %taps = reshape %pixels {shape = [4, 3]} : f32[4, 3]
                return %taps
              }
              func project(%taps: f32[4, 3], %question: i32[Q]\(bars ? ", %bars: i32[4]" : "")) {
                %words = embed %question, @table : f32[Q, 3]
                %text = softmax_similarity %words, %taps {temperature = 0.5} : f32[Q, 4]
                %image = softmax_similarity %taps, %taps {temperature = 0.5} : f32[4, 4]
                %list = greedy_cover %text, %image\(bars ? ", bars %bars" : "") {keep = 2, weight = 0.5, patch = 1} : i32[2]
                %rows = gather_rows %taps, %list : f32[2, 3]
                return %rows, %list
              }
            }
            """
        let module = try parseModule(text, file: "question.ir")
        try module.verify()
        let plan = try makePlan(module)
        let program = try ProgramDescription(
            version: "1.0", info: "{}", vision: nil, context: 16, template: PromptTemplate.builtIn[2].template, addsBOS: true, bos: 1,
            eos: [2],
            tokenizerOffset: plan.weightBytes, tokenizerBytes: 0, attachmentBytes: plan.weightBytes)
        let files = emitProgram(plan, program)
        return (files[0].text, files[1].text)
    }

    /// The number behind `.name = `.
    private func field(_ name: String, _ text: String) -> String? {
        text.split(separator: "\n").first { $0.hasPrefix("    .\(name) = ") }?.split(separator: " ").last.map { String($0.dropLast()) }
    }

    @Test(arguments: [false, true]) func isReadFromTheArena(bars: Bool) throws {
        let (model, program) = try files(bars: bars)
        let tokens = try #require(field("question_tokens", program))
        #expect(model.contains("  const int64_t Q = lmmc_count(memory, \(tokens));"))
        #expect(model.contains("// i32 [Q]"))
        #expect(field("question_bound", program) == "5" && field("selected_count", program) == "2")
        #expect(field("reads_bars", program) == (bars ? "true" : nil))
        let question = try #require(field("question", program).flatMap { Int($0) })
        #expect(field("bars", program).flatMap { Int($0) } == (bars ? question + 64 : nil))
        #expect(model.contains(bars ? "{bars, 4, 1, 1}" : "{image, 4, 4, 4}"))
    }
}
