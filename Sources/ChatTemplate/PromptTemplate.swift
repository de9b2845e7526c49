import Support

/// What stands around the user's words, the images and the answers of a conversation.
public struct PromptTemplate: Sendable, Equatable {
    /// Before words that no image stands before.
    public var alone: String
    /// Before the images that the words do not place themselves, where there are any.
    public var before: String
    /// For each of those images, `<image>` in it once.
    public var image = "<image>\n"
    /// Between them and the words.
    public var between = ""
    public var after: String
    /// White space at the words' ends that is cut off, as `String.strip` of Python does it; at their start there may be a difference
    /// between words that stand behind an image and others.
    public var cutsStart = false, cutsStartBehindImage = false, cutsEnd = false
    /// Between the turns of a conversation; nil where the template knows one.
    public var turns: Turns?
    /// Around a system text that is not the template's own; nil where it takes none.
    public var system: System?
    /// The system text of a conversation without one, in the place of the template's own; nil: the template's.
    public var systemText: String?
    /// Where there are images, the words lose their line feeds and the places that they have, and all images stand before them.
    public var flattensWords = false

    public struct Turns: Sendable, Equatable {
        /// Between `after` and an answer that was given.
        public var beforeAnswer: String
        /// Between that and the words that follow.
        public var next: String
        /// Between that and images that follow; nil where images stand in the first turn alone.
        public var nextBeforeImages: String?
        /// White space at the ends of an answer is cut off.
        public var cutsAnswer = false

        public init(beforeAnswer: String, next: String) { self.init(beforeAnswer: beforeAnswer, next: next, nextBeforeImages: next) }

        public init(beforeAnswer: String, next: String, nextBeforeImages: String?) {
            (self.beforeAnswer, self.next, self.nextBeforeImages) = (beforeAnswer, next, nextBeforeImages)
        }
    }

    /// What stands before the system text, between it and words that no image stands before, and between it and images.
    public struct System: Sendable, Equatable {
        public var start: String
        public var alone: String
        public var before: String
        /// White space at its ends is cut off.
        public var isCut = false

        public init(start: String, alone: String, before: String) { (self.start, self.alone, self.before) = (start, alone, before) }
    }

    public init(before: String, after: String, turns: Turns? = nil, system: System? = nil) {
        (alone, self.before, self.after) = (before, before, after)
        (self.turns, self.system) = (turns, system)
    }

    /// By the names of `--template`.
    public static let builtIn: [(name: String, template: PromptTemplate)] = [
        ("none", PromptTemplate(before: "", after: "")),
        ("llava_v1", vicuna("human")),
        ("vicuna_v1", vicuna("user")),
        (
            "llama-3",
            PromptTemplate(
                before: "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
                    + "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, "
                    + "and assist the user with a variety of tasks using natural language."
                    + "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
                after: "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
                turns: Turns(beforeAnswer: "", next: "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"),
                system: System(
                    start: "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n",
                    alone: "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n",
                    before: "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"))
        ),
        (compressingName, compressing("<voco><voco>")),
    ]

    public static let compressingName = "voco"

    /// VoCo-LLaMA's: `tokens`, its compression tokens, stand between an image and the conversation.
    public static func compressing(_ tokens: String) -> PromptTemplate {
        var template = vicuna("user", assistant: "assistant of the image")
        template.between = tokens + "\n" + template.before
        template.before = ""
        // The image and its compression tokens stand in front of all.
        template.system = nil
        template.turns?.nextBeforeImages = nil
        template.flattensWords = true
        return template
    }

    /// The name by which `--template` asks for the checkpoint's own.
    public static let own = "checkpoint"

    private static func vicuna(_ who: String, assistant: String = "assistant") -> PromptTemplate {
        PromptTemplate(
            before: "A chat between a curious \(who) and an artificial intelligence \(assistant). "
                + "The assistant gives helpful, detailed, and polite answers to the \(who)'s questions. USER: ",
            after: " ASSISTANT:", turns: Turns(beforeAnswer: " ", next: "</s>USER: "),
            system: System(start: "", alone: " USER: ", before: " USER: "))
    }
}

