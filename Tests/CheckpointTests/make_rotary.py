#!/usr/bin/env python3
"""Writes rotary.json: what transformers makes of the rotary settings of many config.json files.

    make_rotary.py       (transformers 5.24.0, torch)
Each row is the keys of a LLaMA's config.json beyond BASE, and what LlamaConfig and LlamaRotaryEmbedding take from the file: theta, and
for scaled frequencies factor, low, high and original; or `refused`, where either raises or the result cannot turn a head. The same text
model inside of a LLaVA must give the same."""
import json
import logging
import math
import os
import tempfile

import torch
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

HERE = os.path.dirname(os.path.abspath(__file__))
BASE = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 6, "vocab_size": 260,
        "max_position_embeddings": 512}
L3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
L3O = dict(L3, original_max_position_embeddings=128)


def without(d, *keys):
    return {k: v for k, v in d.items() if k not in keys}


ROWS = [
    {},
    # theta, at the top and inside
    {"rope_theta": 500000.0}, {"rope_theta": 500000}, {"rope_theta": 1}, {"rope_theta": None},
    {"rope_parameters": {"rope_theta": 20000.0}}, {"rope_parameters": {"rope_theta": 20000.0, "rope_type": "default"}},
    {"rope_parameters": {"rope_theta": 20000.0, "rope_type": "default"}, "rope_theta": 30000.0},
    {"rope_parameters": {"rope_type": "default"}, "rope_theta": 30000.0}, {"rope_parameters": {"rope_type": "default"}},
    {"rope_parameters": {"rope_theta": None, "rope_type": "default"}}, {"rope_parameters": {"rope_theta": None, "rope_type": "default"}, "rope_theta": 30000.0},
    {"rope_parameters": None}, {"rope_parameters": {}}, {"rope_parameters": {}, "rope_theta": 30000.0},
    {"rope_parameters": {"rope_theta": "20000"}}, {"rope_theta": "20000"}, {"rope_parameters": []}, {"rope_parameters": "default"},
    # rope_scaling, the older name, comes first and alone where it is not empty
    {"rope_scaling": None}, {"rope_scaling": {}}, {"rope_scaling": {"rope_type": "default"}}, {"rope_scaling": {"type": "default"}, "rope_theta": 40000.0},
    {"rope_scaling": {"rope_type": "default", "rope_theta": 50000.0}, "rope_theta": 40000.0},
    {"rope_scaling": {"rope_theta": 50000.0}}, {"rope_scaling": {"rope_theta": 50000.0}, "rope_parameters": {"rope_theta": 60000.0}},
    {"rope_scaling": {"rope_type": "default"}, "rope_parameters": {"rope_type": "default", "rope_theta": 60000.0}},
    {"rope_scaling": {"rope_type": "default"}, "rope_parameters": dict(L3O, rope_theta=60000.0), "rope_theta": 70000.0},
    {"rope_scaling": {}, "rope_parameters": dict(L3O, rope_theta=60000.0), "rope_theta": 70000.0},
    {"rope_scaling": None, "rope_parameters": dict(L3O, rope_theta=60000.0)},
    {"rope_scaling": L3O, "rope_parameters": {"rope_type": "default", "rope_theta": 60000.0}},
    {"rope_scaling": L3O, "rope_parameters": {"rope_type": "default", "rope_theta": 60000.0}, "rope_theta": 70000.0},
    {"rope_scaling": L3O, "rope_parameters": dict(L3O, factor=2.0, original_max_position_embeddings=64)},
    # type and rope_type
    {"rope_scaling": dict(without(L3O, "rope_type"), type="llama3")}, {"rope_scaling": dict(L3O, type="linear")},
    {"rope_scaling": dict(L3O, type="llama3")}, {"rope_scaling": dict(L3O, rope_type="default", type="llama3")},
    {"rope_scaling": dict(L3O, rope_type=None, type="llama3")}, {"rope_scaling": dict(L3O, rope_type=None)}, {"rope_scaling": without(L3O, "rope_type")},
    {"rope_scaling": dict(L3O, rope_type="default")}, {"rope_scaling": {"rope_type": "unknown"}}, {"rope_scaling": {"rope_type": ""}}, {"rope_scaling": {"type": None}},
    {"rope_scaling": dict(L3O, rope_type="LLAMA3")}, {"rope_scaling": {"rope_type": 1}},
    # Llama 3's scaling and its length
    {"rope_scaling": L3O}, {"rope_scaling": L3O, "rope_theta": 500000.0}, {"rope_parameters": dict(L3O, rope_theta=500000.0)}, {"rope_parameters": L3O, "rope_theta": 500000.0},
    {"rope_scaling": dict(L3O, rope_theta=500000.0)}, {"rope_scaling": dict(L3O, rope_theta=500000.0), "rope_theta": 10000.0},
    {"rope_scaling": L3}, {"rope_parameters": L3}, {"rope_scaling": L3, "max_position_embeddings": 4096}, {"rope_scaling": L3, "max_position_embeddings": 16},
    {"rope_scaling": L3, "original_max_position_embeddings": 256}, {"rope_scaling": L3O, "original_max_position_embeddings": 256},
    {"rope_parameters": L3O, "original_max_position_embeddings": 256}, {"rope_parameters": dict(L3, rope_theta=500000.0), "original_max_position_embeddings": 256},
    {"rope_scaling": dict(L3, original_max_position_embeddings=None)}, {"rope_scaling": dict(L3, original_max_position_embeddings=None), "original_max_position_embeddings": 256},
    {"rope_scaling": dict(L3O, original_max_position_embeddings=512)}, {"rope_scaling": dict(L3O, original_max_position_embeddings=1024)},
    {"rope_scaling": dict(L3O, original_max_position_embeddings=128.0)}, {"rope_scaling": dict(L3O, original_max_position_embeddings=0)}, {"rope_scaling": dict(L3O, original_max_position_embeddings="128")},
    {"original_max_position_embeddings": 256}, {"rope_scaling": {"rope_type": "default", "original_max_position_embeddings": 128}},
    {"rope_scaling": L3, "original_max_position_embeddings": None},
    # its factors
    {"rope_scaling": without(L3O, "factor")}, {"rope_scaling": without(L3O, "low_freq_factor")}, {"rope_scaling": without(L3O, "high_freq_factor")},
    {"rope_scaling": {"rope_type": "llama3"}}, {"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0}},
    {"rope_scaling": dict(L3O, factor=None)}, {"rope_scaling": dict(L3O, low_freq_factor=None)}, {"rope_scaling": dict(L3O, high_freq_factor=None)},
    {"rope_scaling": dict(L3O, factor=32)}, {"rope_scaling": dict(L3O, factor=1)}, {"rope_scaling": dict(L3O, factor="8")}, {"rope_scaling": dict(L3O, factor=0)},
    {"rope_scaling": dict(L3O, low_freq_factor=2, high_freq_factor=8)}, {"rope_scaling": dict(L3O, high_freq_factor=1.0)}, {"rope_scaling": dict(L3O, high_freq_factor=0.5)},
    {"rope_scaling": dict(L3O, attention_factor=2.0)}, {"rope_scaling": dict(L3O, unknown=1)},
    # parts of a head, and settings by kind of layer
    {"partial_rotary_factor": 1.0}, {"partial_rotary_factor": 0.5}, {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
    {"rope_scaling": dict(L3O, partial_rotary_factor=0.5)}, {"rope_scaling": dict(L3O, partial_rotary_factor=1.0)}, {"rope_scaling": L3O, "partial_rotary_factor": 0.5},
    {"layer_types": ["full_attention"]}, {"layer_types": ["full_attention"], "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 80000.0}}},
    {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 80000.0}}},
    {"layer_types": ["full_attention"], "rope_parameters": {"full_attention": dict(L3O, rope_theta=80000.0)}},
    # other kinds, which lmmc refuses whatever their keys
    {"rope_scaling": {"type": "linear", "factor": 2.0}}, {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}},
    {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}, {"rope_scaling": {"type": "linear"}},
    {"rope_scaling": {"rope_type": "proportional"}},
    {"head_dim": 16, "rope_scaling": L3}, {"head_dim": 16, "rope_theta": 500000.0},
]


