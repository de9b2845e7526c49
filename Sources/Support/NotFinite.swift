/// What a number that is not finite is called in diagnostics; nil for one that is.
public func notFiniteName(_ x: Float) -> String? { x.isFinite ? nil : x.isNaN ? "a NaN" : "an infinity" }

/// Where element `index` of a row-major tensor stands: `(row 3, column 5)`, `(element 7)` of a vector, `(element [0, 2, 1, 1])` of others.
public func elementPlace(_ index: Int, in shape: [Int]) -> String {
    if shape.count == 2, shape[1] > 0 { return "(row \(index / shape[1]), column \(index % shape[1]))" }
    if shape.count < 2 || shape.contains(where: { $0 <= 0 }) { return "(element \(index))" }
    var (rest, place) = (index, [Int]())
    for size in shape.reversed() {
        place.append(rest % size)
        rest /= size
    }
    return "(element [\(place.reversed().map(String.init).joined(separator: ", "))])"
}
