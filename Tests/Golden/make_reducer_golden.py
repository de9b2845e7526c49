#!/usr/bin/env python3
"""Writes reducers/: small checkpoints of layout A and, for each token reducer and budget, what the reference says of them.

    make_reducer_golden.py                 everything (images/ must be there: make_images.py)
    make_reducer_golden.py --only NAME     the entries whose name begins so, the manifest merged
Expected values are computed in float64 from the stored (rounded) weights. The reducer is an option of the compiler: one checkpoint
serves all. An input on which a decision is nearer than CLEAR to going the other way is left out, and counted; so is, uncounted, one that
FastV's variants answer alike."""
import argparse
import filecmp
import json
import os
import shutil
import sys
import tempfile
from dataclasses import replace

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "formats"))
import checkpoints
import reducers
import reference
import torch_files
from checkpoints import Spec
from compare import distance, margin
from make_golden import opened

CLEAR = 1e-5         # relative gap between two scores whose order decides something
MARGIN = 3e-3        # smallest gap between the best two logits of a row, as make_golden.py asks
TOKENS = 12
DULL = "greedy tokens nearly tie, repeat or stop", "the cached variant answers the same"
INNER = "model.vision_tower.vision_tower.vision_model."


def scaled(last_queries, places):
    """Queries of the tower's last block, and position embeddings, times a factor: how uneven class attention is, and how alike neighbours are.
    Biases of keys are made to matter: softmax does not see them, cosines of keys do."""
    def adjust(tensors):
        for name in tensors:
            if name.startswith(INNER) and name.endswith("k_proj.bias"):
                tensors[name] *= 2.5
        block = max(int(name[len(INNER):].split(".")[2]) for name in tensors if name.startswith(INNER + "encoder.layers."))
        for part in ("weight", "bias"):
            tensors[f"{INNER}encoder.layers.{block}.self_attn.q_proj.{part}"] *= last_queries
        tensors[INNER + "embeddings.position_embedding.weight"] *= places
    return adjust


CHECKPOINTS = {
    "grid8": (Spec(c1=32, vision_heads=4, vision_ff=48, blocks=4, image=48, patch=6, hidden=32, heads=4, kv_heads=2, ff=56, layers=6, context=256), scaled(1, 1)),
    # 16 heads, so that 14 of them can be chosen; 17 blocks, so that one stands behind block 15
    "grid24": (Spec(c1=32, vision_heads=4, vision_ff=32, blocks=4, image=96, patch=4, hidden=32, heads=16, kv_heads=4, head_dim=4, ff=36, layers=17, context=768),
               scaled(0.5, 0.3)),
}
IMAGES = ("wide.png", "square.png", "tall.png", "rgba.png", "grey.png", "palette.png", "interlaced.png", "bits.png", "grey16.png", "grey16-alpha.png",
          "photo.jpg", "progressive.jpg", "lossy-alpha.webp")
QUESTIONS = ("What is in the picture?", "Which colour is the largest circle?", "How many birds are there?", "Describe the image in detail.")
RAW = "Look: <image>\nWhich is larger, the boat or the house?</s>USER: say it ASSISTANT:"


def case(name, image=0, prompt=QUESTIONS[0], raw=None, second=None, question=None):
    """`image`: where in IMAGES the search for a clear input begins; `second`: the same for another image."""
    return {"name": name, "image": image, "prompt": prompt, "raw": raw, "second": second, "question": question}


