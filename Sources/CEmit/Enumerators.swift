import IR

/// The enumerators of the runtime's headers.

extension KeyValueType {
    /// Of `lmmc_kv_type`, Runtime/contract/kv_type.h.
    var enumerator: String {
        switch self {
        case .float32: "LMMC_KV_F32"
        case .bfloat16: "LMMC_KV_BF16"
        case .int8: "LMMC_KV_I8"
        }
    }
}

extension ActivationFunction {
    /// Of `lmmc_activation`, Runtime/kernels/float32/matmul.h.
    var enumerator: String {
        switch self {
        case .gelu: "LMMC_GELU"
        case .quickGELU: "LMMC_QUICK_GELU"
        case .silu: "LMMC_SILU"
        }
    }
}

extension ProgramDescription.Resize {
    /// Of `lmmc_resize_mode`, Runtime/contract/preprocess.h.
    var enumerator: String {
        switch self {
        case .pad: "LMMC_RESIZE_PAD"
        case .crop: "LMMC_RESIZE_CROP"
        }
    }
}
