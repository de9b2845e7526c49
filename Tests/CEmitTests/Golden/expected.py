"""Writes expected.txt: the tiny model of tiny.ir in numpy float64, written from the model's formulas, not from the compiler's.

    python3 expected.py > expected.txt
"""
import math
import re
from pathlib import Path

import numpy as np

here = Path(__file__).parent
text = (here / "tiny.ir").read_text()
module_functions = text[text.index("func ") :]
# Weights lie in the order in which the functions first read them, each from a multiple of 64 bytes on.
shapes = {n: tuple(map(int, s.split(", "))) for n, s in re.findall(r"weight @(\S+) : f32\[([0-9, ]+)\]", text)}
weights, offset = {}, 0
for name in re.findall(r"@([A-Za-z0-9_.]+)", module_functions):
    if name in weights:
        continue
    count = math.prod(shapes[name])
    i = offset // 4 + np.arange(count, dtype=np.int64)
    weights[name] = (((i * 7919 + 13) % 1009).astype(np.float32) / np.float32(1009) - np.float32(0.5)).astype(float).reshape(shapes[name])
    offset += (count * 4 + 63) // 64 * 64
erf = np.vectorize(math.erf)
gelu = lambda x: x / 2 * (1 + erf(x / math.sqrt(2)))
quick_gelu = lambda x: x / (1 + np.exp(-1.702 * x))
silu = lambda x: x / (1 + np.exp(-x))


def rms_norm(x, scale):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * scale


def layer_norm(x, scale, bias):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * scale + bias


def attend(q, k, v, heads, kv_heads, first=None):
    size, out = q.shape[1] // heads, np.zeros_like(q)
    for h in range(heads):
        g = h // (heads // kv_heads)
        columns, shared = slice(h * size, (h + 1) * size), slice(g * size, (g + 1) * size)
        scores = q[:, columns] @ k[:, shared].T / 2
        if first is not None:
            for row in range(len(q)):
                scores[row, first + row + 1 :] = -np.inf
        p = np.exp(scores - scores.max(-1, keepdims=True))
        out[:, columns] = p / p.sum(-1, keepdims=True) @ v[:, shared]
    return out


image = (np.arange(48) * 37 % 256).reshape(4, 4, 3)
pixels = ((image / 255 - [0.5, 0.45, 0.4]) / [0.25, 0.26, 0.27]).transpose(2, 0, 1)
patches = [pixels[:, y : y + 2, x : x + 2].reshape(-1) for y in (0, 2) for x in (0, 2)]
x = np.concatenate([weights["vision.class"], np.array(patches) @ weights["vision.patch.weight"].T]) + weights["vision.positions"]
taps = []
for block in (1, 2, 3):
    w = lambda name: weights[f"vision.block{block}.{name}"]
    normed = layer_norm(x, w("attention.norm.scale"), w("attention.norm.bias"))
    q, k, v = np.split(normed @ w("attention.weight").T + w("attention.bias"), 3, axis=1)
    x = x + attend(q, k, v, 2, 2) @ w("output.weight").T
    x = x + quick_gelu(x @ w("up.weight").T) @ w("down.weight").T
    taps.append(x[1:])
fused = gelu(taps[1] @ weights["fusion.weight0"].T + weights["fusion.bias"] + taps[2] @ weights["fusion.weight1"].T)
projected = gelu(fused.reshape(1, 32) @ weights["projector.weight"].T)

caches = {}


def rotary(x, positions):
    out = x.copy()
    for row, position in enumerate(positions):
        for head in range(x.shape[1] // 4):
            for j in range(2):
                a, b = x[row, head * 4 + j], x[row, head * 4 + j + 2]
                angle = position * 10000.0 ** (-2 * j / 4)
                out[row, head * 4 + j] = a * math.cos(angle) - b * math.sin(angle)
                out[row, head * 4 + j + 2] = b * math.cos(angle) + a * math.sin(angle)
    return out


def decoder(slot, tokens, position):
    """Logits of the last of some tokens of one sequence."""
    x = np.array([weights["decoder.embedding"][t] if t >= 0 else projected[-1 - t] for t in tokens])
    positions = position + np.arange(len(tokens))
    for layer in range(3):
        w = lambda name: weights[f"decoder.layer{layer}.{name}"]
        normed = rms_norm(x, w("norm.scale"))
        empty = np.zeros((0, 4))
        keys = np.concatenate([caches.get((slot, layer, "k"), empty), rotary(normed @ w("key.weight").T, positions)])
        values = np.concatenate([caches.get((slot, layer, "v"), empty), normed @ w("value.weight").T])
        caches[slot, layer, "k"], caches[slot, layer, "v"] = keys, values
        x = x + attend(rotary(normed @ w("query.weight").T, positions), keys, values, 2, 1, position) @ w("output.weight").T
        gate, up = np.split(x @ w("gate_up.weight").T, 2, axis=1)
        x = x + (silu(gate) * up) @ w("down.weight").T
    return (rms_norm(x[-1:], weights["decoder.norm.scale"]) @ weights["decoder.head.weight"].T)[0]


def show(row):
    print(" ".join(f"{value:.6f}" for value in row))


show(projected[0])
show(decoder(0, [1, -1, 4, 9], 0))
show(decoder(0, [3], 4))
show(decoder(0, [15], 5))
show(decoder(1, [7, -1, 6], 0))
show(decoder(0, [2], 6))
show(decoder(1, [5], 3))
decoder(1, [8, 0], 4)
show(decoder(1, [10], 6))
