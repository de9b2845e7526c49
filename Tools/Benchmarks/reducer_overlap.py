#!/usr/bin/env python3
"""Measures what bf16, int8 and int4 change of what token reducers choose, and prints the tables of Docs/Reducers.md.

    python3 reducer_overlap.py [--lmmc PATH] [--questions N] [--only TEXT] [--output FILE]

Each method and setting of the goldens (Tests/Golden/reducers: small random models) is compiled in f32 and in every other precision; with --questions the
example's sibling without fusion too, a trained model with 64 patches, on N held-out questions (needs what examples/fashion/evaluate.py needs for `--binary`).
Beside the program in f32 stand

- the share of the indices that are the same as sets, of each list of kept.npy or selected.npy: those in both over the length of the longer;
- the relative l2 distance of the first logits, over all of the vocabulary;
- the tokens that are equal before the first that is not, and how many f32 has.

Means over the cases. Without a reducer the last two are what the precision does by itself. Needs numpy."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GOLDEN = os.path.join(ROOT, "Tests", "Golden")
EXAMPLE = os.path.join(ROOT, "examples", "fashion")
PRECISIONS = ("bf16", "int8", "int4")
NONE = "no reducer"
sys.path[:0] = [EXAMPLE, GOLDEN]  # both have a reducers.py; the example's is meant
from compare import distance, run_case


def compiled(lmmc, checkpoint, reducer, precision, program):
    """Whether there is a program; a reducer that is not built is left out and said."""
    done = subprocess.run([lmmc, "compile", checkpoint, "-o", program, "--quiet", "--target", "native", "--precision", precision,
                           *(["--reduce", reducer] if reducer != NONE else [])], capture_output=True, text=True, cwd=GOLDEN)
    if done.returncode:
        print(f"left out: {reducer}: {done.stderr.strip()}", file=sys.stderr, flush=True)
    return done.returncode == 0


def overlap(a, b):
    """The mean over lists, padded with -1, of the indices in both over those of the longer; nan where there are none."""
    shares = []
    for one, other in zip(a, b):
        one, other = set(one[one >= 0].tolist()), set(other[other >= 0].tolist())
        if one or other:
            shares.append(len(one & other) / max(len(one), len(other)))
    return float(np.mean(shares)) if shares else float("nan")


def figures(exact, other):
    """(overlap, distance of the first logits, equal tokens) of a case."""
    a, b = exact["tokens"]["tokens"], other["tokens"]["tokens"]
    equal = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    lists = [overlap(exact[name], other[name]) for name in ("kept", "selected") if name in exact]
    return lists[0] if lists else float("nan"), distance(exact["logits"][0], other["logits"][0]), equal


def measure(lmmc, checkpoint, reducer, cases, folder):
    """{precision: the figures of every case}, and the mean of the tokens in f32; None where nothing makes the program."""
    program, results = os.path.join(folder, "program"), {}
    for precision in ("f32", *PRECISIONS):
        if not compiled(lmmc, checkpoint, reducer, precision, program):
            return None
        results[precision] = [run_case(program, arguments, 2) for arguments in cases]
    tokens = np.mean([len(exact["tokens"]["tokens"]) for exact in results["f32"]])
    return {precision: [figures(exact, other) for exact, other in zip(results["f32"], results[precision])] for precision in PRECISIONS}, tokens


def row(name, cases, found, tokens):
    cells = []
    for precision in PRECISIONS:
        kept, logits, equal = np.array(found[precision], dtype=float).T
        share = "" if np.isnan(kept).all() else f"{np.nanmean(kept):.1%}"
        cells += [share, f"{np.mean(logits):.1e}", f"{np.mean(equal):.1f}"]
    return f"| {name} | {cases} | " + " | ".join(cells) + f" | {tokens:.1f} |"


def golden_rows(options, folder):
    """A line for each method on each grid, and one for the same cases without a reducer."""
    groups, dense = {}, {}
    with open(os.path.join(GOLDEN, "reducers", "manifest.json"), encoding="utf-8") as file:
        entries = json.load(file)["checkpoints"]
    for entry in entries:
        folder_name, grid = os.path.split(entry["checkpoint"])
        reducer = entry["compile"][entry["compile"].index("--reduce") + 1]
        cases = [case["arguments"] for case in entry["cases"] if "--image" in case["arguments"]]
        if folder_name != "reducers" or (options.only and options.only not in reducer):
            continue
        found = measure(options.lmmc, entry["checkpoint"], reducer, cases, folder)
        if not found:
            continue
        version = next((part.split("=")[1] for part in reducer.split(",") if part.startswith("version=")), "1.5")
        name = "`" + reducer.split(":")[0] + "`" + (f" {version}" if reducer.startswith("sparsevlm") else "")
        group = groups.setdefault((grid, name), [])
        group.append(found)
        dense.setdefault(grid, {}).update({tuple(case): case for case in cases if case.count("--image") == 1})
        print(row(f"{grid} {reducer}", len(cases), *found), flush=True)
    for grid, cases in dense.items():
        groups[(grid, NONE)] = [measure(options.lmmc, f"reducers/{grid}", NONE, list(cases.values()), folder)]
    lines = []
    for (grid, name), parts in sorted(groups.items(), key=lambda item: (item[0][0] != "grid8", item[0][1] != NONE)):
        found = {precision: sum((part[0][precision] for part in parts), []) for precision in PRECISIONS}
        count = len(found["bf16"])
        tokens = sum(part[1] * len(part[0]["bf16"]) for part in parts) / count
        lines.append(row(f"{name}, {grid[4:]} x {grid[4:]}", count, found, tokens))
    return lines


def example_rows(options, folder):
    import evaluate
    import reducers
    asked = evaluate.held_out(11, options.questions, folder)
    cases = [["--image", question["image"], "--prompt", question["question"]] for question in asked]
    lines = []
    for name, checkpoint, reducer in reducers.methods(16):
        if checkpoint != reducers.PLAIN or (options.only and options.only not in name):
            continue
        found = measure(options.lmmc, checkpoint, reducer or NONE, cases, folder)
        if found:
            lines.append(row(f"`{name}`" if reducer else NONE, len(cases), *found))
            print(lines[-1], flush=True)
    return lines


def table(lines):
    columns = " | ".join(f"{precision}: kept | logits | tokens" for precision in PRECISIONS)
    return "\n".join([f"| method | cases | {columns} | of |", "|---|---:" + "|---:" * 10 + "|", *lines]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lmmc", default=os.path.join(ROOT, ".build", "release", "lmmc"), metavar="PATH")
    parser.add_argument("--questions", type=int, default=0, metavar="N", help="of the example's sibling; none by default")
    parser.add_argument("--only", metavar="TEXT", help="settings that have TEXT in their name")
    parser.add_argument("--output", metavar="FILE", help="the tables go here too")
    options = parser.parse_args()
    options.lmmc = os.path.abspath(options.lmmc)
    with tempfile.TemporaryDirectory() as folder:
        tables = [table(golden_rows(options, folder))]
        if options.questions:
            tables.append(table(example_rows(options, folder)))
    text = "\n".join(tables)
    print("\n" + text, end="")
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    main()
