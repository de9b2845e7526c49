import Foundation
import Support
import Testing

@testable import ChatTemplate

private let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Cases")

private struct Expected: Decodable {
    struct Case: Decodable {
        var template: String
        var words: String
        var images: Int
        var expected: String
    }

    struct Text: Decodable {
        var template: String
        var expected: String
    }

    struct Talk: Decodable {
        struct Message: Decodable {
            var role: String
            var words: String
            var images: Int
        }

        var template: String
        var messages: [Message]
        var expected: String
    }

    var cases: [Case]
    var conversations: [Talk]
    var expressions: [Text]

    static func read() throws -> Expected {
        try JSONDecoder().decode(Expected.self, from: Data(contentsOf: folder.appending(path: "expected.json")))
    }
}

private let tokens = ["bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"]

private func template(_ text: String, images: Bool = true, tokens: [String: String] = tokens) throws(Diagnostic) -> PromptTemplate {
    try PromptTemplate(chatTemplate: text, file: "chat_template.jinja", tokens: tokens, hasImages: images)
}

extension PromptTemplate {
    /// What Runtime/session/prompt.c makes of them, as text.
    fileprivate func wrapped(_ words: String, images: Int) -> String {
        let cut = TemplateText(words).trimmed(start: images > 0 ? cutsStartBehindImage : cutsStart, end: cutsEnd)
        return (images > 0 ? before + String(repeating: image, count: images) + between : alone) + cut.literal! + after
    }

    /// The same of a conversation.
    fileprivate func wrapped(_ messages: [Expected.Talk.Message]) throws -> String {
        func cut(_ text: String, _ start: Bool, _ end: Bool) -> String { TemplateText(text).trimmed(start: start, end: end).literal! }
        let turns = try #require(turns)
        let hasSystem = messages[0].role == "system", first = hasSystem ? 1 : 0
        var text = ""
        for (index, message) in messages.enumerated() {
            let images = message.images
            switch message.role {
            case "system":
                let system = try #require(system)
                text = system.start + cut(message.words, system.isCut, system.isCut)
                text += messages[1].images > 0 ? system.before : system.alone
                continue
            case "assistant":
                text += turns.beforeAnswer + cut(message.words, turns.cutsAnswer, turns.cutsAnswer)
                continue
            default: break
            }
            if index > first { text += images > 0 ? try #require(turns.nextBeforeImages) : turns.next }
            if index == first, !hasSystem { text = images > 0 ? before : alone }
            text += images > 0 ? String(repeating: image, count: images) + between : ""
            text += cut(message.words, images > 0 ? cutsStartBehindImage : cutsStart, cutsEnd) + after
        }
        return text
    }
}

@Suite struct ChatTemplateTests {
    /// Whole templates against transformers (make_cases.py).
    @Test func templatesAreTransformers() throws {
        let cases = try Expected.read().cases
        #expect(Set(cases.map(\.template)).count == 6 && cases.count == 54)
        for expected in cases {
            let text = try String(contentsOf: folder.appending(path: expected.template), encoding: .utf8)
            let wrapped = try template(text).wrapped(expected.words, images: expected.images)
            #expect(isSame(wrapped, expected.expected), "\(expected.template), \(expected.images) images: \(wrapped.debugDescription)")
            if expected.images == 0, !["llava-hf.jinja", "parts-or-text.jinja"].contains(expected.template) {
                #expect(
                    isSame(try template(text, images: false).wrapped(expected.words, images: 0), expected.expected),
                    "\(expected.template) alone")
            }
        }
    }

    /// Conversations against transformers and LLaVA (make_cases.py).
    @Test func conversationsAreTransformersAndLLaVAs() throws {
        let talks = try Expected.read().conversations
        #expect(talks.count == 64)
        for talk in talks {
            let builtIn = PromptTemplate.builtIn.first { $0.name == talk.template }?.template
            let made = try builtIn ?? template(String(contentsOf: folder.appending(path: talk.template), encoding: .utf8))
            // It prints no answers and no system texts.
            if talk.template == "lines.jinja" {
                #expect(made.turns == nil && made.system == nil)
                continue
            }
            let wrapped = try made.wrapped(talk.messages)
            #expect(isSame(wrapped, talk.expected), "\(talk.template): \(wrapped.debugDescription)")
            #expect(made.turns?.nextBeforeImages != nil)
        }
    }

