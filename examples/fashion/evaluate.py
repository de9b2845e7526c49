#!/usr/bin/env python3
"""Asks the example model held-out questions and prints how many it gets right, by question type.

    python evaluate.py                             the checkpoint, in PyTorch, float32
    python evaluate.py --binary ./fashion          a binary that lmmc made of it
    python evaluate.py --binary ./fashion --compare    both, on the same questions
    python evaluate.py --binary ./fashion --batch      one run for all questions; --batch llava: in the form of LLaVA's files
    python evaluate.py --samples                   writes images/ anew, and questions.json beside the checkpoint

Needs numpy, pillow and Debian's dataset-fashion-mnist (its test split is held out: training never sees it);
the PyTorch side also torch, sentencepiece and safetensors. Questions come in turn from five types, so each
has the same share. An answer counts when it is the right text; in a list (types row and order) each item in
its place counts one part of the answer. "whole lists" counts a list only when all of it is right.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

import data

HERE = os.path.dirname(os.path.abspath(__file__))
SAMPLES = [("first.png", {}), ("second.png", {}), ("third.png", {}), ("fourth.png", {}),
           ("fifth.jpg", {"quality": 95, "subsampling": 0}), ("sixth.webp", {"lossless": True})]


class PyTorch:
    """Greedy answers of the checkpoint; one image's vision tokens are kept for its next question."""

    def __init__(self, folder, threads):
        import torch

        import model

        torch.set_num_threads(threads)
        self.torch, self.lmm = torch, model
        self.model, self.spm = model.load_checkpoint(folder)
        self.path = self.vision = None

    def ask(self, path, question):
        if path != self.path:
            with self.torch.no_grad():
                pixels = self.torch.from_numpy(data.open_image(path))[None]
                self.vision, self.path = self.model.fuse(self.model.taps(pixels))[0], path
        return self.lmm.answer(self.model, self.spm, question, self.vision)


class Binary:
    def __init__(self, path, threads):
        self.command = [os.path.abspath(path), "--json", "--threads", str(threads)]

    def ask(self, path, question):
        run = subprocess.run([*self.command, "--image", path, "--prompt", question], capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"'{self.command[0]}' exited {run.returncode} on '{path}': {run.stderr.strip()}")
        return json.loads(run.stdout)["text"].strip()


def ask_all(path, threads, form, asked, folder):
    """One run of the binary for all questions, as lines of its own form ("lmmc") or of LLaVA's question files ("llava")."""
    id_key, text_key = {"lmmc": ("id", "prompt"), "llava": ("question_id", "text")}[form]
    requests = os.path.join(folder, "requests.jsonl")
    with open(requests, "w") as f:
        for i, q in enumerate(asked):
            f.write(json.dumps({id_key: i, text_key: q["question"], "image": os.path.basename(q["image"])}) + "\n")
    command = [os.path.abspath(path), "--batch", requests, "--image-folder", folder, "--threads", str(threads)]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"'{path}' exited {run.returncode} on a batch: {run.stderr.strip()}")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    refused = [line for line in lines if "error" in line]
    if refused or [line[id_key] for line in lines] != list(range(len(asked))):
        sys.exit(f"'{path}' answered {len(lines) - len(refused)} of {len(asked)} lines: {refused[:1]}")
    return [line["text"].strip() for line in lines]


def table(name, asked, answers):
    """Prints one line per question type: share right, questions, and for lists the share of whole lists."""
    print(f"{name}\n  {'type':<10}{'questions':>10}{'right':>9}{'whole lists':>13}")
    shares = []
    for kind in data.KINDS:
        pairs = [(a, q["truth"]) for a, q in zip(answers, asked) if q["type"] == kind]
        if not pairs:
            continue
        shares.append((len(pairs), np.mean([np.divide(*data.score(kind, a, t)) for a, t in pairs])))
        whole = f"{np.mean([a == t for a, t in pairs]):13.1%}" if kind in ("row", "order") else ""
        print(f"  {kind:<10}{len(pairs):>10}{shares[-1][1]:>9.1%}{whole}")
    total = sum(n for n, _ in shares)
    print(f"  {'all':<10}{total:>10}{sum(n * s for n, s in shares) / total:>9.1%}", flush=True)


