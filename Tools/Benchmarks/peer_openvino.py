#!/usr/bin/env python3
"""OpenVINO as a peer of lmmc's programs: LLaMA layers of 7B widths with a KV cache, or the CLIP ViT-L/14-336 tower to block 23, with random weights.

    peer_openvino.py decoder|vision FILE.xml [--layers N] [--weights bf16|int8|int4|w8a8] [--prepare] [--threads N]

FILE.xml is made where it is missing (and nothing more with --prepare): f16 weights, brought to 8 or 4 bits by nncf.compress_weights with its defaults, or
quantised with the activations, one scale per channel, by nncf.quantize (w8a8; on random data, so that its accuracy means nothing). Inference is in bf16
beside them. Then it serves like peer_torch.py. The graph is written so that OpenVINO's CPU plugin recognises its own fused operations: root mean square
norm, rotary embedding, attention with a cache. Needs openvino, and nncf for all but bf16."""
import argparse
import os

import numpy as np
import openvino as ov
from openvino import opset13 as op

from peer_serve import HEADS, HIDDEN, INNER, VISION, VOCABULARY, serve

HEAD = HIDDEN // HEADS
random = np.random.default_rng(7)
pool = random.standard_normal(1 << 22, dtype=np.float32)


def constant(values):
    return op.constant(np.asarray(values, np.float32))


def weight(rows, columns):
    """Random [rows, columns] in f16, cut from one pool at random places."""
    starts = random.integers(0, pool.size - columns, rows)
    values = np.stack([pool[s:s + columns] for s in starts]) * columns ** -0.5
    return op.convert(op.constant(values.astype(np.float16)), ov.Type.f32)


def parameter(shape, type, name):
    result = op.parameter(shape, type)
    result.output(0).get_tensor().set_names({name})
    return result


def linear(x, rows, columns, bias=False):
    y = op.matmul(x, weight(rows, columns), False, True)
    return op.add(y, constant(pool[:rows])) if bias else y


def split_heads(x, heads):
    """[1, T, C] to [1, heads, T, C / heads]"""
    return op.transpose(op.reshape(x, op.constant([0, 0, heads, -1]), True), op.constant([0, 2, 1, 3]))


def join_heads(x, width):
    return op.reshape(op.transpose(x, op.constant([0, 2, 1, 3])), op.constant([0, 0, width]), True)


def rms_norm(x):
    square = op.reduce_mean(op.power(x, constant(2)), op.constant([-1]), True)
    return op.multiply(op.multiply(x, op.divide(constant(1), op.sqrt(op.add(square, constant(1e-5))))), constant(np.ones(HIDDEN)))


def rotary_tables(positions):
    frequencies = constant(10000.0 ** (-np.arange(0, HEAD, 2) / HEAD).reshape(1, 1, -1))
    angles = op.multiply(op.unsqueeze(op.convert(positions, ov.Type.f32), op.constant(2)), frequencies)
    angles = op.unsqueeze(op.concat([angles, angles], -1), op.constant(1))
    return op.cos(angles), op.sin(angles)


