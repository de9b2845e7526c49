import Glibc
import IR
import Support

func matchRows(_ op: MatchRows, _ operands: [Tensor]) -> Tensor {
    let x = operands[0].floats, (rows, width) = (operands[0].shape[0], operands[0].shape[1])
    func product(_ a: Int, _ b: Int) -> Float {
        let product = Float((0..<width).reduce(0.0) { $0 + Double(x[a * width + $1]) * Double(x[b * width + $1]) })
        return product.isNaN ? -.infinity : product
    }
    let candidates = Array(stride(from: 2, to: rows, by: 2)), targets = Array(stride(from: 1, to: rows, by: 2))
    var target: [Int: Int] = [:], scores: [Float] = []
    for candidate in candidates {
        let products = targets.map { product(candidate, $0) }
        let best = best(products, 1)[0]
        target[candidate] = best
        scores.append(products[best])
    }
    let merged = Set(best(scores, op.merges).map { candidates[$0] })
    let staying = stride(from: 0, to: rows, by: 2).filter { !merged.contains($0) }
    var result = [Int32](repeating: 0, count: rows)
    for (index, row) in staying.enumerated() { result[row] = Int32(index) }
    for (index, row) in targets.enumerated() { result[row] = Int32(staying.count + index) }
    for row in merged { result[row] = result[targets[target[row]!]] }
    return Tensor(shape: [rows], result)
}

func rowPlaces(_ op: RowPlaces, _ operands: [Tensor]) -> Tensor {
    let rows = operands[0].integers, before = op.hasPlaces ? operands[1].integers : rows.indices.map { Int32($0 - 1) }
    let places = (0..<op.count).map { row in
        let joined = rows.indices.filter { rows[$0] == row }
        return (joined.first { $0 % 2 == 1 } ?? joined.first).map { before[$0] } ?? -1
    }
    return Tensor(shape: [op.count], places)
}

func segmentSizes(_ op: SegmentSizes, _ operands: [Tensor]) throws(Diagnostic) -> Tensor {
    let weights = op.hasWeights ? operands[1].floats : nil
    var sizes = [Double](repeating: 0, count: op.count)
    for (index, segment) in operands[0].integers.map({ Int($0) }).enumerated() where segment >= 0 {
        guard segment < op.count else { throw .error("segment \(segment) of \(op.count) does not exist") }
        sizes[segment] += Double(weights?[index] ?? 1)
    }
    return Tensor(shape: [op.count], sizes.map { Float($0) })
}

func logarithm(_ operands: [Tensor]) -> Tensor {
    Tensor(shape: operands[0].shape, operands[0].floats.map { Float(log(Double($0))) })
}
