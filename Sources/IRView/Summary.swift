import IR
import Plan
import Support

extension Plan {
    /// See `StageRecord.Memory`.
    public var memory: StageRecord.Memory {
        func bytes(_ body: Body) -> Int {
            body.steps.reduce(0) { total, step in
                switch step {
                case .run(let kernel, _, let inputs, let output):
                    // What writes rows of a cache writes as many as it reads.
                    if case .storeRows = kernel.computation {
                        sum(total, body.buffers[inputs[0]].type.byteCount() ?? .max)
                    } else {
                        sum(total, body.buffers[output].type.byteCount() ?? .max)
                    }
                case .call(let layer, _, _, _): sum(total, bytes(layers[layer].body))
                }
            }
        }
        return StageRecord.Memory(stored: entries.reduce(0) { sum($0, bytes($1.body)) }, peak: activationBytes)
    }
}

/// A table in Markdown whose columns stand straight as text too. The first column is text, the others are numbers.
public func markdownTable(_ header: [String], _ rows: [[String]]) -> String {
    let rows = rows.map { $0.map(escapingControls) }
    let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
    func line(_ cells: [String]) -> String {
        let cells = cells.enumerated().map { column, cell in
            let space = String(repeating: " ", count: widths[column] - cell.count)
            return column == 0 ? cell + space : space + cell
        }
        return "| " + cells.joined(separator: " | ") + " |\n"
    }
    let rule = widths.enumerated().map { column, width in
        column == 0 ? String(repeating: "-", count: width) : String(repeating: "-", count: width - 1) + ":"
    }
    return line(header) + line(rule) + rows.map(line).joined()
}

/// Per stage: rewrites, operations, bytes of stored and of live activations, FLOPs of one image and one prompt of `sequence` tokens.
public func summaryTable(_ stages: [StageRecord], sequence: Int) -> String {
    let functions = stages.first?.module.functions.map(\.name) ?? []
    func mebibytes(_ count: Int?) -> String {
        guard let count else { return "" }
        let tenths = Int((Double(count) * 10 / 1_048_576).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
    let rows = stages.map { stage -> [String] in
        var row = [stage.reason.isEmpty ? stage.name : "`\(stage.name)`", stage.rewrites.map(String.init) ?? ""]
        row += ["\(stage.operationCount)", "\(stage.module.storedWeights.count)", mebibytes(stage.memory?.stored)]
        row.append(mebibytes(stage.memory?.peak))
        for name in functions {
            row.append(stage.module.function(named: name).map { flopsText(stage.module.cost(of: $0, .prompt(sequence)).flops) } ?? "")
        }
        return row
    }
    let header = ["stage", "rewrites", "operations", "weights", "stored, MiB", "peak, MiB"] + functions.map { "\($0), FLOP" }
    return markdownTable(header, rows)
}

/// `123.46 G`: so many significant digits, at least three, in powers of 1000; below 1000 the number itself.
public func flopsText(_ flops: Int, digits: Int = 5) -> String {
    guard flops >= 1000 else { return "\(flops)" }
    let dropped = max(0, String(flops).count - digits)
    var scale = 1
    for _ in 0..<dropped { scale *= 10 }
    // Rounded before the unit is chosen, so that 999,600 becomes 1.00 M and not 1000 k.
    let rounded = String(flops / scale + (2 * (flops % scale) >= scale ? 1 : 0))
    let (thousands, lead) = (rounded.count + dropped - 1).quotientAndRemainder(dividingBy: 3)
    let shown = (rounded + String(repeating: "0", count: digits)).prefix(digits)
    let fraction = shown.dropFirst(lead + 1)
    return "\(shown.prefix(lead + 1))\(fraction.isEmpty ? "" : ".")\(fraction) \(["", "k", "M", "G", "T", "P", "E"][thousands])"
}