def rotate(x, cosine, sine):
    low, high = op.variadic_split(x, op.constant(3), op.constant([HEAD // 2, HEAD // 2])).outputs()
    return op.add(op.multiply(x, cosine), op.multiply(op.concat([op.multiply(high, constant(-1)), low], -1), sine))


def cached(name, x, batch, beams, sinks):
    """x behind what the state `name` holds, [1, heads, past + T, size]."""
    shape = op.concat([batch, op.constant([HEADS, 0, HEAD])], 0)
    info = ov.op.util.VariableInfo()
    info.data_shape, info.data_type, info.variable_id = ov.PartialShape([-1, HEADS, -1, HEAD]), ov.Type.f32, name
    variable = ov.op.util.Variable(info)
    past = op.gather(op.read_value(op.broadcast(constant(0), shape), variable), beams, op.constant(0))
    present = op.concat([past, x], 2)
    sinks.append(op.assign(present, variable))
    return present


def decoder(layers):
    x = rows = parameter([-1, -1, HIDDEN], ov.Type.f32, "rows")
    positions, beams = parameter([-1, -1], ov.Type.i64, "positions"), parameter([-1], ov.Type.i32, "beams")
    batch = op.gather(op.shape_of(rows), op.constant([0]), op.constant(0))
    cosine, sine = rotary_tables(positions)
    sinks = []
    for layer in range(layers):
        normal = rms_norm(x)
        q, k, v = (split_heads(linear(normal, HIDDEN, HIDDEN), HEADS) for _ in range(3))
        k = cached(f"key{layer}", rotate(k, cosine, sine), batch, beams, sinks)
        v = cached(f"value{layer}", v, batch, beams, sinks)
        y = join_heads(op.scaled_dot_product_attention(rotate(q, cosine, sine), k, v, causal=True), HIDDEN)
        x = op.add(x, linear(y, HIDDEN, HIDDEN))
        normal = rms_norm(x)
        x = op.add(x, linear(op.multiply(op.swish(linear(normal, INNER, HIDDEN)), linear(normal, INNER, HIDDEN)), HIDDEN, INNER))
    last = op.gather(x, op.constant([-1]), op.constant(1))
    return ov.Model([op.result(linear(rms_norm(last), VOCABULARY, HIDDEN))], sinks, [rows, positions, beams], "decoder")


def layer_norm(x, width):
    y = op.mvn(x, op.constant([-1]), True, 1e-5, "inside_sqrt")
    return op.add(op.multiply(y, constant(np.ones(width))), constant(np.zeros(width)))


def vision():
    width, heads, patch, side = VISION["width"], VISION["heads"], VISION["patch"], VISION["size"] // VISION["patch"]
    pixels = parameter([1, 3, VISION["size"], VISION["size"]], ov.Type.f32, "pixels")
    kernel = op.reshape(weight(width, 3 * patch * patch), op.constant([width, 3, patch, patch]), False)
    x = op.reshape(op.convolution(pixels, kernel, [patch, patch], [0, 0], [0, 0], [1, 1]), op.constant([1, width, side * side]), False)
    x = op.concat([constant(pool[:width].reshape(1, 1, width)), op.transpose(x, op.constant([0, 2, 1]))], 1)
    x = layer_norm(op.add(x, constant(pool[:(side * side + 1) * width].reshape(1, -1, width))), width)
    for _ in range(VISION["blocks"]):
        normal = layer_norm(x, width)
        q, k, v = (split_heads(linear(normal, width, width, True), heads) for _ in range(3))
        y = join_heads(op.scaled_dot_product_attention(q, k, v), width)
        x = op.add(x, linear(y, width, width, True))
        inner = linear(layer_norm(x, width), 4 * width, width, True)
        x = op.add(x, linear(op.swish(inner, constant(1.702)), width, 4 * width, True))
    return ov.Model([op.result(x)], [pixels], "vision")


def inputs(rows, start=0):
    return {"rows": pool[:rows * HIDDEN].reshape(1, rows, HIDDEN), "positions": np.arange(start, start + rows)[None], "beams": np.zeros(1, np.int32)}


def image():
    return {"pixels": pool[:3 * VISION["size"] ** 2].reshape(1, 3, VISION["size"], VISION["size"])}


def make(work, layers, weights):
    model = decoder(layers) if work == "decoder" else vision()
    if weights == "bf16":
        return model
    import nncf
    if weights in ("int8", "int4"):
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM if weights == "int8" else nncf.CompressWeightsMode.INT4_SYM)
    sample = inputs(32) if work == "decoder" else image()
    return nncf.quantize(model, nncf.Dataset([sample]), subset_size=1, model_type=nncf.ModelType.TRANSFORMER,
                         advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("decoder", "vision"))
    parser.add_argument("file")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--weights", choices=("bf16", "int8", "int4", "w8a8"), default="bf16")
    parser.add_argument("--prepare", action="store_true")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if not os.path.exists(options.file):
        part, stem = options.file + ".part.xml", options.file.removesuffix(".xml")
        ov.save_model(make(options.work, options.layers, options.weights), part, compress_to_fp16=options.weights != "w8a8")
        os.rename(part.removesuffix(".xml") + ".bin", stem + ".bin")
        os.rename(part, options.file)  # last: a half-written file is not taken for one
    if options.prepare:
        return
    compiled = ov.Core().compile_model(options.file, "CPU", {
        "INFERENCE_NUM_THREADS": options.threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": True, "INFERENCE_PRECISION_HINT": "bf16"})
    request = compiled.create_infer_request()

    def prefill(rows):
        request.reset_state()
        request.infer(inputs(rows))

    def decode(start, steps):
        for step in range(steps):
            request.infer(inputs(1, start + step))

    serve({"prefill": prefill, "decode": decode} if options.work == "decoder" else {"vision": lambda: request.infer(image())},
          {"openvino": ov.__version__, "threads": options.threads})


if __name__ == "__main__":
    main()
