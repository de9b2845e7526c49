/// The element types that weights may have. The quantised ones are GGUF's: blocks of elements along a row, each with its scales.
public enum ElementType: String, Sendable, Equatable, CaseIterable {
    case float32 = "F32"
    case float16 = "F16"
    case bfloat16 = "BF16"
    case q8_0 = "Q8_0"
    case q4_0 = "Q4_0"
    case q4_1 = "Q4_1"
    case q5_0 = "Q5_0"
    case q5_1 = "Q5_1"
    case q4_K = "Q4_K"
    case q5_K = "Q5_K"
    case q6_K = "Q6_K"

    /// Those that stand for themselves, element by element.
    public static let floats: [ElementType] = [.float32, .float16, .bfloat16]

    /// Elements that are stored together.
    public var blockElements: Int {
        switch self {
        case .float32, .float16, .bfloat16: 1
        case .q8_0, .q4_0, .q4_1, .q5_0, .q5_1: 32
        case .q4_K, .q5_K, .q6_K: 256
        }
    }

    /// Bytes of a block.
    public var blockBytes: Int {
        switch self {
        case .float32: 4
        case .float16, .bfloat16: 2
        case .q8_0: 2 + 32
        case .q4_0: 2 + 16
        case .q4_1: 4 + 16
        case .q5_0: 2 + 4 + 16
        case .q5_1: 4 + 4 + 16
        case .q4_K: 4 + 12 + 128
        case .q5_K: 4 + 12 + 32 + 128
        case .q6_K: 128 + 64 + 16 + 2
        }
    }
}

/// The element type of a tensor of a file, whatever its format.
public enum StorageType: Sendable, Equatable {
    case weight(ElementType)
    /// A type of tensors that are left alone
    case other(OtherType)

    public enum OtherType: String, Sendable, Equatable, CaseIterable {
        case bool = "BOOL"
        case uint8 = "U8"
        case int8 = "I8"
        case float8E5M2 = "F8_E5M2"
        case float8E4M3 = "F8_E4M3"
        case float8E8M0 = "F8_E8M0"
        case int16 = "I16"
        case uint16 = "U16"
        case int32 = "I32"
        case uint32 = "U32"
        case int64 = "I64"
        case uint64 = "U64"
        case float64 = "F64"
        case complex64 = "C64"
    }

    /// By the name that safetensors has for it, or GGUF for the quantised ones.
    public init?(name: String) {
        if let type = ElementType(rawValue: name) {
            self = .weight(type)
        } else if let type = OtherType(rawValue: name) {
            self = .other(type)
        } else {
            return nil
        }
    }

    public var name: String {
        switch self {
        case .weight(let type): type.rawValue
        case .other(let type): type.rawValue
        }
    }

    /// Nil where no weight may have it.
    public var elementType: ElementType? {
        if case .weight(let type) = self { type } else { nil }
    }

    /// Bytes per element; nil for the quantised types, which safetensors does not have.
    public var size: Int? {
        switch self {
        case .weight(let type): type.blockElements == 1 ? type.blockBytes : nil
        case .other(.bool), .other(.uint8), .other(.int8), .other(.float8E5M2), .other(.float8E4M3), .other(.float8E8M0): 1
        case .other(.int16), .other(.uint16): 2
        case .other(.int32), .other(.uint32): 4
        case .other(.int64), .other(.uint64), .other(.float64), .other(.complex64): 8
        }
    }
}