    /// Templates that have another form where there are several turns know one.
    @Test func otherConversationsAreRefused() throws {
        for text in [
            // only the last turn
            "{{ messages[-1].content }}",
            // what stands before the words depends on how many there are
            "{% for m in messages %}{{ loop.index }}{{ m.content }}{% endfor %}",
            // an answer that is printed twice, and one that is cut at its start alone
            "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}{{ m.content }}{% endif %}{% endfor %}",
            "{% for m in messages %}<{{ m.content.lstrip() if m.role == 'assistant' else m.content }}>{% endfor %}",
            // an error of its own
            "{% if messages | length > 1 %}{{ raise_exception('one turn') }}{% endif %}{{ messages[0].content }}",
        ] {
            let made = try template(text, images: false)
            #expect(made.turns == nil, "\(text)")
        }
    }

    /// A system text that moves to the last turn, as Mistral's does, is none that a conversation can have.
    @Test func systemTextsThatMoveAreRefused() throws {
        let text =
            "{% if messages[0].role == 'system' %}{% set words = messages[0].content %}{% set messages = messages[1:] %}{% endif %}"
            + "{% for m in messages %}{% if m.role == 'user' %}[INST]{% if loop.last and words is defined %}{{ words }}\n{% endif %}"
            + "{{ m.content }}[/INST]{% else %}{{ m.content }}</s>{% endif %}{% endfor %}"
        let made = try template(text, images: false)
        #expect(made.turns == PromptTemplate.Turns(beforeAnswer: "", next: "</s>[INST]", nextBeforeImages: nil) && made.system == nil)
    }

    @Test func imagesStandWhereTheTemplateHasThem() throws {
        let text = try String(contentsOf: folder.appending(path: "llava-hf.jinja"), encoding: .utf8)
        let made = try template(text)
        #expect([made.alone, made.before, made.image, made.between, made.after] == ["USER: ", "USER: ", "<image>\n", "", " ASSISTANT:"])
        let behind = try template(
            "<s>{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}[<image>]{% endif %}{% endfor %}-{% for c in m.content "
                + "if c.type == 'text' %}{{ c.text | trim }}{% endfor %}{% endfor %}")
        #expect([behind.before, behind.image, behind.between, behind.after] == ["<s>", "[<image>]", "-", ""])
        #expect(behind.cutsStart && behind.cutsStartBehindImage && behind.cutsEnd)
        // Words in one text with the images begin behind them.
        let one = try template("{{ messages[0].content | trim }}")
        #expect(one.cutsStart && !one.cutsStartBehindImage && one.cutsEnd)
    }

    /// Expressions and line handling against jinja2, in transformers' settings.
    @Test func expressionsAreJinjas() throws {
        let rows = try Expected.read().expressions
        #expect(rows.count == 29)
        let variables: [String: TemplateValue] = [
            "messages": .list([.map([("role", .string("user")), ("content", .string("words"))])]), "tools": TemplateValue.none,
            "documents": TemplateValue.none, "add_generation_prompt": .bool(true), "bos_token": .string("<s>"),
        ]
        for row in rows {
            let source = TemplateSource(row.template, file: "x")
            do {
                var parser = try TemplateParser(source)
                var evaluator = TemplateEvaluator(source, variables: variables)
                let text = try evaluator.run(try parser.parse()).literal!
                #expect(isSame(text, row.expected), "\(row.template): \(text.debugDescription)")
            } catch {
                Issue.record("\(row.template): \(error)")
            }
        }
    }

