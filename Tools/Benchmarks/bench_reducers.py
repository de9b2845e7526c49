#!/usr/bin/env python3
"""Measures every token reducer at true 7B widths beside LLaVA-1.5 and STF, and prints the table of Docs/Reducers.md.

    python3 bench_reducers.py --lmmc PATH --folder DIR [--layers 18] [--runs 5] [--output FILE]

Random weights, int8, one image and 61 tokens of text. Each method runs in turn with LLaVA-1.5 and STF, so that all three see the same moments of a shared
machine; figures are medians of the turns' ratios. Few decoder layers stand for 32, on both sides of every ratio. Where a published point lies behind them,
SparseVLM's third is behind the last block but one, and YOPO's `layers` is as large a share of the layers as it is of 32. A program stays in DIR only while it is
measured, but those two.

"promised" is what prefill should gain by its FLOPs (linear layers and attention of all rows, vision and text, that each block ran on, and the head's row),
"followed" the share of it that the time gains: (time of LLaVA-1.5 / time) / (FLOPs of LLaVA-1.5 / FLOPs). YOPO's count is of what it leaves of each block:
heads and channels of vision rows, and their windows; its masks are made up, of as many heads as the published ones keep. LLaVA-Mini's is of Llama 3.1 8B
and of its prefusion too, against LLaVA-1.5's Vicuna 7B.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import sys

import numpy

from bench_models import Models, output
from bench_sides import IMAGE, TEXT_TOKENS, sixty_one_tokens

# Methods as `--reduce` takes them, and the TFLOPs that the paper's tables print for them, where they do.
PUBLISHED = {
    "visionzip:dominant=54,contextual=10": "", "visionzip:dominant=108,contextual=20": "1.9", "visionzip:keep=144": "", "prumerge": "",
    "prumerge+": "1.9", "prumerge+:ratio=0.125": "", "mmtok:keep=144": "", "tome:keep=144": "",
    "fastv:layer=2,keep=144": "", "fastv:layer=2,keep=115": "", "fastv:layer=2,keep=288": "", "fastv:layer=3,keep=288": "",
    "sparsevlm:tokens=192": "", "sparsevlm:tokens=128": "1.9", "sparsevlm:tokens=64": "", "sparsevlm:tokens=128,version=2.0": "",
    "mustdrop:global=0.0012,individual=0.001": "1.9", "yopo:heads=16,layers=16,window=5,ffn=2,softmax=kept": "1.9",
    "yopo:heads=24,layers=16,window=5,ffn=2,softmax=kept": "", "yopo:heads=24,layers=16,window=5,ffn=2,softmax=all": "",
    "llavolta:layer=2,stride=8": "5.0", "llavolta:layer=16,stride=8": "",
}
MINI = "llava-mini-llama-3.1-8b"
PRESETS = {"tokenpacker-7b": "1.9", MINI: ""}
HIDDEN, INTERMEDIATE, VOCABULARY, HEADS, GRID = 4096, 11008, 32000, 32, 24
ATTENTION, MLP = 4 * HIDDEN * HIDDEN, 3 * HIDDEN * INTERMEDIATE  # weights
LAYER = ATTENTION + MLP
# Llama 3.1 8B, whose keys and values are a quarter as wide.
MINI_LAYER, MINI_VOCABULARY, PREFUSION_BLOCKS = 2 * HIDDEN * HIDDEN * 5 // 4 + 3 * HIDDEN * 14336, 128256, 4
BEFORE = 35  # tokens of text in front of the image, in the prompts that are published


def vision_flops(rows, layer=LAYER):
    """The paper's count for the vision rows of each block of `layer` weights."""
    return sum(2 * layer * n + 4 * n * n * HIDDEN for n in rows)


def prefill_flops(rows, layer=LAYER, vocabulary=VOCABULARY):
    """Products of all rows of each block; attention of row i over i rows; the head for one row."""
    return sum(2 * layer * n + 2 * n * (n + 1) * HIDDEN for n in rows) + 2 * HIDDEN * vocabulary


