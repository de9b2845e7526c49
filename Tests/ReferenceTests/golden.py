"""Writes golden.json: small inputs of every operation as IR text, with what torch computes for them in float64.

    python golden.py        (torch, transformers, numpy)

Inputs are float32 values; attributes enter torch as the float32 that the IR holds. A case is a module text, then calls of its
function `f` in order (states live between calls).
"""
import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from transformers import LlamaConfig
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

random = np.random.default_rng(20240607)
cases = []


def draw(*shape, scale=1.0):
    return torch.from_numpy((random.standard_normal(shape) * scale).astype(np.float32))


def f32(value):
    """A number as float32 holds it, and as the IR prints it."""
    return float(np.float32(value))


def spell(value):
    return str(np.float32(value))


def type_of(tensor):
    name = {torch.float32: "f32", torch.float64: "f32", torch.int32: "i32", torch.uint8: "u8"}[tensor.dtype]
    return f"{name}[{', '.join(map(str, tensor.shape))}]"


def record(tensor):
    values = tensor.flatten().tolist()
    if tensor.dtype == torch.float32:
        values = [float(spell(value)) for value in values]  # as many digits as it needs
    return {"type": type_of(tensor), "shape": list(tensor.shape), "values": values}


def case(name, lines, arguments, expected, **more):
    """One call; `lines` read %a, %b, ... and the last one defines %y."""
    names = "abcdefgh"
    parameters = ", ".join(f"%{n}: {type_of(a)}" for n, a in zip(names, arguments))
    body = "".join(f"    {line}\n" for line in lines)
    text = f'module "{name}" stage imported {{\n  func f({parameters}) {{\n{body}    return %y\n  }}\n}}\n'
    call = {"arguments": [record(a) for a in arguments], "expected": record(expected)}
    cases.append({"name": name, "text": text, "calls": [call]} | more)


def double(*tensors):
    return [t.double() for t in tensors] if len(tensors) > 1 else tensors[0].double()


# image
image = torch.from_numpy(random.integers(0, 256, (4, 5, 3), dtype=np.uint8))
mean, std = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
normalized = (image.double() / 255 - torch.tensor([f32(v) for v in mean], dtype=torch.float64)) / torch.tensor(
    [f32(v) for v in std], dtype=torch.float64)
attributes = f"{{mean = [{', '.join(map(spell, mean))}], std = [{', '.join(map(spell, std))}]}}"
case("normalize", [f"%y = normalize %a {attributes} : f32[3, 4, 5]"], [image], normalized.permute(2, 0, 1).contiguous())

# A convolution with kernel and stride p is extract_patches and a matmul; 9 columns leave a remainder.
pixels, kernel, bias = draw(3, 6, 9), draw(4, 3, 2, 2), draw(4)
convolved = F.conv2d(double(pixels)[None], double(kernel), double(bias), stride=2)[0]  # [4, 3, 4]
case(
    "extract_patches as conv2d",
    ["%p = extract_patches %a {patch = 2} : f32[12, 12]", "%y = matmul %p, %b, bias %c : f32[12, 4]"],
    [pixels, kernel.reshape(4, 12), bias], convolved.flatten(1).T.contiguous())
pixels = draw(2, 4, 8)
patches = F.unfold(double(pixels)[None], 1)[0].T.reshape(4, 8, 2)
windows = patches.reshape(2, 2, 4, 2, 2).permute(0, 2, 1, 3, 4).reshape(32, 2).contiguous()
case("extract_patches in window order", ["%y = extract_patches %a {patch = 1, window = 2} : f32[32, 2]"], [pixels], windows)

# So is a window convolution over tokens gather_windows and a matmul.
tokens, kernel = draw(4 * 6, 3), draw(5, 3, 2, 2)
grid = double(tokens).reshape(4, 6, 3).permute(2, 0, 1)
convolved = F.conv2d(grid[None], double(kernel), stride=2)[0]
case(
    "gather_windows as conv2d",
    ["%g = gather_windows %a {grid = [4, 6], kernel = 2} : f32[6, 12]", "%y = matmul %g, %b : f32[6, 5]"],
    [tokens, kernel.reshape(5, 12)], convolved.flatten(1).T.contiguous())