def held_out(seed, total, folder, blind=False):
    """Draws `total` questions about test-split collages, two of each type per image, saved as PNG in `folder`.

    `blind` saves black pictures instead: what is right then was guessed.
    """
    rng = np.random.default_rng([seed, 1])
    per_image = 2 * len(data.KINDS)
    images, labels = data.Collages("test").draw(rng, -(-total // per_image))
    asked = []
    for i, cells in enumerate(labels):
        path = os.path.join(folder, f"{i}.png")
        Image.fromarray(images[i] * np.uint8(not blind)).convert("RGB").save(path)
        batch = data.questions(rng, cells[None], min(per_image, total - len(asked)))
        asked += [{**q, "image": path} for q in batch]
    return asked


def write_samples(asker, seed, folder):
    """A few test-split collages, questions of each type about them, and the model's own answers: `folder`/questions.json."""
    rng = np.random.default_rng([seed, 2])
    images, labels = data.Collages("test").draw(rng, len(SAMPLES))
    os.makedirs(os.path.join(HERE, "images"), exist_ok=True)
    rows = []
    for (name, options), image, cells in zip(SAMPLES, images, labels):
        path = os.path.join(HERE, "images", name)
        Image.fromarray(image).convert("RGB").save(path, **options)
        for q in data.questions(rng, cells[None], len(data.KINDS)):
            rows.append({"image": os.path.relpath(path, folder), "type": q["type"], "question": q["question"],
                         "answer": asker.ask(path, q["question"]), "truth": q["truth"]})
    with open(os.path.join(folder, "questions.json"), "w") as f:
        json.dump(rows, f, indent=1)
        f.write("\n")
    table("samples", rows, [r["answer"] for r in rows])


def main():
    parser = argparse.ArgumentParser(description="score the example model on held-out questions")
    parser.add_argument("--checkpoint", default=os.path.join(HERE, "checkpoint"), metavar="DIR")
    parser.add_argument("--binary", metavar="PATH", help="ask this compiled model instead of PyTorch")
    parser.add_argument("--compare", action="store_true", help="with --binary: ask PyTorch too, and count equal answers")
    parser.add_argument("--batch", nargs="?", const="lmmc", choices=["lmmc", "llava"],
                        help="with --binary: all questions in one run, in this form")
    parser.add_argument("--questions", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--blind", action="store_true", help="show black pictures, to see what guessing gets right")
    parser.add_argument("--samples", action="store_true", help="write images/, and questions.json with PyTorch's answers")
    args = parser.parse_args()
    if args.questions < 1:
        parser.error("'--questions' must be at least 1")
    if args.binary and not os.access(args.binary, os.X_OK):
        parser.error(f"'{args.binary}' is not an executable file")
    for name in ("compare", "batch"):
        if getattr(args, name) and not args.binary:
            parser.error(f"'--{name}' needs '--binary'")
    if args.samples:
        return write_samples(PyTorch(args.checkpoint, args.threads), args.seed, os.path.dirname(os.path.abspath(args.checkpoint)))
    with tempfile.TemporaryDirectory() as folder:
        asked = held_out(args.seed, args.questions, folder, args.blind)
        answers = {}
        if args.binary:
            begun = time.monotonic()
            if args.batch:
                answers[args.binary] = ask_all(args.binary, args.threads, args.batch, asked, folder)
            else:
                binary = Binary(args.binary, args.threads)
                answers[args.binary] = [binary.ask(q["image"], q["question"]) for q in asked]
            print(f"{args.binary}: {len(asked) / (time.monotonic() - begun):.0f} questions a second")
        if args.compare or not args.binary:
            reference = PyTorch(args.checkpoint, args.threads)
            answers["PyTorch, float32"] = [reference.ask(q["image"], q["question"]) for q in asked]
    for name, given in answers.items():
        table(name, asked, given)
    if args.compare:
        ours, theirs = answers.values()
        same = sum(a == b for a, b in zip(ours, theirs))
        print(f"equal answers: {same} of {len(asked)}")
        for q, a, b in [(q, a, b) for q, a, b in zip(asked, ours, theirs) if a != b][:10]:
            print(f"  {q['question']} binary '{a}', PyTorch '{b}', truth '{q['truth']}'")


if __name__ == "__main__":
    main()
