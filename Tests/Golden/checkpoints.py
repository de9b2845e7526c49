"""Random small checkpoints in layouts A, C and D, with weights scaled so that every part of the path shows in the logits."""
import io
import json
import os
import shutil
from dataclasses import dataclass

import numpy as np
import sentencepiece
import torch
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

# Written for this file. The templates' words stand in it often, so that they become few tokens.
SENTENCES = """A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.
A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the human's questions.
USER: What is in the picture? ASSISTANT: There is a small boat on the water, and a red house behind it.
USER: How many birds are there? ASSISTANT: There are 3 birds on the left and 12 on the right.
USER: Describe the image in detail. ASSISTANT: The image shows a wide field with two white horses; the sky is grey.
Which colour is the largest circle? The largest circle is green, the others are blue and yellow.
The old town has narrow streets, a market place and a stone bridge over the river.
def area(width, height):
    return width * height  # in square metres
    # an indented line
\tA tab, then text.
A caf\u00e9 in Z\u00fcrich, na\u00efve and \u00e0 la carte: 25 % off!
\u65e5\u672c\u8a9e\u3002 \u65e5\u672c \U0001f600
it is what it is, and that is that; the end."""


def train_tokenizer(vocab=432):
    """A SentencePiece model (BPE, byte fallback, identity normalisation, unk/bos/eos = 0/1/2) as bytes; the same every time."""
    model = io.BytesIO()
    lines = SENTENCES.split("\n")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 3 + lines[:2] * 12), model_writer=model, model_type="bpe", vocab_size=vocab, byte_fallback=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=True, allow_whitespace_only_pieces=True, split_digits=True,
        character_coverage=1.0, unk_id=0, bos_id=1, eos_id=2, pad_id=-1, num_threads=1, minloglevel=2)
    return model.getvalue()


