// Both rooms have an 'Activation': only Checkpoint's is meant here.
import enum Checkpoint.Activation
import enum Checkpoint.ElementType
import enum IR.ActivationFunction
import enum IR.DType

extension ElementType {
    var irType: DType {
        switch self {
        case .float32: .float32
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
