#!/usr/bin/env python3
"""Writes the small checkpoints, their expected outputs, manifest.json and tokenizer_cases.json.

    make_golden.py                    everything (images/ must be there: make_images.py)
    make_golden.py --only NAME        one checkpoint, the manifest merged
    make_golden.py --tokenizer PATH [--count N] [--seed S]
                                      JSON lines of encode and decode fuzz cases for that tokenizer.model
Expected values are computed in float64 from the stored (rounded) weights and saved as float32."""
import argparse
import json
import os
import shutil
import sys
from dataclasses import replace

import torch
import torch.nn.functional as F
from PIL import Image

import checkpoints
import reference
import tokenizer_cases
from checkpoints import Spec
from compare import distance, margin

HERE = os.path.dirname(os.path.abspath(__file__))
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


def case(name, images, prompt=None, raw=None, tokens=20, pixels=False):
    return {"name": name, "images": images, "prompt": prompt, "raw": raw, "max_tokens": tokens, "pixels": pixels}


TABLE_5 = [(1, 1), (2, 1), (2, 2), (4, 4), (4, 8), (8, 4), (8, 8), (8, 16), (8, 32)]


def table_row(c1, **shape):
    return Spec(c1=c1, vision_heads=2, vision_ff=2 * c1, patch=2, mbtf=[4 * c1, c1], stf=[40, 24], hidden=24, heads=2, ff=32, layers=2, context=768, **shape)


