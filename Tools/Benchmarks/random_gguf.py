#!/usr/bin/env python3
"""Random weights as GGUF files, for llama.cpp to be measured with: a LLaMA decoder of 7B widths in F16, or LLaVA-1.5's tower and projector in BF16.

    random_gguf.py OUTPUT [--layers N] [--tower]

Needs the packages gguf and numpy. Speed does not depend on the weights' values; they are small enough for sane activations.
"""
import argparse

import gguf
import numpy as np

from peer_serve import HEADS, HIDDEN, INNER, VISION, VOCABULARY

random = np.random.default_rng(7)
pool = (random.standard_normal(HIDDEN * 1024) / np.sqrt(HIDDEN)).astype(np.float16)


def matrix(rows, columns):
    """Random rows, cut from one pool at random places: a generator would take minutes."""
    starts = random.integers(0, pool.size - columns, rows)
    return np.stack([pool[s : s + columns] for s in starts])


def decoder(path, layers):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(layers)
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
    for layer in range(layers):
        for name, rows, columns in [
            ("attn_q", HIDDEN, HIDDEN), ("attn_k", HIDDEN, HIDDEN), ("attn_v", HIDDEN, HIDDEN), ("attn_output", HIDDEN, HIDDEN),
            ("ffn_gate", INNER, HIDDEN), ("ffn_up", INNER, HIDDEN), ("ffn_down", HIDDEN, INNER)]:
            writer.add_tensor(f"blk.{layer}.{name}.weight", matrix(rows, columns))
        for name in ["attn_norm", "ffn_norm"]:
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(HIDDEN, np.float32))
    return writer


def tower(path):
    width, patch, side = VISION["width"], VISION["patch"], VISION["size"] // VISION["patch"]
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", False)
    sizes = {"image_size": VISION["size"], "patch_size": patch, "embedding_length": width, "feed_forward_length": 4 * width, "projection_dim": 768,
             "attention.head_count": VISION["heads"], "block_count": VISION["blocks"] + 1}  # it runs all but the last
    for name, value in sizes.items():
        writer.add_uint32("clip.vision." + name, value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
    writer.add_array("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])

    def add(name, rows, columns):
        bf16 = gguf.GGMLQuantizationType.BF16
        writer.add_tensor(name + ".weight", gguf.quants.quantize(matrix(rows, columns).astype(np.float32), bf16), raw_dtype=bf16)
        writer.add_tensor(name + ".bias", np.zeros(rows, np.float32))

    writer.add_tensor("v.class_embd", np.zeros(width, np.float32))
    writer.add_tensor("v.patch_embd.weight", matrix(width, 3 * patch * patch).reshape(width, 3, patch, patch))
    writer.add_tensor("v.position_embd.weight", matrix(side * side + 1, width))
    norms = ["v.pre_ln"]
    for block in range(VISION["blocks"] + 1):
        for name, rows, columns in [("attn_q", width, width), ("attn_k", width, width), ("attn_v", width, width), ("attn_out", width, width),
                                    ("ffn_up", 4 * width, width), ("ffn_down", width, 4 * width)]:
            add(f"v.blk.{block}.{name}", rows, columns)
        norms += [f"v.blk.{block}.ln1", f"v.blk.{block}.ln2"]
    for norm in norms:
        writer.add_tensor(norm + ".weight", np.ones(width, np.float32))
        writer.add_tensor(norm + ".bias", np.zeros(width, np.float32))
    add("mm.0", HIDDEN, width)
    add("mm.2", HIDDEN, HIDDEN)
    return writer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--tower", action="store_true")
    options = parser.parse_args()
    writer = tower(options.output) if options.tower else decoder(options.output, options.layers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
