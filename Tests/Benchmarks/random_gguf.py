#!/usr/bin/env python3
"""A LLaMA decoder of 7B widths with random weights as a GGUF file in F16, for llama.cpp to be measured with.

    random_gguf.py OUTPUT [--layers N]

Needs the packages gguf and numpy. Speed does not depend on the weights' values; they are small enough for sane activations.
"""
import argparse

import gguf
import numpy as np

HIDDEN, INNER, HEADS, VOCABULARY = 4096, 11008, 32, 32000

parser = argparse.ArgumentParser()
parser.add_argument("output")
parser.add_argument("--layers", type=int, default=8)
options = parser.parse_args()

random = np.random.default_rng(7)
pool = (random.standard_normal(HIDDEN * 1024) / np.sqrt(HIDDEN)).astype(np.float16)


def matrix(rows, columns):
    """Random rows, cut from one pool at random places: a generator would take minutes."""
    starts = random.integers(0, pool.size - columns, rows)
    return np.stack([pool[s : s + columns] for s in starts])


writer = gguf.GGUFWriter(options.output, "llama")
writer.add_context_length(4096)
writer.add_embedding_length(HIDDEN)
writer.add_block_count(options.layers)
writer.add_feed_forward_length(INNER)
writer.add_head_count(HEADS)
writer.add_head_count_kv(HEADS)
writer.add_rope_dimension_count(HIDDEN // HEADS)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_vocab_size(VOCABULARY)
writer.add_tokenizer_model("llama")
writer.add_token_list(["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + [f"t{i}" for i in range(VOCABULARY - 259)])
writer.add_token_scores([0.0] * VOCABULARY)
writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (VOCABULARY - 259))
writer.add_bos_token_id(1)
writer.add_eos_token_id(2)
writer.add_tensor("token_embd.weight", matrix(VOCABULARY, HIDDEN))
writer.add_tensor("output.weight", matrix(VOCABULARY, HIDDEN))
writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
for layer in range(options.layers):
    for name, rows, columns in [
        ("attn_q", HIDDEN, HIDDEN), ("attn_k", HIDDEN, HIDDEN), ("attn_v", HIDDEN, HIDDEN), ("attn_output", HIDDEN, HIDDEN),
        ("ffn_gate", INNER, HIDDEN), ("ffn_up", INNER, HIDDEN), ("ffn_down", HIDDEN, INNER)]:
        writer.add_tensor(f"blk.{layer}.{name}.weight", matrix(rows, columns))
    for name in ["attn_norm", "ffn_norm"]:
        writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(HIDDEN, np.float32))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