def load(config):
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "config.json"), "w") as file:
            json.dump(config, file)
        return AutoConfig.from_pretrained(folder)


def taken(config):
    """What the rotary embedding of a loaded configuration computes with."""
    frequencies = LlamaRotaryEmbedding(config).inv_freq
    rope, size = config.rope_parameters, config.head_dim
    if frequencies.shape != (size // 2,) or not torch.isfinite(frequencies).all():
        raise ValueError(f"{frequencies.numel()} frequencies for heads of {size}")
    result = {"kind": rope["rope_type"], "theta": float(rope["rope_theta"])}
    if result["kind"] == "llama3":
        result |= {k: float(rope[v]) for k, v in (("factor", "factor"), ("low", "low_freq_factor"), ("high", "high_freq_factor"))}
        result["original"] = float(rope["original_max_position_embeddings"])
        exact = [exact_frequency(i, size, result) for i in range(size // 2)]
    elif result["kind"] == "default":
        exact = [result["theta"] ** (-2 * i / size) for i in range(size // 2)]
    else:
        return {"other": result["kind"]}
    # What is written down must be what is computed with.
    if not torch.allclose(frequencies.double(), torch.tensor(exact, dtype=torch.float64), rtol=1e-4, atol=0):
        return {"other": "frequencies that these settings do not give"}
    return without(result, "kind")


def strict(keys, result):
    """Why lmmc refuses what transformers takes, if it does."""
    rope = keys.get("rope_scaling") or keys.get("rope_parameters") or {}
    if "other" in result:
        return "another kind"
    if any(isinstance(value, dict) for value in rope.values()):
        return "by kind of layer, which transformers reads and does not use"
    if 1 != rope.get("partial_rotary_factor", keys.get("partial_rotary_factor", 1)):
        return "part of a head, which transformers ignores and others do not"
    if result.get("original", 1) <= 0 or result.get("high", 1) <= result.get("low", 0):
        return "no blend"


def exact_frequency(i, size, r):
    frequency = r["theta"] ** (-2 * i / size)
    turns = r["original"] * frequency / (2 * math.pi)
    if turns < r["low"]:
        return frequency / r["factor"]
    if turns > r["high"]:
        return frequency
    blend = (turns - r["low"]) / (r["high"] - r["low"])
    return frequency * (blend + (1 - blend) / r["factor"])


def attempt(make):
    try:
        return taken(make())
    except Exception as error:  # whatever transformers raises, the file is refused
        return {"refused": f"{type(error).__name__}: {error}".split("\n")[0][:160]}


def main():
    logging.disable(logging.CRITICAL)
    rows = []
    for keys in ROWS:
        config = dict(BASE, **keys)
        result = attempt(lambda: load(config))
        llava = attempt(lambda: load({"model_type": "llava", "text_config": config, "vision_config": {"model_type": "clip_vision_model"}}).text_config)
        assert set(result) == set(llava) and ("refused" in result or result == llava), (keys, result, llava)
        reason = None if "refused" in result else strict(keys, result)
        rows.append({"keys": keys, **result, **({"strict": reason} if reason else {})})
    with open(os.path.join(HERE, "rotary.json"), "w") as file:
        file.write("[\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in rows) + "\n]\n")
    print(len(rows), "rows")


if __name__ == "__main__":
    main()
