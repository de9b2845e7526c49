"""Checkpoints as transformers' LlavaForConditionalGeneration writes them, and their reference: that class itself."""
import os
import re

import numpy as np
import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
from transformers.models.llama import modeling_llama

import checkpoints
import reference

# LlamaConfig's and CLIPVisionConfig's own values: left out of config.json, as transformers leaves them out.
VISION_DEFAULTS, TEXT_DEFAULTS = CLIPVisionConfig().to_dict(), LlamaConfig().to_dict()


def configs(spec, layers, strategy, act):
    rope = dict(spec.rope_scaling or {"rope_type": "default"}, rope_theta=spec.theta)
    vision = CLIPVisionConfig(hidden_size=spec.c1, intermediate_size=spec.vision_ff, num_hidden_layers=spec.blocks, num_attention_heads=spec.vision_heads,
                              image_size=spec.image, patch_size=spec.patch)
    text = LlamaConfig(vocab_size=spec.vocab, hidden_size=spec.hidden, intermediate_size=spec.ff, num_hidden_layers=spec.layers, num_attention_heads=spec.heads,
                       num_key_value_heads=spec.kv_heads, head_dim=spec.head_dim, max_position_embeddings=spec.context, rms_norm_eps=spec.eps, rope_parameters=rope,
                       tie_word_embeddings=spec.tied, eos_token_id=spec.eos)
    return LlavaConfig(vision_config=vision, text_config=text, image_token_index=spec.vocab - 1, vision_feature_layer=layers, vision_feature_select_strategy=strategy,
                       projector_hidden_act=act, tie_word_embeddings=spec.tied)


def write_config(spec, config, folder, newer):
    def changed(part, defaults, kept):
        return {key: value for key, value in part.items() if value is not None and (key in kept or value != defaults.get(key)) and not key.startswith("_")}
    full = config.to_dict()
    vision, text = changed(full["vision_config"], VISION_DEFAULTS, ("model_type",)), changed(full["text_config"], TEXT_DEFAULTS, ("model_type",))
    if not newer:  # older releases: rope_theta and rope_scaling at the top of text_config
        rope = text.pop("rope_parameters", {})
        text["rope_theta"] = rope.pop("rope_theta", 10000.0)
        if rope.get("rope_type", "default") != "default":
            text["rope_scaling"] = rope
    top = {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "vision_config": vision, "text_config": text, "ignore_index": -100,
           "image_token_index": full["image_token_index"], "projector_hidden_act": full["projector_hidden_act"], "vision_feature_layer": full["vision_feature_layer"],
           "vision_feature_select_strategy": full["vision_feature_select_strategy"], "torch_dtype": "float16"}
    if full["projector_hidden_act"] == "gelu":
        del top["projector_hidden_act"], top["vision_feature_select_strategy"]
    checkpoints.write_json(os.path.join(folder, "config.json"), top)


class TransformersReference(reference.Reference):
    """LlavaForConditionalGeneration over a whole prompt at each step, the pixels from the same preprocessing as elsewhere."""

    def __init__(self, model, folder, dtype, pads):
        self.model, self.dtype, self.tower = model, dtype, model.model.vision_tower
        self.config = {"max_position_embeddings": model.config.text_config.max_position_embeddings, "vocab_size": model.config.text_config.vocab_size}
        declared = reference.read_json(os.path.join(folder, "preprocessor_config.json"))
        self.preprocessor = reference.Preprocessor({"image_aspect_ratio": "pad" if pads else "square"}, declared, model.config.vision_config.image_size)
        self.prompts = reference.Prompts(os.path.join(folder, "tokenizer.model"), True)
        self.eos = reference.eos_ids(folder, {"eos_token_id": model.config.text_config.eos_token_id}, 2)

    @torch.no_grad()
    def project(self, pixels):
        self.last_pixels = pixels
        features = self.model.get_image_features(pixels)
        features = getattr(features, "pooler_output", features)
        return torch.stack(list(features))

    @torch.no_grad()
    def generate(self, pieces, projected, limit):
        image = self.model.config.image_token_index
        ids, rows = [], []
        prompt = []
        for number, piece in enumerate(pieces):
            prompt += piece + ([image] * projected.shape[1] if number + 1 < len(pieces) else [])
        while len(ids) < limit:
            inputs = {"input_ids": torch.tensor([prompt + ids])}
            if projected is not None:
                inputs["pixel_values"] = self.last_pixels
            rows.append(self.model(**inputs, use_cache=False).logits[0, -1])
            token = int(rows[-1].argmax())
            if token in self.eos:
                return ids, torch.stack(rows), "stop"
            ids.append(token)
        return ids, torch.stack(rows), "length"


