#!/usr/bin/env python3
"""Writes the small checkpoints of other file formats and their expected outputs, and manifest.json beside them.

    make_formats.py              everything
    make_formats.py --only NAME  one checkpoint, the manifest merged
The weights are those of checkpoints.py; what is expected comes from transformers in float64 (reference.py has the rest)."""
import argparse
import json
import os
import shutil
import sys
from dataclasses import replace

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import checkpoints
import gguf_files
import layout_b
import peft_files
import torch_files
import make_golden
import reference
from checkpoints import Spec
from compare import distance, margin
from make_golden import LLAMA3, case

ONE_IMAGE = [case("photo", ["wide.png"], prompt="What is in the picture?", tokens=12), case("text", [], raw="The largest circle is", tokens=6)]

OLDER, OLDER_OPTIONS = Spec(c1=24, vision_heads=3, vision_ff=40, blocks=3, layers=2, ff=64), dict(newer=False, layers=-2)

MAKERS = {
    "transformers-old": (layout_b.make, OLDER_OPTIONS, OLDER, ONE_IMAGE),
    "transformers-new": (layout_b.make, dict(newer=True, layers=[-3, 1, 3], strategy="full", act="quick_gelu", pads=True),
                         Spec(dtype="BF16", c1=16, vision_heads=2, vision_ff=40, blocks=3, image=36, patch=6, hidden=48, heads=4, kv_heads=2, head_dim=10, layers=2,
                              ff=64, tied=True, theta=500000.0, rope_scaling=LLAMA3, eps=1e-6, shards=2), ONE_IMAGE),
    "torch-shards": (torch_files.make_shards, {}, Spec(dtype="BF16", c1=24, vision_heads=3, vision_ff=40, blocks=3, hidden=48, heads=4, kv_heads=2, ff=64, layers=2,
                                                        inside=False, tower_dtype="F16", old_extras=True), ONE_IMAGE),
    # The next two stand on one decoder without images and one tower.
    "projector": (torch_files.make_projector, {}, torch_files.PARTS, ONE_IMAGE),
    "adapter": (torch_files.make_adapter, {}, torch_files.PARTS, ONE_IMAGE),
    # 256 channels, so that rows are whole blocks of every type.
    "gguf": (gguf_files.make, dict(older=False), Spec(c1=16, vision_heads=2, vision_ff=40, blocks=3, image=36, patch=6, hidden=256, heads=4, kv_heads=2, ff=256, layers=1), ONE_IMAGE),
    "gguf-older": (gguf_files.make, dict(older=True), Spec(c1=16, vision_heads=2, vision_ff=40, blocks=3, image=36, patch=6, hidden=48, heads=2, kv_heads=1, ff=64, layers=1,
                                                          theta=500000.0, rope_scaling=LLAMA3), ONE_IMAGE[:1]),
    "peft": (peft_files.make, dict(base="transformers-old", options=OLDER_OPTIONS), OLDER, ONE_IMAGE),
    "transformers-tied-top": (layout_b.make, dict(newer=True, layers=-2, edit=layout_b.tie_at_the_top),
                              Spec(c1=16, vision_heads=2, vision_ff=40, blocks=3, image=36, patch=6, hidden=48, heads=3, kv_heads=1, layers=2, ff=64, tied=True,
                                   rope_scaling={key: value for key, value in LLAMA3.items() if key != "original_max_position_embeddings"}), ONE_IMAGE),
    "transformers-untied": (layout_b.make, dict(newer=True, layers=-2, edit=layout_b.tie_in_name_only),
                            Spec(c1=16, vision_heads=2, vision_ff=40, blocks=3, image=36, patch=6, hidden=48, heads=3, kv_heads=1, layers=2, ff=64, theta=500000.0,
                                 rope_scaling=LLAMA3), ONE_IMAGE),
}


def make(name, tokenizer, pieces):
    """One checkpoint and its expected files; returns its manifest entry."""
    maker, options, spec, cases = MAKERS[name]
    folder = os.path.join(HERE, name)
    for attempt in range(200):
        spec = replace(spec, seed=1000 * (101 + list(MAKERS).index(name)) + attempt)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        exact, arguments = maker(spec, folder, tokenizer, torch.float64, **options)
        results = [make_golden.run(exact, c) for c in cases]
        if make_golden.good(spec, cases, results, pieces):
            break
    else:
        sys.exit(f"{name}: no seed gives clear greedy tokens")
    base = arguments.pop(0) if arguments and not arguments[0].startswith("--") else f"formats/{name}"
    entry = {"checkpoint": base, "name": name, "seed": spec.seed, "compile": arguments + ["--precision", "f32"], "cases": []}
    for c, result in zip(cases, results):
        arrays = ["logits"] + ["projected"] * bool(c["images"])
        expected = f"formats/{name}/expected/{c['name']}"
        reference.write(result, os.path.join(HERE, "..", expected), arrays)
        text = ["--prompt", c["prompt"]] if c["prompt"] is not None else ["--raw-prompt", c["raw"]]
        images = [a for image in c["images"] for a in ("--image", f"images/{image}")]
        entry["cases"].append({"name": c["name"], "arguments": images + text + ["--max-tokens", str(c["max_tokens"])], "expected": expected,
                               "compare": arrays, "top2_margin": round(margin(result["logits"]), 4)})
    size = sum(os.path.getsize(os.path.join(at, file)) for at, _, files in os.walk(folder) for file in files)
    print(f"{name}: seed {spec.seed}, {size // 1024} KiB")
    return entry


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(MAKERS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = checkpoints.train_tokenizer()
    path = os.path.join(HERE, "manifest.json")
    made = {name: make(name, tokenizer, Spec().vocab) for name in MAKERS if options.only in (None, name)}
    if not options.only:
        gguf_files.write_types(os.path.join(HERE, "types"))
    old = {entry["name"]: entry for entry in reference.read_json(path)["checkpoints"]} if os.path.exists(path) else {}
    checkpoints.write_json(path, {"checkpoints": [made.get(name) or old[name] for name in MAKERS if name in made or name in old]})


if __name__ == "__main__":
    main()
