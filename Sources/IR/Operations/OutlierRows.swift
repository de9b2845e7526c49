/// `outlier_rows %v {factor = f, count = O}` : f32[M] -> i32[O]
///
/// The places of the greatest entries, from the greatest on, the lower first where two are equal; as many as entries lie above Q3 + f (Q3 - Q1),
/// quartiles by linear interpolation at (M - 1)/4 and 3(M - 1)/4 of the ascending entries. With o of them the share is o/M and the number
/// int(M * (o/M)), in double precision, which is o for most M. NaN is below all others.
///
/// The same with `sampled = 1`: behind them those of 0, s, 2s, ... < M - 1 that are not among them, in ascending order; s is int(M/o)/3, rounded
/// down, at least 1, where the inner quotient is 1 over the share. Without outliers there are none.
///
/// O is known when it has run: at most M/4, and with samples at most M. f is at least 1.
public struct OutlierRows: OperationPayload {
    public static let mnemonic = "outlier_rows"
    public let factor: Float
    public let isSampled: Bool
    public let count: String

    public init(factor: Float, isSampled: Bool = false, count: String) {
        self.factor = factor
        self.isSampled = isSampled
        self.count = count
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        let factor = try reader.float("factor")
        var isSampled = false
        if reader.has("sampled") {
            guard try reader.integer("sampled") == 1 else { throw TypeError("attribute 'sampled' is not 1") }
            isSampled = true
        }
        self.init(factor: factor, isSampled: isSampled, count: try reader.word("count"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("factor", .float(factor))] + (isSampled ? [("sampled", .integer(1))] : []) + [("count", .symbol(count))]
    }
    public var definedCount: String? { count }
    public var callArguments: [Attribute]? { [.float(factor), .integer(isSampled ? 1 : 0)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 1, "the operand")
        try expectFloat(operands[0], "the operand")
        let rows = try expectFixed(operands[0].shape[0], "the number of entries")
        guard factor >= 1 else { throw TypeError("factor is \(factor); expected 1 or more") }
        return TensorType(.int32, [try countedDimension(count, most: .fixed(isSampled ? rows : max(1, rows / 4)))])
    }
}
