import IR
import Support

/// A dense row-major tensor in memory.
public struct Tensor: Sendable, Equatable {
    public enum Elements: Sendable, Equatable {
        case float32([Float])
        case int32([Int32])
        case uint8([UInt8])
        /// What the elements of a narrower float or block format stand for.
        case rounded(DType, [Float])
    }

    public let shape: [Int]
    public let elements: Elements

    /// The number of elements must be the product of `shape`.
    public init(shape: [Int], elements: Elements) {
        precondition(checkedProduct(shape) == elements.count, "shape \(shape) does not hold \(elements.count) elements")
        self.shape = shape
        self.elements = elements
    }

    public init(shape: [Int], _ values: [Float]) { self.init(shape: shape, elements: .float32(values)) }
    public init(shape: [Int], _ values: [Int32]) { self.init(shape: shape, elements: .int32(values)) }
    public init(shape: [Int], _ values: [UInt8]) { self.init(shape: shape, elements: .uint8(values)) }

    /// Zeros; nil for what no state of a model is.
    init?(zeros type: TensorType) {
        guard let shape = type.fixedShape, let count = type.elementCount() else { return nil }
        switch type.dtype {
        case .float32: self.init(shape: shape, [Float](repeating: 0, count: count))
        case .int32: self.init(shape: shape, [Int32](repeating: 0, count: count))
        case .uint8: self.init(shape: shape, [UInt8](repeating: 0, count: count))
        case .bfloat16, .int8Heads: self.init(shape: shape, elements: .rounded(type.dtype, [Float](repeating: 0, count: count)))
        case .float16, .int8Rows, .bfloat16Panels, .int8Panels, .int4Panels: return nil
        }
    }

    public var type: TensorType { TensorType(elements.dtype, fixed: shape) }

    /// The elements of an f32 tensor, nil for another.
    public var float32: [Float]? {
        if case .float32(let values) = elements { values } else { nil }
    }

    // The type rules have checked the element types before an operation runs.

    public var floats: [Float] {
        switch elements {
        case .float32(let values), .rounded(_, let values): return values
        case .int32, .uint8: preconditionFailure("\(type) in place of floats")
        }
    }

    var integers: [Int32] {
        guard case .int32(let values) = elements else { preconditionFailure("\(type) in place of i32") }
        return values
    }

    var bytes: [UInt8] {
        guard case .uint8(let values) = elements else { preconditionFailure("\(type) in place of u8") }
        return values
    }
}

extension Tensor.Elements {
    public var dtype: DType {
        switch self {
        case .float32: .float32
        case .int32: .int32
        case .uint8: .uint8
        case .rounded(let dtype, _): dtype
        }
    }

    public var count: Int {
        switch self {
        case .float32(let values): values.count
        case .int32(let values): values.count
        case .uint8(let values): values.count
        case .rounded(_, let values): values.count
        }
    }
}
