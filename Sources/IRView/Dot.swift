import IR
import OrderedCollections
import Support

/// A block of operations whose names share a prefix, as a tree over an operation list.
struct Block {
    enum Child {
        case operation(Int)
        case block(Block)
    }

    /// Without its parent's name.
    var label: String
    var path: String
    var children: [Child] = []

    /// Neighbours that share the next component of their names stand together from this many on.
    static let smallest = 3

    /// The blocks of the operations in `indices`, whose names share `depth` components. Those in `kept` are blocks whatever their size.
    static func children(_ names: [[Substring]], _ indices: some Collection<Int>, depth: Int, kept: Set<String> = []) -> [Child] {
        var result: [Child] = []
        var rest = Array(indices)[...]
        while let first = rest.first {
            let component = depth < names[first].count ? names[first][depth] : nil
            let run = component == nil ? rest.prefix(1) : rest.prefix { depth < names[$0].count && names[$0][depth] == component }
            rest = rest.dropFirst(run.count)
            let path = names[first].prefix(depth + 1).joined(separator: ".")
            let holdsKept = kept.contains { $0 == path || $0.hasPrefix(path + ".") }
            if let component, run.count >= smallest || holdsKept {
                let children = children(names, run, depth: depth + 1, kept: kept)
                result.append(.block(Block(label: String(component), path: path, children: children)))
            } else {
                result += run.map(Child.operation)
            }
        }
        return result
    }
}

extension Module {
    /// The graph for graphviz: a cluster per function and block, an edge per value that is read. Weights stand in the nodes that read them.
    /// `collapseLayers` shows each repeated layer once, with its count.
    public func dot(collapseLayers: Bool = false) -> String {
        var text = """
            digraph \(dotQuoted(name)) {
              rankdir = TB
              compound = true
              fontname = "Helvetica"
              node [shape = box, style = "rounded,filled", fillcolor = "white", color = "gray50", fontname = "Helvetica", fontsize = 10]
              edge [color = "gray40", arrowsize = 0.6]

            """
        for function in functions {
            var printer = DotPrinter(module: self, function: function, repeats: collapseLayers ? repeats(in: function) : [])
            text += printer.cluster()
        }
        return text + "}\n"
    }
}

private struct DotPrinter {
    let module: Module
    let function: Function
    let repeats: [Repeat]
    /// Operations of hidden layers: the index of the one that is shown for them.
    var shownFor: [String: String] = [:]
    var clusters = 0

    init(module: Module, function: Function, repeats: [Repeat]) {
        self.module = module
        self.function = function
        self.repeats = repeats
        for group in repeats {
            for index in group.range.dropFirst(group.length) {
                shownFor[function.operations[index].name] = function.operations[group.start + (index - group.start) % group.length].name
            }
        }
    }

    func node(_ value: String) -> String { dotQuoted("\(function.name)/\(value)") }

    mutating func cluster() -> String {
        var text = "  subgraph \(dotQuoted("cluster_\(function.name)")) {\n    label = \(dotQuoted(function.name))\n"
        for parameter in function.parameters {
            text += "    \(node(parameter.name)) [shape = ellipse, label = \(dotQuoted("\(parameter.name)\n\(parameter.type)"))]\n"
        }
        let shown = function.operations.indices.filter { shownFor[function.operations[$0].name] == nil }
        let names = function.operations.map { $0.name.split(separator: ".", omittingEmptySubsequences: false) }
        for child in Block.children(names, shown, depth: 0, kept: Set(repeats.map { $0.prefixes[0] })) {
            text += nodes(child, depth: 2, within: "")
        }
        for (index, result) in function.results.enumerated() {
            text += "    \(node("return \(index)")) [shape = ellipse, label = \(dotQuoted("return"))]\n"
            if case .value(let name) = result { text += "    \(node(shownFor[name] ?? name)) -> \(node("return \(index)"))\n" }
        }
        for index in shown {
            let operation = function.operations[index]
            var seen: OrderedSet<String> = []
            for case .value(let name) in operation.operands { seen.append(shownFor[name] ?? name) }
            for name in seen { text += "    \(node(name)) -> \(node(operation.name))\n" }
        }
        return text + "  }\n"
    }

    private mutating func nodes(_ child: Block.Child, depth: Int, within parent: String) -> String {
        let indent = String(repeating: "  ", count: depth)
        switch child {
        case .operation(let index):
            let operation = function.operations[index]
            let local = operation.name.hasPrefix(parent + ".") ? operation.name.dropFirst(parent.count + 1) : operation.name[...]
            var lines = [String(local), operation.op.mnemonic]
            for case .weight(let name) in operation.operands { lines.append("@\(name) \(module.weights[name].map { "\($0.type)" } ?? "")") }
            for case .state(let name) in operation.operands { lines.append("&\(name)") }
            if let type = operation.type { lines.append("\(type)") }
            return "\(indent)\(node(operation.name)) [label = \(dotQuoted(lines.joined(separator: "\n")))]\n"
        case .block(let block):
            clusters += 1
            let group = repeats.first { $0.prefixes[0] == block.path }
            let label =
                group.map { "\($0.prefixes[0]) ... \($0.prefixes[$0.prefixes.count - 1])  (\($0.prefixes.count) times)" } ?? block.path
            var text = "\(indent)subgraph \(dotQuoted("cluster_\(function.name)_\(clusters)")) {\n"
            text += "\(indent)  label = \(dotQuoted(label))\n\(indent)  color = \(group == nil ? "gray80" : "steelblue")\n"
            for child in block.children { text += nodes(child, depth: depth + 1, within: block.path) }
            return text + "\(indent)}\n"
        }
    }
}

/// A string of the dot language; a line end centres the line before it.
private func dotQuoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case _ where isUnprintable(scalar): result += escapingControls(String(scalar)).replacing("\\", with: "\\\\")
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
