import IR
import IRPage
import Support

/// The page that `lmmc ir --html` writes: every stage of one model in one file, which needs no network. `sequence` is T in FLOPs and bytes.
public func page(_ stages: [StageRecord], model: String, context: Int?, sequence: Int) -> String {
    var data = PageData()
    data.add(stages, sequence: sequence)
    let header: [(String, JSONText)] = [
        ("model", .string(model)), ("context", context.map(JSONText.integer) ?? .null), ("sequence", .integer(sequence)),
    ]
    // A '<' could end the element that holds the data; in JSON it only stands in strings.
    let json = JSONText.object(header + data.members).text(indent: 0).replacing("<", with: "\\u003c")
    return pageFile(named: "page.html")
        .replacing("/* page.css */", with: pageFile(named: "page.css"))
        .replacing("/* page.js */", with: ["tree.js", "diff.js", "page.js", "selftest.js"].map(pageFile).joined(separator: "\n"))
        .replacing("<!-- title -->", with: escaped(escapingControls(model)))
        .replacing("/* data */", with: json)
}

/// One of the files of Sources/IRPage, which lmmc carries.
func pageFile(named name: String) -> String {
    var length = 0
    guard let bytes = lmmc_page_file(name, &length) else { fatalError("unreachable: lmmc carries '\(name)'") }
    return String(decoding: UnsafeBufferPointer(start: bytes, count: length), as: UTF8.self)
}

private func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;")
}

/// Stages as the page reads them. Operations and weights that are equal in several stages are stored once.
private struct PageData {
    struct OperationRow: Hashable {
        var operation: Operation
        var cost: Cost
    }

    var operations: [OperationRow: Int] = [:]
    var operationRows: [JSONText] = []
    var weights: [String: [Weight: Int]] = [:]
    var weightRows: [JSONText] = []
    var stages: [JSONText] = []

    /// `operations`: [name, mnemonic, [operand], attributes, type, FLOPs, bytes read, bytes written]; `weights`: [name, type, bytes, [definition's
    /// lines]]. An operand has its label and sigil: `bias @b`.
    var members: [(String, JSONText)] {
        [("operations", .lines(operationRows)), ("weights", .lines(weightRows)), ("stages", .lines(stages))]
    }

    mutating func add(_ records: [StageRecord], sequence: Int) {
        let provenance = Provenance(records)
        for (index, record) in records.enumerated() {
            var functions: [JSONText] = []
            for (function, makers) in zip(record.module.functions, provenance.operations[index]) {
                functions.append(row(of: function, in: record.module, makers, sequence: sequence))
            }
            stages.append(
                row(of: record, provenance.changes[index], weightMakers: provenance.weights[index], functions, sequence: sequence))
        }
    }

    private mutating func row(of function: Function, in module: Module, _ makers: [Int], sequence: Int) -> JSONText {
        let rows = zip(function.operations, module.costs(of: function, .prompt(sequence))).map { intern($0, $1) }
        let parameters = function.parameters.map { JSONText.array([.string("%" + spelled($0.name)), .string("\($0.type)")]) }
        let footer = String(function.footer.split(separator: "\n")[0])
        let members: [(String, JSONText)] = [
            ("name", .string(function.name)), ("header", .string(function.header.trimmed)), ("footer", .string(footer.trimmed)),
            ("parameters", .array(parameters)), ("results", .array(function.results.map { .string($0.description) })),
            ("operations", .integers(rows)), ("makers", .integers(makers)),
            ("repeats", .array(module.repeats(in: function).map(\.json))),
        ]
        return .object(members)
    }

    private mutating func row(
        of record: StageRecord, _ change: StageChange, weightMakers: [Int], _ functions: [JSONText], sequence: Int
    ) -> JSONText {
        let module = record.module
        var weights: [Int] = []
        for (name, weight) in module.weights { weights.append(intern(name, weight)) }
        let stored = module.storedWeights
        let changes = [
            change.operationsAdded, change.operationsRemoved, change.operationsChanged, change.weightsAdded, change.weightsRemoved,
            change.weightsChanged,
        ]
        func optional(_ value: Int?) -> JSONText { value.map(JSONText.integer) ?? .null }
        let members: [(String, JSONText)] = [
            ("name", .string(record.name)), ("reason", .string(record.reason)), ("rewrites", optional(record.rewrites)),
            ("milliseconds", record.milliseconds.map(JSONText.number) ?? .null), ("header", .string(module.header.trimmed)),
            ("flops", .integer(module.flops(sequence: sequence))), ("stored", optional(record.memory?.stored)),
            ("peak", optional(record.memory?.peak)), ("storedWeights", .integer(stored.count)),
            ("weightBytes", .integer(stored.reduce(0) { sum($0, module.weights[$1]?.type.byteCount() ?? 0) })),
            ("change", .integers(changes)), ("weights", .integers(weights)), ("weightMakers", .integers(weightMakers)),
            ("weightRepeats", .array(module.weightRepeats.map(\.json))),
            ("symbols", .array(module.symbols.map { .string(Module.symbolLine($0).trimmed) })),
            ("states", .array(module.states.map { .string(Module.stateLine($0.key, $0.value).trimmed) })),
            ("stateRepeats", .array(module.stateRepeats.map(\.json))), ("functions", .array(functions)),
        ]
        return .object(members)
    }

    private mutating func intern(_ operation: Operation, _ cost: Cost) -> Int {
        let row = OperationRow(operation: operation, cost: cost)
        if let index = operations[row] { return index }
        let payload = operation.op.payload
        let operands = zip(payload.operandLabels(count: operation.operands.count), operation.operands).map { label, operand in
            JSONText.string(label.map { "\($0) \(operand)" } ?? "\(operand)")
        }
        let attributes = payload.attributes.map { "\($0.name) = \($0.value)" }.joined(separator: ", ")
        let cells: [JSONText] = [
            .string(operation.name), .string(operation.op.mnemonic), .array(operands), .string(attributes),
            operation.type.map { .string($0.description) } ?? .null, .integer(cost.flops), .integer(cost.bytesRead),
            .integer(cost.bytesWritten),
        ]
        operationRows.append(.array(cells))
        operations[row] = operationRows.count - 1
        return operationRows.count - 1
    }

    private mutating func intern(_ name: String, _ weight: Weight) -> Int {
        if let index = weights[name]?[weight] { return index }
        let definition: [String] =
            switch weight.definition {
            case .source(let source): ["source \(doubleQuoted(source.name)) \(source.type)"]
            case .folded(let operations): operations.map(\.description)
            }
        weightRows.append(
            .array([
                .string(name), .string("\(weight.type)"), .integer(weight.type.byteCount() ?? .max),
                .array(definition.map(JSONText.string)),
            ]))
        weights[name, default: [:]][weight] = weightRows.count - 1
        return weightRows.count - 1
    }
}

extension JSONText {
    fileprivate static func integers(_ values: [Int]) -> JSONText { .array(values.map(JSONText.integer)) }
}

extension String {
    /// Without blanks before and line ends behind.
    fileprivate var trimmed: String { String(drop { $0 == " " }.reversed().drop { $0 == "\n" }.reversed()) }
}
