#!/usr/bin/env python3
"""The numeric reference: a LLaVA checkpoint run by transformers and plain torch, correctness before speed.

Reads folders of layout A (LLaVA's own names: projector linear or mlpNx_gelu, the released crosslayer fusion, or TokenPacker),
layout C (the same plus 'mm_token_fusion') and layout D (LlamaForCausalLM alone). CLIPVisionModel, Blip2QFormerModel and LlamaForCausalLM do the towers with
eager attention and no key-value cache; MBTF and STF are written here with torch.nn.functional.conv2d.

float32: the transformers modules as they are.
float64: the same modules with the three places that transformers pins to float32 (RMSNorm, softmax, rotary angles)
replaced by float64 ones, so the result is exact for practical purposes.

    reference.py CHECKPOINT --image F ... --prompt TEXT --max-tokens N --dtype float64 --out DIR
writes pixels.npy [images,3,S,S], projected.npy [images,N,C3] (both absent without an image), logits.npy [rows,vocab]
(all float32) and tokens.json, with the meanings of the compiled binary's --dump and --json."""
import argparse
import json
import math
import os
import re
import sys

import numpy as np
import sentencepiece
import tokenizers
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from transformers import AttentionInterface, Blip2QFormerConfig, Blip2QFormerModel, CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM
from transformers.models.llama import modeling_llama

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
RELEASED_TAPS = (21, 18, 15, 12, 9, 6, 3)  # after the first, which is mm_vision_select_layer
PACKER_TAPS, PACKER_QUERY_TAP, PACKER_HEADS = (12, 16, 22, 23), 23, 8
MINI, COMPRESSOR_HEADS = "llava_mini_llama", 8
SYSTEM = "A chat between a curious {0} and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the {0}'s questions."
VOCO = "<voco>"  # VoCo-LLaMA's compression token
VOCO_COUNT = 2
TEMPLATES = {"voco": SYSTEM.format("user").replace("assistant.", "assistant of the image.") + " USER: {} ASSISTANT:", "vicuna_v1": SYSTEM.format("user") + " USER: {} ASSISTANT:", "llava_v1": SYSTEM.format("human") + " USER: {} ASSISTANT:", "none": "{}",
             "llama-3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are a helpful language and vision assistant. You are able to understand the visual "
                        "content that the user provides, and assist the user with a variety of tasks using natural language.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
                        "{}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"}


class UnsupportedError(Exception):
    """A checkpoint, image or prompt that the reference does not cover; the message is one line."""


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def read_tensors(folder):
    """All tensors of a folder's safetensors (one file or indexed shards), name -> torch tensor in its stored dtype."""
    index = os.path.join(folder, "model.safetensors.index.json")
    names = sorted(set(read_json(index)["weight_map"].values())) if os.path.exists(index) else ["model.safetensors"]
    tensors = {}
    for name in names:
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            return {}
        with safe_open(path, framework="pt") as file:
            tensors.update((key, file.get_tensor(key)) for key in file.keys())
    return tensors