extension PromptTemplate {
    static let place = "<image>"

    /// What the Jinja template `text` of `file` makes of one question without a system text. `tokens` are the tokenizer's by the names that
    /// templates have for them, as `bos_token`; `hasImages` says whether images may stand before the words.
    ///
    /// Throws, naming construct and byte, where the template is outside of the subset (Docs/Checkpoints.md) or the words and images do not
    /// stand in it as here.
    public init(chatTemplate text: String, file: String, tokens: [String: String], hasImages: Bool) throws(Diagnostic) {
        if let zero = text.utf8.firstIndex(of: 0) {
            throw TemplateSource(text, file: file).fault(
                "has a zero", at: text.utf8.distance(from: text.startIndex, to: zero), expected: "text")
        }
        guard text.utf8.count <= TemplateBudget.templateBytes else {
            throw .error(
                "the chat template has \(text.utf8.count) bytes", at: .file(file), expected: "at most \(TemplateBudget.templateBytes)")
        }
        let source = TemplateSource(text, file: file)
        var parser = try TemplateParser(source)
        let conversation = Conversation(source: source, body: try parser.parse(), tokens: tokens, hasImages: hasImages)
        let alone = try conversation.question(images: 0)
        self.init(before: alone.before, after: alone.after)
        (cutsStart, cutsStartBehindImage, cutsEnd) = (alone.cutsStart, alone.cutsStart, alone.cutsEnd)
        defer {
            turns = conversation.turns(self, hasImages: hasImages)
            system = conversation.system(self, hasImages: hasImages)
        }
        guard hasImages else { return }
        guard Self.places(in: alone.before).isEmpty, Self.places(in: alone.after).isEmpty else {
            throw .error(
                "the chat template writes '\(Self.place)' where there is no image", at: .file(file),
                expected: "one for each image, or another '--template'")
        }

        let one = try conversation.question(images: 1), two = try conversation.question(images: 2)
        guard let split = Self.split(one.before, two.before),
            [one, two].allSatisfy({ isSame($0.after, after) && $0.cutsEnd == cutsEnd && $0.cutsStart == one.cutsStart })
        else {
            throw .error(
                "the chat template does not put images before the words, each in the same way", at: .file(file),
                expected: "one '\(Self.place)' for each, or another '--template'")
        }
        (before, image, between) = split
        cutsStartBehindImage = one.cutsStart
    }

    private static func places(in text: String) -> [Int] {
        let bytes = Array(text.utf8), place = Array(place.utf8)
        var result: [Int] = [], from = 0
        while let at = firstIndex(of: place, in: bytes, from: from) {
            result.append(at)
            from = at + place.count
        }
        return result
    }

    /// The three texts that make `one` and `two`, which stand before the words with as many images; the first as long as can be.
    private static func split(_ one: String, _ two: String) -> (before: String, image: String, between: String)? {
        let places = places(in: one)
        let one = Array(one.utf8), two = Array(two.utf8), width = two.count - one.count
        guard places.count == 1, 1...one.count ~= width else { return nil }
        // Where both begin and end as the other does.
        let start = zip(one, two).prefix { $0 == $1 }.count, end = zip(one.reversed(), two.reversed()).prefix { $0 == $1 }.count
        let length = min(start - width, places[0])
        guard length >= max(one.count - end, 0), length + width >= places[0] + place.utf8.count, length + width <= one.count else {
            return nil
        }
        func text(_ range: Range<Int>) -> String { String(decoding: one[range], as: UTF8.self) }
        return (text(0..<length), text(length..<(length + width)), text((length + width)..<one.count))
    }
}

/// A template with what it is run over.
private struct Conversation {
    let source: TemplateSource
    let body: [Statement]
    let tokens: [String: String]
    let hasImages: Bool

    struct Question {
        var before: String
        var after: String
        var cutsStart: Bool
        var cutsEnd: Bool
    }

