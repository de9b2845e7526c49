#!/usr/bin/env python3
"""Trains the example model from nothing and writes its checkpoint: `python train.py --out DIR`.
`--fusion none --tower CHECKPOINT` trains the sibling without fusion on a tower that is already trained.

Needs torch, numpy, sentencepiece, safetensors and Debian's dataset-fashion-mnist. LLaVA's own stages:
  tower      the vision tower alone, with a head that names each cell; frozen afterwards
  captions   fusion (or projector) and decoder, on captions that name every item
  questions  the same, on captions and questions mixed
  more       with `--more N`: N further steps of it, the learning rate's schedule begun anew
Each stage saves its state in DIR and continues from there when the command is repeated. Every step draws
its data from (seed, stage, step), so an interrupted run sees the same data as an uninterrupted one.
"""

import argparse
import math
import os
import shutil
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads stall each other on a shared machine

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import data
import model as lmm
import words

STAGES = {  # steps, collages in a step, peak learning rate
    "tower": (5500, 32, 1.2e-3),
    "captions": (600, 32, 1.5e-3),
    "questions": (1600, 32, 1.5e-3),
    "more": (0, 32, 1.5e-3),
}
IGNORE = -100


def optimizer(modules):
    matrices, others = [], []
    for m in modules:
        for p in m.parameters():
            (matrices if p.ndim > 1 else others).append(p)
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.98), fused=True)


def run_stage(name, out, seed, modules, loss_of, validate, log):
    """Trains `modules` (an nn.ModuleDict) through one stage, or what is left of it.

    `loss_of(rng, count, progress)` draws a batch and returns its loss; `validate()` returns a line of text.
    """
    steps, count, peak = STAGES[name]
    path, first = os.path.join(out, f"{name}.pt"), 0
    opt = optimizer(modules.values())
    if os.path.exists(path):
        state = torch.load(path, weights_only=True)
        modules.load_state_dict(state["modules"])
        opt.load_state_dict(state["optimizer"])
        first = state["step"]
    started, smooth = time.time(), None
    for step in range(first, steps):
        rate = peak * min((step + 1) / 300, 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.005)
        for group in opt.param_groups:
            group["lr"] = rate
        rng = np.random.default_rng([seed, list(STAGES).index(name), step])
        modules.train()
        loss = loss_of(rng, count, step / steps)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(modules.parameters(), 1.0)
        opt.step()
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        done = step + 1
        if done % 100 == 0:
            log(f"{name} step {done}/{steps} loss {smooth:.4f} {(time.time() - started) / (done - first):.3f} s/step")
        if done % 500 == 0 or done == steps:
            modules.eval()
            log(f"{name} step {done}/{steps} {validate()}")
        if done % 100 == 0 or done == steps:
            state = {"modules": modules.state_dict(), "optimizer": opt.state_dict(), "step": done}
            torch.save(state, path + ".part")
            os.replace(path + ".part", path)
    modules.eval()


def pixels_of(images):
    return torch.from_numpy(data.pixel_values(images))


