/// `mask_heads %x {mask = [1, 0, ...]}` : f32[M, h*d] -> f32[M, h*d]
///
/// The columns of each of h heads where the mask, of h numbers, has a 1, and 0 where it has a 0, whatever stood there.
public struct MaskHeads: OperationPayload {
    public static let mnemonic = "mask_heads"
    public let mask: [Bool]

    public init(mask: [Bool]) { self.mask = mask }
    public init(_ reader: inout AttributeReader) throws(TypeError) { self.init(mask: try reader.mask("mask")) }

    public var attributes: [(name: String, value: Attribute)] { [("mask", .mask(mask))] }
    public var callArguments: [Attribute]? { [.mask(mask), .integer(mask.count)] }

    public func resultType(_ operands: [TensorType]) throws(TypeError) -> TensorType? {
        try expectCount(operands, 1...1)
        try expectRank(operands[0], 2, "the operand")
        try expectFloat(operands[0], "the operand")
        let width = try expectFixed(operands[0].shape[1], "the operand's width")
        guard !mask.isEmpty, width % mask.count == 0 else { throw TypeError("\(width) columns have no \(mask.count) heads") }
        return operands[0]
    }
}

extension AttributeReader {
    /// Zeros and ones.
    mutating func mask(_ name: String) throws(TypeError) -> [Bool] {
        try integers(name).map { value throws(TypeError) in
            guard 0...1 ~= value else { throw TypeError("attribute '\(name)' has \(value); expected zeros and ones") }
            return value == 1
        }
    }
}