tokens = draw(9 * 3, 2)
unfolded = F.unfold(double(tokens).reshape(9, 3, 2).permute(2, 0, 1)[None], 3, stride=3)[0].T.contiguous()
case("gather_windows as unfold", ["%y = gather_windows %a {grid = [9, 3], kernel = 3} : f32[3, 18]"], [tokens], unfolded)

# shape
a, b, c = draw(2, 3, 2), draw(2, 1, 2), draw(2, 2, 2)
case("concatenate inside", ["%y = concatenate %a, %b, %c {axis = 1} : f32[2, 6, 2]"], [a, b, c], torch.cat(double(a, b, c), 1))
a, b = draw(2, 3), draw(1, 3)
case("concatenate rows", ["%y = concatenate %a, %b {axis = 0} : f32[3, 3]"], [a, b], torch.cat(double(a, b), 0))
a = draw(3, 5, 2)
case("slice", ["%y = slice %a {axis = 1, start = 1, count = 3} : f32[3, 3, 2]"], [a], double(a)[:, 1:4].contiguous())
case("slice rows", ["%y = slice %a {axis = 0, start = 1, count = 2} : f32[2, 5, 2]"], [a], double(a)[1:].contiguous())
case("reshape", ["%y = reshape %a {shape = [2, 15]} : f32[2, 15]"], [a], double(a).reshape(2, 15))
for permutation in [[0, 2, 1], [1, 0, 2], [2, 0, 1], [2, 1, 0]]:
    result = double(a).permute(permutation).contiguous()
    case(f"transpose {permutation}", [f"%y = transpose %a {{permutation = {permutation}}} : {type_of(result)}"], [a], result)
a = torch.from_numpy(random.integers(-99, 99, (4, 3), dtype=np.int32))
rows = torch.tensor([3, 0, 2, 3, 3], dtype=torch.int32)
case("gather_rows", ["%y = gather_rows %a, %b : i32[5, 3]"], [a, rows], a[rows.long()])
case("gather_rows of a list", ["%y = gather_rows %b, %a : i32[2]"], [torch.tensor([4, 2], dtype=torch.int32), rows], rows[[4, 2]])
ids, table, rows = torch.tensor([3, -1, -2, 0, 4, -1], dtype=torch.int32), draw(5, 3), draw(2, 3)
whole = torch.cat(double(table, rows))
case(
    "embed", ["%y = embed %a, %b, vision %c : f32[6, 3]"], [ids, table, rows],
    F.embedding(torch.where(ids < 0, 5 - 1 - ids, ids).long(), whole))
ids = torch.tensor([2, 2, 0], dtype=torch.int32)
case("embed without vision", ["%y = embed %a, %b : f32[3, 3]"], [ids, table], F.embedding(ids.long(), double(table)))

# arithmetic
x = torch.cat([draw(16, scale=3), torch.tensor([0.0, -0.0, 1e-20, -1e-20, -6.0, -13.0, 13.0, 88.0, -88.0, 1e30])])
functions = {"gelu": F.gelu, "quick_gelu": ACT2FN["quick_gelu"], "silu": F.silu}
# 1 + erf loses digits for large negative x, so gelu's reference is erfc there.
functions["gelu"] = lambda v: 0.5 * v * torch.special.erfc(-v / 2**0.5)
assert torch.allclose(functions["gelu"](double(x)), F.gelu(double(x)), rtol=0, atol=1e-15)
for name, function in functions.items():
    case(name, [f"%y = activation %a {{function = {name}}} : {type_of(x)}"], [x], function(double(x)))
    a, b = draw(3, 4, scale=2), draw(3, 4)
    case(f"gate {name}", [f"%y = gate %a, %b {{function = {name}}} : f32[3, 4]"], [a, b], function(double(a)) * double(b))