    /// A message of unknown words, behind images.
    struct Message {
        var role: String
        var images = 0
    }

    /// What the template prints of messages: the texts before, between and behind their words.
    struct Printed {
        /// One more than messages.
        var texts: [String]
        var cuts: [(start: Bool, end: Bool)]
    }

    func print(_ messages: [Message]) throws(Diagnostic) -> Printed {
        let readsParts = hasImages && Self.readsParts(body)
        func value(_ message: Message) -> TemplateValue {
            let content: TemplateValue
            if readsParts {
                let image: TemplateValue = .map([("type", .string("image"))])
                let words: TemplateValue = .map([("type", .string("text")), ("text", .text(.words))])
                content = .list(Array(repeating: image, count: message.images) + [words])
            } else {
                var text = TemplateText(String(repeating: "\(PromptTemplate.place)\n", count: message.images))
                text.append(.words)
                content = .text(text)
            }
            return .map([("role", .string(message.role)), ("content", content)])
        }
        var variables = tokens.mapValues(TemplateValue.string)
        variables["messages"] = .list(messages.map(value))
        variables["add_generation_prompt"] = .bool(true)
        // What transformers passes where there is nothing of the kind.
        for name in ["tools", "documents"] { variables[name] = TemplateValue.none }
        var evaluator = TemplateEvaluator(source, variables: variables)
        var printed = Printed(texts: [""], cuts: [])
        for piece in try evaluator.run(body).pieces {
            switch piece {
            case .literal(let text): printed.texts[printed.texts.count - 1] += text
            case .words(let cutsStart, let cutsEnd):
                printed.texts.append("")
                printed.cuts.append((cutsStart, cutsEnd))
            }
        }
        guard printed.cuts.count == messages.count else {
            let what =
                messages.count == 1 ? "the user's words \(printed.cuts.count) times" : "\(printed.cuts.count) of \(messages.count) messages"
            throw .error("the chat template prints \(what)", at: .file(source.file), expected: messages.count == 1 ? "once" : "each once")
        }
        // An escape may write one, and the texts become C's.
        guard !printed.texts.contains(where: { $0.utf8.contains(0) }) else {
            throw .error("the chat template writes a zero", at: .file(source.file), expected: "text")
        }
        return printed
    }

    /// The template's text for one question behind `images` images.
    func question(images: Int) throws(Diagnostic) -> Question {
        let printed = try print([Message(role: "user", images: images)])
        return Question(before: printed.texts[0], after: printed.texts[1], cutsStart: printed.cuts[0].start, cutsEnd: printed.cuts[0].end)
    }

    /// What a conversation of several turns has between them, where two and three turns of it stand side by side as `template` has one; nil where
    /// they do not, or the template refuses them.
    func turns(_ template: PromptTemplate, hasImages: Bool) -> PromptTemplate.Turns? {
        let user = Message(role: "user"), assistant = Message(role: "assistant")
        guard let two = try? print([user, assistant, user]), let three = try? print([user, assistant, user, assistant, user]),
            isSame(two.texts[0], template.alone), isSame(two.texts[3], template.after), two.texts[1].utf8.starts(with: template.after.utf8)
        else { return nil }
        let answer = String(decoding: Array(two.texts[1].utf8).dropFirst(template.after.utf8.count), as: UTF8.self)
        var turns = PromptTemplate.Turns(beforeAnswer: answer, next: two.texts[2])
        let expected = [two.texts[0], two.texts[1], two.texts[2], two.texts[1], two.texts[2], two.texts[3]]
        let cutsUser = { (cut: (start: Bool, end: Bool)) in cut.start == template.cutsStart && cut.end == template.cutsEnd }
        guard zip(three.texts, expected).allSatisfy({ isSame($0, $1) }), cutsUser(two.cuts[0]), cutsUser(two.cuts[2]),
            cutsUser(three.cuts[4]),
            two.cuts[1].start == two.cuts[1].end, three.cuts[3] == two.cuts[1]
        else { return nil }
        turns.cutsAnswer = two.cuts[1].start
        turns.nextBeforeImages = hasImages ? nextBeforeImages(template) : nil
        return turns
    }

