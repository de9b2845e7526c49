import Support

/// What stands around the user's words and the images of one question.
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
    /// Where there are images, the words lose their line feeds and the places that they have, and all images stand before them.
    public var flattensWords = false

    public init(before: String, after: String) { (alone, self.before, self.after) = (before, before, after) }

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
                after: "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")
        ),
        (compressingName, compressing("<voco><voco>")),
    ]

    public static let compressingName = "voco"

    /// VoCo-LLaMA's: `tokens`, its compression tokens, stand between an image and the conversation.
    public static func compressing(_ tokens: String) -> PromptTemplate {
        var template = vicuna("user", assistant: "assistant of the image")
        template.between = tokens + "\n" + template.before
        template.before = ""
        template.flattensWords = true
        return template
    }

    /// The name by which `--template` asks for the checkpoint's own.
    public static let own = "checkpoint"

    private static func vicuna(_ who: String, assistant: String = "assistant") -> PromptTemplate {
        PromptTemplate(
            before: "A chat between a curious \(who) and an artificial intelligence \(assistant). "
                + "The assistant gives helpful, detailed, and polite answers to the \(who)'s questions. USER: ",
            after: " ASSISTANT:")
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

    /// The template's text for one question behind `images` images.
    func question(images: Int) throws(Diagnostic) -> Question {
        let content: TemplateValue
        if hasImages, Self.readsParts(body) {
            let image: TemplateValue = .map([("type", .string("image"))])
            content = .list(Array(repeating: image, count: images) + [.map([("type", .string("text")), ("text", .text(.words))])])
        } else {
            var text = TemplateText(String(repeating: "\(PromptTemplate.place)\n", count: images))
            text.append(.words)
            content = .text(text)
        }
        var variables = tokens.mapValues(TemplateValue.string)
        variables["messages"] = .list([.map([("role", .string("user")), ("content", content)])])
        variables["add_generation_prompt"] = .bool(true)
        // What transformers passes where there is nothing of the kind.
        for name in ["tools", "documents"] { variables[name] = TemplateValue.none }
        var evaluator = TemplateEvaluator(source, variables: variables)
        let pieces = try evaluator.run(body).pieces
        let places = pieces.indices.filter { if case .words = pieces[$0] { true } else { false } }
        guard places.count == 1, case .words(let cutsStart, let cutsEnd) = pieces[places[0]] else {
            throw .error("the chat template prints the user's words \(places.count) times", at: .file(source.file), expected: "once")
        }
        func text(_ range: some Sequence<Int>) -> String { range.map { TemplateText([pieces[$0]]).literal! }.joined() }
        let (before, after) = (text(0..<places[0]), text((places[0] + 1)..<pieces.count))
        // An escape may write one, and the texts become C's.
        guard !before.utf8.contains(0), !after.utf8.contains(0) else {
            throw .error("the chat template writes a zero", at: .file(source.file), expected: "text")
        }
        return Question(before: before, after: after, cutsStart: cutsStart, cutsEnd: cutsEnd)
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
