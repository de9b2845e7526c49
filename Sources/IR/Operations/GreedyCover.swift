/// `greedy_cover %a, %b {keep = k, weight = w, patch = p}` : f32[M, N], f32[R, N] -> i32[k]
/// The same with `bars %bars` : i32[4] behind them.
///
/// k columns, one after the other, that together are close to every row's greatest value, in ascending order. With the rows of a and those of w b
/// as m, and each row's best value so far, 0 at first: the column j with the greatest sum over the rows of max(0, m_j - best) is taken, the
/// lower of equal ones; best becomes max(best, m_j), and j is not taken again. Where none is left, column 0 is taken.
/// With `bars` the columns are the patches of a square picture in raster order, p x p pixels each, whose first bars[0] rows of pixels and last
/// bars[1], first bars[2] columns and last bars[3] are padding: no patch is taken that lies wholly in it.
/// C meaning: differences in float32, their sum in double precision, rounded once.
public struct GreedyCover: OperationPayload {
    public static let mnemonic = "greedy_cover"
    /// Programs have room for as many rows and as many columns.
    public static let most = 8192
    public let keep: Int
    public let weight: Float
    public let patch: Int
    public let hasBars: Bool

    public init(keep: Int, weight: Float, patch: Int, hasBars: Bool) {
        self.keep = keep
        self.weight = weight
        self.patch = patch
        self.hasBars = hasBars
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(
            keep: try reader.integer("keep"), weight: try reader.float("weight"), patch: try reader.integer("patch"),
            hasBars: reader.labels.contains("bars"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("keep", .integer(keep)), ("weight", .float(weight)), ("patch", .integer(patch))]
    }
    public func operandLabels(count: Int) -> [String?] { [nil, nil] + (hasBars ? ["bars"] : []) }
    public var callArguments: [Attribute]? { [.integer(keep), .float(weight), .integer(patch), .integer(hasBars ? 1 : 0)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, hasBars ? 3...3 : 2...2)
        for operand in operands.prefix(2) {
            try expectRank(operand, 2, "a matrix of values")
            try expectFloat(operand, "a matrix of values")
        }
        let columns = try expectFixed(operands[0].shape[1], "the number of columns")
        try expectType(operands[1], TensorType(.float32, [operands[1].shape[0], .fixed(columns)]), "the second operand")
        if hasBars {
            try expectType(operands[2], TensorType(.int32, fixed: [4]), "the list of bars")
            if gridEdge(of: columns) == nil { throw TypeError("has \(columns) columns; expected the patches of a square") }
        }
        guard 1...columns ~= keep, patch > 0 else {
            throw TypeError("takes \(keep) of \(columns) columns, patches of \(patch) pixels; expected 1 to as many, and 1 or more")
        }
        let rows = operands.prefix(2).reduce(0) { sum, operand in
            let (total, overflow) = sum.addingReportingOverflow(operand.shape[0].bound ?? .max)
            return overflow ? .max : total
        }
        guard columns <= Self.most, rows <= Self.most else {
            throw TypeError("covers \(rows) rows by \(columns) columns; expected at most \(Self.most) of both")
        }
        return TensorType(.int32, fixed: [keep])
    }
}