def stripped(tensors, prefix):
    return {name[len(prefix):]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


# ---- what transformers pins to float32, in the dtype of its input

def exact_attention(module, query, key, value, attention_mask, scaling, **_):
    """query [batch, heads, rows, d], key and value [batch, kv heads, rows, d] -> [batch, rows, heads, d]; by the mask, else causal if the module is."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    elif module.is_causal:
        rows = scores.shape[-1]
        scores = scores.masked_fill(torch.ones(rows, rows, dtype=torch.bool).triu(1), -torch.inf)
    scores = torch.exp(scores - scores.amax(-1, keepdim=True))
    return (scores / scores.sum(-1, keepdim=True) @ value).transpose(1, 2).contiguous(), None


AttentionInterface.register("exact", exact_attention)


class ExactRMSNorm(torch.nn.Module):
    def __init__(self, old):
        super().__init__()
        self.weight, self.eps = old.weight, old.variance_epsilon

    def forward(self, x):
        return self.weight * (x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.eps))


class ExactRotary(torch.nn.Module):
    """cos and sin [1, rows, head size] in float64, the llama3 stretch of the frequencies included."""

    def __init__(self, config):
        super().__init__()
        rope = config.rope_parameters
        frequency = 1.0 / rope["rope_theta"] ** (torch.arange(0, config.head_dim, 2, dtype=torch.float64) / config.head_dim)
        if rope["rope_type"] == "llama3":
            low, high, original = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
            turns = original * frequency / (2 * torch.pi)
            blend = ((turns - low) / (high - low)).clamp(0, 1)
            frequency = frequency * (blend + (1 - blend) / rope["factor"])
        elif rope["rope_type"] != "default":
            raise UnsupportedError(f"rope type '{rope['rope_type']}' is not covered")
        self.frequency = frequency

    def forward(self, x, position_ids):
        angle = position_ids[..., None].to(torch.float64) * self.frequency
        angle = torch.cat((angle, angle), -1)
        return angle.cos(), angle.sin()


def filled(model, tensors, dtype, optional=()):
    """The model with its weights from `tensors`, every one of them, in `dtype`."""
    missing, _ = model.load_state_dict(tensors, strict=False)
    missing = [name for name in missing if name not in optional]
    if missing:
        raise UnsupportedError(f"missing tensors: {missing[:4]}")
    return model.to(dtype).eval()


# ---- fusion

def gelu(x):
    return F.gelu(x)  # the exact erf form


def layers_1x1(x, layers, final):
    """x [images, tokens, C] through 1x1 convolutions [(weight [out, in, 1, 1], bias)], GELU between, and last if `final`."""
    x = x.transpose(1, 2)[:, :, :, None]
    for number, (weight, bias) in enumerate(layers):
        x = F.conv2d(x, weight, bias)
        if final or number + 1 < len(layers):
            x = gelu(x)
    return x[:, :, :, 0].transpose(1, 2)


def windows(grid, k):
    """[images, C, H, W] -> [images, (H/k)*(W/k), C*k*k], channel-major inside a window: index (c*k + dy)*k + dx."""
    return F.unfold(grid, k, stride=k).transpose(1, 2)


def resized(grid, k):
    """[images, C, H, W] -> [images, C, H/k, W/k]."""
    return F.interpolate(grid, (grid.shape[2] // k, grid.shape[3] // k), mode="bilinear")


class TokenPacker:
    """CircleRadon/TokenPacker's projector up to its last two maps. `apply` takes hidden states, as Fusion's, to [images, (side/k)^2, width]."""

    def __init__(self, tensors, k, dtype):
        self.k, self.weights = k, {name: tensor.to(dtype) for name, tensor in stripped(tensors, "model.mm_projector.").items()}
        width = self.weights["ln_q_1.weight"].shape[0]
        self.attention = filled(torch.nn.MultiheadAttention(width, PACKER_HEADS, batch_first=True), stripped(self.weights, "clip_attn."), dtype)

    def linear(self, name, x):
        return F.linear(x, self.weights[name + ".weight"], self.weights.get(name + ".bias"))

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.weights[name + ".weight"], self.weights[name + ".bias"], 1e-6)

    def side(self, letter, taps):
        """Keys or values of all tokens as a row of its own for each window: [images * windows, k * k, width]."""
        x = self.linear(f"{letter}_proj_1.2", gelu(self.linear(f"{letter}_proj_1.0", taps)))
        x = windows(square(self.norm(f"ln_{letter}_1", x)), self.k)
        return x.reshape(x.shape[0] * x.shape[1], -1, self.k ** 2).transpose(1, 2)

    def apply(self, hidden):
        taps = torch.cat([hidden[tap][:, 1:] for tap in PACKER_TAPS], -1)
        x = resized(square(hidden[PACKER_QUERY_TAP][:, 1:]), self.k).flatten(2).transpose(1, 2)
        query = self.norm("ln_q_1", self.linear("q_proj_1", x))
        mixed, _ = self.attention(query.flatten(0, 1)[:, None], self.side("k", taps), self.side("v", taps), need_weights=False)
        return mixed.reshape(query.shape)


def enlarged(positions, side):
    """[S * S, C] -> [side * side, C]."""
    return F.interpolate(square(positions[None]), (side, side), mode="bicubic").flatten(2)[0].T


class Compressor:
    """LLaVA-Mini's learned queries. `apply` takes patches [images, side^2, C] to [images, S^2, C]."""

    def __init__(self, tensors, dtype):
        self.weights = {name: tensor.to(dtype) for name, tensor in stripped(tensors, "model.compressor.").items()}
        width = self.weights["query"].shape[1]
        self.attention = filled(torch.nn.MultiheadAttention(width, COMPRESSOR_HEADS, batch_first=True), stripped(self.weights, "attn."), dtype)

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.weights[name + ".weight"], self.weights[name + ".bias"], 1e-5)

    def apply(self, patches):
        positions = self.weights["pos_embed"]
        query = (self.norm("ln_q", self.weights["query"]) + positions)[None].expand(len(patches), -1, -1)
        value = self.norm("ln_kv", patches)
        return self.attention(query, value + enlarged(positions, round(patches.shape[1] ** 0.5)), value, need_weights=False)[0]


