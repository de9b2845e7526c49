import ChatTemplate
import Support

/// Fuzz target: the bytes are the text of a chat template or, behind a zero, the choices of a grammar that writes one. It ends within its budget
/// in a diagnostic or in texts that say where the images stand.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = UnsafeBufferPointer(start: data, count: size)
    let text: String
    if bytes.first == 0 {
        var grammar = Grammar(choices: bytes.dropFirst())
        text = grammar.template()
    } else {
        text = String(decoding: bytes, as: UTF8.self)
    }
    for hasImages in [false, true] {
        do throws(Diagnostic) {
            let template = try PromptTemplate(
                chatTemplate: text, file: "fuzz.jinja", tokens: ["bos_token": "<s>", "eos_token": "</s>"], hasImages: hasImages)
            let texts = [template.alone, template.before, template.image, template.between, template.after]
            // They become texts of C.
            for text in texts { precondition(!text.utf8.contains(0), "a zero") }
            if hasImages { precondition(texts.map(places) == [0, 0, 1, 0, 0], "places") }
        } catch {
            precondition(!error.rendered.contains("\n"), "more than one line")
        }
    }
    return 0
}

private func places(_ text: String) -> Int {
    let bytes = Array(text.utf8), place = Array("<image>".utf8)
    return bytes.indices.count { bytes[$0...].starts(with: place) }
}

/// Writes templates that parse, of every statement, operator, filter, test and method, over names that have values.
private struct Grammar {
    var choices: Slice<UnsafeBufferPointer<UInt8>>

    private mutating func choose(_ count: Int) -> Int { Int(choices.popFirst() ?? 0) % count }
    private mutating func choose(_ texts: [String]) -> String { texts[choose(texts.count)] }

    private static let names = [
        "messages", "message", "content", "item", "loop", "ns", "x", "bos_token", "add_generation_prompt", "tools", "nothing",
    ]
    private static let members = ["role", "content", "type", "text", "first", "last", "index0", "previtem", "x"]
    private static let constants = [
        "'<image>'", "'user'", "'image'", "'text'", "'<ima'", "'ge>'", "''", "' \\n'", "'\\x41'", "'\\u2028'", "0", "1", "-1", "2", "true",
        "none",
        "9223372036854775807", "'<|im_start|>'",
    ]
    private static let filters = [
        "trim", "upper", "lower", "capitalize", "title", "replace('a', 'bc')", "string", "length", "first", "last", "list", "reverse",
        "default('x')", "items", "join(', ')", "map(attribute='role')", "map('upper')", "selectattr('type', 'equalto', 'image')",
        "rejectattr('role')", "select('defined')", "tojson",
    ]
    private static let tests = [
        "defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "true", "odd", "number", "in messages",
    ]
    private static let methods = [
        "strip()", "lstrip()", "rstrip('x>')", "split('i')", "startswith('<')", "items()", "get('role', x)", "upper()", "keys()",
    ]
    private static let operators = ["+", "-", "*", "//", "%", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or"]

    private mutating func expression(_ depth: Int) -> String {
        guard depth > 0 else { return choose(2) == 0 ? choose(Self.names) : choose(Self.constants) }
        let inner = depth - 1
        return switch choose(13) {
        case 0: choose(Self.names)
        case 1: choose(Self.constants)
        case 2: "\(expression(inner)).\(choose(Self.members))"
        case 3: "\(expression(inner))[\(expression(inner))]"
        case 4: "\(expression(inner))[\(choose(Self.constants)):\(choose(["", "1", "-1"])):\(choose(["", "2", "-1"]))]"
        case 5: "(\(expression(inner)) | \(choose(Self.filters)))"
        case 6: "\(expression(inner)) is \(choose(["", "not "]))\(choose(Self.tests))"
        case 7: "\(expression(inner)).\(choose(Self.methods))"
        case 8: "(\(expression(inner)) if \(expression(inner)) else \(expression(inner)))"
        case 9: "[\(expression(inner)), \(expression(inner))]"
        case 10: "{'role': \(expression(inner)), \(choose(Self.constants)): \(expression(inner))}"
        case 11: "range(\(expression(inner)), \(choose(Self.constants)))"
        default: "(\(choose(["", "not ", "-"]))\(expression(inner)) \(choose(Self.operators)) \(expression(inner)))"
        }
    }

    private mutating func block(_ depth: Int) -> String { (0..<(1 + choose(3))).map { _ in statement(depth) }.joined() }

    private mutating func statement(_ depth: Int) -> String {
        let open = choose(["{%", "{%-"]) + " ", close = " " + choose(["%}", "-%}"])
        func tag(_ text: String) -> String { open + text + close }
        let kind = choose(depth > 0 ? 12 : 5), inner = depth - 1
        switch kind {
        case 0: return choose(["USER: ", "\n", "<image>", "<ima", " "])
        case 1: return "{{ \(expression(2)) }}"
        case 2: return "{{ messages[0].content }}"
        case 3: return tag("set \(choose(["x", "message", "ns"])) = \(choose(2) == 0 ? expression(2) : "namespace(x=\(expression(1)))")")
        case 4: return tag("set ns.x = \(expression(2))")
        case 5, 6: return tag("for message in messages") + block(inner) + tag("endfor")
        case 7:
            return tag("for item in \(expression(2))\(choose(["", " if item"]))") + block(inner) + tag("else") + block(inner)
                + tag("endfor")
        case 8:
            return tag("if \(expression(2))") + block(inner) + tag("elif \(expression(1))") + block(inner) + tag("else") + block(inner)
                + tag("endif")
        case 9: return tag("set x") + block(inner) + tag("endset")
        case 10: return tag("for item in message['content']") + block(inner) + tag("endfor")
        default: return choose(2) == 0 ? tag(choose(["break", "continue"])) : "{# x #}"
        }
    }

    mutating func template() -> String { (0..<(1 + choose(6))).map { _ in statement(4) }.joined() }
}
