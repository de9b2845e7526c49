import Support

/// What running a template may take. Templates of today come to a thousandth of it; a hostile one ends here.
final class TemplateBudget {
    /// The most statements, expressions, iterations of loops, and elements looked at or made, all counted together.
    static let steps = 1_000_000
    /// The most bytes that all texts take which a template makes.
    static let bytes = 16 << 20
    /// The deepest nesting of lists and mappings that may be kept: a recursion over deeper ones would exhaust the stack.
    static let depth = 100
    /// The most bytes that the text of a template may have.
    static let templateBytes = 1 << 20

    private var steps = 0, bytes = 0
    /// All that were made. Each is held here, since freeing a long chain of them would exhaust the stack too.
    private var namespaces: [TemplateNamespace] = []

    func made(_ namespace: TemplateNamespace) -> TemplateNamespace {
        namespaces.append(namespace)
        return namespace
    }

    deinit { for namespace in namespaces { namespace.members = [:] } }

    fileprivate func take(steps count: Int) -> Bool {
        guard count <= Self.steps - steps else { return false }
        steps += count
        return true
    }

    fileprivate func take(bytes count: Int) -> Bool {
        guard count <= Self.bytes - bytes else { return false }
        bytes += count
        return true
    }
}

extension TemplateEvaluator {
    func spend(_ steps: Int = 1, at offset: Int) throws(Diagnostic) {
        guard budget.take(steps: steps) else { throw source.fault("has not ended after \(TemplateBudget.steps) steps", at: offset) }
    }

    func spend(bytes: Int, at offset: Int) throws(Diagnostic) {
        guard budget.take(bytes: bytes) else { throw source.fault("has made more than \(TemplateBudget.bytes) bytes of text", at: offset) }
    }

    /// For going through a text once.
    func spend(reading text: String, at offset: Int) throws(Diagnostic) { try spend(1 + text.utf8.count / 64, at: offset) }

    /// Refuses to keep a value that is nested too deep. What one expression adds is bounded by its tag.
    func checkDepth(_ value: TemplateValue, at offset: Int, left: Int = TemplateBudget.depth) throws(Diagnostic) {
        let elements: [TemplateValue]
        switch value {
        case .list(let list): elements = list
        case .map(let entries): elements = entries.map(\.value)
        default: return
        }
        guard left > 0 else { throw source.fault("nests lists deeper than \(TemplateBudget.depth)", at: offset) }
        try spend(elements.count, at: offset)
        for element in elements { try checkDepth(element, at: offset, left: left - 1) }
    }

    /// Nil where the answer depends on the user's words.
    func equals(_ left: TemplateValue, _ right: TemplateValue, at offset: Int) throws(Diagnostic) -> Bool? {
        try spend(at: offset)
        var isKnown = true
        switch (left, right) {
        case (.text(let a), .text(let b)):
            try spend(min(a.size, b.size) / 64, at: offset)
            if let a = a.literal, let b = b.literal { return isSame(a, b) }
            if a == b { return true }
            return a.isEmpty || b.isEmpty ? false : nil
        case (.list(let a), .list(let b)):
            guard a.count == b.count else { return false }
            for (left, right) in zip(a, b) {
                switch try equals(left, right, at: offset) {
                case false: return false
                case nil: isKnown = false
                default: break
                }
            }
            return isKnown ? true : nil
        case (.map(let a), .map(let b)):
            guard a.count == b.count else { return false }
            for (key, value) in a {
                try spend(b.count, at: offset)
                guard let other = right.member(key) else { return false }
                switch try equals(value, other, at: offset) {
                case false: return false
                case nil: isKnown = false
                default: break
                }
            }
            return isKnown ? true : nil
        case (.none, .none), (.undefined, .undefined): return true
        case (.namespace(let a), .namespace(let b)): return a === b
        default:
            // Python's booleans are numbers.
            guard let a = left.number, let b = right.number else { return false }
            return a == b
        }
    }
}
