#!/usr/bin/env python3
"""Sets learned fusion beside token reduction without training: the same held-out questions to a program of each.

    python reducers.py --lmmc PATH [--questions 2000] [--precision f32] [--keep 16] [--output FILE]

The example (STF, 16 vision tokens by training) and its sibling without fusion (64), plain and with each reducer that acts on it, brought to about the
same budget. Prints a table in Markdown: vision rows that the decoder's blocks ran on, the mean of what the programs said; right answers by question type;
the decoder's work for the vision rows by the paper's rule (rows as run, the model's widths), and the time to first token by `--bench` as a ratio to
the sibling without a reducer, the median of turns that alternate.

Needs what evaluate.py needs for `--binary`: numpy, pillow and Debian's dataset-fashion-mnist.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import data
import evaluate

HERE = os.path.dirname(os.path.abspath(__file__))
FUSED = os.path.join(HERE, "checkpoint")
PLAIN = os.path.join(os.path.dirname(HERE), "fashion-llava", "checkpoint")
PATCHES = 64
TURNS = 7


def methods(keep):
    """(name, checkpoint, reducer) of each row; decoder-side budgets are of the same mean number of rows a block."""
    config = json.load(open(os.path.join(PLAIN, "config.json")))
    layers = config["num_hidden_layers"]
    # Behind the first of `layers` blocks so many rows that the mean is `keep`, which is impossible where the first alone is more.
    behind = max(1, round((keep * layers - PATCHES) / (layers - 1)))
    third = max(1, round(behind * 1.5))
    rows = [("LLaVA, no reduction", PLAIN, None), ("STF, trained", FUSED, None)]
    for name in [f"visionzip:keep={keep}", f"prumerge:ratio={keep / PATCHES:g}", "prumerge", "prumerge+", f"mmtok:keep={keep}", f"tome:keep={keep}",
                 f"fastv:layer=1,keep={keep}", f"fastv:layer=1,keep={behind}", f"llavolta:layer=1,stride={PATCHES // keep}",
                 f"sparsevlm:version=1.5,layers=0+1,keep={third}+{max(1, behind // 2)}",
                 f"sparsevlm:version=2.0,layers=0+1,keep={third}+{max(1, behind // 2)}",
                 # Its places are behind blocks 2, 6, 10 and 14, of which this decoder has the first, with one block behind it.
                 "mustdrop:global=0.03,individual=0.03,window=2"]:
        rows.append((name, PLAIN, name))
    return rows


def decoder_flops(checkpoint, rows):
    """The paper's count (linear layers without the head, and attention of vision rows to each other) for the vision rows that each block runs on."""
    c = json.load(open(os.path.join(checkpoint, "config.json")))
    hidden, heads = c["hidden_size"], c["num_attention_heads"]
    kv = hidden // heads * c["num_key_value_heads"]
    weights = hidden * (2 * hidden + 2 * kv + 3 * c["intermediate_size"])
    return sum(2 * weights * n + 4 * n * n * hidden for n in rows)


def compile_one(lmmc, checkpoint, reducer, precision, program):
    command = [lmmc, "compile", checkpoint, "-o", program, "--precision", precision, "--quiet"] + (["--reduce", reducer] if reducer else [])
    run = subprocess.run(command, capture_output=True, text=True)
    return run.returncode == 0, run.stderr.strip()


def ask(program, question, threads, layers):
    run = subprocess.run([program, "--json", "--threads", str(threads), "--image", question["image"], "--prompt", question["question"]],
                         capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"'{program}' exited {run.returncode} on '{question['image']}': {run.stderr.strip()}")
    answer = json.loads(run.stdout)
    return answer["text"].strip(), answer.get("visual_tokens_per_block") or [answer["visual_tokens"]] * layers


def first_token(program, question, threads):
    """Milliseconds, in a process that has answered before."""
    run = subprocess.run([program, "--bench", "--runs", "15", "--json", "--threads", str(threads), "--image", question["image"], "--prompt",
                          question["question"], "--max-tokens", "2"], capture_output=True, text=True, check=True)
    return json.loads(run.stdout)["time_to_first_token"]["median"]


def share(asked, answers, kind=None):
    scored = [np.divide(*data.score(q["type"], a, q["truth"])) for a, q in zip(answers, asked) if kind in (None, q["type"])]
    return float(np.mean(scored))


def main():
    parser = argparse.ArgumentParser(description="compare learned fusion with token reducers on held-out questions")
    parser.add_argument("--lmmc", default="lmmc", metavar="PATH")
    parser.add_argument("--questions", type=int, default=2000, metavar="N")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--keep", type=int, default=16, metavar="N", help="vision rows of the reducers that take a number")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", metavar="FILE", help="the table goes here too")
    args = parser.parse_args()
    layers = json.load(open(os.path.join(PLAIN, "config.json")))["num_hidden_layers"]
    lines = ["| method | rows a block | " + " | ".join(data.KINDS) + " | all | decoder MFLOP | first token |", "|---|---:" + "|---:" * (len(data.KINDS) + 3) + "|"]
    with tempfile.TemporaryDirectory() as folder:
        asked = evaluate.held_out(args.seed, args.questions, folder)
        base = None
        for index, (name, checkpoint, reducer) in enumerate(methods(args.keep)):
            program = os.path.join(folder, f"program{index}")
            done, message = compile_one(args.lmmc, checkpoint, reducer, args.precision, program)
            if not done:
                print(f"left out: {name}: {message}", file=sys.stderr, flush=True)
                continue
            results = [ask(program, q, args.threads, layers) for q in asked]
            answers = [r[0] for r in results]
            flops = np.mean([decoder_flops(checkpoint, r[1]) for r in results])
            base = base or program
            ratio = np.median([first_token(program, asked[0], args.threads) / first_token(base, asked[0], args.threads) for _ in range(TURNS)])
            cells = [f"{share(asked, answers, kind):.1%}" for kind in data.KINDS] + [f"{share(asked, answers):.1%}"]
            lines.append(f"| {name} | {np.mean([r[1] for r in results]):.1f} | " + " | ".join(cells) + f" | {flops / 1e6:.1f} | {ratio:.2f} |")
            print(lines[-1], flush=True)
            if program != base:
                os.remove(program)
    text = "\n".join(lines) + "\n"
    print("\n" + text, end="")
    if args.output:
        with open(args.output, "w") as f:
            f.write(text)


if __name__ == "__main__":
    main()
