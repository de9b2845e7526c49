import IR
import IRView
import Support

/// The tables of `lmmc inspect`.
struct InspectionTables {
    private let inspection: Inspection

    init(_ inspection: Inspection) { self.inspection = inspection }

    var text: String { [stages, memory, caches, paper, reducers, box].filter { !$0.isEmpty }.joined(separator: "\n") }

    private var stages: String {
        markdownTable(["stage", "work"], inspection.costs.stages.map { [$0.name, work($0.flops)] })
    }

    private func bytes(_ count: Int) -> String { byteCountText(UInt64(count)) }

    private var memory: String {
        let context = inspection.front.context
        let rows = inspection.sizes.map { size in
            [
                size.precision.rawValue, bytes(size.weightBytes), "\(bytes(size.cacheBytes(context: context))) (\(size.cache.rawValue))",
                bytes(size.activationBytes),
                bytes(size.total(context: context)),
            ]
        }
        let sequences = inspection.front.sequences
        let cache = "KV cache, " + (sequences == 1 ? "" : "\(sequences) x ") + "\(context)"
        return markdownTable(["precision", "weights", cache, "activations", "resident"], rows)
    }

    /// Keys and values by context, once for each type that caches have.
    private var caches: String {
        var types: [(cache: KeyValueType, bytes: Int)] = []
        for size in inspection.sizes where !types.contains(where: { $0.cache == size.cache }) {
            types.append((size.cache, size.cacheBytesPerPosition))
        }
        let rows = inspection.contexts.map { context in ["\(context)"] + types.map { bytes(context * $0.bytes) } }
        return markdownTable(["context"] + types.map { "KV cache in \($0.cache.rawValue)" }, rows)
    }

    private var paper: String {
        guard let figures = inspection.paper else { return "" }
        let rows = figures.rows.map { row in
            ["\(row.kernel), \(row.tokensPerWindow)", "\(row.tokens)", work(row.flops)]
        }
        let parts = figures.parts.map { "\($0.name) \(grouped($0.weights)) weights, \(grouped($0.withBiases)) with biases" }
        return parts.map { $0 + "\n" }.joined() + "\n" + markdownTable(["k, E", "vision tokens", "work of the decoder"], rows)
    }

    private var reducers: String {
        guard !inspection.reducers.isEmpty else { return "" }
        let rows = inspection.reducers.map { [$0.reducer, "\($0.rows.tokens)", $0.meanText, work($0.flops)] }
        return markdownTable(["reducer", "vision tokens", "mean over the blocks", "work of the decoder"], rows)
    }

    private var box: String {
        let rows = inspection.estimates.map { estimate in
            var row = [estimate.sizes.precision.rawValue]
            if let fits = estimate.fits {
                row.append(fits ? "yes" : estimate.largestContext.map { "with a context of \($0)" } ?? "no")
            }
            if let seconds = estimate.timeToFirstToken, let rate = estimate.tokensPerSecond {
                row += ["\(tenths(seconds * 1000)) ms", tenths(rate)]
            }
            return row
        }
        guard let first = rows.first else { return "" }
        let hasMemory = inspection.box.memory != nil
        let header =
            ["precision"] + (hasMemory ? ["fits"] : []) + (first.count > (hasMemory ? 2 : 1) ? ["time to first token", "tokens/s"] : [])
        return markdownTable(header, rows)
    }

    /// With one decimal, or as a power of ten where the options describe a machine beyond any that exists.
    private func tenths(_ value: Double) -> String {
        guard value < 1e15 else { return figure(value) }
        let scaled = Int((value * 10).rounded())
        return "\(scaled / 10).\(scaled % 10)"
    }
}