class CellHead(nn.Module):
    """Names each cell from its 2 x 2 patch rows; thrown away after the stage. [B, 1 + 64, C] -> [B, 16, classes]."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(4 * width, len(data.CLASSES))

    def forward(self, state):
        g = data.GRID
        x = self.norm(state[:, 1:]).unflatten(1, (g, 2, g, 2)).permute(0, 1, 3, 2, 4, 5)
        return self.linear(x.reshape(x.shape[0], g * g, -1))


def train_tower(model, out, seed, log):
    train, held = data.Collages("train"), data.Collages("validation")
    modules = nn.ModuleDict({"tower": model.tower, "head": CellHead(model.vision["hidden_size"])})

    def logits(images):
        with torch.autocast("cpu", torch.bfloat16):
            return modules["head"](modules["tower"](pixels_of(images))[-1]).float()

    def loss_of(rng, count, progress):
        images, labels = train.draw(rng, count, augment=1.0 if progress < 0.75 else 0.4)
        return F.cross_entropy(logits(images).flatten(0, 1), torch.from_numpy(labels).flatten(), label_smoothing=0.1)

    @torch.no_grad()
    def validate():
        images, labels = held.draw(np.random.default_rng(seed), 256)
        right = (logits(images).argmax(-1).numpy() == labels).mean()
        seen, names = train.draw(np.random.default_rng(seed), 128)
        return f"cells right: {right:.4f} (training items {(logits(seen).argmax(-1).numpy() == names).mean():.4f})"

    run_stage("tower", out, seed, modules, loss_of, validate, log)


class Packer:
    """Turns collages with several questions each into one batch of logits.

    All questions about a collage share its prefix (system text and image), so they are packed behind it in one
    sequence: each sees the prefix and itself only, at the positions it would have alone. The system text is the same
    for the whole batch and runs once. Same numbers, a fraction of the work.
    """

    def __init__(self, model, spm):
        self.model, self.spm = model, spm
        self.before, _ = lmm.encode_prompt(spm, "")

    def segment(self, question, answer):
        """Ids after the image up to the answer's end, and how many of them are the prompt's."""
        _, prompt = lmm.encode_prompt(self.spm, question)
        ids = self.spm.encode(f"{data.prompt_parts(question)[1]} {answer}") + [self.spm.eos_id()]
        if ids[: len(prompt)] != prompt:
            raise ValueError(f"the answer '{answer}' changes the prompt's tokens")
        return ids, len(prompt)

    def logits(self, vision, asked):
        """Vision tokens [B, N, C] and a list of (question, answer) per collage -> logits [R, vocab] at the R tokens of
        all answers, those tokens [R], and their weights [R], which make an answer count as the root of its length."""
        packed = [[self.segment(q, a) for q, a in pairs] for pairs in asked]
        system, tokens = len(self.before), vision.shape[1]
        total = tokens + max(sum(len(ids) for ids, _ in segments) for segments in packed)
        shape = (len(packed), total)  # the image and the questions; the image belongs to question -1, padding to -2
        ids, owner, targets = np.zeros(shape, np.int64), np.full(shape, -2), np.full(shape, IGNORE)
        positions, weights = np.zeros(shape, np.int64), np.zeros(shape, np.float32)
        owner[:, :tokens], positions[:, :tokens] = -1, system + np.arange(tokens)
        for b, segments in enumerate(packed):
            at = tokens
            for s, (text, prompt) in enumerate(segments):
                span, learned = slice(at, at + len(text)), slice(at + prompt - 1, at + len(text) - 1)
                ids[b, span], owner[b, span] = text, s
                positions[b, span] = system + tokens + np.arange(len(text))
                targets[b, learned], weights[b, learned] = text[prompt:], (len(text) - prompt) ** -0.5
                at += len(text)
        seen = (owner[:, :, None] == owner[:, None, :]) | (owner[:, None, :] == -1)
        mask = np.concatenate([np.ones((*shape, system), bool), np.tril(seen)], 2)
        embed = self.model.model.embed_tokens
        causal, none = torch.ones(system, system, dtype=torch.bool).tril(), torch.zeros(1, system, dtype=torch.bool)
        _, caches = self.model.decode(embed(torch.tensor(self.before))[None], torch.arange(system)[None], causal, rows=none)
        x = torch.cat([vision.float(), embed(torch.from_numpy(ids[:, tokens:]))], 1)
        rows = targets != IGNORE
        logits, _ = self.model.decode(x, torch.from_numpy(positions), torch.from_numpy(mask)[:, None], caches, torch.from_numpy(rows))
        return logits.float(), torch.from_numpy(targets[rows]), torch.from_numpy(weights[rows])


QUESTIONS = {"order": 0.2, "row": 0.5, "position": 1, "count": 3, "exists": 3, "tally": 1}
# Question types asked about each collage of a stage; a number below one is a chance.
MIXES = {"captions": {"order": 1}, "questions": QUESTIONS, "more": QUESTIONS}


def train_decoder(name, model, spm, out, seed, log):
    """A stage with the tower frozen: everything else learns to answer the questions of MIXES[name]."""
    train, held = data.Collages("train"), data.Collages("validation")
    packer = Packer(model, spm)
    modules = nn.ModuleDict({n: m for n, m in model.model.named_children() if n != "vision_tower"})
    modules["lm_head"] = model.lm_head

    def logits_of(images, asked):
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                taps = model.taps(pixels_of(images))
            return packer.logits(model.fuse(taps), asked)

    def loss_of(rng, count, progress):
        images, labels = train.draw(rng, count, augment=1.0 if progress < 0.75 else 0.4)
        asked = []
        for cells in labels:
            kinds = [k for k, n in MIXES[name].items() for _ in range(n if n >= 1 else int(rng.random() < n))]
            asked.append([data.ask(rng, cells, k) for k in kinds])
        logits, targets, weights = logits_of(images, asked)
        return (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / weights.sum()

    @torch.no_grad()
    def validate():
        """Words right when the true words before them are given: quick, and close to the real score."""
        rng = np.random.default_rng(seed)
        images, labels = held.draw(rng, 200)
        commas = torch.tensor(spm.encode("a, b")[1:2] + [spm.eos_id()])
        rates = []
        for kind in MIXES[name]:
            logits, targets, _ = logits_of(images, [[data.ask(rng, cells, kind)] for cells in labels])
            words = ~torch.isin(targets, commas)
            rates.append(f"{kind} {(logits.argmax(-1) == targets)[words].float().mean():.3f}")
        return "words right: " + " ".join(rates)

    run_stage(name, out, seed, modules, loss_of, validate, log)


def main():
    parser = argparse.ArgumentParser(description="train the example model and write its checkpoint")
    parser.add_argument("--out", required=True, metavar="DIR", help="working folder; the result is DIR/checkpoint")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--fusion", choices=("stf", "none"), default="stf", help="'none': LLaVA-1.5's projector on all 64 patches")
    parser.add_argument("--tower", metavar="CHECKPOINT", help="take the tower and the tokenizer from this checkpoint; its stage is left out")
    parser.add_argument("--more", type=int, default=0, metavar="N", help="steps of the stage 'more'")
    parser.add_argument("--scale", type=float, default=1.0, metavar="F", help="multiplies the steps of every stage, to try things out")
    args = parser.parse_args()
    STAGES["more"] = (args.more, *STAGES["more"][1:])
    for name, (steps, count, rate) in STAGES.items():
        STAGES[name] = (max(min(steps, 1), round(steps * args.scale)), count, rate)
    os.makedirs(args.out, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    def log(line):
        print(time.strftime("%H:%M:%S"), line, flush=True)

    given = lmm.load_checkpoint(args.tower)[0] if args.tower else None
    if given:
        shutil.copy(os.path.join(args.tower, "tokenizer.model"), args.out)
    spm_bytes = words.train_tokenizer(args.out, lmm.CONFIG["vocab_size"], args.seed)
    spm = lmm.tokenizer(os.path.join(args.out, "tokenizer.model"))
    model = lmm.LMM(lmm.CONFIG if args.fusion == "stf" else lmm.PLAIN)
    if given:
        model.tower.load_state_dict(given.tower.state_dict())
    else:
        train_tower(model, args.out, args.seed, log)
    for p in model.tower.parameters():
        p.requires_grad_(False)
    for name in (n for n in MIXES if STAGES[n][0]):
        train_decoder(name, model, spm, args.out, args.seed, log)
    lmm.save_checkpoint(model, os.path.join(args.out, "checkpoint"), spm_bytes)


if __name__ == "__main__":
    main()