    /// One line each, with the construct and its byte in the text as it was given.
    @Test func whatIsOutsideOfTheSubsetIsNamed() {
        let site = ", at file 'chat_template.jinja'"
        let table: [(String, String)] = [
            (
                "{{ messages[0].content | xmlattr }}",
                "the chat template has the filter 'xmlattr', which is not supported, at its byte 3\(site)"
            ),
            ("\r\n\r\n{{ 1 | xmlattr }}", "the chat template has the filter 'xmlattr', which is not supported, at its byte 7\(site)"),
            (
                "{% macro m() %}{% endmacro %}",
                "the chat template has the block 'macro', which is not supported, at its byte 3\(site); expected 'if', 'for', 'set' or 'generation'"
            ),
            (
                "{% include 'x' %}",
                "the chat template has the block 'include', which is not supported, at its byte 3\(site); expected 'if', 'for', 'set' or 'generation'"
            ),
            (
                "{% break %}",
                "the chat template has the block 'break', which is not supported, at its byte 3\(site); expected 'if', 'for', 'set' or 'generation'"
            ),
            (
                "{{ strftime_now('%d') }}",
                "the chat template calls the function 'strftime_now', which is not supported, at its byte 3\(site)"
            ),
            ("{{ 'a'.zfill(3) }}", "the chat template has the method 'zfill' of a text, which is not supported, at its byte 7\(site)"),
            (
                "{{ 1 is divisibleby 2 }}",
                "the chat template has the test 'divisibleby' of an integer, which is not supported, at its byte 8\(site)"
            ),
            (
                "{{ 1.5 }}",
                "the chat template has the number '1', which is not supported, at its byte 3\(site); expected an integer of at most 64 bits"
            ),
            (
                "{{ 99999999999999999999 }}",
                "the chat template has the number '99999999999999999999', which is not supported, at its byte 3\(site); expected an integer of at most 64 bits"
            ),
            ("{{ 2 ** 3 }}", "the chat template has '**' at its byte 5\(site); expected '}}'"),
            (
                "{{ 3 / 2 }}",
                "the chat template applies '/' to an integer and an integer at its byte 3\(site); expected two texts, lists or integers"
            ),
            (
                "{{ 9223372036854775807 + 1 }}",
                "the chat template applies '+' to an integer and an integer at its byte 3\(site); expected two texts, lists or integers"
            ),
            ("{{ [1] }}", "the chat template prints a list at its byte 3\(site); expected a text or a number"),
            ("{{ x.y }}", "the chat template uses 'x', which is not defined, at its byte 4\(site); expected a value"),
            ("{{ 'a' }", "the chat template has a tag without an end at its byte 0\(site); expected '}}'"),
            ("{{ 'a }}", "the chat template has a text without an end at its byte 3\(site); expected its second quote"),
            ("{{ '\\N{DASH}' }}", "the chat template has an escape '\\N', which is not supported, at its byte 4\(site)"),
            ("{{ '\\ud800' }}", "the chat template has the escape '\\ud800', which is no character, at its byte 4\(site)"),
            ("{# x", "the chat template has a comment without an end at its byte 0\(site); expected '#}'"),
            ("{% if true %}x", "the chat template has its end at its byte 14\(site); expected 'elif', 'else' or 'endif'"),
            (
                "{% endif %}",
                "the chat template has the block 'endif', which is not supported, at its byte 3\(site); expected 'if', 'for', 'set' or 'generation'"
            ),
            ("{{ @ }}", "the chat template has byte 64, which begins nothing inside of a tag, at its byte 3\(site)"),
            (
                "{% for x in range(2000000) %}{% endfor %}",
                "the chat template calls 'range' with other arguments at its byte 12\(site); expected one to three integers of at most 1000000"
            ),
            (
                "{% for x in range(2000) %}{% for y in range(2000) %}{{ y }}{% endfor %}{% endfor %}",
                "the chat template has not ended after 1000000 steps at its byte 55\(site)"
            ),
            (
                "{{ raise_exception('no system text') }}",
                "the chat template refuses a single question with 'no system text' at its byte 3\(site)"
            ),
            (
                "{% if messages[0].content == 'x' %}{% endif %}",
                "the chat template reads the user's words, which are not known yet, at its byte 17\(site); expected a template that prints them"
            ),
            (
                "{{ messages[0].content | upper }}",
                "the chat template reads the user's words, which are not known yet, at its byte 3\(site); expected a template that prints them"
            ),
            ("{{ messages[0].content[0] }}", "the chat template goes through the user's words at its byte 22\(site)"),
            (
                "{{ messages[0].content | length }}",
                "the chat template reads the user's words, which are not known yet, at its byte 3\(site); expected a template that prints them"
            ),
            ("x", "the chat template prints the user's words 0 times\(site); expected once"),
            (
                "{{ messages[0].content }}{{ messages[0].content }}",
                "the chat template prints the user's words 2 times\(site); expected once"
            ),
            ("a\u{0}", "the chat template has a zero at its byte 1\(site); expected text"),
            ("{{ messages[0].content }}{{ 'a\\x00b' }}", "the chat template writes a zero\(site); expected text"),
            (
                "{% for c in messages[0].content %}{% if c.type == 'image' %}{{ loop.index }}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}",
                "the chat template does not put images before the words, each in the same way\(site); expected one '<image>' for each, or another '--template'"
            ),
            (
                "{% for c in messages[0].content | reverse %}{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}",
                "the chat template does not put images before the words, each in the same way\(site); expected one '<image>' for each, or another '--template'"
            ),
            (
                "{% for c in messages[0].content %}{% if c.type == 'image' %}<|img|>{% else %}{{ c.text }}{% endif %}{% endfor %}",
                "the chat template does not put images before the words, each in the same way\(site); expected one '<image>' for each, or another '--template'"
            ),
        ]
        for (text, expected) in table {
            do throws(Diagnostic) {
                let made = try template(text)
                Issue.record("\(text): \(made)")
            } catch {
                #expect(error.rendered == "error: " + expected, "\(text)")
            }
        }
    }

