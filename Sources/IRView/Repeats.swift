import IR
import OrderedCollections
import Plan

/// Neighbours that are the same but for the layer that they belong to: `prefixes.count` times `length` entries from `start` on.
public struct Repeat: Hashable, Sendable {
    public var start: Int
    public var length: Int
    /// The layers in order: `decoder.layer0`, `decoder.layer1`, ...
    public var prefixes: [String]

    public var range: Range<Int> { start..<start + length * prefixes.count }
    /// The entries of the first layer, which stand for all.
    public var shown: Range<Int> { start..<start + length }

    /// `decoder.layer1 ... decoder.layer31 as decoder.layer0`
    public var note: String {
        let others = prefixes.count > 2 ? "\(prefixes[1]) ... \(prefixes[prefixes.count - 1])" : prefixes[1]
        return "\(others) as \(prefixes[0])"
    }
}

/// Finds repeats in a list: cuts it into runs of one layer, then joins equal neighbours. `key` sees a run and says what makes it equal to another.
private func repeats<Key: Hashable>(_ layers: [ModelLayer?], key: (ModelLayer, Range<Int>) -> Key) -> [Repeat] {
    var runs: [(layer: ModelLayer, range: Range<Int>)] = []
    var start = 0
    while start < layers.count {
        var end = start + 1
        while end < layers.count, layers[end] == layers[start] { end += 1 }
        if let layer = layers[start] { runs.append((layer, start..<end)) }
        start = end
    }
    var result: [Repeat] = []
    var last: (stem: String, key: Key)?
    for (layer, range) in runs {
        let key = key(layer, range)
        if let open = result.last, let last, last.stem == layer.stem, last.key == key, open.range.upperBound == range.lowerBound {
            result[result.count - 1].prefixes.append(layer.name)
        } else {
            result.append(Repeat(start: range.lowerBound, length: range.count, prefixes: [layer.name]))
        }
        last = (layer.stem, key)
    }
    return result.filter { $0.prefixes.count > 1 }
}

/// An operation of a layer with the layer taken out.
private struct LocalOperation: Hashable {
    enum Reference: Hashable {
        case local(String)
        /// The n-th value from outside that the layer reads.
        case argument(Int)
        case weight(String, TensorType?)
        case state(String, TensorType?)
    }

    var name: String
    var op: Op
    var operands: [Reference]
    var type: TensorType?
}

extension Module {
    /// Layers of `function` that stand one after another and do the same with weights and states of their own.
    public func repeats(in function: Function) -> [Repeat] {
        let operations = function.operations
        return IRView.repeats(operations.map(\.layer)) { layer, range in
            let own = Set(operations[range].map(\.name))
            var arguments: OrderedSet<String> = []
            return operations[range].map { operation in
                let operands = operation.operands.map { operand -> LocalOperation.Reference in
                    switch operand {
                    case .value(let name) where own.contains(name): .local(layer.local(name))
                    case .value(let name): .argument(arguments.append(name).index)
                    case .weight(let name): .weight(layer.local(name), weights[name]?.type)
                    case .state(let name): .state(layer.local(name), states[name])
                    }
                }
                return LocalOperation(name: layer.local(operation.name), op: operation.op, operands: operands, type: operation.type)
            }
        }
    }

    /// The same for the weights. Checkpoint tensors are alike when their names differ by the layers' numbers only.
    public var weightRepeats: [Repeat] {
        let names = Array(weights.keys)
        return IRView.repeats(names.map(ModelLayer.init)) { layer, range in
            // A source's numbers as distances to the layer's, so that only a constant shift counts as equal.
            func relative(_ name: String) -> String {
                name.split(separator: ".", omittingEmptySubsequences: false).map { part in
                    Int(part).map { "#\($0 &- layer.index)" } ?? String(part)
                }
                .joined(separator: ".")
            }
            return names[range].map { name -> [String] in
                guard let weight = weights[name] else { return [] }
                let local = [layer.local(name), weight.type.description]
                switch weight.definition {
                case .source(let source): return local + [relative(source.name), source.type.description]
                case .folded(let operations):
                    return local
                        + operations.map { operation in
                            var operation = operation
                            operation.name = layer.local(operation.name)
                            operation.operands = operation.operands.map { operand in
                                switch operand {
                                case .value(let name): .value(layer.local(name))
                                case .weight(let name): .weight(layer.local(name))
                                case .state(let name): .state(layer.local(name))
                                }
                            }
                            return operation.description
                        }
                }
            }
        }
    }

    public var stateRepeats: [Repeat] {
        let names = Array(states.keys)
        return IRView.repeats(names.map(ModelLayer.init)) { layer, range in
            names[range].map { "\(layer.local($0)) \(states[$0].map(\.description) ?? "")" }
        }
    }

    /// The IR text with each repeated layer once and a comment for the others. It is for reading: what the comments stand for is not parsed back.
    public var collapsedDescription: String {
        func list(_ lines: [String], _ repeats: [Repeat], indent: String) -> String {
            var text = ""
            var index = 0
            var open = repeats[...]
            while index < lines.count {
                if let next = open.first, next.start == index {
                    text += lines[next.shown].joined() + "\(indent)// \(next.note)\n"
                    index = next.range.upperBound
                    open = open.dropFirst()
                } else {
                    text += lines[index]
                    index += 1
                }
            }
            return text
        }
        var text = header + symbols.map(Self.symbolLine).joined() + list(weights.map { $0.value.line($0.key) }, weightRepeats, indent: "  ")
        if !states.isEmpty { text += "\n" }
        text += list(states.map { Self.stateLine($0.key, $0.value) }, stateRepeats, indent: "  ")
        for function in functions {
            let lines = function.operations.map { "    \($0)\n" }
            text += "\n" + function.header + list(lines, repeats(in: function), indent: "    ") + function.footer
        }
        return text + "}\n"
    }
}
