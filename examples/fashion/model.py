"""A small LMM of the architecture that lmmc compiles: CLIP ViT -> MBTF -> STF -> LLaMA decoder, or the same
without fusion, with LLaVA-1.5's projector in its place.

Module names are the tensor names of a LLaVA checkpoint, with `mm_token_fusion` (layout C) where there is fusion,
so that `state_dict()` is the checkpoint. Shapes below: B images, T tokens, C channels.
"""

import json
import os

import torch
import torch.nn.functional as F
from torch import nn

import data

CONFIG = {
    "architectures": ["LlavaLlamaForCausalLM"],
    "model_type": "llava_llama",
    "hidden_act": "silu",
    "hidden_size": 192,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "max_position_embeddings": 256,
    "vocab_size": 768,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "use_cache": True,
    "torch_dtype": "float16",
    "mm_vision_tower": "vision",
    "mm_vision_select_layer": -1,
    "mm_vision_select_feature": "patch",
    "mm_hidden_size": 160,
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
    "image_aspect_ratio": "pad",
    "mm_token_fusion": {
        "strategy": "stf",
        "taps": [2, 4, 6],
        "kernel": 2,
        "tokens_per_window": 1,
        "mbtf": {"channels": [640, 160], "final_activation": True},
        "stf": {"channels": [640, 768, 192], "final_activation": True, "window_conv": True},
    },
}

PLAIN = {k: v for k, v in CONFIG.items() if k != "mm_token_fusion"} | {"mm_projector_type": "mlp2x_gelu"}

VISION = {
    "model_type": "clip_vision_model",
    "architectures": ["CLIPVisionModel"],
    "hidden_size": 160,
    "intermediate_size": 640,
    "num_hidden_layers": 6,
    "num_attention_heads": 5,
    "num_channels": 3,
    "image_size": data.SIDE,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "attention_dropout": 0.0,
    "projection_dim": 160,
    "torch_dtype": "float16",
}

PREPROCESSOR = {
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_processor_type": "CLIPImageProcessor",
    "do_convert_rgb": True,
    "do_resize": True,
    "size": {"shortest_edge": data.SIDE},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": data.SIDE, "width": data.SIDE},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": list(data.CLIP_MEAN),
    "image_std": list(data.CLIP_STD),
}

GENERATION = {"bos_token_id": 1, "eos_token_id": 2, "do_sample": False, "max_new_tokens": 64}


