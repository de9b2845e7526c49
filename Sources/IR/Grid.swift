/// The edge of a square grid of as many cells; nil where that is no square.
public func gridEdge(of cells: Int) -> Int? {
    guard cells > 0 else { return nil }
    let edge = Int(Double(cells).squareRoot().rounded())
    return edge.multipliedReportingOverflow(by: edge) == (cells, false) ? edge : nil
}
