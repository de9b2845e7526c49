#!/usr/bin/env python3
"""Rewrites the tables of Docs/Passes.md for the other fusion strategies at LLaVA-7B's width: a checkpoint of zeros with holes in the place of
data, one decoder layer, and what 'lmmc ir --summary' says of it with and without the passes that concern the strategy.

    LMMC=path/to/lmmc Tools/make_fusion_table.py
    Tools/make_fusion_table.py --write NAME FOLDER       only the checkpoint of one row"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
C1, C3, TAPS = 1024, 4096, [3, 6, 9, 12, 15, 18, 21, 24]
QFORMER = {"queries": 32, "hidden_size": 768, "layers": 12, "heads": 12, "intermediate_size": 3072, "cross_attention_frequency": 2}


def mbtf(channels, final):
    return {"channels": channels, "final_activation": final}


def layers(*channels):
    return {"channels": list(channels), "final_activation": True}


# name -> (mm_token_fusion without taps, passes to leave out)
ROWS = {
    "avgpool, k = 2": ({"strategy": "avgpool", "kernel": 2, "mbtf": mbtf([4 * C1, C1], True), "stf": layers(4 * C3, C3)}, []),
    "avgpool, k = 2, MBTF without its last GELU": ({"strategy": "avgpool", "kernel": 2, "mbtf": mbtf([4 * C1, C1], False), "stf": layers(4 * C3, C3)}, ["average-first"]),
    "avgpool, k = 2, without MBTF": ({"strategy": "avgpool", "kernel": 2, "mbtf": None, "stf": layers(4 * C3, C3)}, ["average-first"]),
    "avgpool, k = 2, MBTF of one linear map that keeps 4 C1": ({"strategy": "avgpool", "kernel": 2, "mbtf": mbtf([4 * C1, 4 * C1], False), "stf": layers(C3)}, ["average-first", "fold-linear"]),
    "avgpool, k = 2, without MBTF, taps 8, 16, 24, 16": ({"strategy": "avgpool", "kernel": 2, "taps": [8, 16, 24, 16], "mbtf": None, "stf": layers(4 * C3, C3)},
                                                         ["common-subexpressions"]),
    "tokenconcat, k = 2": ({"strategy": "tokenconcat", "kernel": 2, "mbtf": mbtf([4 * C1, C1], True), "stf": layers(4 * C3, C3)}, ["order-windows"]),
    "tokenconcat, k = 2, without MBTF": ({"strategy": "tokenconcat", "kernel": 2, "mbtf": None, "stf": layers(4 * C3, C3)}, ["order-windows", "split-concatenation"]),
    "stf, k = 2, E = 4, without window convolution and MBTF": ({"strategy": "stf", "kernel": 2, "tokens_per_window": 4, "mbtf": None,
                                                               "stf": {**layers(4 * C3, C3), "window_conv": False}}, ["order-windows", "common-subexpressions"]),
    "stf, k = 2, E = 8, without window convolution, 3 taps": ({"strategy": "stf", "kernel": 2, "tokens_per_window": 8, "taps": [8, 16, 24], "mbtf": None,
                                                              "stf": {**layers(4 * C3, C3), "window_conv": False}}, ["common-subexpressions"]),
    "qformer, 32 queries": ({"strategy": "qformer", "mbtf": mbtf([4 * C1, C1], True), "qformer": QFORMER}, ["fold-constants", "merge-matmuls"]),
    "qformer, 32 queries, without MBTF": ({"strategy": "qformer", "mbtf": None, "qformer": QFORMER}, ["split-concatenation"]),
}


def tensors(fusion):
    """Names and shapes of everything: the tower, one decoder layer, the fusion."""
    shapes = {}

    def linear(name, out, into, *kernel):
        shapes[name + ".weight"], shapes[name + ".bias"] = [out, into, *kernel], [out]

    def norm(name, width):
        shapes[name + ".weight"], shapes[name + ".bias"] = [width], [width]
    for name, shape in {"embed_tokens": [32000, C3], "norm": [C3]}.items():
        shapes[f"model.{name}.weight"] = shape
    shapes["lm_head.weight"] = [32000, C3]
    for name, shape in {"input_layernorm": [C3], "post_attention_layernorm": [C3], "mlp.gate_proj": [11008, C3], "mlp.up_proj": [11008, C3],
                        "mlp.down_proj": [C3, 11008], **{f"self_attn.{n}_proj": [C3, C3] for n in "qkvo"}}.items():
        shapes[f"model.layers.0.{name}.weight"] = shape
    at = "model.vision_tower.vision_tower.vision_model."
    shapes.update({at + "embeddings.class_embedding": [C1], at + "embeddings.patch_embedding.weight": [C1, 3, 14, 14], at + "embeddings.position_embedding.weight": [577, C1]})
    norm(at + "pre_layrnorm", C1)
    norm(at + "post_layernorm", C1)
    for block in range(24):
        here = f"{at}encoder.layers.{block}."
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{here}self_attn.{name}", C1, C1)
        norm(here + "layer_norm1", C1)
        norm(here + "layer_norm2", C1)
        linear(here + "mlp.fc1", 4 * C1, C1)
        linear(here + "mlp.fc2", C1, 4 * C1)
    into = C1 * len(fusion["taps"])
    for number, out in enumerate((fusion["mbtf"] or {"channels": []})["channels"], 1):
        linear(f"model.mbtf.conv{number}", out, into, 1, 1)
        into = out
    if fusion["strategy"] == "qformer":
        hidden = QFORMER["hidden_size"]
        shapes["model.qformer.query_tokens"] = [1, QFORMER["queries"], hidden]
        norm("model.qformer.layernorm", hidden)
        linear("model.qformer_proj", C3, hidden)
        for layer in range(QFORMER["layers"]):
            here = f"model.qformer.encoder.layer.{layer}."
            for attention, keys in [("attention", hidden)] + [("crossattention", into)] * (layer % 2 == 0):
                linear(f"{here}{attention}.attention.query", hidden, hidden)
                linear(f"{here}{attention}.attention.key", hidden, keys)
                linear(f"{here}{attention}.attention.value", hidden, keys)
                linear(f"{here}{attention}.output.dense", hidden, hidden)
                norm(f"{here}{attention}.output.LayerNorm", hidden)
            linear(here + "intermediate_query.dense", QFORMER["intermediate_size"], hidden)
            linear(here + "output_query.dense", hidden, QFORMER["intermediate_size"])
            norm(here + "output_query.LayerNorm", hidden)
        return shapes
    into = into * (1 if fusion["strategy"] == "avgpool" else fusion["kernel"] ** 2) // fusion.get("tokens_per_window", 1)
    for number, out in enumerate(fusion["stf"]["channels"], 1):
        linear(f"model.stf.conv{number}", out, into, 1, 1)
        into = out
    return shapes


def write(name, folder):
    fusion = {"taps": TAPS, **ROWS[name][0]}
    os.makedirs(os.path.join(folder, "clip"), exist_ok=True)
    config = {"model_type": "llava_llama", "vocab_size": 32000, "hidden_size": C3, "intermediate_size": 11008, "num_hidden_layers": 1, "num_attention_heads": 32,
              "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "bos_token_id": 1, "eos_token_id": 2, "mm_vision_tower": "clip", "mm_hidden_size": C1,
              "image_aspect_ratio": "pad", "mm_token_fusion": fusion}
    tower = {"model_type": "clip_vision_model", "hidden_size": C1, "intermediate_size": 4 * C1, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14}
    for path, value in ("config.json", config), ("clip/config.json", tower):
        with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
            json.dump(value, file)
    with open(os.path.join(HERE, "..", "Tests", "Golden", "tokenconcat", "tokenizer.model"), "rb") as source, open(os.path.join(folder, "tokenizer.model"), "wb") as file:
        file.write(source.read())
    header, end = {}, 0
    for key, shape in tensors(fusion).items():
        size = 2
        for dimension in shape:
            size *= dimension
        header[key], end = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}, end + size
    text = json.dumps(header).encode()
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def main():
    if sys.argv[1:2] == ["--write"]:
        return write(sys.argv[2], sys.argv[3])
    lmmc = os.environ.get("LMMC", os.path.join(HERE, "..", ".build", "release", "lmmc"))

    def last(folder, *options):
        cells = subprocess.run([lmmc, "ir", folder, "--summary", "--precision", "f32", *options], capture_output=True, text=True, check=True).stdout.splitlines()
        head, row = ([cell.strip() for cell in line.strip("|").split("|")] for line in (cells[0], cells[-1]))
        found = dict(zip(head, row))
        return " | ".join(found[key] for key in ("operations", "weights", "stored, MiB", "peak, MiB", "project, FLOP"))
    table = ["| strategy | without | operations | weights | stored, MiB | peak, MiB | project, FLOP |", "|---|---|---:|---:|---:|---:|---:|"]
    for name, (_, passes) in ROWS.items():
        with tempfile.TemporaryDirectory() as folder:
            write(name, folder)
            table.append(f"| {name} | nothing | {last(folder)} |")
            for left_out in passes:
                table.append(f"| | `{left_out}` | {last(folder, '--disable-pass', left_out)} |")
    path = os.path.join(HERE, "..", "Docs", "Passes.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split("<!-- fusion -->\n", 1)
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + "<!-- fusion -->\n" + "\n".join(table) + "\n<!-- end -->" + rest.split("<!-- end -->", 1)[1])


if __name__ == "__main__":
    main()