CHECKPOINTS = {
    "llava-mlp": (Spec(c1=24, vision_heads=3, vision_ff=56, blocks=3, layers=2, ff=64, old_extras=True), [
        case("photo", ["wide.png"], prompt="What is in the picture?", tokens=24, pixels=True),
        case("two-images", ["tall.png", "square.png"], raw="Look: <image> and\n<image>\nWhich is larger?</s>USER: say it ASSISTANT:", tokens=8),
        case("text", [], prompt="How many birds are there? </s><s> is plain text here", tokens=8)]),
    "llava-linear": (Spec(dtype="F32", model_type="llava", c1=24, vision_heads=3, vision_ff=40, blocks=3, image=36, patch=6, inside=False, full_clip=True,
                          preprocessor="old", aspect="square", feature="cls_patch", projector="linear", hidden=32, heads=4, kv_heads=2, ff=48, layers=2,
                          tied=True, eps=1e-6), [
        case("crop", ["wide.png"], prompt="Describe the image", pixels=True),
        case("text", [], raw="The largest circle is", tokens=8)]),
    "released-stf": (Spec(c1=12, vision_heads=3, vision_ff=20, blocks=24, projector="stf", hidden=32, heads=4, layers=2, ff=48), [
        case("palette", ["palette.png"], prompt="What is it?"),
        case("jpeg", ["photo.jpg"], prompt="Which colour is the <image> largest circle?", tokens=8, pixels=True)]),
    "released-stf-sharded": (Spec(dtype="BF16", c1=8, vision_heads=1, vision_ff=18, blocks=24, image=50, patch=5, inside=False, preprocessor=None, aspect=None,
                                  projector="stf", hidden=40, heads=5, ff=68, layers=2, shards=3), [
        case("grey", ["grey.png"], raw="A <image> B"),
        case("webp", ["lossy.webp"], prompt="What is it?", tokens=8)]),
    "fusion-paper": (Spec(dtype="F32", c1=16, vision_heads=2, vision_ff=32, taps=[1, 2, 3, 4], k=2, mbtf=[64, 16], stf=[64, 32], hidden=32, heads=4, ff=40, layers=2, tied=True), [
        case("square", ["square.png"], prompt="What is in the picture?"),
        case("two-images", ["wide.png", "tall.png"], prompt="first <image> then, second", tokens=12)]),
    "fusion-k3-e2": (Spec(c1=36, vision_heads=4, vision_ff=44, blocks=4, inside=False, aspect="square", mean_std=([0.5, 0.25, 0.75], [0.5, 0.3, 0.2]), preprocessor="old",
                          taps=[3, 1, 2], k=3, tokens=2, mbtf=[52, 12], mbtf_final=False, stf=[70, 44], stf_final=False, hidden=44, heads=4, kv_heads=2, head_dim=8,
                          ff=60, layers=2, shards=2), [
        case("alpha", ["rgba.png"], prompt="Describe the image in detail."),
        case("sixteen-bits", ["rgb16.png"], raw="<s>USER: <image>", tokens=8)]),
    "fusion-k2-e4": (Spec(dtype="BF16", c1=44, vision_heads=4, vision_ff=60, blocks=2, taps=[-2], k=2, tokens=4, stf=[72, 36], hidden=36, heads=3, ff=52, layers=2, tied=True), [
        case("stops", ["tall.png"], prompt="What is it?"),
        case("text", [], raw="def area(width, height):\n    return", tokens=8)]),
    "fusion-k4-e8": (Spec(c1=16, vision_heads=1, vision_ff=40, image=48, patch=6, mean_std=([0.4, 0.5, 0.6], [0.3, 0.3, 0.25]), taps=[2, 4], k=4, tokens=8, mbtf=[40, 8],
                          stf=[100, 40], hidden=40, heads=5, ff=72, layers=2), [
        case("thin", ["thin.png"], prompt="What is it?", pixels=True)]),
    "fusion-k1": (Spec(image=36, patch=6, vision_ff=48, blocks=3, taps=[-1, 1, 2], mbtf=[64, 32], stf=[64, 48], window_conv=False, heads=2, kv_heads=1, ff=64, layers=2,
                       theta=500000.0, rope_scaling=LLAMA3, generation_eos=None), [
        case("interlaced", ["interlaced.png"], prompt="Which colour is the bridge?"),
        case("dot", ["dot.png"], raw="<image>", tokens=8)]),
    "fusion-k1-e2": (Spec(dtype="BF16", c1=28, vision_heads=2, vision_ff=44, image=30, patch=5, blocks=3, taps=[0, 3], k=1, tokens=2, stf=[60, 48], stf_final=False,
                          kv_heads=1, ff=64, layers=2), [
        case("square", ["square.png"], prompt="What is in the picture?")]),
    "fusion-no-conv": (Spec(dtype="BF16", tower_dtype="F32", c1=20, vision_heads=2, vision_ff=36, blocks=3, taps=[3, 1], k=2, tokens=2, stf=[80, 36], window_conv=False,
                            stf_final=False, hidden=36, heads=6, kv_heads=3, vocab=440, ff=64, layers=2, theta=500000.0, rope_scaling=LLAMA3), [
        case("grey-alpha", ["grey-alpha.png"], prompt="How many horses?"),
        case("progressive", ["progressive.jpg"], raw="\u65e5\u672c <image>\u8a9e", tokens=8)]),
    "fusion-e8-no-conv": (Spec(c1=18, vision_heads=2, vision_ff=30, image=32, patch=4, blocks=3, inside=False, tower_dtype="F32", aspect="square", taps=[-2, -1, 1], k=2, tokens=8,
                               mbtf=[72, 16], stf=[64, 40], window_conv=False, hidden=40, heads=5, kv_heads=1, ff=60, layers=2, context=320), [
        case("rgba", ["rgba.png"], prompt="What is it?")]),
    "avgpool-mbtf": (Spec(c1=24, vision_heads=3, vision_ff=36, blocks=3, taps=[1, 2, 3], strategy="avgpool", k=2, mbtf=[48, 24], mbtf_final=False, stf=[60, 36],
                          hidden=36, heads=3, ff=52, layers=2), [
        case("square", ["square.png"], prompt="What is it?")]),
    "avgpool-taps": (Spec(dtype="BF16", c1=20, vision_heads=2, vision_ff=32, blocks=3, image=36, patch=4, taps=[3, 1, 3], strategy="avgpool", k=3, stf=[64, 40], stf_final=False,
                          hidden=40, heads=5, kv_heads=1, ff=48, layers=2, tied=True), [
        case("grey", ["grey.png"], raw="A <image> B")]),
    "tokenconcat": (Spec(c1=16, vision_heads=2, vision_ff=28, blocks=2, taps=[2], strategy="tokenconcat", k=2, stf=[72, 32], stf_final=False, hidden=32, heads=4, kv_heads=2,
                         ff=48, layers=2), [
        case("alpha", ["rgba.png"], prompt="What is it?")]),
    "tokenconcat-mbtf": (Spec(dtype="F32", c1=12, vision_heads=1, vision_ff=20, blocks=2, image=24, patch=4, taps=[1, 2], strategy="tokenconcat", k=3, mbtf=[20, 10],
                              mbtf_final=False, stf=[32], stf_final=False, hidden=32, heads=2, ff=40, layers=2, tied=True), [
        case("wide", ["wide.png"], prompt="Describe the image")]),
    "qformer": (Spec(c1=20, vision_heads=2, vision_ff=32, blocks=2, taps=[2], strategy="qformer",
                     qformer={"queries": 6, "hidden_size": 24, "layers": 3, "heads": 3, "intermediate_size": 40, "cross_attention_frequency": 2, "layer_norm_eps": 1e-12},
                     hidden=36, heads=3, ff=48, layers=2), [
        case("tall", ["tall.png"], prompt="What is it?"),
        case("two-images", ["square.png", "grey.png"], prompt="first <image> then, second", tokens=8)]),
    "qformer-mbtf": (Spec(dtype="BF16", c1=16, vision_heads=2, vision_ff=28, blocks=3, taps=[1, 3], strategy="qformer", mbtf=[40, 12], mbtf_final=False,
                          qformer={"queries": 9, "hidden_size": 20, "layers": 2, "heads": 4, "intermediate_size": 30, "cross_attention_frequency": 1, "layer_norm_eps": 1e-5},
                          hidden=32, heads=4, kv_heads=2, ff=40, layers=2, tied=True), [
        case("palette", ["palette.png"], prompt="How many birds are there?")]),
    "decoder-tied": (Spec(decoder_only=True, dtype="BF16", hidden=40, heads=5, kv_heads=1, ff=60, layers=3, tied=True, theta=500000.0, rope_scaling=LLAMA3, old_extras=True), [
        case("prompt", [], prompt="The largest circle is", tokens=24),
        case("raw", [], raw="<s>USER: What is in the picture?</s> ASSISTANT:")]),
    "decoder-untied": (Spec(decoder_only=True, hidden=36, heads=3, head_dim=16, ff=50, layers=2, shards=2, generation_eos=None), [
        case("image-word", [], prompt="the <image> word is plain text", tokens=12)]),
    "llava-llama3": (Spec(tokenizer="llama3", vocab=440, bos=421, eos=[422, 425], generation_eos=[422, 424], c1=24, vision_heads=3, vision_ff=40, blocks=3, hidden=40,
                          heads=5, kv_heads=1, ff=60, layers=2, theta=500000.0, rope_scaling=LLAMA3, context=384), [
        case("photo", ["wide.png"], prompt="What is in the picture? <|eot_id|> is plain text, don't read it: 12345", tokens=16),
        case("stops", [], prompt="How many birds are there?", tokens=24),
        case("raw", ["square.png"], raw="<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nLook:  <image>\n  it's\u65e5\u672c<|eot_id|>", tokens=8)]),
    "decoder-smollm2": (Spec(decoder_only=True, tokenizer="smollm2", vocab=380, bos=None, eos=2, generation_eos=None, hidden=48, heads=3, kv_heads=1, ff=64, layers=2, tied=True), [
        case("prompt", [], prompt="There are 1234 birds; they don't  sing", tokens=12),
        case("chat", [], raw="<|im_start|>user\nWhat is it?<|im_end|>\n<|im_start|>assistant\n", tokens=12)]),
    "decoder-metaspace": (Spec(decoder_only=True, tokenizer="first", generation_eos=None, hidden=32, heads=4, ff=48, layers=2), [
        case("turns", [], raw="the end.</s>the <s> start", tokens=10)]),
    # The rows of the paper's tables that nothing above is: each (k, E) on its grid of 24 x 24, its numbers of taps, and the grid of 224 pixels.
    **{f"table5-k{k}-e{tokens}": (table_row(taps=[1, 2], blocks=2, image=48, k=k, tokens=tokens, c1=4 if k == 8 else 8),
                                  [case("square", ["square.png"], prompt="What is it?", tokens=8)]) for k, tokens in TABLE_5},
    **{f"table7-{count}-taps": (table_row(taps=[i * 24 // count for i in range(1, count + 1)], blocks=24, image=12, k=2, c1=8),
                                [case("square", ["square.png"], prompt="What is it?", tokens=8)]) for count in (8, 16, 24)},
    "table11-grid16": (table_row(taps=[1, 2], blocks=2, image=32, k=2, c1=8), [case("wide", ["wide.png"], prompt="What is it?", tokens=8)]),
    "table3-stf-alone": (replace(table_row(taps=[-2], blocks=3, image=12, k=2, c1=16), mbtf=None), [case("tall", ["tall.png"], prompt="What is it?", tokens=8)]),
    "table3-mbtf-alone": (replace(table_row(taps=[1, 2, 3], blocks=3, image=12, k=1, c1=16), window_conv=False), [case("tall", ["tall.png"], prompt="What is it?", tokens=8)]),
    "tokenpacker-s2": (Spec(c1=16, vision_heads=2, vision_ff=20, blocks=24, image=24, patch=2, projector="tokenpacker", scale=2, packer=16, hidden=32, heads=4, ff=40, layers=2), [
        case("wide", ["wide.png"], prompt="What is in the picture?"),
        case("two-images", ["square.png", "tall.png"], prompt="first <image> then, second", tokens=8)]),
    "tokenpacker-s3": (Spec(dtype="BF16", c1=12, vision_heads=3, vision_ff=18, blocks=24, image=27, patch=3, inside=False, projector="tokenpacker", scale=3, packer=24,
                            hidden=32, heads=4, kv_heads=2, ff=40, layers=2, tied=True), [case("grey", ["grey.png"], prompt="What is it?")]),
    "voco": (Spec(voco=True, vocab=433, c1=16, vision_heads=2, vision_ff=28, blocks=2, hidden=32, heads=4, kv_heads=2, ff=40, layers=3), [
        case("photo", ["wide.png"], prompt="What is in\nthe picture? <image>Say <voco> too.", tokens=16),
        case("raw", ["square.png"], raw="Look at this: <image> and<voco><voco>say what it is. ASSISTANT:", tokens=12),
        case("text", [], prompt="How many\nbirds are there?", tokens=8)]),
    # `!` is id 0, which a prefusion leaves as it is.
    "llava-mini-s2": (Spec(model_type="llava_mini_llama", tokenizer="llama3", vocab=440, bos=421, eos=[422, 425], generation_eos=[422, 424], c1=16, vision_heads=2, vision_ff=28,
                           blocks=2, image=32, patch=4, compressor=2, prefusion=2, hidden=32, heads=4, kv_heads=2, ff=40, layers=3, theta=500000.0, rope_scaling=LLAMA3,
                           context=384, seed=0), [
        case("photo", ["wide.png"], prompt="Oh! What is in the picture?", tokens=12),
        case("raw", ["square.png"], raw="<|begin_of_text|>!Look!  <image>!!\n  it's \u65e5\u672c!<|eot_id|>", tokens=12),
        case("end", ["tall.png"], raw="<|begin_of_text|>What is it? <image>", tokens=8),
        case("text", [], prompt="How many birds! are there?", tokens=8)]),
    "llava-mini-s1": (Spec(model_type="llava_mini_llama", dtype="BF16", tokenizer="llama3", vocab=440, bos=421, eos=[422, 425], generation_eos=[422, 424], c1=8, vision_heads=1,
                           vision_ff=16, blocks=2, image=48, patch=2, inside=False, compressor=1, prefusion=3, projector="linear", hidden=24, heads=6, kv_heads=2, ff=32, layers=2,
                           tied=True, theta=500000.0, rope_scaling=LLAMA3, context=768), [case("grey", ["grey.png"], prompt="Stop! What is it?", tokens=12)]),
}
# thousands of the seed, where it is not the place in the list
SEEDS = {"decoder-tied": 13, "decoder-untied": 14, "voco": 45}
# checkpoint -> (case, step, file): the token generated there becomes one more eos id, so that the run stops
STOPS = {"llava-llama3": ("stops", 10, "generation_eos"), "fusion-k2-e4": ("stops", 9, "generation_eos"), "fusion-k1": ("interlaced", 14, "eos")}


def opened(name):
    """The image as the distribution's decoder reads it: JPEG and WebP from the PNG written by make_images.py."""
    images = os.path.join(HERE, "images")
    if not name.endswith(".png"):
        # Files that decode to the same picture share one.
        with open(os.path.join(images, "images.json")) as listing:
            name = next(i["decoded"] for i in json.load(listing)["images"] if i["file"] == name)
    return Image.open(os.path.join(images, name))


def run(model, c):
    raw = c["prompt"] is None
    template = "none" if model.tower is None else "voco" if reference.VOCO in model.prompts.special else "llama-3" if "<|eot_id|>" in model.prompts.special else "vicuna_v1"
    return model.run([opened(name) for name in c["images"]], c["raw"] if raw else c["prompt"], raw, c["max_tokens"], template)


def good(spec, cases, results, pieces):
    """Whether greedy tokens are clear of ties, varied, and all in the tokenizer."""
    for c, result in zip(cases, results):
        ids = result["tokens"]["tokens"]
        if spec.tokenizer in ("prepend", "first", "words") and "\ufffd" in result["tokens"]["text"]:
            return False  # of a run of byte pieces that is no UTF-8 the tokenizers library makes U+FFFD altogether, programs only of the bytes that are none
        if margin(result["logits"]) < 3e-3 or len(set(ids)) < len(ids) * 0.5 or any(i >= pieces for i in ids):
            return False
    return True


@torch.no_grad()
def check_sensitivity(name, model, result):
    """Each of the known mistakes moves `projected` by far more than any tolerance; raises AssertionError otherwise."""
    fusion, pixels = model.fusion, torch.from_numpy(result["pixels"])
    hidden = model.hidden_states(pixels)
    right = fusion.apply(hidden).numpy()
    assert distance(right, result["projected"]) == 0
    wrong = {}
    for label, change in (("tap off by one", [states + 0 for states in (hidden[-1:] + hidden[:-1])]),
                          ("class token last", [torch.roll(states, -1, 1) for states in hidden])):
        wrong[label] = fusion.apply(change)
    kept = reference.gelu, reference.windows, reference.resized, reference.enlarged
    if len(fusion.layers) + len(fusion.mbtf) > 1 or fusion.window:
        reference.gelu = lambda x: F.gelu(x, approximate="tanh")
        wrong["tanh gelu"] = fusion.apply(hidden)
    reference.gelu = kept[0]
    if fusion.k > 1 and not fusion.window and not fusion.pools:
        reference.windows = lambda grid, k: kept[1](grid, k).reshape(len(grid), -1, grid.shape[1], k * k).transpose(2, 3).flatten(2)
        wrong["window order"] = fusion.apply(hidden)
    reference.windows = kept[1]
    if fusion.packer:
        reference.resized = lambda grid, k: grid[:, :, ::k, ::k]
        wrong["resize"] = fusion.apply(hidden)
        reference.resized = kept[2]
        # The maps of query, key and value stand in one tensor.
        stacked = fusion.packer.attention.in_proj_weight
        rows = stacked.clone()
        stacked.copy_(torch.roll(rows, len(rows) // 3, 0))
        wrong["order of query, key and value"] = fusion.apply(hidden)
        stacked.copy_(rows)
    if fusion.compressor:
        reference.enlarged = lambda positions, side: kept[3](positions, side) * (torch.arange(side * side) % 2)[:, None]
        wrong["positions of keys"] = fusion.apply(hidden)
        reference.enlarged = kept[3]
        if len(fusion.compressor.weights["pos_embed"]) > 1:
            reference.enlarged = lambda positions, side: F.interpolate(reference.square(positions[None]), (side, side), mode="bilinear").flatten(2)[0].T
            wrong["bilinear positions"] = fusion.apply(hidden)
            reference.enlarged = kept[3]
    for label, value in wrong.items():
        # A compressor's few rows stand behind the patches.
        first = -len(fusion.compressor.weights["query"]) if "positions" in label else 0
        moved = distance(right[:, first:], value.numpy()[:, first:])
        assert moved > (3e-5 if label in ("tanh gelu", "bilinear positions") else 1e-2), f"{name}: '{label}' moves projected by {moved:.1e} only"


def make(name, tokenizer, pieces):
    """One checkpoint and its expected files; returns its manifest entry."""
    spec, cases = CHECKPOINTS[name]
    folder = os.path.join(HERE, name)
    for attempt in range(200):
        spec = replace(spec, seed=1000 * SEEDS.get(name, 1 + list(CHECKPOINTS).index(name)) + attempt)
        shutil.rmtree(folder, ignore_errors=True)
        checkpoints.make_checkpoint(spec, folder, tokenizer)
        if name in STOPS:
            label, step, where = STOPS[name]
            ids = run(reference.Reference(folder), next(c for c in cases if c["name"] == label))["tokens"]["tokens"]
            if len(ids) <= step or ids[step] in ids[:step]:
                continue
            spec = replace(spec, **{where: [*(spec.generation_eos if spec.tokenizer else [2]), ids[step]]})
            checkpoints.make_checkpoint(spec, folder, tokenizer)
        model = reference.Reference(folder)
        results = [run(model, c) for c in cases]
        if good(spec, cases, results, model.prompts.count if spec.tokenizer else pieces):
            break
    else:
        sys.exit(f"{name}: no seed gives clear greedy tokens")
    single = [run(reference.Reference(folder, torch.float32), c) for c in cases]
    entry = {"checkpoint": name, "seed": spec.seed, "compile": ["--precision", "f32"], "cases": []}
    if spec.decoder_only:
        entry["decoder_only"] = True
    if spec.tokenizer:
        entry["tokenizer"] = spec.tokenizer
    if spec.voco:
        entry["compression_token"] = spec.vocab - 1
    for c, result, other in zip(cases, results, single):
        arrays = ["logits"] + ["projected"] * bool(c["images"]) + ["pixels"] * c["pixels"]
        if c["images"]:
            check_sensitivity(name, model, result)
        assert other["tokens"] == result["tokens"], f"{name}/{c['name']}: float32 gives other tokens"
        expected = f"{name}/expected/{c['name']}"
        reference.write(result, os.path.join(HERE, expected), arrays)
        text = ["--prompt", c["prompt"]] if c["prompt"] is not None else ["--raw-prompt", c["raw"]]
        images = [a for image in c["images"] for a in ("--image", f"images/{image}")]
        entry["cases"].append({
            "name": c["name"], "arguments": images + text + ["--max-tokens", str(c["max_tokens"])], "expected": expected, "compare": arrays,
            "float32_distance": {a: float(f"{distance(result[a], other[a]):.2e}") for a in arrays}, "top2_margin": round(margin(result["logits"]), 4)})
    if spec.decoder_only:
        folder_of_text = os.path.join(folder, "expected", "perplexity")
        os.makedirs(folder_of_text)
        with open(os.path.join(folder_of_text, "text.txt"), "w", encoding="utf-8") as file:
            file.write(checkpoints.SENTENCES)
        checkpoints.write_json(os.path.join(folder_of_text, "windows.json"), [model.perplexity(checkpoints.SENTENCES, window) for window in (33, 256)])
    size = sum(os.path.getsize(os.path.join(at, file)) for at, _, files in os.walk(folder) for file in files)
    print(f"{name}: seed {spec.seed}, {size // 1024} KiB, {[c['float32_distance']['logits'] for c in entry['cases']]}, {results[0]['tokens']['finish_reason']}")
    return entry


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(CHECKPOINTS))
    parser.add_argument("--tokenizer")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.tokenizer:
        return tokenizer_cases.print_fuzz(options.tokenizer, options.count, options.seed)
    torch.set_num_threads(1)
    tokenizer = checkpoints.train_tokenizer()
    pieces = Spec().vocab
    path = os.path.join(HERE, "manifest.json")
    made = {name: make(name, tokenizer, pieces) for name in CHECKPOINTS if options.only in (None, name)}
    old = {entry["checkpoint"]: entry for entry in reference.read_json(path)["checkpoints"]} if os.path.exists(path) else {}
    checkpoints.write_json(path, {"checkpoints": [made.get(name) or old[name] for name in CHECKPOINTS if name in made or name in old]})
    if not options.only:
        tokenizer_cases.write_cases(tokenizer, os.path.join(HERE, "tokenizer_cases.json"))


if __name__ == "__main__":
    main()