class Attention(nn.Module):
    """CLIP's self attention, biases everywhere. [B, T, C] -> [B, T, C]."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x):
        q, k, v = (p(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in (self.q_proj, self.k_proj, self.v_proj))
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class QuickGELU(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


class VisionBlock(nn.Module):
    def __init__(self, v):
        super().__init__()
        width = v["hidden_size"]
        self.layer_norm1 = nn.LayerNorm(width, v["layer_norm_eps"])
        self.self_attn = Attention(width, v["num_attention_heads"])
        self.layer_norm2 = nn.LayerNorm(width, v["layer_norm_eps"])
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, v["intermediate_size"]), "fc2": nn.Linear(v["intermediate_size"], width)})
        self.act = QuickGELU()

    def forward(self, x):
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp["fc2"](self.act(self.mlp["fc1"](self.layer_norm2(x))))


class Tower(nn.Module):
    """CLIPVisionModel. `forward` gives the hidden states: 0 after the pre-layernorm, l after block l, each [B, 1 + patches, C]."""

    def __init__(self, v):
        super().__init__()
        width, patch = v["hidden_size"], v["patch_size"]
        rows = 1 + (v["image_size"] // patch) ** 2
        self.patch = patch
        self.embeddings = nn.Module()
        self.embeddings.class_embedding = nn.Parameter(0.02 * torch.randn(width))
        self.embeddings.patch_embedding = nn.Conv2d(v["num_channels"], width, patch, patch, bias=False)
        self.embeddings.position_embedding = nn.Embedding(rows, width)
        nn.init.normal_(self.embeddings.position_embedding.weight, std=0.02)
        self.pre_layrnorm = nn.LayerNorm(width, v["layer_norm_eps"])  # the name is CLIP's
        self.encoder = nn.Module()
        self.encoder.layers = nn.ModuleList(VisionBlock(v) for _ in range(v["num_hidden_layers"]))
        self.post_layernorm = nn.LayerNorm(width, v["layer_norm_eps"])  # part of the format; no tap lies after it

    def forward(self, pixels):
        # The patch convolution as a matmul: much faster on a CPU in bfloat16.
        b, ch, h, w = pixels.shape
        p = self.patch
        patches = pixels.reshape(b, ch, h // p, p, w // p, p).permute(0, 2, 4, 1, 3, 5).reshape(b, (h // p) * (w // p), -1)
        x = F.linear(patches, self.embeddings.patch_embedding.weight.flatten(1))
        x = torch.cat([self.embeddings.class_embedding.to(x.dtype).expand(b, 1, -1), x], 1)
        states = [self.pre_layrnorm(x + self.embeddings.position_embedding.weight)]
        for layer in self.encoder.layers:
            states.append(layer(states[-1]))
        return states


class MBTF(nn.Module):
    """Taps [B, C1, H, W] each -> [B, C1, H, W]: concatenation and two 1x1 convolutions."""

    def __init__(self, taps, width, channels, final_activation):
        super().__init__()
        self.conv1 = nn.Conv2d(taps * width, channels[0], 1)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 1)
        self.final_activation = final_activation

    def forward(self, taps):
        x = self.conv2(F.gelu(self.conv1(torch.cat(taps, 1))))
        return F.gelu(x) if self.final_activation else x


class STF(nn.Module):
    """[B, C1, H, W] -> vision tokens [B, (H/k)*(W/k)*E, C3]: window convolution, split into E tokens, aligner."""

    def __init__(self, width, kernel, per_window, channels, final_activation):
        super().__init__()
        self.per_window, self.final_activation = per_window, final_activation
        self.conv1 = nn.Conv2d(width, channels[0], kernel, kernel)
        self.conv2 = nn.Conv2d(channels[0] // per_window, channels[1], 1)
        self.conv3 = nn.Conv2d(channels[1], channels[2], 1)

    def forward(self, x):
        x = F.gelu(self.conv1(x)).flatten(2).transpose(1, 2)  # [B, windows, C2]
        x = x.reshape(x.shape[0], x.shape[1] * self.per_window, -1).transpose(1, 2).unsqueeze(-1)
        x = self.conv3(F.gelu(self.conv2(x)))
        return (F.gelu(x) if self.final_activation else x).squeeze(-1).transpose(1, 2)


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        f = x.float()
        return self.weight * (f * torch.rsqrt(f.pow(2).mean(-1, keepdim=True) + self.eps)).to(x.dtype)


def rotate(x, cos, sin):
    """Rotary embedding, half-split. x [B, heads, T, D], cos and sin [B or 1, 1, T, D]."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def compute_dtype(x):
    """x in autocast's type where that is on: cast once, not once for each of the matmuls that read it."""
    return x.to(torch.get_autocast_dtype("cpu")) if torch.is_autocast_enabled("cpu") else x