    private func nextBeforeImages(_ template: PromptTemplate) -> String? {
        let texts = (1...2).map { count -> String? in
            let messages = [Message(role: "user"), Message(role: "assistant"), Message(role: "user", images: count)]
            guard let printed = try? print(messages), isSame(printed.texts[3], template.after),
                printed.cuts[2] == (template.cutsStartBehindImage, template.cutsEnd)
            else { return nil }
            return Self.without(String(repeating: template.image, count: count) + template.between, at: printed.texts[2])
        }
        guard let one = texts[0], let two = texts[1], isSame(one, two) else { return nil }
        // A turn with an image is followed as one without.
        let first = Message(role: "user", images: 1), assistant = Message(role: "assistant"), user = Message(role: "user")
        guard let behind = try? print([first, assistant, user]), let alone = try? print([user, assistant, user]),
            isSame(behind.texts[0], template.before + template.image + template.between),
            zip(behind.texts.dropFirst(), alone.texts.dropFirst()).allSatisfy({ isSame($0, $1) })
        else { return nil }
        return one
    }

    /// `text` without `end`, if that is its end.
    private static func without(_ end: String, at text: String) -> String? {
        let bytes = Array(text.utf8), end = Array(end.utf8)
        guard bytes.count >= end.count, bytes.suffix(end.count) == end[...] else { return nil }
        return String(decoding: bytes.dropLast(end.count), as: UTF8.self)
    }

    /// What stands around a system text; nil where the template takes none.
    func system(_ template: PromptTemplate, hasImages: Bool) -> PromptTemplate.System? {
        let system = Message(role: "system")
        guard let alone = try? print([system, Message(role: "user")]), isSame(alone.texts[2], template.after),
            alone.cuts[0].start == alone.cuts[0].end,
            alone.cuts[1] == (template.cutsStart, template.cutsEnd)
        else { return nil }
        var before = alone.texts[1]
        if hasImages {
            guard let one = try? print([system, Message(role: "user", images: 1)]), isSame(one.texts[0], alone.texts[0]),
                isSame(one.texts[2], template.after), one.cuts[0] == alone.cuts[0],
                one.cuts[1] == (template.cutsStartBehindImage, template.cutsEnd)
            else { return nil }
            guard let text = Self.without(template.image + template.between, at: one.texts[1]) else { return nil }
            before = text
        }
        // In a conversation of several turns it stands where it stands in one.
        if let turns = template.turns {
            guard let two = try? print([system, Message(role: "user"), Message(role: "assistant"), Message(role: "user")]),
                isSame(two.texts[0], alone.texts[0]), isSame(two.texts[1], alone.texts[1]),
                isSame(two.texts[2], template.after + turns.beforeAnswer), isSame(two.texts[3], turns.next),
                isSame(two.texts[4], template.after),
                two.cuts[0] == alone.cuts[0]
            else { return nil }
        }
        var result = PromptTemplate.System(start: alone.texts[0], alone: alone.texts[1], before: before)
        result.isCut = alone.cuts[0].start
        return result
    }

    /// Whether a loop of the template goes through the parts of a message's content.
    private static func readsParts(_ body: [Statement]) -> Bool {
        body.contains { statement in
            switch statement {
            case .data, .print, .set, .setMember, .break, .continue: false
            case .branch(let branches): branches.contains { readsParts($0.body) }
            case .capture(_, let body, _): readsParts(body)
            case .loop(_, let over, _, let body, let otherwise): isContent(over) || readsParts(body) || readsParts(otherwise)
            }
        }
    }

    private static func isContent(_ expression: Expression) -> Bool {
        switch expression.kind {
        case .filter(let operand, _, _), .slice(let operand, _, _, _): return isContent(operand)
        case .name(let name): return name == "content"
        case .member(_, let key):
            if case .constant(.text(let text)) = key.kind { return text.literal == "content" }
            return false
        default: return false
        }
    }
}
