"""The file formats at the widths of LLaVA-1.5-7B: each function turns a checkpoint of 'lmmc synth' (layout A, F16, one file) into one of
them, in the new folder `out`, and gives what to compile and the options beside it. Needs numpy; torch and gguf where the format is theirs."""
import json
import os
import shutil
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
TOWER, PROJECTOR = "model.vision_tower.vision_tower.", "model.mm_projector."


def read_json(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return json.load(file)


def write_json(value, *path):
    with open(os.path.join(*path), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1)


def read(folder):
    """The tensors as maps of the file, by name."""
    path = os.path.join(folder, "model.safetensors")
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return {name: np.memmap(path, np.float16, "r", 8 + length + entry["data_offsets"][0], tuple(entry["shape"]))
            for name, entry in header.items() if name != "__metadata__"}


def write(tensors, *path, dtype="F16"):
    header, end = {}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(*path), "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            tensor.tofile(file)


def split(source):
    """(decoder, projector, tower) by the names of layout A."""
    tensors = read(source)
    return ({n: t for n, t in tensors.items() if not n.startswith((TOWER, PROJECTOR))}, {n: t for n, t in tensors.items() if n.startswith(PROJECTOR)},
            {n: t for n, t in tensors.items() if n.startswith(TOWER)})


def decoder_config(config):
    own = {key: value for key, value in config.items() if not key.startswith(("mm_", "image_"))}
    return {**own, "architectures": ["LlamaForCausalLM"], "model_type": "llama"}


def transformers(source, out, newer):
    os.makedirs(out)
    decoder, projector, tower = split(source)
    prefix = "model." if newer else ""
    names = {}
    for name, tensor in decoder.items():
        if name.startswith("lm_head"):
            names[name if newer else "language_model." + name] = tensor
        else:
            names["model.language_model." + name[len("model."):] if newer else "language_model." + name] = tensor
    for name, tensor in projector.items():
        names[f"{prefix}multi_modal_projector.linear_{1 if '.0.' in name else 2}.{name.rsplit('.', 1)[1]}"] = tensor
    for name, tensor in tower.items():
        names[f"{prefix}vision_tower." + name[len(TOWER):].replace("vision_model.", "" if newer else "vision_model.", 1)] = tensor
    write(names, out, "model.safetensors")
    config = read_json(source, "config.json")
    folder = os.path.join(source, config["mm_vision_tower"])
    text = {key: value for key, value in decoder_config(config).items() if key != "architectures"}
    write_json({"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "vision_config": read_json(folder, "config.json"), "text_config": text,
                "image_token_index": config["vocab_size"] - 1, "vision_feature_layer": -2, "vision_feature_select_strategy": "default",
                "projector_hidden_act": "gelu"}, out, "config.json")
    shutil.copy(os.path.join(folder, "preprocessor_config.json"), out)
    shutil.copy(os.path.join(source, "tokenizer.model"), out)
    return out, []


def transformers_older(source, out):
    return transformers(source, out, False)


def transformers_newer(source, out):
    return transformers(source, out, True)


def shards(source, out, count=3):
    """BF16 in `count` files."""
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.safetensors"))
    tensors, index = list(read(source).items()), {}
    for number in range(count):
        file = f"model-{number + 1:05d}-of-{count:05d}.safetensors"
        part = dict(tensors[number::count])
        # Rounded towards zero, which is as random as the rest.
        write({name: (np.array(tensor, np.float32).view(np.uint32) >> 16).astype(np.uint16) for name, tensor in part.items()}, out, file, dtype="BF16")
        index.update((name, file) for name in part)
    write_json({"metadata": {}, "weight_map": index}, out, "model.safetensors.index.json")
    return out, []


def tokenizer_json(source, out):
    """The SentencePiece model as tokenizer.json, in the form that older converters write; the tokens of the weights' rows."""
    import sentencepiece
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("tokenizer.model"))
    pieces = sentencepiece.SentencePieceProcessor(model_file=os.path.join(source, "tokenizer.model"))
    names = [pieces.id_to_piece(i) for i in range(pieces.get_piece_size())]
    vocabulary = {name: i for i, name in enumerate(names)}
    merges = []
    for i in range(259, len(names)):
        cuts = [(names[i][:at], names[i][at:]) for at in range(1, len(names[i]))]
        merges += sorted((max(vocabulary[a], vocabulary[b]), f"{a} {b}") for a, b in cuts if a in vocabulary and b in vocabulary)[:1]
    special = [{"id": i, "content": names[i], "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i in range(3)]
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    write_json({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                                                      {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": True,
                  "byte_fallback": True, "ignore_merges": False, "vocab": vocabulary, "merges": [merge for _, merge in merges]}}, out, "tokenizer.json")
    return out, []


def torch_archive(source, out):
    import torch
    shutil.copytree(source, out, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({name: torch.from_numpy(np.array(tensor)) for name, tensor in read(source).items()}, os.path.join(out, "pytorch_model.bin"))
    return out, []


def parts(source, out):
    """A decoder without images in `out`/base, the tower in `out`/tower; gives the projector's tensors for torch, and the whole's configuration."""
    import torch
    decoder, projector, tower = split(source)
    config = read_json(source, "config.json")
    shutil.copytree(os.path.join(source, config["mm_vision_tower"]), os.path.join(out, "tower"))
    os.makedirs(os.path.join(out, "base"))
    write(decoder, out, "base", "model.safetensors")
    write({name[len(TOWER):]: tensor for name, tensor in tower.items()}, out, "tower", "model.safetensors")
    write_json(decoder_config(config), out, "base", "config.json")
    shutil.copy(os.path.join(source, "tokenizer.model"), os.path.join(out, "base"))
    return {name: torch.from_numpy(np.array(tensor)) for name, tensor in projector.items()}, {**config, "mm_vision_tower": "../tower"}


def projector(source, out):
    import torch
    tensors, config = parts(source, out)
    os.makedirs(os.path.join(out, "own"))
    torch.save(tensors, os.path.join(out, "own", "mm_projector.bin"))
    write_json(config, out, "own", "config.json")
    return os.path.join(out, "base"), ["--projector", os.path.join(out, "own", "mm_projector.bin")]


def adapter(source, out, rank=16):
    import torch
    tensors, config = parts(source, out)
    folder = os.path.join(out, "adapter")
    os.makedirs(folder)
    rng, low = np.random.default_rng(1), {}
    for name, tensor in read(os.path.join(out, "base")).items():
        if name.startswith("model.layers.") and "_proj" in name:
            rows, columns = tensor.shape
            module = "base_model.model." + name[:-len(".weight")]
            low[module + ".lora_A.weight"] = (rng.standard_normal((rank, columns)) / np.sqrt(columns)).astype(np.float16)
            low[module + ".lora_B.weight"] = (0.1 * rng.standard_normal((rows, rank)) / np.sqrt(rank)).astype(np.float16)
    write(low, folder, "adapter_model.safetensors")
    write_json({"peft_type": "LORA", "r": rank, "lora_alpha": rank, "bias": "none", "task_type": "CAUSAL_LM", "fan_in_fan_out": False,
                "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]}, folder, "adapter_config.json")
    torch.save({"base_model.model." + name: tensor for name, tensor in tensors.items()}, os.path.join(folder, "non_lora_trainables.bin"))
    write_json(config, folder, "config.json")
    return os.path.join(out, "base"), ["--adapter", folder]


class Floats:
    """Tensors as float32 for torch, made one at a time."""

    def __init__(self, tensors):
        self.tensors = tensors

    def items(self):
        import torch
        return ((name, torch.from_numpy(np.array(tensor, np.float32))) for name, tensor in self.tensors.items())


def gguf(source, out):
    """A decoder whose matrices are of all the types, and a mmproj file."""
    import checkpoints
    import gguf_files
    os.makedirs(out)
    config = read_json(source, "config.json")
    vision = read_json(source, config["mm_vision_tower"], "config.json")
    spec = checkpoints.Spec(
        c1=vision["hidden_size"], vision_heads=vision["num_attention_heads"], vision_ff=vision["intermediate_size"], blocks=vision["num_hidden_layers"],
        image=vision["image_size"], patch=vision["patch_size"], hidden=config["hidden_size"], heads=config["num_attention_heads"], ff=config["intermediate_size"],
        layers=config["num_hidden_layers"], vocab=config["vocab_size"], context=config["max_position_embeddings"])
    decoder, own, tower = split(source)
    with open(os.path.join(source, "tokenizer.model"), "rb") as file:
        tokenizer = file.read()
    path = os.path.join(out, "decoder.gguf")
    gguf_files.write_decoder(spec, Floats(decoder), path, tokenizer, np.random.default_rng(1))
    gguf_files.write_vision(spec, Floats({**own, **tower}), os.path.join(out, "mmproj.gguf"), False)
    return path, ["--vision-tower", os.path.join(out, "mmproj.gguf")]
