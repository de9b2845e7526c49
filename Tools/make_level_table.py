#!/usr/bin/env python3
"""The table of levels in Docs/Performance.md: `python3 Tools/make_level_table.py LMMC WIDE --work DIR`.

LMMC   the compiler
WIDE   a checkpoint whose speeds count, of `lmmc synth --preset llava-stf-7b --layers 1 --vision-layers 4` say
DIR    keeps the programs; those that are there are not compiled again

Sizes and tokens are those of examples/fashion: the file with the code of one level alone, and the share of its questions whose greedy answer has
the tokens of the best level. Speeds are medians of --bench, the levels in turn, as a ratio to the best level: time to the first token, and decode.
"""

import argparse
import json
import os
import statistics
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
EXAMPLE = os.path.join(ROOT, "examples/fashion")
PRECISIONS = ["f32", "bf16", "int8", "int4"]
# LMMC_ISA, and the level of emitted code that it runs on
SETS = {"sse4.2": "sse4.2", "avx2": "avx2", "avxvnni": "avx2", "avx512": "avx512", "avx512vnni": "avx512", "avx512bf16": "avx512"}
QUESTIONS, ROUNDS = 12, 3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lmmc")
    parser.add_argument("wide")
    parser.add_argument("--work", required=True)
    options = parser.parse_args()

    def program(name, model, *flags):
        path = os.path.join(options.work, name)
        if not os.path.exists(path):
            subprocess.run([options.lmmc, "compile", model, "-o", path, "--quiet", *flags], check=True)
        return path

    def run(path, isa, *arguments):
        done = subprocess.run([path, *arguments, "--json"], env={**os.environ, "LMMC_ISA": isa}, capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    with open(os.path.join(EXAMPLE, "questions.json")) as file:
        questions = json.load(file)[:QUESTIONS]
    columns = {}
    for precision in PRECISIONS:
        flags = ["--precision", precision]
        example = program(f"example-{precision}", f"{EXAMPLE}/checkpoint", *flags)
        alone = {l: os.path.getsize(program(f"example-{precision}-{l}", f"{EXAMPLE}/checkpoint", *flags, "--target-level", l)) for l in set(SETS.values())}
        wide = program(f"wide-{precision}", options.wide, *flags, "--context", "512")
        ask = lambda isa: [run(example, isa, "--image", os.path.join(EXAMPLE, q["image"]), "--prompt", q["question"])["tokens"] for q in questions]
        here = [isa for isa in SETS if run(example, isa, "--bench", "--runs", "1") is not None]
        answers = {isa: ask(isa) for isa in here}
        times = {isa: [] for isa in here}
        for _ in range(ROUNDS):
            for isa in here:
                bench = run(wide, isa, "--bench", "--runs", "1", "--max-tokens", "4")
                times[isa].append((bench["time_to_first_token"]["median"], bench["decode_step"]["median"]))
        median = {isa: [statistics.median(t[i] for t in times[isa]) for i in (0, 1)] for isa in here}
        best = [min(m[i] for m in median.values()) for i in (0, 1)]
        for isa, level in SETS.items():
            columns[isa, precision] = [f"{alone[level] / 2**20:.2f}"] + (
                [f"{sum(a == b for a, b in zip(answers[isa], answers[here[-1]]))}/{len(questions)}", *(f"{best[i] / median[isa][i]:.2f}" for i in (0, 1))]
                if isa in here
                else ["-", "-", "-"]
            )
        columns["all in one", precision] = [f"{os.path.getsize(example) / 2**20:.2f}", "", "", ""]

    print("| set (`LMMC_ISA`) | code of level | " + " | ".join(f"{p}: MiB, tokens, first token, decode" for p in PRECISIONS) + " |")
    print("|---" * (2 + len(PRECISIONS)) + "|")
    for isa in [*SETS, "all in one"]:
        print(f"| {isa} | {SETS.get(isa, 'all')} | " + " | ".join(", ".join(c for c in columns[isa, p] if c) for p in PRECISIONS) + " |")


main()