PHOTO, RAW_TEXT = case("photo"), case("raw", 1, None, RAW)
TWO = case("two", 2, "first <image> then <image>, which has a bird?", second=5)
TEXT = case("text", None)
ASKED = case("asked", 3, None, RAW, question="Answer: which birds stand on the old bridge?\nAnswer the question using a single word or phrase.")
ONE_WORD = case("one-word", 0, None, "Look: <image>is")
# (name, checkpoint, --reduce, cases, arrays): names of arrays beside the logits
REDUCTIONS = [
    ("fastv-1-16", "grid8", "fastv:layer=1,keep=16", [PHOTO, RAW_TEXT, TEXT]),
    ("fastv-2-16-recompute", "grid8", "fastv:layer=2,keep=16,variant=recompute", [PHOTO, RAW_TEXT, TEXT]),
    ("fastv-2-144", "grid24", "fastv:layer=2,keep=144", [PHOTO]),
    ("fastv-3-288", "grid24", "fastv:layer=3,keep=288", [RAW_TEXT]),
    ("fastv-2-72-recompute", "grid24", "fastv:layer=2,keep=72,variant=recompute", [PHOTO]),
    ("llavolta-2-8", "grid8", "llavolta:layer=2,stride=8", [PHOTO, TWO]),
    ("llavolta-2-8", "grid24", "llavolta:layer=2,stride=8", [RAW_TEXT]),
    ("llavolta-1-7", "grid24", "llavolta:layer=1,stride=7", [PHOTO]),
    ("visionzip-16", "grid8", "visionzip:keep=16", [PHOTO, TWO]),
    ("visionzip-11-9", "grid8", "visionzip:dominant=11,contextual=9", [RAW_TEXT]),
    ("visionzip-64", "grid24", "visionzip:dominant=54,contextual=10", [RAW_TEXT]),
    ("visionzip-144", "grid24", "visionzip:keep=144", [PHOTO]),
    ("prumerge", "grid8", "prumerge", [PHOTO, TWO]),
    ("prumerge", "grid24", "prumerge", [PHOTO]),
    ("prumerge", "adapter", "prumerge", [PHOTO, TWO]),
    ("prumerge-ratio", "grid8", "prumerge:ratio=0.25,neighbours=7", [RAW_TEXT]),
    ("prumerge-plus", "grid8", "prumerge+", [PHOTO, TWO]),
    ("prumerge-plus", "grid24", "prumerge+", [PHOTO]),
    ("prumerge-plus-fixed", "grid8", "prumerge+:ratio=0.125", [RAW_TEXT]),
    ("prumerge-plus-145", "grid24", "prumerge+:ratio=0.125", [PHOTO]),
    ("prumerge-plus-65", "grid24", "prumerge+:ratio=1/18", [RAW_TEXT]),
    ("mmtok-16", "grid8", "mmtok:keep=16", [PHOTO, ASKED, RAW_TEXT, TWO]),
    ("mmtok-keys", "grid8", "mmtok:keep=12,alpha=0.25,t_text=0.05,t_vis=0.1", [PHOTO]),
    ("mmtok-off", "grid8", "mmtok:keep=20,padding=off", [case("tall", 2)]),
    ("mmtok-144", "grid24", "mmtok:keep=144", [PHOTO]),
    ("tome-16", "grid8", "tome:keep=16", [PHOTO, TWO]),
    ("tome-list", "grid8", "tome:r=20+3+9", [RAW_TEXT]),
    ("tome-144", "grid24", "tome:keep=144", [PHOTO]),
    ("tome-90", "grid24", "tome:r=90", [RAW_TEXT]),
    ("sparsevlm-1.5", "grid8", "sparsevlm:tokens=64,layers=1+2+4,keep=30+16+8", [PHOTO, RAW_TEXT, ONE_WORD, TEXT]),
    ("sparsevlm-2.0", "grid8", "sparsevlm:tokens=64,version=2.0,layers=1+2+4,keep=30+16+8", [PHOTO, RAW_TEXT]),
    ("sparsevlm-1.0", "grid8", "sparsevlm:tokens=64,version=1.0,layers=1+2+3+4", [PHOTO]),
    ("sparsevlm-192", "grid24", "sparsevlm:tokens=192", [PHOTO]),
    ("sparsevlm-128", "grid24", "sparsevlm:tokens=128", [RAW_TEXT]),
    ("sparsevlm-128-2.0", "grid24", "sparsevlm:tokens=128,version=2.0", [PHOTO]),
    ("sparsevlm-192-1.0", "grid24", "sparsevlm:tokens=192,version=1.0,layers=2+6+15", [PHOTO]),
    ("yopo-all", "grid8", "yopo:heads=reducers/heads8.npy,layers=4,window=5,ffn=2", [PHOTO, TEXT]),
    ("yopo-kept", "grid8", "yopo:heads=reducers/heads8.npy,layers=3,window=3,ffn=3,softmax=kept", [RAW_TEXT]),
    ("yopo-all", "grid24", "yopo:heads=reducers/heads24.npy,layers=9,window=5,ffn=2", [RAW_TEXT]),
    ("yopo-kept", "grid24", "yopo:heads=reducers/heads24.npy,layers=9,window=5,ffn=2,softmax=kept", [PHOTO]),
    ("mustdrop-2", "grid8", "mustdrop:global=0.045,individual=0.03,window=2,similarity=0.3,key=0.2", [PHOTO, RAW_TEXT, TEXT]),
    ("mustdrop-4", "grid8", "mustdrop:global=0.02,individual=0.01,window=4,similarity=2", [ONE_WORD]),
    ("mustdrop-192", "grid24", "mustdrop:global=0.001,individual=0.001", [PHOTO]),
    ("mustdrop-128", "grid24", "mustdrop:global=0.0012,individual=0.001", [case("raw", 4, None, RAW)]),
    ("mustdrop-64", "grid24", "mustdrop:global=0.011,individual=0.01", [PHOTO]),
    ("mustdrop-keys", "grid24", "mustdrop:global=0.002,individual=0.004,window=4,similarity=0.6,key=0.2", [RAW_TEXT]),
]
# A LoRA release, over the decoder and the tower beside it: checkpoint and options.
ADAPTED = {"adapter": ("formats/base", ["--adapter", "formats/adapter"])}
# seeds of the checkpoints: the first whose dense greedy tokens are clear of ties is searched from here
SEEDS = {"grid8": 210000, "grid24": 220000}


