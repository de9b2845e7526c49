import IR
import Support

extension TensorType {
    /// `{"dtype": "f32", "shape": [2, "T"]}`
    var json: JSONText {
        .object([
            ("dtype", .string(dtype.rawValue)),
            ("shape", .array(shape.map { $0.fixedValue.map(JSONText.integer) ?? .string($0.description) })),
        ])
    }
}

extension Attribute {
    /// Floats as the shortest decimal that reads back to the same float32.
    var json: JSONText {
        func number(_ value: Float) -> JSONText { .number(Double(value.description) ?? Double(value)) }
        return switch self {
        case .integer(let value): .integer(value)
        case .float(let value): number(value)
        case .symbol(let name): .string(name)
        case .integers(let values): .array(values.map(JSONText.integer))
        case .floats(let values): .array(values.map(number))
        }
    }
}

extension Operation {
    private var jsonMembers: [(String, JSONText)] {
        let payload = op.payload
        let operands = zip(self.operands, payload.operandLabels(count: self.operands.count)).map { operand, label -> JSONText in
            let kind =
                switch operand {
                case .value: "value"
                case .weight: "weight"
                case .state: "state"
                }
            return .object([("kind", .string(kind)), ("name", .string(operand.name))] + (label.map { [("label", .string($0))] } ?? []))
        }
        return [
            ("name", .string(name)), ("op", .string(op.mnemonic)), ("operands", .array(operands)),
            ("attributes", .object(payload.attributes.map { ($0.name, $0.value.json) })), ("type", type.map(\.json) ?? .null),
        ]
    }

    var json: JSONText { .object(jsonMembers) }

    func json(_ cost: Cost) -> JSONText {
        .object(
            jsonMembers + [
                ("flops", .integer(cost.flops)), ("bytes_read", .integer(cost.bytesRead)), ("bytes_written", .integer(cost.bytesWritten)),
            ])
    }
}

extension Repeat {
    var json: JSONText {
        .object([("start", .integer(start)), ("length", .integer(length)), ("layers", .array(prefixes.map(JSONText.string)))])
    }
}

extension Module {
    /// The module as one JSON object, described in Docs/Tools.md; FLOPs and bytes with T = `sequence` and S = 1.
    public func json(sequence: Int) -> String {
        let weights = weights.map { name, weight -> JSONText in
            let definition: (String, JSONText) =
                switch weight.definition {
                case .source(let source): ("source", .object([("name", .string(source.name)), ("type", source.type.json)]))
                case .folded(let operations): ("fold", .array(operations.map(\.json)))
                }
            return .object([
                ("name", .string(name)), ("type", weight.type.json), ("bytes", .integer(weight.type.byteCount() ?? .max)), definition,
            ])
        }
        let states = states.map { name, type -> JSONText in
            .object([("name", .string(name)), ("type", type.json), ("bytes", .integer(type.byteCount() ?? .max))])
        }
        var functions: [(String, JSONText)] = []
        for function in self.functions {
            let costs = costs(of: function, .prompt(sequence))
            let total = costs.reduce(Cost(), +)
            let parameters = function.parameters.map { JSONText.object([("name", .string($0.name)), ("type", $0.type.json)]) }
            functions.append(
                (
                    function.name,
                    .object([
                        ("parameters", .lines(parameters)),
                        ("flops", .integer(total.flops)), ("bytes_read", .integer(total.bytesRead)),
                        ("bytes_written", .integer(total.bytesWritten)),
                        ("operations", .lines(zip(function.operations, costs).map { $0.json($1) })),
                        ("results", .array(function.results.map { .string($0.description) })),
                        ("repeats", .lines(repeats(in: function).map(\.json))),
                    ])
                ))
        }
        let object = JSONText.object([
            ("format", "lmmc-ir"), ("version", 1), ("name", .string(name)), ("stage", .string(stage.rawValue)),
            ("sequence", .integer(sequence)),
            ("symbols", .object(symbols.map { ($0.name, .integer($0.bound)) })), ("weights", .lines(weights)), ("states", .lines(states)),
            ("functions", .object(functions)),
        ])
        return object.text(indent: 0) + "\n"
    }
}
