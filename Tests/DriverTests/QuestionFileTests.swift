import Foundation
import TestSupport
import Testing

/// Tools/question_files.py, by what LLaVA's model_vqa_science.py and model_vqa_mmbench.py ask for such entries with `--single-pred-prompt`.
@Suite struct QuestionFileTests {
    let scratch: Scratch

    init() throws { scratch = try Scratch() }

    struct Line: Decodable, Equatable {
        enum Identifier: Decodable, Equatable {
            case number(Int)
            case text(String)

            init(from decoder: any Decoder) throws {
                let value = try decoder.singleValueContainer()
                if let number = try? value.decode(Int.self) { self = .number(number) } else { self = .text(try value.decode(String.self)) }
            }
        }
        var question_id: Identifier
        var image: String?
        var text: String
    }

    /// Nil, with a line that says so, where there is no Python.
    func make(_ arguments: String...) throws -> Run? {
        guard try run(["/bin/sh", "-c", "command -v python3"]).status == 0 else {
            print("not run: Tools/question_files.py; there is no python3")
            return nil
        }
        return try run(["/usr/bin/env", "python3", "\(repository)/Tools/question_files.py"] + arguments)
    }

    func lines(_ run: Run) throws -> [Line] {
        #expect(run.status == 0, "\(run.errors)")
        return try run.output.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    }

    @Test func scienceQA() throws {
        let file = try scratch.write(
            "problems.json",
            #"""
            [{"id": "4", "conversations": [{"from": "human", "value": "Which?\nA. a\nB. b\n<image>"}, {"from": "gpt", "value": "A"}], "image": "4/image.png"},
             {"id": "5", "conversations": [{"from": "human", "value": "Who?\nA. c\nB. d"}]}]
            """#)
        guard let made = try make("scienceqa", file) else { return }
        let suffix = "\nAnswer with the option's letter from the given choices directly."
        #expect(
            try lines(made) == [
                Line(question_id: .text("4"), image: "4/image.png", text: "<image>\nWhich?\nA. a\nB. b" + suffix),
                Line(question_id: .text("5"), text: "Who?\nA. c\nB. d" + suffix),
            ])
        let wrong = try scratch.write("wrong.json", #"[{"id": "4", "conversations": []}]"#)
        let refused = try #require(try make("scienceqa", wrong))
        #expect(
            refused.status == 1
                && refused.errorLine
                    == "error: '\(wrong)' is no question file of ScienceQA at its entry 0: IndexError list index out of range"
        )
    }

    @Test func mmBench() throws {
        let pictures = ["cGljdHVyZQ==", "b3RoZXI="]  // "picture", "other"
        let file = try scratch.write(
            "bench.tsv",
            """
            index\tquestion\thint\tA\tB\tC\tD\tanswer\tcategory\timage\tsource\tl2-category\tcomment\tsplit
            241\tWhich "one"?\tnan\tred\tgreen\tnan\tblue\tA\tc\t\(pictures[0])\ts\tl\tnan\tdev
            1000241\t"Say ""which""."\t"Two
            lines"\tred\tgreen\tN/A of it\t\tB\tc\t\(pictures[0])\ts\tl\tnan\tdev
            5\t哪个?\t\tNone\tb\tc\td\tA\tc\t\(pictures[1])\ts\tl\tnan\tdev

            """)
        let suffix = "\nAnswer with the option's letter from the given choices directly."
        guard let made = try make("mmbench", file, "--images", scratch["pictures"]) else { return }
        let found = try lines(made)
        #expect(
            found.map(\.text) == [
                "Which \"one\"?\nA. red\nB. green" + suffix, "Two\nlines\nSay \"which\".\nA. red\nB. green\nC. N/A of it" + suffix,
                "哪个?" + suffix,
            ])
        #expect(found.map(\.question_id) == [.number(241), .number(1_000_241), .number(5)])
        let names = found.compactMap(\.image)
        #expect(names.count == 3 && names[0] == names[1] && names[0] != names[2])
        for (name, text) in [(names[0], "picture"), (names[2], "other")] {
            #expect(try String(contentsOfFile: scratch["pictures"] + "/" + name, encoding: .utf8) == text)
        }
        let chinese = try lines(try #require(try make("mmbench", file, "--images", scratch["pictures"], "--lang", "cn")))
        #expect(chinese.last?.text == "哪个?\n请直接回答选项字母。")
        let wrong = try scratch.write("wrong.tsv", "index\tquestion\n1\ta\n")
        let refused = try #require(try make("mmbench", wrong, "--images", scratch["pictures"]))
        #expect(refused.status == 1 && refused.errorLine == "error: '\(wrong)' is no table of MMBench at its row 0: KeyError 'hint'")
    }
}
