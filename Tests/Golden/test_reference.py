#!/usr/bin/env python3
"""Checks reference.py against a second implementation in plain numpy, loops where they are clearest, over all goldens.

    test_reference.py            (needs what reference.py needs)"""
import json
import os
import unittest

import numpy as np
import torch
from PIL import Image

import make_golden
import reference
from compare import distance

HERE = os.path.dirname(os.path.abspath(__file__))
erf = np.vectorize(__import__("math").erf)


def gelu(x):
    return 0.5 * x * (1 + erf(x / np.sqrt(2)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def layer_norm(x, weights, name, eps):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + eps) * weights[name + ".weight"] + weights[name + ".bias"]


def dense(x, weights, name):
    y = x @ weights[name + ".weight"].reshape(len(weights[name + ".weight"]), -1).T
    return y + weights[name + ".bias"] if name + ".bias" in weights else y


def tower(pixels, weights, config):
    """[3, S, S] -> hidden states, a list of [1 + H*W, C1]."""
    p, heads, eps = config["patch_size"], config["num_attention_heads"], config["layer_norm_eps"]
    side = pixels.shape[1] // p
    patches = np.stack([pixels[:, y * p:(y + 1) * p, x * p:(x + 1) * p].ravel() for y in range(side) for x in range(side)])
    x = np.concatenate([weights["embeddings.class_embedding"][None], dense(patches, weights, "embeddings.patch_embedding")]) + weights["embeddings.position_embedding.weight"]
    states = [layer_norm(x, weights, "pre_layrnorm", eps)]
    for block in range(config["num_hidden_layers"]):
        at, x = f"encoder.layers.{block}.", states[-1]
        y = layer_norm(x, weights, at + "layer_norm1", eps)
        q, k, v = (dense(y, weights, f"{at}self_attn.{n}_proj").reshape(len(y), heads, -1).transpose(1, 0, 2) for n in "qkv")
        y = (softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])) @ v).transpose(1, 0, 2).reshape(x.shape)
        x = x + dense(y, weights, at + "self_attn.out_proj")
        y = dense(layer_norm(x, weights, at + "layer_norm2", eps), weights, at + "mlp.fc1")
        states.append(x + dense(y / (1 + np.exp(-1.702 * y)), weights, at + "mlp.fc2"))
    return states


def chain(x, weights, names, final):
    for name in names:
        x = dense(x, weights, name)
        if final or name != names[-1]:
            x = gelu(x)
    return x


def qformer(cells, weights, key):
    """Blip2QFormerModel on its queries: each sublayer's norm comes after the residual."""
    eps = key["layer_norm_eps"]

    def attend(x, keys, at):
        q, k, v = (dense(y, weights, f"{at}.attention.{n}").reshape(len(y), key["heads"], -1).transpose(1, 0, 2) for n, y in (("query", x), ("key", keys), ("value", keys)))
        y = (softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])) @ v).transpose(1, 0, 2).reshape(x.shape)
        return layer_norm(x + dense(y, weights, at + ".output.dense"), weights, at + ".output.LayerNorm", eps)
    x = layer_norm(weights["model.qformer.query_tokens"][0], weights, "model.qformer.layernorm", eps)
    for layer in range(key["layers"]):
        at = f"model.qformer.encoder.layer.{layer}."
        x = attend(x, x, at + "attention")
        if layer % key["cross_attention_frequency"] == 0:
            x = attend(x, cells, at + "crossattention")
        y = dense(gelu(dense(x, weights, at + "intermediate_query.dense")), weights, at + "output_query.dense")
        x = layer_norm(x + y, weights, at + "output_query.LayerNorm", eps)
    return x