a, b, c = draw(2, 3, 4), draw(2, 3, 4), draw(3, 4)
case("add", ["%y = add %a, %b : f32[2, 3, 4]"], [a, b], double(a) + double(b))
case("add repeated", ["%y = add %a, %b : f32[2, 3, 4]"], [a, c], double(a) + double(c))
case("multiply", ["%y = multiply %a, %b : f32[2, 3, 4]"], [a, b], double(a) * double(b))
case("multiply repeated", ["%y = multiply %a, %b : f32[2, 3, 4]"], [a, c], double(a) * double(c))
case("scale", [f"%y = scale %a {{factor = {spell(0.1)}}} : f32[2, 3, 4]"], [a], double(a) * f32(0.1))
x = torch.cat([draw(12, scale=3), torch.tensor([0.0, -0.0, 1e-20, -1e30])])
case("power", ["%y = power %a {exponent = 0.5} : f32[16]"], [x], double(x).abs().sqrt())
case("power inverse", ["%y = power %a {exponent = -0.5} : f32[16]"], [x], torch.where(x == 0, 0, double(x).abs().rsqrt()))
x, w, bias, addend = draw(3, 7), draw(5, 7), draw(5), draw(3, 5)
product = double(x) @ double(w).T
case("matmul", ["%y = matmul %a, %b : f32[3, 5]"], [x, w], product)
case("matmul addend", ["%y = matmul %a, %b, addend %c : f32[3, 5]"], [x, w, addend], product + double(addend))
for name, function in functions.items():
    case(
        f"matmul {name}", [f"%y = matmul %a, %b, bias %c, addend %d {{activation = {name}}} : f32[3, 5]"],
        [x, w, bias, addend], function(product + double(bias) + double(addend)))
x, scale, shift = draw(2, 3, 9, scale=4) + 3, draw(9), draw(9)
case(
    "layer_norm", [f"%y = layer_norm %a, %b, %c {{epsilon = {spell(1e-5)}}} : f32[2, 3, 9]"], [x, scale, shift],
    F.layer_norm(double(x), (9,), double(scale), double(shift), f32(1e-5)))
case(
    "rms_norm", [f"%y = rms_norm %a, %b {{epsilon = {spell(1e-2)}}} : f32[2, 3, 9]"], [x, scale],
    F.rms_norm(double(x), (9,), double(scale), f32(1e-2)))


# attention
def rotary(name, parameters, text, theta, *positions):
    head, heads, rows = 8, 2, len(positions)
    positions = torch.tensor(positions, dtype=torch.int32)
    config = LlamaConfig(
        hidden_size=head * heads, num_attention_heads=heads, head_dim=head, max_position_embeddings=131072,
        rope_parameters={"rope_theta": theta} | parameters)
    inverse = LlamaRotaryEmbedding(config).inv_freq.double()
    angles = double(positions)[:, None] * inverse
    angles = torch.cat([angles, angles], -1)
    x = draw(rows, head * heads)
    split = double(x).reshape(rows, heads, head).transpose(0, 1)[None]
    turned, _ = apply_rotary_pos_emb(split, split, angles.cos()[None], angles.sin()[None])
    case(
        name, [f"%y = rotary %a, %b {{head_size = {head}, theta = {spell(theta)}{text}}} : f32[{rows}, {head * heads}]"],
        [x, positions], turned[0].transpose(0, 1).reshape(rows, -1).contiguous(), largestAngle=float(angles.abs().max()))


rotary("rotary", {"rope_type": "default"}, "", 10000.0, 0, 1, 2)
rotary("rotary far", {"rope_type": "default"}, "", 10000.0, 4093, 7, 4095)
llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
rotary("rotary llama3", llama3, ", factor = 8.0, low = 1.0, high = 4.0, original = 8192", 500000.0, 100, 102, 101)


