#!/usr/bin/env python3
"""Writes keys.json: the keys that tools of today write into the configuration files of a checkpoint.

    make_keys.py       (transformers 5.24.0, peft 0.21.2, torch, torchvision)
By the section of Docs/Checkpoints.md that must have an entry for each: what transformers' and peft's classes have as fields, write with
save_pretrained or take as options, and by hand what only older releases wrote and what LLaVA's own code writes."""
import dataclasses
import inspect
import json
import logging
import os
import tempfile

import peft
import transformers
from tokenizers import Tokenizer, models
from transformers import CLIPConfig, CLIPVisionConfig, GenerationConfig, LlamaConfig, LlavaConfig, PreTrainedConfig

HERE = os.path.dirname(os.path.abspath(__file__))

# Of PreTrainedConfig in 4.x, which wrote them into nested configurations whether set or not, and of its loader.
OLDER = """_attn_implementation_autoset _commit_hash add_cross_attention attn_implementation auto_map bad_words_ids begin_suppress_tokens bos_token_id
cross_attention_hidden_size decoder_start_token_id diversity_penalty do_sample early_stopping encoder_no_repeat_ngram_size eos_token_id
exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id is_decoder length_penalty max_length min_length
no_repeat_ngram_size num_beam_groups num_beams num_labels num_return_sequences output_scores pad_token_id prefix pruned_heads quantization_config compression_config
remove_invalid_values repetition_penalty return_dict_in_generate sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss
tie_encoder_decoder tokenizer_class top_k top_p torch_dtype torchscript typical_p use_bfloat16""".split()
DECODER = """layer_types original_max_position_embeddings partial_rotary_factor per_layer_config rope_scaling rope_theta
sliding_window use_sliding_window""".split()

# What haotian-liu/LLaVA and its children write (llava/model/llava_arch.py, llava/train/train.py).
LLAVA = """freeze_mm_mlp_adapter freeze_backbone image_aspect_ratio image_crop_resolution image_grid_pinpoints image_split_resolution mm_hidden_size
mm_patch_merge_type mm_projector_lr mm_projector_type mm_resampler_type mm_token_fusion mm_tunable_parts mm_use_im_patch_token mm_use_im_start_end
mm_vision_select_feature mm_vision_select_layer mm_vision_tower mm_vision_tower_lr pretrain_mm_mlp_adapter s2 s2_scales tokenizer_model_max_length
tokenizer_padding_side tune_mm_mlp_adapter unfreeze_mm_vision_tower use_mm_proj""".split()

# Beside LLaVA's, those that CircleRadon/TokenPacker adds (llava/train/train.py).
TOKENPACKER = "patch_num scale_factor".split()

# And those that ictnlp/LLaVA-Mini adds (llavamini/train/train.py).
LLAVA_MINI = "compressor_size prefusion_layer_num resolution_ratio".split()
# Beside LLaVA's, those that YOPO's training leaves.
YOPO = "attncut_w headcut_num layercut_num mlpcut_ratio sprompt_len".split()

OLDER_PROCESSOR = "feature_extractor_type use_square_size _processor_class processor_class".split()
OLDER_TOKENIZER = """add_bos_token add_eos_token added_tokens_decoder additional_special_tokens chat_template cls_token device_map legacy mask_token max_length
name_or_path pad_to_multiple_of pad_token pad_token_type_id padding_side sep_token sp_model_kwargs spaces_between_special_tokens special_tokens_map_file stride
tokenizer_file truncation_side truncation_strategy use_fast""".split()
OLDER_GENERATION = "forced_decoder_ids max_matching_ngram_size renormalize_logits".split()


def fields(cls):
    return {f.name for f in dataclasses.fields(cls)} | set(cls().to_dict())


def options(kwargs):
    """The keys of a TypedDict and of those it is made of."""
    return {key for base in [kwargs, *getattr(kwargs, "__orig_bases__", ())] for key in inspect.get_annotations(base)}


def saved(thing, name):
    with tempfile.TemporaryDirectory() as folder:
        thing.save_pretrained(folder)
        with open(os.path.join(folder, name)) as file:
            return json.load(file)


def tokenizer():
    vocabulary = {t: i for i, t in enumerate(["<unk>", "<s>", "</s>", "<image>"] + [f"<0x{b:02X}>" for b in range(256)])}
    own = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True, unk_token="<unk>"))
    return transformers.LlamaTokenizerFast(tokenizer_object=own, pad_token="</s>", extra_special_tokens={"image_token": "<image>"})


def main():
    logging.disable(logging.CRITICAL)
    processors = [getattr(transformers, name) for name in ("CLIPImageProcessor", "CLIPImageProcessorPil", "LlavaImageProcessor", "LlavaImageProcessorPil")]
    images = set(OLDER_PROCESSOR)
    for cls in processors:
        images |= options(cls.valid_kwargs) | set(saved(cls(), "preprocessor_config.json"))
    words = tokenizer()
    whole = saved(transformers.LlavaProcessor(image_processor=processors[0](), tokenizer=words, patch_size=14, vision_feature_select_strategy="default"), "processor_config.json")
    parameters = set(inspect.signature(transformers.LlavaProcessor.__init__).parameters) - {"self", "kwargs", "tokenizer"}
    tokens = set(saved(words, "tokenizer_config.json")) | set(OLDER_TOKENIZER)
    tokens |= set(inspect.signature(transformers.LlamaTokenizerFast.__init__).parameters) - {"self", "kwargs", "vocab", "merges"}
    # In any of the nested configurations and at the top.
    every = fields(PreTrainedConfig) | set(OLDER)
    sections = {
        "`config.json`: any part": every,
        "`config.json`: the decoder": (fields(LlamaConfig) | set(DECODER)) - every,
        "`config.json`: the vision tower": (fields(CLIPVisionConfig) | fields(CLIPConfig) | {"text_config_dict", "vision_config_dict"}) - every,
        "`config.json`: LLaVA in transformers": (fields(LlavaConfig) | {"image_token_id"}) - every,
        "`config.json`: LLaVA's own keys": set(LLAVA),
        "`config.json`: TokenPacker's keys": set(TOKENPACKER),
        "`config.json`: LLaVA-Mini's keys": set(LLAVA_MINI),
        "`config.json`: YOPO's keys": set(YOPO),
        "`generation_config.json`": set(GenerationConfig().to_dict()) | set(OLDER_GENERATION),
        "`preprocessor_config.json`": images,
        "`processor_config.json`": set(whole) | parameters | {"auto_map"},
        "`adapter_config.json`": {f.name for f in dataclasses.fields(peft.LoraConfig)} | set(peft.LoraConfig().to_dict()),
        "`tokenizer_config.json`": tokens,
    }
    with open(os.path.join(HERE, "keys.json"), "w") as file:
        json.dump({section: sorted(keys) for section, keys in sections.items()}, file, indent=1)
        file.write("\n")
    print({section: len(keys) for section, keys in sections.items()})


if __name__ == "__main__":
    main()