def token_packer(states, weights, k):
    """CircleRadon/TokenPacker's projector, window by window."""
    def at(name):
        return "model.mm_projector." + name
    taps = np.concatenate([states[tap][1:] for tap in (12, 16, 22, 23)], 1)
    keys, values = (layer_norm(dense(gelu(dense(taps, weights, at(n + "_proj_1.0"))), weights, at(n + "_proj_1.2")), weights, at(f"ln_{n}_1"), 1e-6) for n in "kv")
    side, rows = int(len(taps) ** 0.5), []
    maps = list(zip(np.split(weights[at("clip_attn.in_proj_weight")], 3), np.split(weights[at("clip_attn.in_proj_bias")], 3)))
    size = len(keys[0]) // 8
    # Half-pixel centres: the tokens beside or at the middle of a window.
    near = [(k - 1) // 2, k // 2]
    for y in range(side // k):
        for x in range(side // k):
            own = [(y * k + dy) * side + x * k + dx for dy in range(k) for dx in range(k)]
            middle = np.mean([states[23][1 + (y * k + dy) * side + x * k + dx] for dy in near for dx in near], 0)
            query = layer_norm(dense(middle, weights, at("q_proj_1")), weights, at("ln_q_1"), 1e-6)
            q, key, value = (m @ w.T + b for m, (w, b) in zip((query, keys[own], values[own]), maps))
            heads = [softmax(key[:, h:h + size] @ q[h:h + size] / np.sqrt(size)) @ value[:, h:h + size] for h in range(0, len(q), size)]
            rows.append(dense(np.concatenate(heads), weights, at("clip_attn.out_proj")))
    return chain(np.stack(rows), weights, [at("mlp.0"), at("mlp.2")], False)


def cubic(distance):
    """The kernel of bicubic interpolation with a = -0.75."""
    d = abs(distance)
    return 1.25 * d ** 3 - 2.25 * d ** 2 + 1 if d <= 1 else -0.75 * (d ** 3 - 5 * d ** 2 + 8 * d - 4) if d < 2 else 0


def compressed(patches, weights):
    """LLaVA-Mini's queries over the patches."""
    def at(name):
        return "model.compressor." + name
    positions = weights[at("pos_embed")]
    small, side = int(len(positions) ** 0.5), int(len(patches) ** 0.5)
    # What a place of the large grid reads of a line of the small one, whose ends go on for ever.
    line = np.zeros((side, small))
    for place in range(side):
        middle = (place + 0.5) * small / side - 0.5
        for near in range(int(np.floor(middle)) - 1, int(np.floor(middle)) + 3):
            line[place, min(max(near, 0), small - 1)] += cubic(middle - near)
    large = np.einsum("ya,xb,abc->yxc", line, line, positions.reshape(small, small, -1)).reshape(len(patches), -1)
    value = layer_norm(patches, weights, at("ln_kv"), 1e-5)
    maps = zip(np.split(weights[at("attn.in_proj_weight")], 3), np.split(weights[at("attn.in_proj_bias")], 3))
    q, k, v = (m @ w.T + b for m, (w, b) in zip((layer_norm(weights[at("query")], weights, at("ln_q"), 1e-5) + positions, value + large, value), maps))
    size = q.shape[1] // 8
    heads = [softmax(q[:, h:h + size] @ k[:, h:h + size].T / np.sqrt(size)) @ v[:, h:h + size] for h in range(0, q.shape[1], size)]
    return dense(np.concatenate(heads, 1), weights, at("attn.out_proj"))


def prefused(ids, place, projected, weights, config):
    """What LLaVA-Mini's decoder gets of a prompt: tokens that are 0 take no part ahead of it. The image stands at `place` of the ids."""
    table, count = weights["model.embed_tokens.weight"], config["compressor_size"] ** 2
    words = [i for i, token in enumerate(ids) if token > 0]
    x = np.concatenate([projected, table[[ids[i] for i in words]]])
    for layer in range(config["prefusion_layer_num"]):
        x = decoder_layer(x, weights, config, f"model.prefusion_layers.{layer}.")
    rows = table[ids]
    rows[words] = x[len(projected):]
    return np.concatenate([rows[:place], x[len(projected) - count:len(projected)], rows[place:]])


def fuse(states, weights, config):
    """Hidden states -> [N, C3]: model.md's definitions one by one."""
    key = config.get("mm_token_fusion")
    if "model.mm_projector.q_proj_1.weight" in weights:
        return token_packer(states, weights, config["scale_factor"])
    first = config["mm_vision_select_layer"]
    if key is None and "model.mm_projector_crosslayer.0.weight" in weights:
        key = {"taps": [first, 21, 18, 15, 12, 9, 6, 3], "kernel": 2, "tokens_per_window": 1}
        mbtf, mbtf_final = ["model.mm_projector_crosslayer.0", "model.mm_projector_crosslayer.2"], False
        layers, final, conv = ["model.mm_projector.0", "model.mm_projector.2"], False, None
    elif key is None:
        names = ["model.mm_projector"] if config["mm_projector_type"] == "linear" else ["model.mm_projector.0", "model.mm_projector.2"]
        cells = states[first][0 if config["mm_vision_select_feature"] == "cls_patch" else 1:]
        if config["model_type"] == reference.MINI:
            cells = np.concatenate([cells, compressed(cells, weights)])
        return chain(cells, weights, names, False)
    elif key["strategy"] == "qformer":
        cells = chain(np.concatenate([states[tap][1:] for tap in key["taps"]], 1), weights, ["model.mbtf.conv1", "model.mbtf.conv2"] if key["mbtf"] else [],
                      key["mbtf"] and key["mbtf"]["final_activation"])
        return dense(qformer(cells, weights, key["qformer"]), weights, "model.qformer_proj")
    else:
        mbtf, mbtf_final = ["model.mbtf.conv1", "model.mbtf.conv2"] if key["mbtf"] else [], key["mbtf"] and key["mbtf"]["final_activation"]
        conv, final = "model.stf.conv1" if key["strategy"] == "stf" and key["stf"].get("window_conv", True) else None, key["stf"]["final_activation"]
        layers = [f"model.stf.conv{number}" for number in range(1, 1 + len(key["stf"]["channels"]))][bool(conv):]
    k, tokens = key["kernel"], key["tokens_per_window"]
    cells = chain(np.concatenate([states[tap][1:] for tap in key["taps"]], 1), weights, mbtf, mbtf_final)
    side = int(len(cells) ** 0.5)
    rows = []
    for y in range(side // k):
        for x in range(side // k):
            if key.get("strategy") == "avgpool":
                rows.append(np.mean([cells[(y * k + dy) * side + x * k + dx] for dy in range(k) for dx in range(k)], 0))
                continue
            window = np.empty(cells.shape[1] * k * k)
            for c in range(cells.shape[1]):
                for dy in range(k):
                    for dx in range(k):
                        window[(c * k + dy) * k + dx] = cells[(y * k + dy) * side + x * k + dx, c]
            if conv:
                window = gelu(dense(window, weights, conv))
            rows += np.split(window, tokens)
    return chain(np.stack(rows), weights, layers, final)


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def frequencies(config, size):
    f = 1 / config["rope_theta"] ** (np.arange(0, size, 2) / size)
    scaling = config["rope_scaling"]
    if not scaling:
        return f
    low, high = (scaling["original_max_position_embeddings"] / scaling[name] for name in ("low_freq_factor", "high_freq_factor"))
    out = []
    for value in f:
        wave = 2 * np.pi / value
        smooth = (scaling["original_max_position_embeddings"] / wave - scaling["low_freq_factor"]) / (scaling["high_freq_factor"] - scaling["low_freq_factor"])
        out.append(value if wave < high else value / scaling["factor"] if wave > low else (1 - smooth) * value / scaling["factor"] + smooth * value)
    return np.array(out)


def decoder(x, weights, config, forgets=None):
    """Input embeddings [rows, C3] -> logits [rows, vocab]. `forgets` (first, last): the rows behind the last see none before the first, since keys and values
    of those are thrown away there."""
    for layer in range(config["num_hidden_layers"]):
        x = decoder_layer(x, weights, config, f"model.layers.{layer}.", forgets)
    head = weights["model.embed_tokens.weight" if config["tie_word_embeddings"] else "lm_head.weight"]
    return rms_norm(x, weights["model.norm.weight"], config["rms_norm_eps"]) @ head.T


def decoder_layer(x, weights, config, at, forgets=None):
    heads, groups, eps = config["num_attention_heads"], config["num_attention_heads"] // config["num_key_value_heads"], config["rms_norm_eps"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    angle = np.arange(len(x))[:, None] * frequencies(config, size)

    def rotated(v):
        a, b = v[..., :size // 2], v[..., size // 2:]
        return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)
    y = rms_norm(x, weights[at + "input_layernorm.weight"], eps)
    q, k, v = (dense(y, weights, f"{at}self_attn.{n}_proj").reshape(len(y), -1, size).transpose(1, 0, 2) for n in "qkv")
    q, k = rotated(q), rotated(k)
    outputs = []
    for head in range(heads):
        keys, values, seen = k[head // groups], v[head // groups], []
        for row in range(len(x)):
            first = forgets[0] if forgets and row > forgets[1] else 0
            seen.append(softmax(q[head, row] @ keys[first:row + 1].T / np.sqrt(size)) @ values[first:row + 1])
        outputs.append(np.stack(seen))
    x = x + dense(np.concatenate(outputs, 1), weights, at + "self_attn.o_proj")
    y = rms_norm(x, weights[at + "post_attention_layernorm.weight"], eps)
    gate = dense(y, weights, at + "mlp.gate_proj")
    return x + dense(gate / (1 + np.exp(-gate)) * dense(y, weights, at + "mlp.up_proj"), weights, at + "mlp.down_proj")


class SecondImplementation(unittest.TestCase):
    def test_goldens(self):
        entries = reference.read_json(os.path.join(HERE, "manifest.json"))["checkpoints"]
        self.assertGreaterEqual(len(entries), 10)
        for entry in entries:
            for case in entry["cases"]:
                with self.subTest(case["expected"]):
                    self.check(entry["checkpoint"], case)

    def check(self, name, case):
        folder, expected = os.path.join(HERE, name), os.path.join(HERE, case["expected"])
        config, tensors = reference.read_json(os.path.join(folder, "config.json")), reference.read_tensors(folder)
        weights = {key: value.double().numpy() for key, value in tensors.items()}
        images = [value for flag, value in zip(case["arguments"], case["arguments"][1:]) if flag == "--image"]
        model = reference.Reference(folder)
        projected = self.project(case, folder, model, images, weights, config) if images else []
        with open(os.path.join(expected, "tokens.json"), encoding="utf-8") as file:
            tokens = json.load(file)
        parts = []
        if images and config["model_type"] == reference.MINI:
            first, second = tokens["prompt_ids"]
            parts = [prefused(first + second, len(first), projected[0], weights, config)]
        for number, ids in enumerate(tokens["prompt_ids"] if not parts else []):
            parts.append(weights["model.embed_tokens.weight"][ids])
            parts += projected[number:number + 1]
        rows = sum(map(len, parts))
        forgets = None
        if reference.VOCO in model.prompts.special:
            ids = tokens["prompt_ids"][-1]
            places = [rows - len(ids) + i for i, token in enumerate(ids) if token == model.prompts.special[reference.VOCO]]
            forgets = (places[0], places[-1]) if places else None
        logits = decoder(np.concatenate(parts + [weights["model.embed_tokens.weight"][tokens["tokens"]]]), weights, config, forgets)[rows - 1:]
        golden = np.load(os.path.join(expected, "logits.npy"))
        self.assertEqual(len(golden), len(tokens["tokens"]) + (tokens["finish_reason"] == "stop"))
        self.assertLess(distance(golden, logits[:len(golden)]), 2e-7)

    def project(self, case, folder, model, images, weights, config):
        """Vision tokens of the images, held against projected.npy."""
        vision = reference.read_json(os.path.join(folder, "clip", "config.json"))
        inner = reference.stripped(weights, "model.vision_tower.vision_tower.vision_model.") or \
            {key: value.double().numpy() for key, value in reference.stripped(reference.read_tensors(os.path.join(folder, "clip")), "vision_model.").items()}
        pixels = [model.preprocessor.pixels(make_golden.opened(os.path.basename(image)), torch.float64).numpy() for image in images]
        projected = [fuse(tower(p, inner, vision.get("vision_config", vision)), weights, config) for p in pixels]
        self.assertLess(distance(np.load(os.path.join(HERE, case["expected"], "projected.npy")), np.stack(projected)), 2e-7)
        return projected


class Images(unittest.TestCase):
    def test_decoded_png(self):
        for entry in reference.read_json(os.path.join(HERE, "images", "images.json"))["images"]:
            if entry["file"].endswith(".png"):
                source, decoded = (Image.open(os.path.join(HERE, "images", entry[key])).convert("RGB") for key in ("file", "decoded"))
                self.assertEqual(source.tobytes(), decoded.tobytes(), entry["file"])

    def test_resized(self):
        for entry in reference.read_json(os.path.join(HERE, "images", "images.json"))["images"]:
            for resized in entry["resized"]:
                square = reference.Preprocessor(resized, {}, resized["size"]).square(Image.open(os.path.join(HERE, "images", entry["decoded"])))
                self.assertEqual(square.tobytes(), Image.open(os.path.join(HERE, "images", resized["file"])).tobytes(), resized["file"])


if __name__ == "__main__":
    torch.set_num_threads(1)
    unittest.main()
