"""Checkpoints in torch's zip archives, a projector of its own and a LoRA adapter."""
import collections
import json
import math
import os

import torch

import checkpoints
import reference
from checkpoints import Spec

# The projector and the adapter, over one decoder and one tower.
PARTS = Spec(c1=16, vision_heads=2, vision_ff=40, blocks=3, image=36, patch=6, hidden=48, heads=4, kv_heads=2, ff=64, layers=2, inside=False)
PARTS_SEED = 77


def save_archive(tensors, path):
    """A state dictionary as `model.state_dict()` saves: an OrderedDict with versions beside it."""
    state = collections.OrderedDict(tensors)
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    torch.save(state, path)


def make_shards(spec, folder, tokenizer, dtype):
    """pytorch_model-*.bin with their index, the tower's pytorch_model.bin with parameters and with views of one storage."""
    checkpoints.make_checkpoint(spec, folder, tokenizer)
    exact = reference.Reference(folder, dtype)
    tensors = reference.read_tensors(folder)
    names = sorted(tensors)
    index = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"pytorch_model-{number:05d}-of-00002.bin"
        save_archive({name: tensors[name] for name in part}, os.path.join(folder, file))
        index.update((name, file) for name in part)
    checkpoints.write_json(os.path.join(folder, "pytorch_model.bin.index.json"), {"metadata": {"total_size": 1}, "weight_map": index})
    os.remove(os.path.join(folder, "model.safetensors"))
    tower = os.path.join(folder, "clip")
    tensors = reference.read_tensors(tower)
    whole = torch.cat([tensors[f"vision_model.{name}.bias"] for name in ("pre_layrnorm", "post_layernorm")])
    tensors["vision_model.pre_layrnorm.bias"], tensors["vision_model.post_layernorm.bias"] = whole[:spec.c1], whole[spec.c1:]
    tensors["vision_model.pre_layrnorm.weight"] = torch.nn.Parameter(tensors["vision_model.pre_layrnorm.weight"], requires_grad=False)
    tensors["vision_model.embeddings.position_ids"] = torch.arange((spec.image // spec.patch) ** 2 + 1)[None]
    save_archive(tensors, os.path.join(tower, "pytorch_model.bin"))
    os.remove(os.path.join(tower, "model.safetensors"))
    return exact, []


def base_and_tower(spec, folder, tokenizer):
    """The decoder 'base' and the tower 'tower' beside `folder`, the same whoever asks; gives the decoder's tensors."""
    beside = os.path.dirname(folder)
    w = checkpoints.Weights(PARTS_SEED)
    checkpoints.decoder_tensors(spec, w)
    decoder = {name: tensor.to(torch.float16) for name, tensor in w.tensors.items()}
    base, tower = os.path.join(beside, "base"), os.path.join(beside, "tower")
    os.makedirs(base, exist_ok=True)
    os.makedirs(tower, exist_ok=True)
    checkpoints.save(decoder, base, 1)
    full = checkpoints.config_json(spec, "../tower")
    own = {key: value for key, value in full.items() if not key.startswith(("mm_", "use_mm", "image_"))}
    checkpoints.write_json(os.path.join(base, "config.json"), {**own, "architectures": ["LlamaForCausalLM"], "model_type": "llama"})
    with open(os.path.join(base, "tokenizer.model"), "wb") as file:
        file.write(tokenizer)
    w = checkpoints.Weights(PARTS_SEED + 1)
    checkpoints.tower_tensors(spec, w, "vision_model.")
    checkpoints.write_tower_folder(spec, tower)
    checkpoints.save({name: tensor.to(torch.float16) for name, tensor in w.tensors.items()}, tower, 1)
    checkpoints.write_json(os.path.join(folder, "config.json"), full)
    return decoder


def assembled(spec, folder, tokenizer, dtype, tensors):
    """The reference of a layout A folder with these tensors, which is made and removed again."""
    path = os.path.join(folder, "whole")
    os.makedirs(path)
    checkpoints.save({name: tensor.contiguous() for name, tensor in tensors.items()}, path, 1)
    checkpoints.write_json(os.path.join(path, "config.json"), checkpoints.config_json(spec, "../../tower"))
    with open(os.path.join(path, "tokenizer.model"), "wb") as file:
        file.write(tokenizer)
    exact = reference.Reference(path, dtype)
    for file in os.listdir(path):
        os.remove(os.path.join(path, file))
    os.rmdir(path)
    return exact


def projector_tensors(spec):
    w = checkpoints.Weights(spec.seed)
    checkpoints.fusion_tensors(spec, w)
    return {name: tensor.to(torch.float16) for name, tensor in w.tensors.items()}


def make_projector(spec, folder, tokenizer, dtype):
    decoder, projector = base_and_tower(spec, folder, tokenizer), projector_tensors(spec)
    save_archive(projector, os.path.join(folder, "mm_projector.bin"))
    return assembled(spec, folder, tokenizer, dtype, {**decoder, **projector}), ["formats/base", "--projector", "formats/projector/mm_projector.bin"]


def make_adapter(spec, folder, tokenizer, dtype, rank=4, alpha=6):
    """Every decoder matrix changed, the merge in float64: W + alpha / sqrt(rank) * B A."""
    decoder, projector = base_and_tower(spec, folder, tokenizer), projector_tensors(spec)
    w, low = checkpoints.Weights(spec.seed + 5), {}
    merged = dict(decoder)
    for name, tensor in decoder.items():
        if name.startswith("model.layers.") and "_proj" in name:
            out, into = tensor.shape
            module = name[:-len(".weight")]
            w.normal(module + ".A", (rank, into), 0.7 / math.sqrt(into))
            w.normal(module + ".B", (out, rank), 0.35)
            a, b = (w.tensors[f"{module}.{part}"].to(torch.bfloat16) for part in "AB")
            low[f"base_model.model.{module}.lora_A.weight"], low[f"base_model.model.{module}.lora_B.weight"] = a, b
            merged[name] = tensor.double() + alpha / math.sqrt(rank) * (b.double() @ a.double())
    checkpoints.save_file(low, os.path.join(folder, "adapter_model.safetensors"), {"format": "pt"})
    checkpoints.write_json(os.path.join(folder, "adapter_config.json"), {
        "base_model_name_or_path": "base", "bias": "none", "fan_in_fan_out": False, "lora_alpha": alpha, "lora_dropout": 0.05, "modules_to_save": None,
        "peft_type": "LORA", "r": rank, "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"], "task_type": "CAUSAL_LM",
        "use_rslora": True, "use_dora": False, "rank_pattern": {}, "alpha_pattern": {}})
    torch.save({"base_model.model." + name: tensor for name, tensor in projector.items()}, os.path.join(folder, "non_lora_trainables.bin"))
    return assembled(spec, folder, tokenizer, dtype, {**merged, **projector}), ["formats/base", "--adapter", "formats/adapter"]