class DecoderLayer(nn.Module):
    def __init__(self, c):
        super().__init__()
        width, self.heads, self.kv_heads = c["hidden_size"], c["num_attention_heads"], c["num_key_value_heads"]
        head = width // self.heads
        self.self_attn = nn.ModuleDict({
            "q_proj": nn.Linear(width, width, bias=False),
            "k_proj": nn.Linear(width, self.kv_heads * head, bias=False),
            "v_proj": nn.Linear(width, self.kv_heads * head, bias=False),
            "o_proj": nn.Linear(width, width, bias=False),
        })
        self.mlp = nn.ModuleDict({
            "gate_proj": nn.Linear(width, c["intermediate_size"], bias=False),
            "up_proj": nn.Linear(width, c["intermediate_size"], bias=False),
            "down_proj": nn.Linear(c["intermediate_size"], width, bias=False),
        })
        self.input_layernorm = RMSNorm(width, c["rms_norm_eps"])
        self.post_attention_layernorm = RMSNorm(width, c["rms_norm_eps"])

    def forward(self, x, cos, sin, mask, cache):
        """One layer; `cache` is None or a (keys, values) pair to prepend, of batch 1 or B. Returns x and the grown pair."""
        h = compute_dtype(self.input_layernorm(x))
        a = self.self_attn
        q = a["q_proj"](h).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        k = a["k_proj"](h).unflatten(-1, (self.kv_heads, -1)).transpose(1, 2)
        v = a["v_proj"](h).unflatten(-1, (self.kv_heads, -1)).transpose(1, 2)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        if cache is not None:
            k, v = (torch.cat([old.expand(len(new), -1, -1, -1), new], 2) for old, new in ((cache[0], k), (cache[1], v)))
        group = self.heads // self.kv_heads
        wide_k, wide_v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        x = x + a["o_proj"](F.scaled_dot_product_attention(q, wide_k, wide_v, attn_mask=mask).transpose(1, 2).flatten(2))
        h, m = compute_dtype(self.post_attention_layernorm(x)), self.mlp
        return x + m["down_proj"](F.silu(m["gate_proj"](h)) * m["up_proj"](h)), (k, v)


class LMM(nn.Module):
    def __init__(self, config=CONFIG, vision=VISION):
        super().__init__()
        self.config, self.vision = config, vision
        fusion, width = config.get("mm_token_fusion"), config["hidden_size"]
        self.model = nn.Module()
        self.model.vision_tower = nn.Module()
        self.model.vision_tower.vision_tower = nn.Module()
        self.model.vision_tower.vision_tower.vision_model = Tower(vision)
        if fusion:
            self.model.mbtf = MBTF(len(fusion["taps"]), vision["hidden_size"], fusion["mbtf"]["channels"], fusion["mbtf"]["final_activation"])
            self.model.stf = STF(fusion["mbtf"]["channels"][1], fusion["kernel"], fusion["tokens_per_window"],
                                 fusion["stf"]["channels"], fusion["stf"]["final_activation"])
        else:
            self.model.mm_projector = nn.Sequential(nn.Linear(vision["hidden_size"], width), nn.GELU(), nn.Linear(width, width))
        self.model.embed_tokens = nn.Embedding(config["vocab_size"], width)
        self.model.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config["num_hidden_layers"]))
        self.model.norm = RMSNorm(width, config["rms_norm_eps"])
        self.lm_head = nn.Linear(width, config["vocab_size"], bias=False)
        decoder = [self.model.embed_tokens, self.lm_head, *(m for l in self.model.layers for m in l.modules() if isinstance(m, nn.Linear))]
        for m in decoder:
            nn.init.normal_(m.weight, std=0.02 if m in decoder[:2] else width**-0.5)

    @property
    def tower(self):
        return self.model.vision_tower.vision_tower.vision_model

    def taps(self, pixels):
        """Pixels [B, 3, S, S] -> the tapped hidden states without the class row, a list of [B, C1, H, W]."""
        states = self.tower(pixels)
        side = self.vision["image_size"] // self.vision["patch_size"]
        fusion = self.config.get("mm_token_fusion")
        indices = fusion["taps"] if fusion else [self.config["mm_vision_select_layer"]]
        return [states[t][:, 1:].transpose(1, 2).unflatten(2, (side, side)) for t in indices]

    def fuse(self, taps):
        """Taps -> vision tokens [B, N, C3]: N = 64 / 4 with fusion, one for each patch without."""
        if not self.config.get("mm_token_fusion"):
            return self.model.mm_projector(taps[0].flatten(2).transpose(1, 2))
        return self.model.stf(self.model.mbtf(taps))

    def decode(self, x, positions, mask=None, caches=None, rows=None):
        """Embeddings [B, T, C3] at `positions` [B or 1, T] -> logits [B, T, vocab] and the grown caches.

        `mask` is True where a row (second last axis) may look; `rows`, a boolean [B, T], keeps logits of those rows only.
        """
        head = self.config["hidden_size"] // self.config["num_attention_heads"]
        inverse = self.config["rope_theta"] ** (-torch.arange(0, head, 2, dtype=torch.float32) / head)
        angle = positions[:, None, :, None].float() * inverse
        angle = torch.cat([angle, angle], -1)
        cos, sin = angle.cos(), angle.sin()
        grown = []
        for i, layer in enumerate(self.model.layers):
            x, kv = layer(x, cos, sin, mask, caches[i] if caches else None)
            grown.append(kv)
        return self.lm_head(self.model.norm(x if rows is None else x[rows])), grown

    @torch.no_grad()
    def generate(self, before, after, vision, limit=64):
        """Greedy answer ids (without the eos) to ids `before`, vision tokens [N, C3], ids `after`."""
        embed = self.model.embed_tokens
        x = torch.cat([embed(torch.tensor(before)), vision, embed(torch.tensor(after))])[None]
        length, caches, answer = x.shape[1], None, []
        mask = torch.ones(length, length, dtype=torch.bool).tril()
        positions = torch.arange(length)[None]
        while len(answer) < limit:
            logits, caches = self.decode(x, positions, mask, caches)
            token = int(logits[0, -1].argmax())
            if token == self.config["eos_token_id"]:
                break
            answer.append(token)
            x, mask, positions = embed(torch.tensor([[token]])), None, torch.tensor([[length]])
            length += 1
        return answer