def folder_of(name):
    return os.path.join(HERE, "reducers", name)


def make_checkpoint(name, tokenizer):
    spec, adjust = CHECKPOINTS[name]
    spec = replace(spec, seed=SEEDS[name])
    os.makedirs(folder_of(name), exist_ok=True)
    checkpoints.make_checkpoint(spec, folder_of(name), tokenizer, adjust)
    return spec


def adapted(tokenizer, dtype):
    """The reference of formats/base with formats/adapter merged into it; both are made anew, and are as they were."""
    entries = reference.read_json(os.path.join(HERE, "formats", "manifest.json"))["checkpoints"]
    seed = next(entry["seed"] for entry in entries if entry["name"] == "adapter")
    with tempfile.TemporaryDirectory() as scratch:
        os.makedirs(os.path.join(scratch, "adapter"))
        exact, _ = torch_files.make_adapter(replace(torch_files.PARTS, seed=seed), os.path.join(scratch, "adapter"), tokenizer, dtype)
        for file in ("base/model.safetensors", "tower/model.safetensors", "adapter/adapter_model.safetensors", "adapter/config.json"):
            assert filecmp.cmp(os.path.join(scratch, file), os.path.join(HERE, "formats", file), shallow=False), f"formats/{file} is another"
    return exact, seed


def write_heads(name, spec, kept):
    """reducers/headsN.npy: bool [blocks, heads], all in blocks 0 and 1, else `kept` of a block in the mean."""
    random = np.random.default_rng(spec.seed)
    mask = np.ones((spec.layers, spec.heads), dtype=bool)
    order = random.permutation((spec.layers - 2) * spec.heads)
    mask[2:] = (order < (spec.layers - 2) * kept).reshape(-1, spec.heads)
    np.save(os.path.join(HERE, "reducers", f"heads{name[4:]}.npy"), mask)


def inputs(c):
    """The case's (image names, text, raw) as wished, then others of its kind."""
    if c["image"] is None:
        yield from (([], text, False) for text in QUESTIONS)
        return
    # A case with its own words keeps them: only the images change.
    texts = [c["raw"]] if c["raw"] else QUESTIONS if c["prompt"] in QUESTIONS else [c["prompt"]]
    for text in texts:
        for turn in range(len(IMAGES)):
            places = [c["image"]] + ([c["second"]] if c["second"] is not None else [])
            yield [IMAGES[(place + turn) % len(IMAGES)] for place in places], text, bool(c["raw"])


def attempt(models, reduction, c, names, text, raw):
    """(float64 result, float32 result), or why this input is left out."""
    images = [opened(name) for name in names]
    exact, single = (reducers.run(model, reduction, images, text, raw, TOKENS, question=c["question"]) for model in models)
    ids = exact["tokens"]["tokens"]
    if exact["choices"].closest < CLEAR:
        return None, f"{exact['choices'].where}: {exact['choices'].closest:.1e}"
    if margin(exact["logits"]) < MARGIN or len(set(ids)) < len(ids) * 0.5 or len(ids) < TOKENS:
        return None, DULL[0]
    if reduction.endswith(",variant=recompute") and names:
        cached = reducers.run(models[0], reduction.removesuffix(",variant=recompute"), images, text, raw, TOKENS)
        assert np.array_equal(cached["kept"], exact["kept"]) and distance(cached["logits"][0], exact["logits"][0]) < 1e-12, "the first token is another"
        if cached["tokens"]["tokens"] == ids:
            return None, DULL[1]
    for name in ("selected", "kept", "visual_rows"):
        assert name not in exact or np.array_equal(exact[name], single[name]), f"{reduction}: float32 gives other '{name}'"
    assert single["tokens"] == exact["tokens"], f"{reduction}: float32 gives other tokens"
    return (exact, single), None