def square(x):
    """[images, tokens, C] -> [images, C, side, side]."""
    side = round(x.shape[1] ** 0.5)
    return x.transpose(1, 2).reshape(x.shape[0], x.shape[2], side, side)


def numbered(tensors, pattern, dtype):
    """[(weight as [out, in, kh, kw], bias)] of the tensors that the pattern names for rising layer numbers."""
    found = sorted((int(match[1]), name) for name in tensors if (match := re.fullmatch(pattern + r"\.weight", name)))
    layers = []
    for _, name in found:
        weight = tensors[name].to(dtype)
        layers.append((weight if weight.dim() == 4 else weight[:, :, None, None], tensors[name[:-len("weight")] + "bias"].to(dtype)))
    return layers


def read_qformer(key, channels, tensors, dtype):
    """The key 'qformer' of mm_token_fusion -> (model, query tokens [1, queries, hidden]) over tokens of `channels`."""
    sizes = {"hidden_size": key["hidden_size"], "num_hidden_layers": key["layers"], "num_attention_heads": key["heads"], "intermediate_size": key["intermediate_size"]}
    optional = {name: key[name] for name in ("cross_attention_frequency", "layer_norm_eps") if name in key}
    config = Blip2QFormerConfig(**sizes, **optional, encoder_hidden_size=channels, attn_implementation="exact" if dtype == torch.float64 else "eager")
    weights = {name: tensor.to(dtype) for name, tensor in stripped(tensors, "model.qformer.").items()}
    queries = weights.pop("query_tokens")
    if queries.shape != (1, key["queries"], key["hidden_size"]):
        raise UnsupportedError(f"query tokens {list(queries.shape)} are not those of config.json")
    return filled(Blip2QFormerModel(config).to(dtype), weights, dtype), queries