    /// Texts that no one wrote in good faith end in a diagnostic, not in a full stack.
    @Test func hostileTextsEnd() {
        let count = 5_000
        let texts = [
            String(repeating: "{% if true %}", count: count), "{{ " + String(repeating: "(", count: count) + " }}",
            "{{ " + String(repeating: "-", count: count) + "1 }}", "{{ " + String(repeating: "not ", count: count) + "1 }}",
            "{{ 1" + String(repeating: " + 1", count: count) + " }}", "{{ x" + String(repeating: ".x", count: count) + " }}",
            "{{ 1" + String(repeating: " | string", count: count) + " }}", "{{ 1" + String(repeating: " if 1", count: count) + " }}",
            "{{ " + String(repeating: "[", count: count) + " }}", "{{ 1" + String(repeating: " is eq 1", count: count) + " }}",
        ]
        for text in texts { #expect(throws: Diagnostic.self, "\(text.prefix(20))") { try template(text) } }
    }

    /// Work, memory and depth end at a budget: each of these took all of one of them, or ended the process.
    @Test func runningEnds() {
        let words = "{{ messages[0].content }}"
        func loop(_ body: String, over range: String = "range(90000)") -> String {
            "{% set ns = namespace(x=[], t='ab', n=namespace()) %}{% for i in \(range) %}\(body){% endfor %}\(words)"
        }
        let steps = "has not ended after 1000000 steps", bytes = "has made more than 16777216 bytes of text",
            depth = "nests lists deeper than 100"
        let nested = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}"
        let shared = loop("{% set ns.x = [ns.x, ns.x] %}", over: "range(60)")
        let table: [(String, String)] = [
            (loop("{% set ns.x = [ns.x] %}", over: "range(300)"), depth), (loop("{% set ns.x = {'a': ns.x} %}", over: "range(300)"), depth),
            (loop("{% set n = namespace(x=[ns.x]) %}{% set ns.x = n.x %}", over: "range(300)"), depth),
            (loop("{% set ns.x = [ns.x] | list %}", over: "range(300)"), depth),
            // A chain of namespaces is as deep, and freed one by one.
            (
                "{% set first = namespace() %}{% set ns = namespace(last=first) %}{% for i in range(60000) %}{% set new = namespace() %}{% set last = ns.last %}"
                    + "{% set last.next = [new] %}{% set ns.last = new %}{% endfor %}" + words, ""
            ),
            (nested + words, steps), (loop("{% for j in [] %}{% endfor %}", over: "range(999999)"), steps),
            (shared, steps),
            ("{% set a = [[],[]] %}" + (0..<40).map { _ in "{% set a = [a, a] %}" }.joined() + "{{ a == a }}" + words, steps),
            ("{% set a = [[1]] %}" + (0..<15).map { _ in "{% set a = [a, a] %}" }.joined() + "{% set b = a == a %}" + words, ""),
            (
                "{% set a = [[1]] %}" + (0..<16).map { _ in "{% set a = [a, a] %}" }.joined()
                    + "{% for i in range(40) %}{{ a | tojson }}{% endfor %}" + words, bytes
            ),
            (loop("{% set ns.t = ns.t ~ ns.t %}", over: "range(64)"), bytes),
            (loop("{% set ns.t = ns.t + ns.t %}", over: "range(64)"), bytes),
            (loop("{% set ns.t = ns.t | replace('a', ns.t) %}", over: "range(64)"), bytes),
            (loop("{% set ns.t = [ns.t, ns.t] | join(ns.t) %}", over: "range(64)"), bytes),
            (loop("{% set ns.t = messages[0].content ~ ns.t %}{% set ns.t = ns.t ~ ns.t %}", over: "range(64)"), bytes),
            (loop("{% set ns.t = (ns.t ~ ns.t) | upper %}", over: "range(64)"), bytes),
            (loop("{% set ns.t = [ns.t, ns.t] | tojson %}", over: "range(64)"), bytes),
            (loop("{% set ns.t = ns.t ~ ns.t %}{{ ns.t }}", over: "range(64)"), bytes),
            (loop("{% set ns.t = ns.t ~ ns.t %}", over: "range(20)") + "{{ ns.t[::-1] }}", steps),
            (loop("{% set ns.t = ns.t ~ ns.t %}", over: "range(20)") + "{{ ns.t.split('a') | length }}", steps),
            (loop("{% set ns.t = ns.t ~ ns.t %}", over: "range(20)") + "{{ (ns.t ~ ' ').split() | length }}", steps),
        ]
        for (text, expected) in table {
            do throws(Diagnostic) {
                _ = try template(text, images: false)
                #expect(expected.isEmpty, "\(text) was read")
            } catch {
                #expect(!expected.isEmpty && error.rendered.contains(expected), "\(text): \(error.rendered)")
            }
        }
        let long = String(repeating: " ", count: 1 << 20) + words
        #expect(throws: Diagnostic.self) { try template(long) }
    }

