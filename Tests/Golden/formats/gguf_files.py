"""A decoder and a mmproj file in GGUF, with every type that is read, and their reference: the same weights, dequantised by the gguf package."""
import os

import gguf
import numpy as np
import sentencepiece
import torch
from gguf import GGMLQuantizationType as T

import checkpoints
import reference

K_TYPES = (T.Q4_K, T.Q5_K, T.Q6_K)


def permuted(weight, heads):
    """Rows of a head from halves to pairs side by side, as converters write them."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def unpermuted(weight, heads):
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def random_blocks(rng, qtype, shape, deviation):
    """Valid blocks of a K type, whose quantiser the package does not have: any codes, and scales that give about `deviation`."""
    size, count = gguf.GGML_QUANT_SIZES[qtype][1], int(np.prod(shape)) // 256
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    places = {T.Q4_K: (0, 2), T.Q5_K: (0, 2), T.Q6_K: (208,)}[qtype]
    for number, place in enumerate(places):
        # Codes, scales and minima are uniform; the factors centre them about zero.
        factor = {T.Q4_K: (1 / 150, 7.5 / 150), T.Q5_K: (1 / 300, 15.5 / 300), T.Q6_K: (1 / 1300,)}[qtype][number]
        scale = (deviation * factor * rng.uniform(0.8, 1.2, count)).astype(np.float16)
        blocks[:, place:place + 2] = scale[:, None].view(np.uint8).reshape(count, 2)
    return blocks.reshape(*shape[:-1], shape[-1] // 256 * size)


def stored(rng, weight, qtype):
    """(what the file holds, its values as float32)"""
    weight = np.ascontiguousarray(weight, np.float32)
    if qtype in (T.F32, T.F16):
        data = weight.astype(np.float32 if qtype == T.F32 else np.float16)
        return data, data.astype(np.float32)
    data = random_blocks(rng, qtype, weight.shape, float(weight.std())) if qtype in K_TYPES else gguf.quants.quantize(weight, qtype)
    return data, gguf.quants.dequantize(data, qtype)


PARTS = {"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
TYPES = {"attn_q": T.Q4_K, "attn_k": T.Q5_K, "attn_v": T.Q6_K, "attn_output": T.Q8_0, "ffn_gate": T.Q4_0, "ffn_up": T.Q4_1, "ffn_down": T.Q5_1, "token_embd": T.Q5_0,
         "output": T.BF16}


def gguf_name(name):
    outer = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
    if name in outer:
        return outer[name]
    _, _, layer, part = name.split(".", 3)
    return f"blk.{layer}.{PARTS[part[:-len('.weight')]]}.weight"


def write_decoder(spec, tensors, path, tokenizer, rng):
    """Gives the values that the file holds, under the names of layout A."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(spec.layers)
    writer.add_context_length(spec.context)
    writer.add_embedding_length(spec.hidden)
    writer.add_feed_forward_length(spec.ff)
    writer.add_head_count(spec.heads)
    writer.add_head_count_kv(spec.kv_heads or spec.heads)
    writer.add_layer_norm_rms_eps(spec.eps)
    writer.add_rope_freq_base(spec.theta)
    writer.add_rope_dimension_count(spec.hidden // spec.heads)
    sp = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    kinds = [2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i) else 1 for i in range(sp.get_piece_size())]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([sp.id_to_piece(i).encode() for i in range(sp.get_piece_size())])
    writer.add_token_scores([sp.get_score(i) for i in range(sp.get_piece_size())])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    values = {}
    for name, tensor in tensors.items():
        weight, here = tensor.numpy(), gguf_name(name)
        heads = spec.heads if ".attn_q." in here else spec.kv_heads or spec.heads if ".attn_k." in here else None
        qtype = T.F32 if weight.ndim == 1 else TYPES[here.split(".")[-2]] if spec.hidden % 256 == 0 else T.F16
        data, dense = stored(rng, permuted(weight, heads) if heads else weight, qtype)
        writer.add_tensor(here, data, raw_dtype=qtype)
        values[name] = torch.from_numpy(unpermuted(dense, heads).copy() if heads else dense.copy())
    if spec.rope_scaling:
        rope = spec.rope_scaling
        half = spec.hidden // spec.heads // 2
        turns = rope["original_max_position_embeddings"] * spec.theta ** (-np.arange(half) / half) / (2 * np.pi)
        blend = np.clip((turns - rope["low_freq_factor"]) / (rope["high_freq_factor"] - rope["low_freq_factor"]), 0, 1)
        writer.add_tensor("rope_freqs.weight", (1 / (blend + (1 - blend) / rope["factor"])).astype(np.float32))
    finish(writer)
    return values


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_vision(spec, tensors, path, older):
    """The tower and projector; `older`: as LLaVA's first converters wrote them, without the last block and with the MLP's names swapped."""
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.has_llava_projector", True)
    writer.add_string("clip.projector_type", "mlp")
    for key, value in (("image_size", spec.image), ("patch_size", spec.patch), ("embedding_length", spec.c1), ("feed_forward_length", spec.vision_ff),
                       ("projection_dim", 16), ("attention.head_count", spec.vision_heads), ("block_count", spec.blocks - older)):
        writer.add_uint32(f"clip.vision.{key}", value)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", list(reference.CLIP_MEAN))
    writer.add_array("clip.vision.image_std", list(reference.CLIP_STD))
    writer.add_bool("clip.use_gelu", False)
    tower = "model.vision_tower.vision_tower.vision_model."
    outer = {"embeddings.class_embedding": "v.class_embd", "embeddings.patch_embedding": "v.patch_embd", "embeddings.position_embedding": "v.position_embd",
             "pre_layrnorm": "v.pre_ln", "post_layernorm": "v.post_ln"}
    inner = {"layer_norm1": "ln1", "layer_norm2": "ln2", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.out_proj": "attn_out", "mlp.fc1": "ffn_down" if older else "ffn_up", "mlp.fc2": "ffn_up" if older else "ffn_down"}
    for name, tensor in tensors.items():
        data = tensor.to(torch.float16 if tensor.dim() > 1 else torch.float32).numpy()
        if name.startswith("model.mm_projector."):
            writer.add_tensor("mm." + name[len("model.mm_projector."):], data)
            continue
        name = name[len(tower):]
        if older and name.startswith(("post_layernorm", f"encoder.layers.{spec.blocks - 1}.")):
            continue
        module, _, part = name.rpartition(".")
        if name == "embeddings.class_embedding":
            here = outer[name]
        elif module in outer:
            here = f"{outer[module]}.{part}"
        else:
            _, _, layer, rest = module.split(".", 3)
            here = f"v.blk.{layer}.{inner[rest]}.{part}"
        writer.add_tensor(here, data)
    finish(writer)


def make(spec, folder, tokenizer, dtype, older):
    rng = np.random.default_rng(spec.seed)
    w = checkpoints.Weights(spec.seed)
    checkpoints.decoder_tensors(spec, w)
    values = write_decoder(spec, w.tensors, os.path.join(folder, "decoder.gguf"), tokenizer, rng)
    w = checkpoints.Weights(spec.seed + 1)
    checkpoints.fusion_tensors(spec, w)
    checkpoints.tower_tensors(spec, w, "model.vision_tower.vision_tower.vision_model.")
    # What both files hold, so that one reference serves.
    vision = {name: tensor.to(torch.float16).float() if tensor.dim() > 1 else tensor for name, tensor in w.tensors.items()}
    write_vision(spec, vision, os.path.join(folder, "mmproj.gguf"), older)
    whole = os.path.join(folder, "whole")
    os.makedirs(os.path.join(whole, "clip"))
    checkpoints.write_tower_folder(spec, os.path.join(whole, "clip"))
    checkpoints.save({name: tensor.contiguous() for name, tensor in {**values, **vision}.items()}, whole, 1)
    checkpoints.write_json(os.path.join(whole, "config.json"), checkpoints.config_json(spec, "clip"))
    with open(os.path.join(whole, "tokenizer.model"), "wb") as file:
        file.write(tokenizer)
    exact = reference.Reference(whole, dtype)
    for at, _, files in os.walk(whole, topdown=False):
        for file in files:
            os.remove(os.path.join(at, file))
        os.rmdir(at)
    name = os.path.basename(folder)
    return exact, [f"formats/{name}/decoder.gguf", "--vision-tower", f"formats/{name}/mmproj.gguf"]


def write_types(path):
    """Two rows of every type and what the package makes of them, for the test of each: types.gguf and types.f32 beside it, in the order of names."""
    rng = np.random.default_rng(5)
    writer, expected = gguf.GGUFWriter(path + ".gguf", "types"), []
    for qtype in sorted((T.F16, T.BF16, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q4_K, T.Q5_K, T.Q6_K), key=lambda t: t.name):
        data, values = stored(rng, rng.standard_normal((2, 512)), qtype)
        if qtype == T.F16:
            values = data.astype(np.float32)
        writer.add_tensor(qtype.name, data, raw_dtype=qtype)
        expected.append(values.astype("<f4").tobytes())
    finish(writer)
    with open(path + ".f32", "wb") as file:
        file.write(b"".join(expected))
