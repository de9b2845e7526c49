/// `append_samples %list {start = s, step = d, rows = n}` : i32[K] -> i32[K + n]
///
/// The list, and behind it s, s + d, ..., s + (n - 1)*d, whether it holds them or not.
public struct AppendSamples: OperationPayload {
    public static let mnemonic = "append_samples"
    public let start: Int
    public let step: Int
    public let rows: Int

    public init(start: Int, step: Int, rows: Int) {
        self.start = start
        self.step = step
        self.rows = rows
    }

    public init(_ reader: inout AttributeReader) throws(TypeError) {
        self.init(start: try reader.integer("start"), step: try reader.integer("step"), rows: try reader.integer("rows"))
    }

    public var attributes: [(name: String, value: Attribute)] {
        [("start", .integer(start)), ("step", .integer(step)), ("rows", .integer(rows))]
    }
    public var callArguments: [Attribute]? { attributes.map(\.value) }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectIndices(operands[0], "the list")
        let (distance, overflow) = step.multipliedReportingOverflow(by: rows)
        guard start >= 0, step > 0, rows > 0, !overflow, distance <= Int(Int32.max) - min(start, Int(Int32.max)),
            let length = operands[0].shape[0].adding(.fixed(rows))
        else { throw TypeError("appends \(rows) entries from \(start) on, \(step) apart; expected 1 or more below 2^31") }
        return TensorType(.int32, [length])
    }
}
