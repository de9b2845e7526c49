#!/usr/bin/env python3
"""PyTorch as a peer of lmmc's programs: LLaMA layers of 7B widths, or the CLIP ViT-L/14-336 tower to block 23, with random weights in bf16.

    peer_torch.py decoder|vision [--layers N] [--compile]

Builds once, prints a line of JSON, then times what each line of standard input asks for (see serve). Pin it with OMP_NUM_THREADS, OMP_PROC_BIND and
OMP_PLACES. Needs torch."""
import argparse

import torch
from torch import nn
from torch.nn import functional

from peer_serve import HEADS, HIDDEN, INNER, VISION, VOCABULARY, serve

CONTEXT = 1024


def linear(inputs, outputs, bias=False):
    layer = nn.Linear(inputs, outputs, bias=bias, device="meta", dtype=torch.bfloat16).to_empty(device="cpu")
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-inputs ** -0.5, inputs ** -0.5)
    return layer


class Attention(nn.Module):
    """Queries, keys and values in one product; with a cache, rotary and causal."""

    def __init__(self, width, heads, cached):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = linear(width, 3 * width, not cached), linear(width, width, not cached)
        if cached:
            for name in ("keys", "values"):
                self.register_buffer(name, torch.zeros(1, heads, CONTEXT, width // heads, dtype=torch.bfloat16))

    def forward(self, x, rotary=None, start=0):
        rows, width = x.shape
        q, k, v = self.qkv(x).view(rows, 3, self.heads, -1).permute(1, 2, 0, 3).unsqueeze(1)
        if rotary is not None:
            q, k = rotate(q, *rotary), rotate(k, *rotary)
            self.keys[:, :, start:start + rows], self.values[:, :, start:start + rows] = k, v
            k, v = self.keys[:, :, :start + rows], self.values[:, :, :start + rows]
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=rotary is not None and rows > 1)
        return self.out(out[0].transpose(0, 1).reshape(rows, width))


def rotate(x, cosine, sine):
    low, high = x.chunk(2, -1)
    return x * cosine + torch.cat((-high, low), -1) * sine


class DecoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norms = nn.ModuleList(nn.RMSNorm(HIDDEN, 1e-5, dtype=torch.bfloat16) for _ in range(2))
        self.attention = Attention(HIDDEN, HEADS, True)
        self.gate_up, self.down = linear(HIDDEN, 2 * INNER), linear(INNER, HIDDEN)

    def forward(self, x, rotary, start):
        x = x + self.attention(self.norms[0](x), rotary, start)
        gate, up = self.gate_up(self.norms[1](x)).chunk(2, -1)
        return x + self.down(functional.silu(gate) * up)


class Decoder(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer() for _ in range(layers))
        self.norm, self.head = nn.RMSNorm(HIDDEN, 1e-5, dtype=torch.bfloat16), linear(HIDDEN, VOCABULARY)
        size = HIDDEN // HEADS
        angles = torch.outer(torch.arange(CONTEXT), 10000.0 ** (-torch.arange(0, size, 2) / size)).repeat(1, 2)
        self.cosine, self.sine = angles.cos().bfloat16(), angles.sin().bfloat16()

    def forward(self, x, start):
        rotary = [table[start:start + len(x)] for table in (self.cosine, self.sine)]
        for layer in self.layers:
            x = layer(x, rotary, start)
        return self.head(self.norm(x[-1:]))


class VisionLayer(nn.Module):
    def __init__(self):
        super().__init__()
        width = VISION["width"]
        self.norms = nn.ModuleList(nn.LayerNorm(width, dtype=torch.bfloat16) for _ in range(2))
        self.attention = Attention(width, VISION["heads"], False)
        self.up, self.down = linear(width, 4 * width, True), linear(4 * width, width, True)

    def forward(self, x):
        x = x + self.attention(self.norms[0](x))
        inner = self.up(self.norms[1](x))
        return x + self.down(inner * torch.sigmoid(1.702 * inner))


class Vision(nn.Module):
    def __init__(self):
        super().__init__()
        width, patch, side = VISION["width"], VISION["patch"], VISION["size"] // VISION["patch"]
        self.patches = nn.Conv2d(3, width, patch, patch, bias=False, dtype=torch.bfloat16)
        self.first = nn.Parameter(torch.randn(1, width, dtype=torch.bfloat16))
        self.places = nn.Parameter(torch.randn(side * side + 1, width, dtype=torch.bfloat16))
        self.norm = nn.LayerNorm(width, dtype=torch.bfloat16)
        self.layers = nn.ModuleList(VisionLayer() for _ in range(VISION["blocks"]))

    def forward(self, pixels):
        x = torch.cat([self.first, self.patches(pixels).flatten(2)[0].T]) + self.places
        x = self.norm(x)
        for layer in self.layers:
            x = layer(x)
        return x[1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("decoder", "vision"))
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(7)
    torch.set_grad_enabled(False)
    model = Decoder(options.layers) if options.work == "decoder" else Vision()
    if options.compile:
        model = torch.compile(model)
    random = torch.randn(CONTEXT, HIDDEN, dtype=torch.bfloat16)
    pixels = torch.randn(1, 3, VISION["size"], VISION["size"], dtype=torch.bfloat16)

    def decode(start, steps):
        for step in range(steps):
            model(random[:1], start + step)

    serve({"prefill": lambda rows: model(random[:rows], 0), "decode": decode} if options.work == "decoder" else {"vision": lambda: model(pixels)},
          {"torch": torch.__version__, "threads": torch.get_num_threads()})


if __name__ == "__main__":
    main()