def tie_at_the_top(config):
    """As save_pretrained writes LlavaConfig(tie_word_embeddings=True); and Llama 3's scaling without the length that it is for."""
    config["tie_word_embeddings"], config["text_config"]["tie_word_embeddings"] = True, False
    del config["text_config"]["rope_parameters"]["original_max_position_embeddings"]


def tie_in_name_only(config):
    """As after a merge of an adapter with a head of its own: the file has both tensors, and they differ. theta inside of the older key."""
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = True
    config["text_config"]["rope_scaling"] = dict(config["text_config"].pop("rope_parameters"))
    config["text_config"]["rope_theta"] = 123.0


def make(spec, folder, tokenizer, dtype, newer, layers, strategy="default", act="gelu", pads=False, edit=None):
    """Writes the checkpoint and gives its reference and what 'lmmc compile' needs beyond the folder. `edit` changes config.json to another
    that says the same."""
    config = configs(spec, layers, strategy, act)
    w = checkpoints.Weights(spec.seed)
    checkpoints.decoder_tensors(spec, w)
    checkpoints.tower_tensors(spec, w, "vision.")
    width = spec.c1 * (len(layers) if isinstance(layers, list) else 1)
    w.linear("projector.linear_1", spec.hidden, width, 1.0)
    w.linear("projector.linear_2", spec.hidden, spec.hidden, 1.5)

    def named(name):
        prefix = "model." if newer else ""
        if name.startswith("vision."):
            return f"{prefix}vision_tower." + ("" if newer else "vision_model.") + name[len("vision."):]
        if name.startswith("projector."):
            return f"{prefix}multi_modal_projector." + name[len("projector."):]
        if name.startswith("lm_head"):
            return name if newer else "language_model." + name
        return re.sub(r"^model\.", "model.language_model.", name) if newer else "language_model." + name
    stored = {named(name): tensor.to(checkpoints.DTYPES[spec.dtype]) for name, tensor in w.tensors.items()}
    checkpoints.save(stored, folder, spec.shards)
    write_config(spec, config, folder, newer)
    if edit:
        path = os.path.join(folder, "config.json")
        written = reference.read_json(path)
        edit(written)
        checkpoints.write_json(path, written)
    processor = {"image_processor_type": "LlavaImageProcessor" if pads else "CLIPImageProcessor", "do_pad": pads, "size": {"shortest_edge": spec.image},
                 "crop_size": {"height": spec.image, "width": spec.image}, "resample": 3, "do_resize": True, "do_center_crop": True, "do_rescale": True,
                 "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": list(reference.CLIP_MEAN), "image_std": list(reference.CLIP_STD)}
    checkpoints.write_json(os.path.join(folder, "preprocessor_config.json"), processor)
    checkpoints.write_json(os.path.join(folder, "generation_config.json"), {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3})
    with open(os.path.join(folder, "tokenizer.model"), "wb") as file:
        file.write(tokenizer)

    # The class reads its own spelling of today; what the file says goes in by part.
    config._attn_implementation = "exact" if dtype == torch.float64 else "eager"
    config.vision_config._attn_implementation = config.text_config._attn_implementation = config._attn_implementation
    model = LlavaForConditionalGeneration(config).to(dtype).eval()
    own = model.state_dict()
    def today(name):
        if name.startswith("vision."):
            tail = name[len("vision."):]
            return next(key for key in own if key.startswith("model.vision_tower.") and key.endswith(tail) and key.replace("vision_model.", "") == "model.vision_tower." + tail)
        if name.startswith("projector."):
            return "model.multi_modal_projector." + name[len("projector."):]
        return name if name.startswith("lm_head") else re.sub(r"^model\.", "model.language_model.", name)
    state = {today(name): stored[named(name)].to(dtype) for name in w.tensors}
    if spec.tied:
        state["lm_head.weight"] = state["model.language_model.embed_tokens.weight"]
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and not missing, (missing, unexpected)
    if dtype == torch.float64:
        for parent in list(model.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, modeling_llama.LlamaRMSNorm):
                    setattr(parent, name, reference.ExactRMSNorm(child))
        model.model.language_model.rotary_emb = reference.ExactRotary(config.text_config)
    return TransformersReference(model, folder, dtype, pads), []
