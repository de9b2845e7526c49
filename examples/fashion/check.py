#!/usr/bin/env python3
"""Checks the example's own code against other code: `python check.py [--checkpoint DIR]`; exits 1 when one fails.

  transformers   CLIPVisionModel and LlamaForCausalLM, loaded from the checkpoint, give the same hidden states,
                 logits and greedy answer as model.py
  packing        a training batch of packed questions gives the logits that each question gives alone
  prompts        training text, tokenised whole, is the prompt's tokens followed by the answer's
  samples        questions.json beside the checkpoint holds the answers that it gives

Needs what evaluate.py needs, and transformers.
"""

import argparse
import json
import os
import sys

import numpy as np
import torch

import data
import evaluate
import model as lmm
import train

HERE = os.path.dirname(os.path.abspath(__file__))
TOLERANCE = 2e-4  # two float32 evaluations in another order


def distance(ours, theirs):
    """Largest difference, relative to the largest value."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


@torch.no_grad()
def check_transformers(model, spm, folder, pixels):
    from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

    config, names = model.config, model.state_dict()
    tower = CLIPVisionModel(CLIPVisionConfig.from_pretrained(os.path.join(folder, config["mm_vision_tower"])))
    prefix = "model.vision_tower.vision_tower.vision_model."
    # transformers 5 dropped the inner name 'vision_model'
    inner = "vision_model." if any(n.startswith("vision_model.") for n in tower.state_dict()) else ""
    tower.load_state_dict({inner + n.removeprefix(prefix): t for n, t in names.items() if n.startswith(prefix)})
    keys = ("hidden_act hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads "
            "rms_norm_eps rope_theta max_position_embeddings vocab_size tie_word_embeddings attention_bias").split()
    decoder = LlamaForCausalLM(LlamaConfig(**{k: config[k] for k in keys}))
    fused = ("model.vision_tower.", "model.mbtf.", "model.stf.", "model.mm_projector.")
    decoder.load_state_dict({n: t for n, t in names.items() if not n.startswith(fused)})
    states = tower.eval()(pixels, output_hidden_states=True).hidden_states
    yield "hidden states", max(distance(a, b) for a, b in zip(model.tower(pixels), states, strict=True))
    embed, vision = model.model.embed_tokens, model.fuse(model.taps(pixels))
    before, after = lmm.encode_prompt(spm, "Name all items in reading order.")
    x = torch.cat([embed(torch.tensor(before)), vision[0], embed(torch.tensor(after))])[None]
    length = x.shape[1]
    ours, _ = model.decode(x, torch.arange(length)[None], torch.ones(length, length, dtype=torch.bool).tril())
    yield "logits", distance(ours, decoder.eval()(inputs_embeds=x).logits)
    theirs = decoder.generate(inputs_embeds=x, max_new_tokens=64, do_sample=False, eos_token_id=2, pad_token_id=0)[0].tolist()
    yield "greedy answer", float(model.generate(before, after, vision[0]) != theirs[: theirs.index(2)] if 2 in theirs else 1)


@torch.no_grad()
def check_packing(model, spm, images, labels):
    packer, rng, embed = train.Packer(model, spm), np.random.default_rng(1), model.model.embed_tokens
    asked = [[data.ask(rng, cells, kind) for kind in data.KINDS] for cells in labels]
    vision, before = model.fuse(model.taps(train.pixels_of(images))), embed(torch.tensor(packer.before))
    packed, _, _ = packer.logits(vision, asked)
    alone = []
    for i, pairs in enumerate(asked):
        for question, answer in pairs:
            tokens, prompt = packer.segment(question, answer)
            x = torch.cat([before, vision[i], embed(torch.tensor(tokens))])[None]
            length = x.shape[1]
            logits, _ = model.decode(x, torch.arange(length)[None], torch.ones(length, length, dtype=torch.bool).tril())
            alone.append(logits[0, length - len(tokens) + prompt - 1 : -1])
    yield "logits", distance(packed, torch.cat(alone))


def check_prompts(spm, labels):
    rng = np.random.default_rng(2)
    wrong = 0
    for cells in labels:
        for kind in data.KINDS:
            question, answer = data.ask(rng, cells, kind)
            before, after = data.prompt_parts(question)
            whole = spm.encode(f"{after} {answer}")
            ids = lmm.encode_prompt(spm, question)
            wrong += ids[0] != [1] + spm.encode(before) or whole != ids[1] + spm.encode(answer)
            wrong += spm.decode(spm.encode(answer)) != answer
    yield "prompts that differ", wrong


def check_samples(checkpoint):
    asker, folder = evaluate.PyTorch(checkpoint, torch.get_num_threads()), os.path.dirname(os.path.abspath(checkpoint))
    with open(os.path.join(folder, "questions.json")) as f:
        rows = json.load(f)
    yield "answers that differ", sum(asker.ask(os.path.join(folder, r["image"]), r["question"]) != r["answer"] for r in rows)


def main():
    parser = argparse.ArgumentParser(description="check the example's code against transformers and itself")
    parser.add_argument("--checkpoint", default=os.path.join(HERE, "checkpoint"), metavar="DIR")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, spm = lmm.load_checkpoint(args.checkpoint)
    images, labels = data.Collages("test").draw(np.random.default_rng(0), 3)
    groups = {
        "transformers": lambda: check_transformers(model, spm, args.checkpoint, train.pixels_of(images)),
        "packing": lambda: check_packing(model, spm, images, labels),
        "prompts": lambda: check_prompts(spm, labels),
        "samples": lambda: check_samples(args.checkpoint),
    }
    failed = False
    for group, run in groups.items():
        for what, value in run():
            bad = not value <= TOLERANCE
            failed |= bad
            print(f"{'FAILED' if bad else 'ok    '} {group}: {what} {value:.3g}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
