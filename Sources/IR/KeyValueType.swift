/// What attention's keys and values are held in, by name as `--kv` has it.
public enum KeyValueType: String, Sendable, Hashable, CaseIterable {
    case float32 = "f32"
    case bfloat16 = "bf16"
    /// Codes with a float32 scale per head: `DType.int8Heads`
    case int8

    /// nil for an element type that attention does not read.
    public init?(_ dtype: DType) {
        switch dtype {
        case .float32: self = .float32
        case .bfloat16: self = .bfloat16
        case .int8Heads: self = .int8
        case .float16, .int32, .uint8, .int8Rows, .bfloat16Panels, .int8Panels, .int4Panels: return nil
        }
    }
}
