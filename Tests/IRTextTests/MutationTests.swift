import IR
import IRText
import Support
import TestSupport
import Testing

@Suite struct MutationTests {
    /// Whatever the text, it parses to a module that comes back, or gives one line with a place inside the text.
    private func check(_ text: String, _ seed: UInt64) {
        do throws(Diagnostic) {
            let module = try parseModule(text, file: "m.ir")
            #expect(try parseModule(module.description, file: "m.ir") == module, "seed \(seed)")
        } catch {
            guard case .line("m.ir", let line, let column) = error.site else {
                Issue.record("seed \(seed): no place in \(error.rendered)")
                return
            }
            let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
            #expect((1...lines.count).contains(line) && (1...lines[line - 1].count + 1).contains(column), "seed \(seed): \(error.rendered)")
            #expect(!error.rendered.contains("\n"))
        }
    }

    @Test func bytes() {
        for seed in 0..<1000 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            var bytes = Array(canonicalText.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                let end = min(bytes.count, place + Int.random(in: 0...40, using: &random))
                switch Int.random(in: 0..<5, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(UInt8.random(in: 32...126, using: &random), at: place)
                case 3: bytes.removeSubrange(place..<end)
                default: bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0..<bytes.count, using: &random))
                }
            }
            check(String(decoding: bytes, as: UTF8.self), seed)
        }
    }

    /// Whole words change for others, which reaches the type rules: shapes, numbers, names and mnemonics.
    @Test func words() {
        let strange = [
            "0", "-1", "9223372036854775807", "4611686018427387904", "1e38", "T", "S", "+", "-", "*", "symbol", "1", "2", "3", "[]", "{",
            "}", "@w", "%x", "&c", "return",
            "fold",
        ]
        let words = pieces(of: canonicalText)
        for seed in 0..<1000 as Range<UInt64> {
            var random = SeededGenerator(seed: seed)
            var mutated = words
            for _ in 0..<Int.random(in: 1...2, using: &random) {
                let place = Int.random(in: 0..<words.count, using: &random)
                mutated[place] = Bool.random(using: &random) ? strange.randomElement(using: &random)! : words.randomElement(using: &random)!
            }
            check(mutated.joined(), seed)
        }
    }

    /// Every number takes every strange value, at every place.
    @Test func numbers() {
        let words = pieces(of: canonicalText)
        let numbers = words.indices.filter { words[$0].allSatisfy(\.isNumber) }
        #expect(numbers.count > 80)
        for index in numbers {
            for value in ["0", "-1", "3", "9223372036854775807", "4294967296", "-9223372036854775808"] {
                var mutated = words
                mutated[index] = value
                check(mutated.joined(), UInt64(index))
            }
        }
    }

    @Test func cutText() {
        let scalars = Array(canonicalText.unicodeScalars)
        for end in stride(from: 0, to: scalars.count, by: 7) {
            var cut = String.UnicodeScalarView()
            cut.append(contentsOf: scalars[..<end])
            check(String(cut), UInt64(end))
        }
    }
}

/// The text cut before and after each blank and mark.
private func pieces(of text: String) -> [String] {
    var pieces: [String] = []
    var word = ""
    for character in text {
        if " \n[](){},:=<*".contains(character) {
            pieces += word.isEmpty ? [String(character)] : [word, String(character)]
            word = ""
        } else {
            word.append(character)
        }
    }
    return pieces
}
