"""A LoRA adapter that peft itself writes, over the LLaVA of 'transformers-old', and its reference: peft's own forward."""
import filecmp
import os
import tempfile
from dataclasses import replace

import peft
import torch

import layout_b

# The base's, as make_formats.py found it.
BASE_SEED = 101000


def make(spec, folder, tokenizer, dtype, base, options):
    """Linear layers of tower, projector and decoder, and embedding and head, with ranks and alphas by pattern. The names are today's, the
    base's those of older releases."""
    beside = os.path.join(os.path.dirname(folder), base)
    with tempfile.TemporaryDirectory() as scratch:
        exact, _ = layout_b.make(replace(spec, seed=BASE_SEED), scratch, tokenizer, dtype, **options)
        assert filecmp.cmp(os.path.join(scratch, "model.safetensors"), os.path.join(beside, "model.safetensors"), shallow=False)
    config = peft.LoraConfig(
        r=4, lora_alpha=6, target_modules=r".*\.(q_proj|v_proj|up_proj|fc1|linear_1|embed_tokens)|lm_head", init_lora_weights="gaussian",
        rank_pattern={"q_proj": 3, "embed_tokens": 5}, alpha_pattern={"layers.1.self_attn.v_proj": 5, "^lm_head": 7.5})
    # The layers are put into the reference's model.
    wrapped = peft.get_peft_model(exact.model, config)
    generator = torch.Generator().manual_seed(spec.seed)
    with torch.no_grad():
        for name, parameter in sorted(wrapped.named_parameters()):
            if "lora_" in name:
                parameter.copy_((0.15 * torch.randn(parameter.shape, generator=generator)).to(torch.float16))
    state = {name: tensor.to(torch.float16) for name, tensor in wrapped.state_dict().items()}
    wrapped.save_pretrained(folder, state_dict=state)
    os.remove(os.path.join(folder, "README.md"))
    return exact, [f"formats/{base}", "--adapter", f"formats/{os.path.basename(folder)}"]
