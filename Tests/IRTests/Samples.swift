import IR

func f32(_ shape: Dimension...) -> TensorType { TensorType(.float32, shape) }
func i32(_ shape: Dimension...) -> TensorType { TensorType(.int32, shape) }
func u8(_ shape: Dimension...) -> TensorType { TensorType(.uint8, shape) }
// swift-format-ignore: AlwaysUseLowerCamelCase
let T = Dimension(Symbol("T", bound: 1024))
// swift-format-ignore: AlwaysUseLowerCamelCase
let S = Dimension(Symbol("S", bound: 16))

/// At least one operation of each kind, and one for each form of its attributes and labels.
let samples = modelSamples + reductionSamples + patchReductionSamples + rowMergingSamples + coverSamples + thresholdSamples

private let modelSamples: [Op] = [
    .normalize(Normalize(mean: [0.48145466, 0, -1e-30], std: [1, 3.4028235e38, 0.1])),
    .extractPatches(ExtractPatches(patch: 14)),
    .extractPatches(ExtractPatches(patch: 14, window: 2)),
    .extractPatches(ExtractPatches(patch: 14, window: 2, center: [122.5, 0, -1])),
    .gatherWindows(GatherWindows(height: 4, width: 6, kernel: 2)),
    .averageWindows(AverageWindows(height: 4, width: 6, kernel: 2)),
    .averageWindows(AverageWindows(height: 4, width: 8, kernel: 4, margin: 1)),
    .windowAttention(WindowAttention(heads: 2, scale: 0.25, height: 4, width: 6, kernel: 2)),
    .concatenate(Concatenate(axis: 1)),
    .slice(Slice(axis: 0, start: 1, count: 2)),
    .slice(Slice(axis: 0, start: 1)),
    .gatherRows(GatherRows()),
    .reshape(Reshape(shape: [])),
    .reshape(Reshape(shape: [2, 3])),
    .transpose(Transpose(permutation: [1, 0])),
    .embed(Embed(hasVision: false)),
    .embed(Embed(hasVision: true)),
    .matmul(Matmul()),
    .matmul(Matmul(hasBias: true)),
    .matmul(Matmul(hasAddend: true, activation: .silu)),
    .matmul(Matmul(hasBias: true, hasAddend: true, activation: .quickGELU)),
    .add(Add()),
    .multiply(Multiply()),
    .scale(Scale(factor: .leastNonzeroMagnitude)),
    .power(Power(exponent: -0.5)),
    .activation(Activation(.gelu)),
    .gate(Gate(.silu)),
    .gate(Gate(.silu, rows: .int8)),
    .layerNorm(LayerNorm(epsilon: 1e-5)),
    .layerNorm(LayerNorm(epsilon: 1e-5, rows: .bfloat16)),
    .rmsNorm(RMSNorm(epsilon: 1e-6)),
    .rmsNorm(RMSNorm(epsilon: 1e-6, rows: .int8)),
    .quantize(Quantize(.int8)),
    .quantize(Quantize(.bfloat16)),
    .pack(Pack(.int4)),
    .pack(Pack(.bfloat16)),
    .rotary(Rotary(headSize: 4, theta: 10000)),
    .rotary(Rotary(headSize: 4, theta: 500000, scaling: .init(factor: 8, low: 1, high: 4, original: 8192))),
    .reserve(Reserve()),
    .cacheStore(CacheStore()),
    .attention(Attention(heads: 8, keyValueHeads: 2, scale: 0.125)),
    .attention(Attention(heads: 8, keyValueHeads: 2, scale: 0.125, products: .bfloat16)),
    .attention(Attention(heads: 8, keyValueHeads: 2, scale: 0.125, products: .bfloat16, hasBias: true)),
    .attention(Attention(heads: 8, keyValueHeads: 2, scale: 0.125, isCached: true)),
    .attention(Attention(heads: 8, keyValueHeads: 2, scale: 0.125, products: .bfloat16, isCached: true)),
]
