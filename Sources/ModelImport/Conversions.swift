// Both rooms have an 'Activation': only Checkpoint's is meant here.
import enum Checkpoint.Activation
import enum Checkpoint.ElementType
import enum IR.ActivationFunction
import enum IR.DType

extension ElementType {
    /// The IR type of the values that are read; a quantised tensor gives 32-bit floats.
    var irType: DType {
        switch self {
        case .float32, .q8_0, .q4_0, .q4_1, .q5_0, .q5_1, .q4_K, .q5_K, .q6_K: .float32
        case .float16: .float16
        case .bfloat16: .bfloat16
        }
    }
}

extension Activation {
    var irFunction: ActivationFunction {
        switch self {
        case .gelu: .gelu
        case .quickGELU: .quickGELU
        }
    }
}
