import IR
import Plan

// MARK: - enumerators of the runtime's headers

extension KeyValueType {
    /// In `lmmc_kv_type`, Runtime/contract/kv_type.h
    var enumerator: String {
        switch self {
        case .float32: "LMMC_KV_F32"
        case .bfloat16: "LMMC_KV_BF16"
        case .int8: "LMMC_KV_I8"
        }
    }

    /// What stores a row in a cache of the type, Runtime/kernels/rows/cache_rows.h
    var storeName: String {
        switch self {
        case .float32: "lmmc_copy_row"
        case .bfloat16: "lmmc_store_row_bf16"
        case .int8: "lmmc_store_row_i8"
        }
    }
}

extension ActivationFunction {
    /// In `lmmc_activation`, Runtime/kernels/common/activation.h
    var enumerator: String {
        switch self {
        case .gelu: "LMMC_GELU"
        case .quickGELU: "LMMC_QUICK_GELU"
        case .silu: "LMMC_SILU"
        }
    }
}

extension ProgramDescription.Resize {
    /// In `lmmc_resize_mode`, Runtime/contract/preprocess.h
    var enumerator: String {
        switch self {
        case .pad: "LMMC_RESIZE_PAD"
        case .crop: "LMMC_RESIZE_CROP"
        }
    }
}

// MARK: - names of the runtime's functions

extension WeightFormat {
    /// How the names of functions end that read such a weight.
    var suffix: String {
        switch self {
        case .float32: "_f32"
        case .bfloat16: "_bf16"
        case .int8: "_q8"
        case .int4: "_q4"
        }
    }
}

extension RowType {
    /// How the names of functions end that make such rows.
    var suffix: String {
        switch self {
        case .bfloat16: "_bf16"
        case .int8: "_q8"
        }
    }
}

extension RowFunction {
    /// In Runtime/kernels/rows/rows.h
    var name: String {
        switch self {
        case .copy: "lmmc_copy_row"
        case .add: "lmmc_add_row"
        case .multiply: "lmmc_multiply_row"
        case .scale: "lmmc_scale_row"
        case .activation(.gelu): "lmmc_gelu_row"
        case .activation(.quickGELU): "lmmc_quick_gelu_row"
        case .activation(.silu): "lmmc_silu_row"
        case .gate(.gelu): "lmmc_gate_gelu_row"
        case .gate(.quickGELU): "lmmc_gate_quick_gelu_row"
        case .gate(.silu): "lmmc_gate_silu_row"
        case .standardize: "lmmc_standardize_row"
        case .layerNorm: "lmmc_layer_norm_row"
        case .divideByRMS: "lmmc_rms_divide_row"
        case .rmsNorm: "lmmc_rms_norm_row"
        }
    }

    /// The numbers that the function takes behind the columns.
    var attributes: [Float] {
        switch self {
        case .scale(let factor): [factor]
        case .standardize(let epsilon), .layerNorm(let epsilon), .divideByRMS(let epsilon), .rmsNorm(let epsilon): [epsilon]
        case .copy, .add, .multiply, .activation, .gate: []
        }
    }
}