def prefused(blocks):
    """LLaVA-Mini's rows of every block, those of prefusion ahead: all patches beside what becomes of them, as `lmmc inspect` counts."""
    return [GRID * GRID + blocks[0]] * PREFUSION_BLOCKS + blocks


class YOPO:
    """What is left of each block by its keys, `heads` the mean number that the mask keeps; the first two blocks keep all."""

    def __init__(self, text, layers):
        keys = dict(part.split("=") for part in text.split(":", 1)[1].split(","))
        self.kept, self.window, self.ffn = keys["softmax"] == "kept", int(keys["window"]), float(keys["ffn"])
        rest, count = int(keys["heads"]) * layers - 2 * HEADS, layers - 2
        self.heads = [HEADS] * 2 + [rest * (i + 1) // count - rest * i // count for i in range(count)]
        self.layers = int(keys["layers"]) * layers // 32
        self.text, self.keys = text, keys

    def reducer(self, folder):
        """The option, with its mask in a file."""
        mask = numpy.arange(HEADS)[None] < numpy.array(self.heads)[:, None]
        path = pathlib.Path(folder) / f"heads-{len(self.heads)}-{self.keys['heads']}.npy"
        numpy.save(path, mask)
        return f"yopo:heads={path},layers={self.layers},window={self.window},ffn={self.ffn:g},softmax={self.keys['softmax']}"

    def published(self, rows):
        """The paper's count for the vision rows: linear layers, with all heads of a block where what is cut stays in the softmax."""
        shares = [heads / HEADS for heads in self.heads[:self.layers]] if self.kept else [1] * len(self.heads)
        return sum(2 * rows * (ATTENTION * share + MLP / self.ffn) for share in shares)

    def vision(self, rows, before):
        """FLOPs of the vision rows of all blocks; each looks at `before` rows of text and the patches of its window."""
        total = 0
        for block, heads in enumerate(self.heads):
            if self.kept and block >= self.layers:
                break
            share, looks = heads / HEADS, before + self.window ** 2
            # Behind `layers` no values of theirs are read.
            linear = ATTENTION * (share if self.kept else 1 if block < self.layers else 0.75)
            total += rows * (2 * linear + 2 * MLP / self.ffn + 4 * looks * HIDDEN * share)
        return total

    def prefill(self, vision, text):
        total = self.vision(vision, BEFORE) + text * 2 * LAYER * len(self.heads) + 2 * HIDDEN * VOCABULARY
        for block, heads in enumerate(self.heads):
            seen = 0 if self.kept and block >= self.layers else vision * (heads / HEADS if self.kept else 1)
            total += 4 * HIDDEN * (text * text / 2 + (text - BEFORE) * seen)
        return total


def adapted(reducer, layers):
    """A published reducer where there are fewer layers than its points want."""
    lists = {"sparsevlm:tokens=192": "300+200+110", "sparsevlm:tokens=128": "303+110+36", "sparsevlm:tokens=64": "66+30+17",
             "sparsevlm:tokens=128,version=2.0": "238+108+60"}
    if reducer not in lists or layers > 16:
        return reducer
    return f"sparsevlm:layers=2+6+{layers - 2},keep={lists[reducer]}" + (",version=2.0" if "2.0" in reducer else "")


def stretched(blocks, layers=32):
    """Rows of `layers` blocks by those of fewer: the last block's go on."""
    return blocks + [blocks[-1]] * (layers - len(blocks))


def run(program):
    result = json.loads(output(program, "--bench", "--runs", 1, "--image", IMAGE, "--raw-prompt", sixty_one_tokens(program), "--max-tokens", 2, "--json"))
    figures = {name: result[name]["median"] for name in ("vision", "project", "prefill", "time_to_first_token")}
    return figures | {"blocks": result.get("visual_tokens_per_block"), "visual": result["visual_tokens"]}


class Bench:
    def __init__(self, options):
        self.options = options
        self.models = Models(pathlib.Path(options.folder), options.layers, options.lmmc, None)
        self.sides = {}
        for name, preset in (("LLaVA-1.5", "llava-1.5-7b"), ("STF", "llava-stf-7b")):
            program = self.compile(preset, None, name)
            self.sides[name] = program

    def compile(self, preset, reducer, name):
        path = pathlib.Path(self.options.folder) / f"reducers-{name}-{self.options.layers}"
        if not path.exists() or name not in ("LLaVA-1.5", "STF"):
            if reducer and reducer.startswith("yopo"):
                reducer = YOPO(reducer, self.options.layers).reducer(self.options.folder)
            output(self.options.lmmc, "compile", self.models.checkpoint(preset), "-o", path, "--precision", "int8", "--context", 1024, "--quiet",
                   *(["--reduce", adapted(reducer, self.options.layers)] if reducer else []))
        return path

    def measure(self, name, program):
        sides = self.sides | {name: program}
        turns = []
        for _ in range(self.options.runs):
            turns.append({side: run(path) for side, path in sides.items()})
        return turns

    def row(self, name, paper, program):
        turns = self.measure(name, program)

        def ratio(figure, side):
            return statistics.median(t[name][figure] / t[side][figure] for t in turns)

        own, base = turns[-1][name], turns[-1]["LLaVA-1.5"]

        def blocks(figures):
            return figures["blocks"] or [figures["visual"]] * self.options.layers

        rows, flops = stretched(blocks(own)), prefill_flops([n + TEXT_TOKENS for n in blocks(own)])
        whole = vision_flops(rows)
        if name.startswith("yopo"):
            flops, whole = YOPO(name, self.options.layers).prefill(own["visual"], TEXT_TOKENS), YOPO(name, 32).published(own["visual"])
            rows = [own["visual"]] * 16 + [0 if "kept" in name else own["visual"]] * 16
        elif name == MINI:
            flops = prefill_flops([n + TEXT_TOKENS for n in prefused(blocks(own))], MINI_LAYER, MINI_VOCABULARY)
            whole = vision_flops(prefused(rows), MINI_LAYER)
        promised = prefill_flops([n + TEXT_TOKENS for n in blocks(base)]) / flops
        gained = 1 / ratio("prefill", "LLaVA-1.5")
        return (f"| {name} | {own['visual']} | {statistics.mean(rows):.1f} | {whole / 1e12:.2f} | {paper} | "
                f"{ratio('time_to_first_token', 'LLaVA-1.5'):.2f} | {ratio('time_to_first_token', 'STF'):.2f} | {promised:.2f} x | {gained:.2f} x | "
                f"{100 * gained / promised:.0f} % |")


def main():
    parser = argparse.ArgumentParser(description="measure token reducers at 7B widths")
    parser.add_argument("--lmmc", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--layers", type=int, default=18)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--method", help="this one, as `--reduce` takes it, in the place of the published ones")
    parser.add_argument("--only", help="methods whose text has this in it")
    parser.add_argument("--output")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    bench = Bench(options)
    lines = ["| method | vision tokens | rows a block | TFLOPs | paper | first token / LLaVA-1.5 | / STF | prefill promised | gained | followed |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    rows = [(name, "", None, None) for name in ("LLaVA-1.5", "STF")]
    rows += [(name, paper, "llava-1.5-7b", name) for name, paper in PUBLISHED.items()]
    rows += [(name, paper, name, None) for name, paper in PRESETS.items()]
    if options.method:
        rows = [(options.method, "", "llava-1.5-7b", options.method)]
    for name, paper, preset, reducer in rows:
        if options.only and options.only not in name:
            continue
        try:
            program = bench.sides.get(name) or bench.compile(preset, reducer, re.sub("[^A-Za-z0-9.]+", "-", name))
        except SystemExit as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
            continue
        lines.append(bench.row(name, paper, program))
        print(lines[-1], flush=True)
        if name not in bench.sides:
            program.unlink()
    if options.output:
        pathlib.Path(options.output).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