    /// Searching takes time as texts are long, not as their product.
    @Test func searchingIsLinear() throws {
        let a = "{% set ns = namespace(t='a') %}{% for i in range(17) %}{% set ns.t = ns.t ~ ns.t %}{% endfor %}"
        let text =
            a
            + "{% set half = ns.t ~ 'b' %}{% set whole = ns.t ~ ns.t ~ ns.t %}{{ half in whole }}{{ whole.split(half) | length }}{{ messages[0].content }}"
        let began = ContinuousClock.now
        #expect(try template(text, images: false).alone == "False1")
        #expect(
            try template(
                "{{ 'abababac'.split('abac') | tojson }}{{ 'abac' in 'ababac' }}{{ 'aab' in 'aaab' }}{{ messages[0].content }}",
                images: false
            ).alone
                == "[\"abab\", \"\"]TrueTrue")
        // A search at each place would take minutes.
        #expect(ContinuousClock.now - began < .seconds(60))
    }

    /// An image that the template asks for by itself would be answered about without being given.
    @Test func placesOfTheTemplate() {
        for text in [
            "<image>{{ messages[0].content }}", "{{ messages[0].content }}<image>", "{{ bos_token }}{{ messages[0].content }}",
            "{% if messages[0].content is string %}{% endif %}<ima{{ 'ge>' }}{{ messages[0].content }}",
        ] {
            do throws(Diagnostic) {
                let made = try template(text, tokens: ["bos_token": "<image>"])
                Issue.record("\(text): \(made)")
            } catch {
                #expect(
                    error.rendered == "error: the chat template writes '<image>' where there is no image, at file 'chat_template.jinja'; "
                        + "expected one for each image, or another '--template'")
            }
        }
        // Text like any other where there are no images.
        #expect(throws: Never.self) { try template("<image>{{ messages[0].content }}", images: false) }
        // One too many where there is an image.
        let extra =
            "{% for c in messages[0].content %}{% if c.type == 'image' %}{% if loop.first %}<image>{% endif %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}"
        #expect(throws: Diagnostic.self) { try template(extra) }
    }

    /// Integers at their ends.
    @Test func integersDoNotTrap() {
        let least = "(-9223372036854775807 - 1)"
        for text in [
            "{{ [1, 2][\(least)] }}", "{{ [1, 2][\(least):] | length }}", "{{ 'ab'[::\(least)] }}", "{{ 'ab'[::9223372036854775807] }}",
            "{{ 'ab'[1::\(least)] }}",
            "{{ \(least) // -1 }}", "{{ \(least) % -1 }}", "{{ -\(least) }}", "{{ \(least) * -1 }}", "{{ range(0, 10, 1000000) | length }}",
            "{{ range(\(least)) }}", "{{ range(5, 0, -1000000) | length }}",
        ] {
            do throws(Diagnostic) { _ = try template(text + "{{ messages[0].content }}", images: false) } catch {
                #expect(!error.rendered.contains("\n"))
            }
        }
    }

    /// Whatever a mutation leaves is read or refused; nothing traps.
    @Test func mutationsAreReadOrRefused() throws {
        let text = Array(try String(contentsOf: folder.appending(path: "llama-3.1.jinja"), encoding: .utf8).utf8)
        var state: UInt64 = 1, refused = 0
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
        for _ in 0..<400 {
            var bytes = text
            let place = random(bytes.count), length = random(12)
            switch random(3) {
            case 0: bytes.removeSubrange(place..<min(place + length, bytes.count))
            case 1: bytes.insert(contentsOf: text[random(text.count)...].prefix(length), at: place)
            default: bytes[place] = UInt8(32 + random(95))
            }
            do throws(Diagnostic) {
                _ = try template(String(decoding: bytes, as: UTF8.self))
            } catch {
                refused += 1
                #expect(!error.rendered.contains("\n"))
            }
        }
        #expect(refused > 100)
    }

    @Test func builtInTemplatesHaveTheContractsNames() {
        #expect(PromptTemplate.builtIn.map(\.name) == ["none", "llava_v1", "vicuna_v1", "llama-3", "voco"])
    }
}
