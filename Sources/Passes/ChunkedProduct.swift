import IR
import Support

/// The product of chunks of channel-major windows by a weight, without the windows:
///
///     %c = concatenate %x1, %x2, ... {axis = 1};  %g = gather_windows %c {kernel = k}  (rows of k x k patches; k = 1: no gather)
///     %r = reshape %g {shape = [windows * E, k*k*C / E]};  %y = matmul %r, @w, bias @b {activation = f}
///
/// The patches of a window stand together. Chunk e of a window holds the channel-major entries e*L ... (e+1)*L - 1, L = k*k*C / E: of each
/// of the k*k patches a range of channels, met by every (k*k)-th column of the weight. So for each e there is one accumulating product
/// per patch and operand over a strided view. Every E, C and number of operands fits.
struct ChunkedProduct {
    /// The operands of the concatenation, or the one input
    let parts: [Operand]
    let kernel: Int
    let windows: Int
    let chunks: Int
    let product: Operation
    let pass: String

    /// The operations that compute the product, the last with its name; nil where it has an addend.
    func operations(_ function: Function, _ environment: TypeEnvironment) throws(Diagnostic) -> [Operation]? {
        guard case .matmul(let matmul) = product.op, !matmul.hasAddend, let weight = environment[product.operands[1]]?.fixedShape else {
            return nil
        }
        let area = kernel * kernel
        let (outputs, length) = (weight[0], weight[1])
        var new = NewOperations(in: function, environment, pass: pass)

        var inputs: [(rows: Operand, channels: Range<Int>)] = []
        var channels = 0
        for part in parts {
            guard let width = environment[part]?.shape[1].fixedValue else { return nil }
            let rows =
                kernel == 1
                ? part : try new.append("\(part.name).windows", .reshape(Reshape(shape: [windows, area * width])), [part])
            inputs.append((rows, channels..<channels + width))
            channels += width
        }
        var residues: [Operand] = []
        for residue in 0..<min(area, length) {
            residues.append(try columns(of: product.operands[1], weight, residue, area, &new))
        }

        var results: [Operand] = []
        for chunk in 0..<chunks {
            var pieces: [(x: Operand, w: Operand)] = []
            for (residue, columns) in residues.enumerated() {
                let start = chunk * length + residue
                let (patch, first) = (start % area, start / area)
                let range = first..<first + (length - residue + area - 1) / area
                for input in inputs {
                    let common = range.clamped(to: input.channels)
                    if common.isEmpty { continue }
                    let width = input.channels.count
                    let x = try new.append(
                        "\(input.rows.name).chunk\(chunk)_\(patch)",
                        .slice(Slice(axis: 1, start: patch * width + common.lowerBound - input.channels.lowerBound, count: common.count)),
                        [input.rows])
                    let w =
                        common == range
                        ? columns
                        : try new.append(
                            "\(columns.name).part",
                            .slice(Slice(axis: 1, start: common.lowerBound - first, count: common.count)), [columns])
                    pieces.append((x, w))
                }
            }
            var sum: Operand?
            for (index, piece) in pieces.enumerated() {
                var step = Matmul(hasAddend: sum != nil, activation: index == pieces.count - 1 ? matmul.activation : nil)
                var operands = [piece.x, piece.w]
                if let sum {
                    operands.append(sum)
                } else if let bias = matmul.biasIndex {
                    step.hasBias = true
                    operands.append(product.operands[bias])
                }
                let suffix = index == pieces.count - 1 ? "" : ".sum\(index)"
                sum = try new.append("\(product.name).chunk\(chunk)\(suffix)", .matmul(step), operands)
            }
            if let sum { results.append(sum) }
        }
        // Chunk after chunk, then window after window.
        let stacked = try new.append("\(product.name).chunks", .concatenate(Concatenate(axis: 0)), results)
        let grid = try new.append("\(product.name).grid", .reshape(Reshape(shape: [chunks, windows, outputs])), [stacked])
        let turned = try new.append("\(product.name).turned", .transpose(Transpose(permutation: [1, 0, 2])), [grid])
        _ = try new.append(product.name, exactly: true, .reshape(Reshape(shape: [windows * chunks, outputs])), [turned])
        return new.operations
    }

    /// The columns residue, residue + area, residue + 2 area, ... of a weight.
    private func columns(
        of weight: Operand, _ shape: [Int], _ residue: Int, _ area: Int, _ new: inout NewOperations
    ) throws(Diagnostic) -> Operand {
        if area == 1 { return weight }
        let (outputs, full) = (shape[0], shape[1] / area)
        let name = "\(weight.name).columns\(residue)"
        let hasLast = full * area + residue < shape[1]
        var parts: [Operand] = []
        if full > 0 {
            let whole =
                full * area == shape[1]
                ? weight : try new.append("\(name).whole", .slice(Slice(axis: 1, start: 0, count: full * area)), [weight])
            let grid = try new.append("\(name).grid", .reshape(Reshape(shape: [outputs, full, area])), [whole])
            let every = try new.append("\(name).every", .slice(Slice(axis: 2, start: residue, count: 1)), [grid])
            parts.append(try new.append(hasLast ? "\(name).first" : name, .reshape(Reshape(shape: [outputs, full])), [every]))
        }
        if hasLast {
            parts.append(try new.append("\(name).last", .slice(Slice(axis: 1, start: full * area + residue, count: 1)), [weight]))
        }
        return parts.count == 1 ? parts[0] : try new.append(name, .concatenate(Concatenate(axis: 1)), parts)
    }
}