def attend(q, k, v, heads, groups, scale):
    def split(t, n):
        return double(t).reshape(t.shape[0], n, -1).transpose(0, 1)
    k, v = (split(t, groups).repeat_interleave(heads // groups, 0) for t in (k, v))
    out = F.scaled_dot_product_attention(split(q, heads), k, v, scale=f32(scale))
    return out.transpose(0, 1).reshape(q.shape).contiguous()


q, k, v = draw(5, 12, scale=2), draw(7, 12), draw(7, 12)
case(
    "attention", [f"%y = attention %a, %b, %c {{heads = 3, kv_heads = 3, scale = {spell(0.3)}}} : f32[5, 12]"], [q, k, v],
    attend(q, k, v, 3, 3, 0.3))
k, v = draw(7, 6), draw(7, 6)
case(
    "attention grouped", [f"%y = attention %a, %b, %c {{heads = 4, kv_heads = 2, scale = {spell(0.5)}}} : f32[5, 12]"], [q, k, v],
    attend(q, k, v, 4, 2, 0.5))

# Over caches: a prompt of 3, a token of another slot, one of each, a token, and two rows of a slot around one of the other.
calls, keys, values = [], [torch.zeros(0, 4)] * 2, [torch.zeros(0, 4)] * 2
for slots in [[0, 0, 0], [1], [1, 0], [0], [1, 0, 1]]:
    rows = len(slots)
    q, k, v = draw(rows, 8, scale=2), draw(rows, 4), draw(rows, 4)
    expected = []
    for row, slot in enumerate(slots):
        keys[slot], values[slot] = (torch.cat([old, new[row:row + 1]]) for old, new in ((keys[slot], k), (values[slot], v)))
        expected.append(attend(q[row:row + 1], keys[slot], values[slot], 4, 2, 0.7))
    arguments = q, k, v, torch.tensor(slots, dtype=torch.int32)
    calls.append({"arguments": [record(t) for t in arguments], "expected": record(torch.cat(expected))})
text = f"""module "caches" stage imported {{
  symbol T <= 3

  state &lengths : i32[2]
  state &k : f32[2, 8, 4]
  state &v : f32[2, 8, 4]

  func f(%q: f32[T, 8], %k: f32[T, 4], %v: f32[T, 4], %slots: i32[T]) {{
    %places = reserve &lengths, %slots : i32[T]
    cache_store &k, %k, %slots, %places as k.store
    cache_store &v, %v, %slots, %places as v.store
    %y = attention %q, &k, &v, slots %slots, places %places {{heads = 4, kv_heads = 2, scale = {spell(0.7)}}} : f32[T, 8]
    return %y
  }}
}}
"""
cases.append({"name": "caches", "text": text, "calls": calls})

# average pooling
tokens = draw(9 * 6, 4)
pooled = F.avg_pool2d(double(tokens).reshape(9, 6, 4).permute(2, 0, 1), 3).flatten(1).T.contiguous()
case("average_windows", ["%y = average_windows %a {grid = [9, 6], kernel = 3} : f32[6, 4]"], [tokens], pooled)

# a bilinear resize by 1/k
for k in (2, 3, 4):
    tokens = draw(12 * 12, 2)
    resized = F.interpolate(double(tokens).reshape(1, 12, 12, 2).permute(0, 3, 1, 2), (12 // k, 12 // k), mode="bilinear")[0].flatten(1).T.contiguous()
    margin = f", margin = {(k - 1) // 2}" if k > 2 else ""
    case(f"average_windows, resize by 1/{k}", [f"%y = average_windows %a {{grid = [12, 12], kernel = {k}{margin}}} : f32[{144 // k // k}, 2]"], [tokens], resized)

# attention of a query over each window
for k in (2, 3):
    q, key, value = draw(36 // k // k, 6), draw(36, 6), draw(36, 6)
    windows = [F.unfold(double(t).reshape(1, 6, 6, 6).permute(0, 3, 1, 2), k, stride=k)[0].reshape(6, k * k, -1).permute(2, 1, 0) for t in (key, value)]
    expected = torch.cat([attend(double(row)[None], *(w[i] for w in windows), 3, 3, 0.7) for i, row in enumerate(q)])
    case(f"window_attention, kernel {k}", [f"%y = window_attention %a, %b, %c {{heads = 3, scale = {spell(0.7)}, grid = [6, 6], kernel = {k}}} : f32[{36 // k // k}, 6]"],
         [q, key, value], expected)

text = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in cases)
pathlib.Path(__file__).with_name("golden.json").write_text(f"[\n{text}\n]\n")