def tokenizer(path):
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=path)


def encode_prompt(spm, question):
    """The prompt's ids before the image, BOS first, and after it: each piece is tokenised by itself."""
    before, after = data.prompt_parts(question)
    return [spm.bos_id()] + spm.encode(before), spm.encode(after)


def answer(model, spm, question, vision, limit=64):
    """The greedy answer to a question about an image given by its vision tokens [N, C3]."""
    before, after = encode_prompt(spm, question)
    return spm.decode(model.generate(before, after, vision, limit))


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=2)
        f.write("\n")


def save_checkpoint(model, folder, tokenizer_bytes):
    """Writes a LLaVA checkpoint folder: configuration, one safetensors file in float16, tokenizer."""
    from safetensors.torch import save_file

    os.makedirs(os.path.join(folder, "vision"), exist_ok=True)
    tensors = {name: t.detach().to(torch.float16).contiguous() for name, t in model.state_dict().items()}
    for name, t in tensors.items():
        if not torch.isfinite(t).all():
            raise ValueError(f"tensor '{name}' does not fit float16")
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(folder, "tokenizer.model"), "wb") as f:
        f.write(tokenizer_bytes)
    write_json(os.path.join(folder, "config.json"), model.config)
    write_json(os.path.join(folder, "generation_config.json"), GENERATION)
    write_json(os.path.join(folder, "vision", "config.json"), model.vision)
    write_json(os.path.join(folder, "vision", "preprocessor_config.json"), PREPROCESSOR)


def load_checkpoint(folder):
    """A checkpoint folder -> (model in float32, tokenizer)."""
    from safetensors.torch import load_file

    def read(*parts):
        with open(os.path.join(folder, *parts)) as f:
            return json.load(f)

    config = read("config.json")
    model = LMM(config, read(config["mm_vision_tower"], "config.json"))
    tensors = load_file(os.path.join(folder, "model.safetensors"))
    model.load_state_dict({name: t.float() for name, t in tensors.items()}, strict=True)
    return model.eval(), tokenizer(os.path.join(folder, "tokenizer.model"))
