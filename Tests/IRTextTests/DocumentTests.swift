import Foundation
import IR
import IRText
import TestSupport
import Testing

/// Docs/IR.md: every operation has a section, and what its examples say is true.
@Suite struct DocumentTests {
    private struct Section {
        let title: String
        var lines: [String] = []

        /// The blocks between ```ir and ```
        var examples: [String] {
            var examples: [String] = []
            var inside = false
            for line in lines {
                if line == "```ir" {
                    examples.append("")
                    inside = true
                } else if line == "```" {
                    inside = false
                } else if inside {
                    examples[examples.count - 1] += line + "\n"
                }
            }
            return examples
        }
    }

    private func sections() throws -> [Section] {
        let text = try String(contentsOfFile: repository + "/Docs/IR.md", encoding: .utf8)
        var sections: [Section] = []
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) {
            if line.hasPrefix("#") {
                sections.append(Section(title: String(line.drop { $0 == "#" || $0 == " " })))
            } else if !sections.isEmpty {
                sections[sections.count - 1].lines.append(line)
            }
        }
        return sections
    }

    @Test func everyOperationHasASectionInTheOrderOfTheList() throws {
        let titles = try sections().map(\.title).filter { $0.hasPrefix("`") }
        #expect(titles == Op.parsers.map { "`\($0.mnemonic)`" })
    }

    @Test func examplesParseAndPrintAsTheyStand() throws {
        for (mnemonic, _) in Op.parsers {
            let section = try #require(try sections().first { $0.title == "`\(mnemonic)`" })
            let examples = section.examples
            #expect(examples.count == 1, "\(mnemonic)")
            for example in examples {
                // The items of a module; the printer writes an empty line before a function and before the first state.
                let module = try parseModule("module \"m\" stage imported {\n\(example)}", file: "\(mnemonic) in Docs/IR.md")
                #expect(module.allOperations.contains { $0.op.mnemonic == mnemonic }, "\(mnemonic)")
                let printed = module.description.split(separator: "\n").dropFirst().dropLast().map { String($0.dropFirst(2)) }
                #expect(printed == example.split(separator: "\n").map(String.init), "\(mnemonic)")
            }
        }
    }

    @Test func sectionsNameEveryAttributeAndLabel() throws {
        for section in try sections() where section.title.hasPrefix("`") {
            for example in section.examples {
                let module = try parseModule("module \"m\" stage imported {\n\(example)}", file: section.title)
                for operation in module.allOperations where section.title == "`\(operation.op.mnemonic)`" {
                    let payload = operation.op.payload
                    let words = payload.attributes.map(\.name) + payload.operandLabels(count: operation.operands.count).compactMap(\.self)
                    for word in words { #expect(section.lines.contains { $0.contains("`\(word)`") }, "\(section.title): \(word)") }
                }
            }
        }
    }

    @Test func moduleExampleParsesAndPrintsAsItStands() throws {
        let section = try #require(try sections().first { $0.title == "A module" })
        let example = try #require(section.examples.first)
        #expect(try parseModule(example, file: "Docs/IR.md").description == example)
    }
}

extension Module {
    /// Those of functions and of definitions of weights.
    fileprivate var allOperations: [IR.Operation] {
        functions.flatMap(\.operations)
            + weights.values.flatMap { weight -> [IR.Operation] in
                if case .folded(let operations) = weight.definition { operations } else { [] }
            }
    }
}