@dataclass
class Spec:
    """What a checkpoint is. `taps` None: layout A with `projector`, or the released fusion where projector is 'stf'."""
    dtype: str = "F16"
    model_type: str = "llava_llama"
    # vision tower
    c1: int = 32
    vision_heads: int = 4
    vision_ff: int = 72
    blocks: int = 4
    image: int = 42
    patch: int = 7
    inside: bool = True            # the tower's weights in the checkpoint, not in its own folder
    tower_dtype: str | None = None
    full_clip: bool = False        # the tower's folder holds a whole CLIP: config under vision_config, text tensors, position_ids
    preprocessor: str = "new"      # sizes as dictionaries; 'old': as integers; None: no file
    mean_std: tuple | None = None
    aspect: str | None = "pad"     # None: no key
    feature: str = "patch"
    select_layer: int = -2
    # projector or fusion
    projector: str = "mlp2x_gelu"
    taps: list | None = None
    strategy: str = "stf"
    qformer: dict | None = None    # the key of config.json, for strategy 'qformer'
    scale: int = 0                 # scale_factor, for the projector 'tokenpacker'
    packer: int = 0                # its width
    compressor: int = 0            # edge of LLaVA-Mini's queries, of `prefusion` blocks ahead of the decoder
    prefusion: int = 0
    k: int = 1
    tokens: int = 1
    mbtf: list | None = None
    mbtf_final: bool = True
    window_conv: bool = True
    stf: list | None = None        # channels of the 1x1 layers
    stf_final: bool = True
    # decoder
    hidden: int = 48
    heads: int = 3
    kv_heads: int | None = None
    head_dim: int | None = None
    ff: int = 88
    layers: int = 3
    vocab: int = 432
    tied: bool = False
    theta: float = 10000.0
    rope_scaling: dict | None = None
    context: int = 256
    eps: float = 1e-5
    eos: object = 2
    generation_eos: object = 2
    decoder_only: bool = False     # layout D: no tower, no projector
    tokenizer: str | None = None   # a folder of tokenizers/, in the place of the small SentencePiece model
    bos: int | None = 1
    voco: bool = False             # the last id of the vocabulary is VoCo-LLaMA's compression token, behind the tokenizer's pieces
    # files
    shards: int = 1
    old_extras: bool = False       # rotary inverse frequencies and position ids, as old releases carry them
    seed: int = 0

    @property
    def channels(self):
        """Channels of a grid cell as the window sees them."""
        return self.mbtf[-1] if self.mbtf else self.c1 * (len(self.taps) if self.taps else 1)

    @property
    def convolves(self):
        return self.strategy == "stf" and self.window_conv

    @property
    def visual_tokens(self):
        if self.scale:
            return (self.image // self.patch // self.scale) ** 2
        if self.strategy == "qformer":
            return self.qformer["queries"]
        if self.compressor:
            return self.compressor ** 2
        side = self.image // self.patch
        if self.taps is None and self.projector == "stf":
            return (side // 2) ** 2
        return (side // self.k) ** 2 * self.tokens + (self.feature == "cls_patch")


class Weights:
    """Random tensors by name, in float32, from one seed."""

    def __init__(self, seed):
        self.random, self.tensors = np.random.default_rng(seed), {}

    def normal(self, name, shape, scale, mean=0.0):
        self.tensors[name] = torch.from_numpy(mean + scale * self.random.standard_normal(shape)).to(torch.float32)

    def linear(self, name, out, into, gain, bias=True, kernel=()):
        """[out, in, *kernel], standard deviation gain/sqrt(inputs)."""
        self.normal(name + ".weight", (out, into, *kernel), gain / np.sqrt(into * np.prod(kernel, initial=1)))
        if bias:
            self.normal(name + ".bias", (out,), 0.2)

    def norm(self, name, width, bias=True):
        self.normal(name + ".weight", (width,), 0.25, 1.0)
        if bias:
            self.normal(name + ".bias", (width,), 0.2)


def tower_tensors(spec, w, prefix):
    c = spec.c1
    w.normal(prefix + "embeddings.class_embedding", (c,), 1.0)
    w.linear(prefix + "embeddings.patch_embedding", c, 3, 1.0, bias=False, kernel=(spec.patch, spec.patch))
    w.normal(prefix + "embeddings.position_embedding.weight", ((spec.image // spec.patch) ** 2 + 1, c), 0.5)
    w.norm(prefix + "pre_layrnorm", c)
    for block in range(spec.blocks):
        at = f"{prefix}encoder.layers.{block}."
        for name, gain in (("q_proj", 1.5), ("k_proj", 1.5), ("v_proj", 1.0), ("out_proj", 1.0)):
            w.linear(f"{at}self_attn.{name}", c, c, gain)
        w.norm(at + "layer_norm1", c)
        w.linear(at + "mlp.fc1", spec.vision_ff, c, 1.2)
        w.linear(at + "mlp.fc2", c, spec.vision_ff, 0.9)
        w.norm(at + "layer_norm2", c)
    w.norm(prefix + "post_layernorm", c)


def qformer_tensors(spec, w):
    q = spec.qformer
    hidden = q["hidden_size"]

    def attention(at, keys):
        for name, into in (("query", hidden), ("key", keys), ("value", keys)):
            w.linear(f"{at}.attention.{name}", hidden, into, 1.0 if name == "value" else 1.5)
        w.linear(at + ".output.dense", hidden, hidden, 1.0)
        w.norm(at + ".output.LayerNorm", hidden)
    w.normal("model.qformer.query_tokens", (1, q["queries"], hidden), 1.0)
    w.norm("model.qformer.layernorm", hidden)
    for layer in range(q["layers"]):
        at = f"model.qformer.encoder.layer.{layer}."
        attention(at + "attention", hidden)
        if layer % q.get("cross_attention_frequency", 2) == 0:
            attention(at + "crossattention", spec.channels)
        w.linear(at + "intermediate_query.dense", q["intermediate_size"], hidden, 1.4)
        w.linear(at + "output_query.dense", hidden, q["intermediate_size"], 1.4)
        w.norm(at + "output_query.LayerNorm", hidden)
    w.linear("model.qformer_proj", spec.hidden, hidden, 1.0)


def packer_tensors(spec, w):
    at, width = "model.mm_projector.", spec.packer
    w.linear(at + "q_proj_1", width, spec.c1, 1.0, bias=False)
    for side in ("k_proj_1", "v_proj_1"):
        w.linear(f"{at}{side}.0", width, 4 * spec.c1, 1.2)
        w.linear(f"{at}{side}.2", width, width, 1.5)
    for name in ("ln_q_1", "ln_k_1", "ln_v_1"):
        w.norm(at + name, width)
    # Query, key and value, one behind another; scores as far apart as those of trained weights.
    w.normal(at + "clip_attn.in_proj_weight", (3 * width, width), 1.6 / np.sqrt(width))
    w.normal(at + "clip_attn.in_proj_bias", (3 * width,), 0.2)
    w.linear(at + "clip_attn.out_proj", width, width, 1.0)
    w.linear(at + "mlp.0", spec.hidden, width, 1.4)
    w.linear(at + "mlp.2", spec.hidden, spec.hidden, 1.5)


def compressor_tensors(spec, w):
    at, width, rows = "model.compressor.", spec.c1, spec.compressor ** 2
    w.normal(at + "query", (rows, width), 1.0)
    w.normal(at + "pos_embed", (rows, width), 1.0)
    for name in ("ln_q", "ln_kv"):
        w.norm(at + name, width)
    w.normal(at + "attn.in_proj_weight", (3 * width, width), 1.6 / np.sqrt(width))
    w.normal(at + "attn.in_proj_bias", (3 * width,), 0.2)
    w.linear(at + "attn.out_proj", width, width, 1.6)
    layer_tensors(spec, w, "model.prefusion_layers", spec.prefusion)


def fusion_tensors(spec, w):
    if spec.scale:
        return packer_tensors(spec, w)
    if spec.taps is None:
        if spec.projector == "stf":
            w.linear("model.mm_projector_crosslayer.0", 4 * spec.c1, 8 * spec.c1, 0.6)
            w.linear("model.mm_projector_crosslayer.2", spec.c1, 4 * spec.c1, 1.2)
            w.linear("model.mm_projector.0", 16 * spec.c1, 4 * spec.c1, 1.0)
            w.linear("model.mm_projector.2", spec.hidden, 16 * spec.c1, 1.3)
        elif spec.projector == "linear":
            w.linear("model.mm_projector", spec.hidden, spec.c1, 0.8)
        else:
            for layer in range(int(spec.projector[3])):
                w.linear(f"model.mm_projector.{2 * layer}", spec.hidden, spec.hidden if layer else spec.c1, 1.5 if layer else 1.0)
        return
    into = spec.c1 * len(spec.taps)
    for number, out in enumerate(spec.mbtf or (), 1):
        w.linear(f"model.mbtf.conv{number}", out, into, 1.2 if number == 1 else 2.0, kernel=(1, 1))
        into = out
    if spec.strategy == "qformer":
        return qformer_tensors(spec, w)
    width, number = into if spec.strategy == "avgpool" else into * spec.k * spec.k, 1
    if spec.convolves:
        w.linear("model.stf.conv1", width, into, 1.4, kernel=(spec.k, spec.k))
        number = 2
    into = width // spec.tokens
    for out in spec.stf:
        w.linear(f"model.stf.conv{number}", out, into, 1.8, kernel=(1, 1))
        into, number = out, number + 1


def decoder_tensors(spec, w):
    w.normal("model.embed_tokens.weight", (spec.vocab, spec.hidden), 0.6 if spec.tied else 1.0)
    layer_tensors(spec, w, "model.layers", spec.layers)
    w.norm("model.norm", spec.hidden, bias=False)
    if not spec.tied:
        w.linear("lm_head", spec.vocab, spec.hidden, 4.0, bias=False)


def layer_tensors(spec, w, prefix, count):
    """Layers of the decoder's kind."""
    head = spec.head_dim or spec.hidden // spec.heads
    kv = spec.kv_heads or spec.heads
    for layer in range(count):
        at = f"{prefix}.{layer}."
        for name, out, into, gain in (("q_proj", spec.heads * head, spec.hidden, 1.6), ("k_proj", kv * head, spec.hidden, 1.6),
                                      ("v_proj", kv * head, spec.hidden, 1.6), ("o_proj", spec.hidden, spec.heads * head, 1.6)):
            w.linear(f"{at}self_attn.{name}", out, into, gain, bias=False)
        w.linear(at + "mlp.gate_proj", spec.ff, spec.hidden, 1.5, bias=False)
        w.linear(at + "mlp.up_proj", spec.ff, spec.hidden, 1.5, bias=False)
        w.linear(at + "mlp.down_proj", spec.hidden, spec.ff, 1.6, bias=False)
        w.norm(at + "input_layernorm", spec.hidden, bias=False)
        w.norm(at + "post_attention_layernorm", spec.hidden, bias=False)
        if spec.old_extras:
            w.tensors[at + "self_attn.rotary_emb.inv_freq"] = 1 / spec.theta ** (torch.arange(0, head, 2).float() / head)


def config_json(spec, tower):
    config = {
        "architectures": ["LlavaLlamaForCausalLM"], "model_type": spec.model_type, "vocab_size": spec.vocab, "hidden_size": spec.hidden,
        "intermediate_size": spec.ff, "num_hidden_layers": spec.layers, "num_attention_heads": spec.heads, "num_key_value_heads": spec.kv_heads or spec.heads,
        "hidden_act": "silu", "max_position_embeddings": spec.context, "rms_norm_eps": spec.eps, "rope_theta": spec.theta, "rope_scaling": spec.rope_scaling,
        "tie_word_embeddings": spec.tied, "bos_token_id": spec.bos, "eos_token_id": spec.eos, "torch_dtype": {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[spec.dtype],
        "mm_vision_tower": tower, "mm_vision_select_layer": spec.select_layer, "mm_vision_select_feature": spec.feature, "mm_hidden_size": spec.c1,
        "mm_use_im_start_end": False, "mm_use_im_patch_token": False, "use_mm_proj": True, "image_aspect_ratio": spec.aspect,
    }
    if spec.decoder_only:
        config = {key: value for key, value in config.items() if "mm_" not in key and not key.startswith("image_")}
        config.update(architectures=["LlamaForCausalLM"], model_type="llama")
    elif spec.aspect is None:
        del config["image_aspect_ratio"]
    if spec.head_dim:
        config["head_dim"] = spec.head_dim
    if spec.decoder_only:
        return config
    if spec.taps is None:
        config["mm_projector_type"] = "mlp2x_gelu" if spec.projector == "stf" else spec.projector
        if spec.scale:
            config["scale_factor"] = spec.scale
        if spec.compressor:
            config.update(compressor_size=spec.compressor, prefusion_layer_num=spec.prefusion)
    else:
        key = {"strategy": spec.strategy, "taps": spec.taps, "kernel": spec.k, "tokens_per_window": spec.tokens,
               "mbtf": {"channels": spec.mbtf, "final_activation": spec.mbtf_final} if spec.mbtf else None}
        if spec.strategy == "qformer":
            key["qformer"] = spec.qformer
        else:
            stf = ([spec.channels * spec.k * spec.k] if spec.convolves else []) + spec.stf
            key["stf"] = {"channels": stf, "final_activation": spec.stf_final, **({} if spec.window_conv else {"window_conv": False})}
        config["mm_token_fusion"] = key
    return config


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def write_tower_folder(spec, folder):
    vision = {"model_type": "clip_vision_model", "hidden_size": spec.c1, "intermediate_size": spec.vision_ff, "num_hidden_layers": spec.blocks,
              "num_attention_heads": spec.vision_heads, "image_size": spec.image, "patch_size": spec.patch, "num_channels": 3, "hidden_act": "quick_gelu",
              "layer_norm_eps": 1e-5, "projection_dim": 16}
    text = {"model_type": "clip_text_model", "hidden_size": 24, "num_hidden_layers": 5, "num_attention_heads": 2}
    write_json(os.path.join(folder, "config.json"), {"model_type": "clip", "projection_dim": 16, "text_config": text, "vision_config": vision} if spec.full_clip else vision)
    if spec.preprocessor is None:
        return
    new = spec.preprocessor == "new"
    declared = {"do_resize": True, "size": {"shortest_edge": spec.image} if new else spec.image, "resample": 3, "do_center_crop": True,
                "crop_size": {"height": spec.image, "width": spec.image} if new else spec.image, "do_normalize": True,
                "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
    declared.update({"do_convert_rgb": True, "do_rescale": True, "rescale_factor": 1 / 255, "image_processor_type": "CLIPImageProcessor"} if new
                    else {"feature_extractor_type": "CLIPFeatureExtractor"})
    if spec.mean_std:
        declared["image_mean"], declared["image_std"] = spec.mean_std
    write_json(os.path.join(folder, "preprocessor_config.json"), declared)


def save(tensors, folder, shards):
    """model.safetensors, or shards of about equal size with an index."""
    def write(part, file):
        save_file(part, os.path.join(folder, file), {"format": "pt"})
        os.chmod(os.path.join(folder, file), 0o644)
    if shards == 1:
        return write(tensors, "model.safetensors")
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    parts, used = [{} for _ in range(shards)], 0
    for name, tensor in tensors.items():
        parts[min(shards - 1, used * shards // total)][name] = tensor
        used += tensor.numel() * tensor.element_size()
    index = {}
    for number, part in enumerate(parts, 1):
        file = f"model-{number:05d}-of-{shards:05d}.safetensors"
        write(part, file)
        index.update((name, file) for name in part)
    write_json(os.path.join(folder, "model.safetensors.index.json"), {"metadata": {"total_size": total}, "weight_map": index})


def make_checkpoint(spec, folder, tokenizer, adjust=None):
    """Writes the checkpoint folder; the tower's folder is 'clip' inside it. `tokenizer`: the bytes of tokenizer.model.
    `adjust`: gets the float32 tensors by name and may change them before they are rounded."""
    tower = os.path.join(folder, "clip")
    os.makedirs(folder if spec.decoder_only else tower, exist_ok=True)
    w, inner = Weights(spec.seed), "model.vision_tower.vision_tower.vision_model."
    decoder_tensors(spec, w)
    if not spec.decoder_only:
        fusion_tensors(spec, w)
        if spec.compressor:
            compressor_tensors(spec, w)
        tower_tensors(spec, w, inner)
    if adjust:
        adjust(w.tensors)
    tower_dtype = DTYPES[spec.tower_dtype or spec.dtype]
    stored = {name: tensor.to(tower_dtype if name.startswith(inner) else DTYPES[spec.dtype]) for name, tensor in w.tensors.items()}
    if spec.old_extras and not spec.decoder_only:
        stored[inner + "embeddings.position_ids"] = torch.arange((spec.image // spec.patch) ** 2 + 1)[None]
    if not spec.decoder_only:
        write_tower_folder(spec, tower)
    if not spec.inside:
        own = {name[len("model.vision_tower.vision_tower."):]: stored.pop(name) for name in list(stored) if name.startswith(inner)}
        if spec.full_clip:
            own.update({"logit_scale": torch.tensor(4.6), "visual_projection.weight": torch.ones(16, spec.c1),
                        "text_model.encoder.layers.0.layer_norm1.weight": torch.ones(24), "text_model.final_layer_norm.bias": torch.zeros(24)})
        save(own, tower, 1)
    save(stored, folder, spec.shards)
    write_json(os.path.join(folder, "config.json"), config_json(spec, "clip"))
    if spec.generation_eos is not None:
        write_json(os.path.join(folder, "generation_config.json"), {"bos_token_id": spec.bos, "eos_token_id": spec.generation_eos, "transformers_version": "4.31.0"})
    if spec.tokenizer:
        shutil.copy(os.path.join(HERE, "tokenizers", spec.tokenizer, "tokenizer.json"), folder)
        return
    special = {"additional_special_tokens": ["<voco>"]} if spec.voco else {}
    write_json(os.path.join(folder, "tokenizer_config.json"), {"add_bos_token": True, "add_eos_token": False, "tokenizer_class": "LlamaTokenizer", "legacy": True, **special})
    if spec.voco:
        write_json(os.path.join(folder, "added_tokens.json"), {"<voco>": spec.vocab - 1})
        write_json(os.path.join(folder, "special_tokens_map.json"), {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **special})
    with open(os.path.join(folder, "tokenizer.model"), "wb") as file:
        file.write(tokenizer)


def random_spec(rng, seed):
    """A Spec drawn over everything that goldens span and more: any widths, heads, taps, windows, files. rng: random.Random."""
    pick = rng.choice
    head, heads = pick([4, 6, 8, 12, 16, 24]), pick([1, 2, 3, 4, 6])
    explicit = pick([None, None, 2 * rng.randint(2, 12)])
    vision_heads = rng.randint(1, 4)
    spec = Spec(
        dtype=pick(list(DTYPES)), model_type=pick(["llava_llama", "llava"]), vision_heads=vision_heads, c1=vision_heads * rng.randint(5, 12),
        vision_ff=rng.randint(17, 90), blocks=rng.randint(2, 6), inside=pick([True, False]), tower_dtype=pick([None, *DTYPES]), full_clip=pick([True, False]),
        preprocessor=pick(["new", "old", None]), mean_std=pick([None, ([0.5, 0.4, 0.3], [0.25, 0.5, 0.3])]), aspect=pick(["pad", "square", None]),
        hidden=head * heads, heads=heads, kv_heads=pick([d for d in range(1, heads + 1) if heads % d == 0]), head_dim=explicit, ff=rng.randint(21, 100),
        layers=rng.randint(2, 4), vocab=pick([432, 432, 433, 450]), tied=pick([True, False]), theta=pick([10000.0, 500000.0, 1234.5]), eps=pick([1e-5, 1e-6]),
        rope_scaling=pick([None, None, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": pick([32, 64, 128])}]),
        context=768, eos=pick([2, [2, 5]]), generation_eos=pick([None, 2, [2, 7]]), shards=rng.randint(1, 4), old_extras=pick([True, False]), seed=seed)
    spec.patch, side, kind = rng.randint(3, 8), rng.randint(4, 9), pick(["projector", "released", "packer", "fusion", "fusion", "fusion"])
    if kind == "projector":
        spec.projector, spec.feature = pick(["linear", "mlp2x_gelu", "mlp3x_gelu"]), pick(["patch", "cls_patch"])
        spec.select_layer = rng.randint(-spec.blocks, -1)
    elif kind == "released":
        spec.projector, spec.blocks, spec.vision_ff, side = "stf", 24, min(spec.vision_ff, 40), 2 * rng.randint(2, 4)
        spec.select_layer = pick([-2, -2, -1, 23])
    elif kind == "packer":
        spec.projector, spec.blocks, spec.vision_ff, spec.scale, spec.packer = "tokenpacker", 24, min(spec.vision_ff, 40), pick([2, 3, 4]), 8 * rng.randint(1, 5)
        side = spec.scale * rng.randint(1, 8 // spec.scale)
    else:
        spec.strategy = pick(["stf", "stf", "avgpool", "tokenconcat", "qformer"])
        spec.k, spec.tokens = pick([1, 2, 3, 4]) if spec.strategy != "qformer" else 1, pick([1, 2, 4, 8]) if spec.strategy == "stf" else 1
        side = spec.k * rng.randint(1 + (spec.k == 1), 8 // spec.k + (spec.k == 1))
        spec.taps = [rng.randint(-spec.blocks - 1, spec.blocks) for _ in range(rng.randint(1, 4))]
        spec.mbtf = pick([None, [rng.randint(9, 90), rng.randint(2, 5) * 8]])
        if not spec.mbtf:
            spec.c1 = vision_heads * 8  # so that every E divides the window
            spec.taps = spec.taps[:2]
        spec.mbtf_final, spec.window_conv, spec.stf_final = pick([True, False]), pick([True, False]), pick([True, False])
        spec.stf = [rng.randint(9, 90), spec.hidden]
        if spec.strategy == "qformer":
            heads = rng.randint(1, 4)
            spec.qformer = {"queries": rng.randint(1, 9), "hidden_size": heads * rng.randint(3, 9), "layers": rng.randint(1, 4), "heads": heads,
                            "intermediate_size": rng.randint(9, 60), "cross_attention_frequency": rng.randint(1, 3), "layer_norm_eps": pick([1e-12, 1e-5])}
        if spec.strategy != "stf":
            spec.window_conv = True  # the key is left out
    spec.image = spec.patch * side
    while spec.visual_tokens > 300:  # two images and a prompt fit into the context
        spec.tokens //= 2
    return spec