def make(name, at, reduction, cases, models, seed):
    """One entry of the manifest and its files; (entry, inputs left out for near decisions)."""
    checkpoint, more = ADAPTED.get(at, (f"reducers/{at}", []))
    entry = {"checkpoint": checkpoint, "name": f"{at} {name}", "seed": seed, "compile": [*more, "--precision", "f32", "--reduce", reduction], "cases": []}
    left_out, blind = 0, reduction.startswith(("prumerge", "visionzip", "tome"))
    for c in cases:
        unclear = []
        for names, text, raw in inputs(c):
            if names in unclear:
                continue
            found, why = attempt(models, reduction, c, names, text, raw)
            if found:
                break
            if why not in DULL:
                left_out += 1
                unclear += [names] * blind  # of images alone: other words do not help
            print(f"  {at} {name} {c['name']}: {names} left out, {why}", flush=True)
        else:
            sys.exit(f"{at} {name} {c['name']}: no input is clear")
        exact, single = found
        arrays = ["logits"] + ["projected"] * ("selected" in exact)
        indices = [key for key in ("selected", "kept", "visual_rows") if key in exact]
        expected = f"reducers/{at}/expected/{name}/{c['name']}"
        reducers.write(exact, os.path.join(HERE, expected), arrays, indices)
        arguments = [a for image in names for a in ("--image", f"images/{image}")] + ["--raw-prompt" if raw else "--prompt", text]
        arguments += ["--question", c["question"]] if c["question"] else []
        entry["cases"].append({
            "name": c["name"], "arguments": arguments + ["--max-tokens", str(TOKENS)], "expected": expected, "compare": arrays, "indices": indices,
            "float32_distance": {a: float(f"{distance(exact[a], single[a]):.2e}") for a in arrays}, "top2_margin": round(margin(exact["logits"]), 4),
            "closest": {"gap": float(f"{exact['choices'].closest:.2e}"), "at": exact["choices"].where} if exact["choices"].where else None})
        tokens = exact["tokens"]
        print(f"{at} {name} {c['name']}: {entry['cases'][-1]['float32_distance']}, closest {entry['cases'][-1]['closest']}, "
              f"{tokens['visual_tokens']} rows, {tokens['visual_tokens_per_block']}", flush=True)
    return entry, left_out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="what the names of entries begin with, e.g. 'grid8 fastv'")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.chdir(HERE)  # files among the options are named from here
    tokenizer = checkpoints.train_tokenizer()
    if not options.only:
        shutil.rmtree(os.path.join(HERE, "reducers"), ignore_errors=True)
    models, seeds = {}, {}
    for name in CHECKPOINTS:
        spec = make_checkpoint(name, tokenizer)
        write_heads(name, spec, spec.heads * 3 // 4)
        seeds[name] = spec.seed
        models[name] = [reference.Reference(folder_of(name), dtype) for dtype in (torch.float64, torch.float32)]
    for name in ADAPTED:
        models[name], (seeds[name], _) = zip(*(adapted(tokenizer, dtype) for dtype in (torch.float64, torch.float32)))
    path = os.path.join(HERE, "reducers", "manifest.json")
    entries = {entry["name"]: entry for entry in reference.read_json(path)["checkpoints"]} if os.path.exists(path) else {}
    left_out = 0
    for name, at, reduction, cases in REDUCTIONS:
        if f"{at} {name}".startswith(options.only or ""):
            shutil.rmtree(os.path.join(folder_of(at), "expected", name), ignore_errors=True)
            entries[f"{at} {name}"], near = make(name, at, reduction, cases, models[at], seeds[at])
            left_out += near
    ordered = [entries[label] for label in (f"{at} {name}" for name, at, _, _ in REDUCTIONS) if label in entries]
    checkpoints.write_json(path, {"checkpoints": ordered})
    size = sum(os.path.getsize(os.path.join(folder, file)) for folder, _, files in os.walk(os.path.join(HERE, "reducers")) for file in files)
    print(f"{sum(len(entry['cases']) for entry in ordered)} cases, {size // 1024} KiB; {left_out} inputs left out for decisions nearer than {CLEAR:g}")


if __name__ == "__main__":
    main()