class Fusion:
    """taps -> MBTF -> a strategy's windows or queries, or the plain projector. `apply` takes hidden states, a list of [images, 1 + H*W, C1], to [images, N, C3]."""

    def __init__(self, config, tensors, dtype):
        key = config.get("mm_token_fusion")
        self.feature = config.get("mm_vision_select_feature", "patch")
        self.k, self.tokens, self.mbtf, self.window, self.mbtf_final, self.final = 1, 1, [], None, False, False
        self.pools, self.qformer, self.packer = False, None, None
        self.compressor = Compressor(tensors, dtype) if config["model_type"] == MINI else None
        if key is not None:
            self.taps, self.k, self.tokens = key["taps"], key.get("kernel", 1), key.get("tokens_per_window", 1)
            if key.get("mbtf"):
                self.mbtf, self.mbtf_final = numbered(tensors, r"model\.mbtf\.conv(\d+)", dtype), key["mbtf"]["final_activation"]
            if key["strategy"] == "qformer":
                channels = self.mbtf[-1][0].shape[0] if self.mbtf else len(self.taps) * config["mm_hidden_size"]
                self.qformer = read_qformer(key["qformer"], channels, tensors, dtype)
                self.layers = [(tensors["model.qformer_proj.weight"].to(dtype)[:, :, None, None], tensors["model.qformer_proj.bias"].to(dtype))]
                return
            self.pools = key["strategy"] == "avgpool"
            self.layers, self.final = numbered(tensors, r"model\.stf\.conv(\d+)", dtype), key["stf"]["final_activation"]
            if key["strategy"] == "stf" and key["stf"].get("window_conv", True):
                self.window = self.layers.pop(0)
            self.check(key)
            return
        if "model.mm_projector.q_proj_1.weight" in tensors:
            self.taps, self.k = PACKER_TAPS, config["scale_factor"]
            self.packer, self.layers = TokenPacker(tensors, self.k, dtype), numbered(tensors, r"model\.mm_projector\.mlp\.(\d+)", dtype)
            return
        self.taps = [config["mm_vision_select_layer"]]
        self.layers = numbered(tensors, r"model\.mm_projector\.(\d+)", dtype)
        if "model.mm_projector.weight" in tensors:
            self.layers = [(tensors["model.mm_projector.weight"].to(dtype)[:, :, None, None], tensors["model.mm_projector.bias"].to(dtype))]
        self.mbtf = numbered(tensors, r"model\.mm_projector_crosslayer\.(\d+)", dtype)
        if self.mbtf:
            self.taps += RELEASED_TAPS
            self.k = round((self.layers[0][0].shape[1] / self.mbtf[-1][0].shape[0]) ** 0.5)

    def check(self, key):
        """The channels that config.json lists are those of the tensors."""
        layers = ([self.window] if self.window else []) + self.layers
        for name, listed, found in (("mbtf", (key.get("mbtf") or {}).get("channels", []), self.mbtf), ("stf", key["stf"]["channels"], layers)):
            if listed != [weight.shape[0] for weight, _ in found]:
                raise UnsupportedError(f"'{name}.channels' {listed} are not those of the tensors")

    def apply(self, hidden):
        if self.packer:
            return layers_1x1(self.packer.apply(hidden), self.layers, False)
        first = 0 if self.feature in ("cls_patch", "full") else 1
        x = torch.cat([hidden[tap][:, first:] for tap in self.taps], -1)
        if self.mbtf:
            x = layers_1x1(x, self.mbtf, self.mbtf_final)
        if self.compressor:
            x = torch.cat((x, self.compressor.apply(x)), 1)
        if first == 0 or self.compressor:
            return layers_1x1(x, self.layers, self.final)
        if self.qformer:
            model, queries = self.qformer
            x = model(query_embeds=queries.expand(len(x), -1, -1), encoder_hidden_states=x).last_hidden_state
            return layers_1x1(x, self.layers, self.final)
        grid = square(x)
        if self.window:
            x = gelu(F.conv2d(grid, *self.window, stride=self.k)).flatten(2).transpose(1, 2)
        elif self.pools:
            x = F.avg_pool2d(grid, self.k).flatten(2).transpose(1, 2)
        else:
            x = windows(grid, self.k)
        x = x.reshape(x.shape[0], x.shape[1] * self.tokens, x.shape[2] // self.tokens)
        return layers_1x1(x, self.layers, self.final)


# ---- images

class Preprocessor:
    """`image_aspect_ratio` pad or the shortest edge and centre crop, as preprocessor_config.json declares."""

    def __init__(self, config, declared, image_size):
        def edge(value, *keys):
            return next(value[key] for key in keys if key in value) if isinstance(value, dict) else value
        self.pad = config.get("image_aspect_ratio") == "pad"
        self.size = edge(declared.get("size", image_size), "shortest_edge", "height")
        self.crop = edge(declared.get("crop_size", image_size), "height", "shortest_edge")
        self.mean, self.std = declared.get("image_mean", CLIP_MEAN), declared.get("image_std", CLIP_STD)

    def square(self, image):
        """PIL image -> PIL RGB image [crop, crop]."""
        image = image.convert("RGB")
        width, height = image.size
        if self.pad and width != height:
            side = max(width, height)
            canvas = Image.new("RGB", (side, side), tuple(int(255 * mean) for mean in self.mean))
            canvas.paste(image, ((side - width) // 2, (side - height) // 2))
            image, width, height = canvas, side, side
        short, long = min(width, height), max(width, height)
        longer = self.size * long // short
        target = (self.size, longer) if width <= height else (longer, self.size)
        # horizontal first, by two calls: newer Pillow versions take the cheaper order by themselves, which gives other bytes
        image = image.resize((target[0], height), Image.BICUBIC).resize(target, Image.BICUBIC)
        left, top = (image.width - self.crop) // 2, (image.height - self.crop) // 2
        return image.crop((left, top, left + self.crop, top + self.crop))

    def pixels(self, image, dtype):
        """PIL image -> [3, S, S] after normalisation."""
        rgb = torch.from_numpy(np.array(self.square(image))).permute(2, 0, 1).to(dtype) / 255
        mean, std = (torch.tensor(values, dtype=dtype)[:, None, None] for values in (self.mean, self.std))
        return (rgb - mean) / std


# ---- text

class Prompts:
    """SentencePiece ids of prompts. Special tokens are the control pieces, read as ids in raw prompts only."""

    def __init__(self, path, images):
        self.images = images
        self.sp = sentencepiece.SentencePieceProcessor(model_file=path)
        self.special = {self.sp.id_to_piece(i): i for i in range(self.sp.get_piece_size()) if self.sp.is_control(i)}
        added = os.path.join(os.path.dirname(path), "added_tokens.json")
        self.special.update(read_json(added) if os.path.exists(added) else {})

    @property
    def bos(self):
        return self.sp.bos_id()

    @property
    def eos(self):
        return self.sp.eos_id()

    @property
    def count(self):
        return self.sp.get_piece_size()

    def encode(self, text):
        return self.sp.encode(text)

    def pieces(self, text, raw):
        """Lists of ids, one more than there are '<image>' places in the text, without BOS."""
        pattern = "(" + "|".join(map(re.escape, self.special)) + ")"
        pieces = []
        for piece in text.split("<image>") if self.images else [text]:
            ids = []
            for part in re.split(pattern, piece) if raw else [piece]:
                ids += [self.special[part]] if raw and part in self.special else self.encode(part)
            pieces.append(ids)
        return pieces

    def prompt(self, text, images, raw, template):
        """The pieces of a prompt with BOS at the very start, once."""
        places = text.count("<image>") if self.images else 0
        if places > images or raw and places < images:
            raise UnsupportedError(f"{images} images for {places} places")
        if template == "voco" and images and not raw:
            # The conversation loses its line feeds and places, and stands behind image and compression tokens.
            words = TEMPLATES[template].format(text).replace("\n", "").replace("<image>", "")
            text = [[], self.encode("\n") + [self.special[VOCO]] * VOCO_COUNT + self.encode("\n" + words)]
        elif not raw:
            before, after = TEMPLATES[template].split("{}")
            text = "<image>\n" * (images - places) + text
            # A template's own special tokens are read, the user's words stay plain.
            text = self.joined(before, text, after) if template == "llama-3" else before + text + after
        pieces = text if isinstance(text, list) else self.pieces(text, raw)
        if self.bos is not None and pieces[0][:1] != [self.bos]:
            pieces[0].insert(0, self.bos)
        return pieces

    def joined(self, before, text, after):
        """The pieces of words between two parts with special tokens; what stands between two such tokens or images is encoded as one."""
        last = max(before.rfind(token) + len(token) for token in self.special if token in before)
        first = min(after.find(token) for token in self.special if token in after)
        pieces = self.pieces(before[last:] + text + after[:first], False)
        pieces[0] = self.pieces(before[:last], True)[0] + pieces[0]
        pieces[-1] = pieces[-1] + self.pieces(after[first:], True)[0]
        return pieces

    def text(self, ids):
        """Ids -> text; ids past the tokenizer's last piece (padding rows of the head) say nothing."""
        return self.sp.decode([i for i in ids if i < self.sp.get_piece_size()])


class JSONPrompts(Prompts):
    """The same with the tokenizers library and a tokenizer.json."""

    def __init__(self, path, images):
        self.images, self.tokenizer = images, tokenizers.Tokenizer.from_file(path)
        self.special = {token.content: i for i, token in self.tokenizer.get_added_tokens_decoder().items() if token.special}

    @property
    def bos(self):
        first = self.tokenizer.encode("").ids
        return first[0] if first else None

    eos = None

    @property
    def count(self):
        return self.tokenizer.get_vocab_size()

    def encode(self, text, raw=False):
        self.tokenizer.encode_special_tokens = not raw
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def pieces(self, text, raw):
        return [self.encode(piece, raw) for piece in (text.split("<image>") if self.images else [text])]

    def text(self, ids):
        return self.tokenizer.decode([i for i in ids if i < self.count], skip_special_tokens=True)


# ---- the model

def compression_mask(ids, voco, dtype):
    """What is added to scores, [rows, rows]: row i up to the last `voco` of the ids sees columns 0..i, a row behind it from the first on; None without any."""
    rows = torch.arange(len(ids))
    found = [i for i, token in enumerate(ids) if token == voco]
    if not found:
        return None
    seen = (rows[None] <= rows[:, None]) & ((rows[:, None] <= found[-1]) | (rows[None] >= found[0]))
    return torch.zeros(len(ids), len(ids), dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)


def eos_ids(folder, config, fallback):
    """Every eos id of config.json and generation_config.json."""
    path = os.path.join(folder, "generation_config.json")
    found = [config.get("eos_token_id"), read_json(path).get("eos_token_id") if os.path.exists(path) else None]
    ids = {i for value in found if value is not None for i in (value if isinstance(value, list) else [value])}
    return ids or {fallback}


class Reference:
    """A checkpoint folder, ready to run. dtype: torch.float32 or torch.float64."""

    def __init__(self, folder, dtype=torch.float64, vision_tower=None):
        self.dtype, config = dtype, read_json(os.path.join(folder, "config.json"))
        self.config = config
        tensors = read_tensors(folder)
        self.attention = "exact" if dtype == torch.float64 else "eager"
        kind, file = (Prompts, "tokenizer.model") if os.path.exists(os.path.join(folder, "tokenizer.model")) else (JSONPrompts, "tokenizer.json")
        self.prompts = kind(os.path.join(folder, file), config["model_type"] != "llama")
        self.eos = eos_ids(folder, config, self.prompts.eos)
        self.decoder = self.read_decoder(config, tensors)
        self.prefusion = self.read_prefusion(config, tensors) if config["model_type"] == MINI else None
        self.tower = None
        tower_folder = vision_tower or (os.path.join(folder, config["mm_vision_tower"]) if "mm_vision_tower" in config else None)
        if tower_folder:
            self.tower = self.read_tower(tower_folder, tensors)
            path = os.path.join(tower_folder, "preprocessor_config.json")
            self.preprocessor = Preprocessor(config, read_json(path) if os.path.exists(path) else {}, self.tower.config.image_size)
            self.fusion = Fusion(config, tensors, dtype)

    def read_decoder(self, config, tensors):
        keys = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
                "hidden_act", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings", "attention_bias", "mlp_bias")
        rope = dict(config.get("rope_scaling") or {}, rope_theta=config.get("rope_theta", 10000.0))
        rope.setdefault("rope_type", "default")
        llama = LlamaConfig(**{key: config[key] for key in keys if config.get(key) is not None}, rope_parameters=rope, attn_implementation=self.attention)
        names = {name: tensor.to(self.dtype) for name, tensor in tensors.items() if re.match(r"model\.(embed_tokens|layers|norm)\.|lm_head\.", name)}
        model = LlamaForCausalLM(llama).to(self.dtype)
        model.tie_weights()
        model = filled(model, names, self.dtype, ("lm_head.weight",) if llama.tie_word_embeddings else ())
        if self.dtype == torch.float64:
            self.make_exact(model)
            model.model.rotary_emb = ExactRotary(llama)
        return model

    @staticmethod
    def make_exact(model):
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, modeling_llama.LlamaRMSNorm):
                    setattr(parent, name, ExactRMSNorm(child))

    def read_prefusion(self, config, tensors):
        """LLaVA-Mini's blocks ahead of the decoder, of its configuration."""
        blocks = torch.nn.ModuleList(modeling_llama.LlamaDecoderLayer(self.decoder.config, layer) for layer in range(config["prefusion_layer_num"]))
        weights = {name: tensor.to(self.dtype) for name, tensor in stripped(tensors, "model.prefusion_layers.").items() if "rotary_emb" not in name}
        blocks = filled(blocks.to(self.dtype), weights, self.dtype)
        if self.dtype == torch.float64:
            self.make_exact(blocks)
        return blocks

    def prefused(self, pieces, projected):
        """The rows of a prompt with one image as LLaVA-Mini's decoder gets them: an image's place is id 0 here, and no row of an id that is 0
        is seen by others, counted, or changed. projected: [patches + compressed, C3]."""
        if len(pieces) != 2:
            raise UnsupportedError("several images are not covered")
        compressed = self.config["compressor_size"] ** 2
        ids = torch.tensor(pieces[0] + [0] + pieces[1])
        plain = self.decoder.get_input_embeddings()(ids)
        x = torch.cat((projected, plain))[None]
        known = torch.cat((torch.ones(len(projected), dtype=torch.bool), ids > 0))
        positions = (known.long().cumsum(0) - 1).masked_fill(~known, 1)
        rows = len(known)
        hidden_columns = torch.ones(rows, rows, dtype=torch.bool).triu(1) | ~known[None]
        mask = torch.zeros(rows, rows, dtype=self.dtype).masked_fill(hidden_columns, torch.finfo(self.dtype).min)[None, None]
        turns = self.decoder.model.rotary_emb(x, positions[None])
        for block in self.prefusion:
            x = block(x, attention_mask=mask, position_ids=positions[None], position_embeddings=turns)
            x = x[0] if isinstance(x, tuple) else x
        x, count = x[0], len(projected)
        text = torch.where((ids > 0)[:, None], x[count:], plain)
        place = len(pieces[0])
        return torch.cat((text[:place], x[count - compressed:count], text[place + 1:]))

    def read_tower(self, folder, tensors):
        config = read_json(os.path.join(folder, "config.json"))
        config = config.get("vision_config", config)
        weights = stripped(tensors, "model.vision_tower.vision_tower.vision_model.") or stripped(read_tensors(folder), "vision_model.")
        weights.pop("embeddings.position_ids", None)
        known = {key: value for key, value in config.items() if key in CLIPVisionConfig().to_dict() and key not in ("model_type", "dtype", "transformers_version")}
        model = CLIPVisionModel(CLIPVisionConfig(**known, attn_implementation=self.attention)).to(self.dtype)
        return filled(model, {name: tensor.to(self.dtype) for name, tensor in weights.items()}, self.dtype)

    def pixels(self, images):
        """PIL images -> [images, 3, S, S]."""
        return torch.stack([self.preprocessor.pixels(image, self.dtype) for image in images])

    @torch.no_grad()
    def hidden_states(self, pixels):
        """[images, 3, S, S] -> blocks + 1 tensors [images, 1 + H*W, C1]; the first is the pre-layernorm's output."""
        return self.tower(pixels, output_hidden_states=True).hidden_states

    @torch.no_grad()
    def project(self, pixels):
        """[images, 3, S, S] -> [images, N, C3]."""
        return self.fusion.apply(self.hidden_states(pixels))

    @torch.no_grad()
    def generate(self, pieces, projected, limit):
        """Greedy: token id pieces with one image's rows of `projected` after each but the last -> (ids, logits [rows, vocab], reason)."""
        embed = self.decoder.get_input_embeddings()
        parts = []
        for number, ids in enumerate(pieces):
            parts.append(embed(torch.tensor(ids, dtype=torch.long)))
            if number + 1 < len(pieces):
                parts.append(projected[number])
        inputs, ids, rows = torch.cat(parts), [], []
        if self.prefusion is not None and projected is not None:
            inputs = self.prefused(pieces, projected[0])
        # An image's rows have no id.
        prompt = [token for number, piece in enumerate(pieces) for token in piece + [None] * (len(projected[number]) if number + 1 < len(pieces) else 0)]
        context = self.config["max_position_embeddings"]
        if len(inputs) > context:
            raise UnsupportedError(f"a prompt of {len(inputs)} positions in a context of {context}")
        while len(ids) < limit and len(inputs) <= context:
            # What is generated is no compression token.
            mask = compression_mask(prompt + [None] * len(ids), self.prompts.special.get(VOCO, -1), self.dtype)
            rows.append(self.decoder(inputs_embeds=inputs[None], attention_mask=None if mask is None else mask[None, None], use_cache=False).logits[0, -1])
            token = int(rows[-1].argmax())
            if token in self.eos:
                return ids, torch.stack(rows), "stop"
            ids.append(token)
            inputs = torch.cat((inputs, embed(torch.tensor([token]))))
        return ids, torch.stack(rows) if rows else torch.zeros(0, self.config["vocab_size"]), "length"

    def run(self, images, text, raw, limit, template="vicuna_v1"):
        """PIL images and a prompt -> dictionary of pixels, projected, logits (float64 or float32 arrays) and the tokens.json object."""
        pieces = self.prompts.prompt(text, len(images), raw, template)
        result, projected = {}, None
        if images:
            pixels = self.pixels(images)
            projected = self.project(pixels)
            result.update(pixels=pixels.numpy(), projected=projected.numpy())
        ids, logits, reason = self.generate(pieces, projected, limit)
        result["logits"] = logits.numpy()
        result["tokens"] = {"tokens": ids, "prompt_tokens": sum(map(len, pieces)), "visual_tokens": len(images) and projected.shape[0] * (projected.shape[1] if self.prefusion is None else self.config["compressor_size"] ** 2),
                            "text": self.prompts.text(ids), "finish_reason": reason, "prompt_ids": pieces}
        return result

    @torch.no_grad()
    def perplexity(self, text, window):
        """As --perplexity --json says it: nll and perplexity of the second halves of windows that do not overlap, BOS first in each."""
        bos = self.prompts.bos
        ids, total, count = ([] if bos is None else [bos]) + self.prompts.encode(text), 0.0, 0
        for start in range(0, len(ids) // window * window, window):
            tokens = torch.tensor([ids[start] if bos is None else bos] + ids[start + 1:start + window])
            logs = torch.log_softmax(self.decoder(tokens[None], use_cache=False).logits[0].double(), -1)
            rows = torch.arange(window // 2, window - 1)
            total, count = total - float(logs[rows, tokens[rows + 1]].sum()), count + len(rows)
        return {"perplexity": math.exp(total / count), "nll": total / count, "tokens": count, "windows": len(ids) // window, "window": window}


def write(result, folder, arrays=("pixels", "projected", "logits")):
    """The arrays as float32 .npy and tokens.json."""
    os.makedirs(folder, exist_ok=True)
    for name in arrays:
        if name in result:
            np.save(os.path.join(folder, name + ".npy"), np.ascontiguousarray(result[name], dtype=np.float32))
    with open(os.path.join(folder, "tokens.json"), "w", encoding="utf-8") as file:
        json.dump(result["tokens"], file, ensure_ascii=False)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--image", action="append", default=[])
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt")
    prompt.add_argument("--raw-prompt")
    parser.add_argument("--template", choices=sorted(TEMPLATES), default="vicuna_v1")
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--vision-tower")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    reference = Reference(options.checkpoint, getattr(torch, options.dtype), options.vision_tower)
    raw = options.prompt is None
    try:
        result = reference.run([Image.open(path) for path in options.image], options.raw_prompt if raw else options.prompt, raw, options.max_tokens, options.template)
    except UnsupportedError as error:
        sys.exit(str(error))
    write(result, options.out)


if __name__ == "__main__":
    main()
