#!/usr/bin/env python3
"""Runs compiled binaries on the goldens, or on new random checkpoints, and prints relative l2 errors. Needs numpy only;
--random also needs what reference.py needs.

    compare.py --binary B --checkpoint NAME [--case C]    one compiled golden checkpoint
    compare.py --lmmc PATH [--checkpoint NAME]            compiles the goldens, then runs every case
    compare.py --lmmc PATH --random N [--seed S]          N new random checkpoints against reference.py
Options after '--' go to 'lmmc compile' (for example: -- --precision int8). Exit status 1 when anything is out of bounds.

Bounds: an array may be `--factor` times as far from float64 as the float32 reference is (at least 1e-6 in relative l2),
and tokens, counts, text and finish_reason must be equal. With --tolerance T the bound is T instead, tokens may part, and
logits are compared up to the row where they do."""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
FIELDS = ("tokens", "prompt_tokens", "visual_tokens", "text", "finish_reason")


def distance(expected, got):
    """Relative l2 distance; infinite where shapes differ or a value is not finite."""
    if expected.shape != got.shape or not np.isfinite(got).all():
        return np.inf
    return float(np.linalg.norm(expected.astype(np.float64) - got) / np.linalg.norm(expected.astype(np.float64)))


def margin(logits):
    """Smallest gap between the best two logits of a row, relative to the row's deviation."""
    top = np.sort(logits, -1)
    return float(((top[:, -1] - top[:, -2]) / logits.std(-1)).min())


def compiled(lmmc, folder, out, options):
    """Compiles a checkpoint folder; RuntimeError with the compiler's line if that fails."""
    done = subprocess.run([lmmc, "compile", folder, "-o", out, "--quiet", *options], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"lmmc exits {done.returncode}: {done.stderr.strip()}")


def run_case(binary, arguments, threads):
    """Runs in this folder, so that image paths are the manifest's -> arrays by name, and the --json object as 'tokens'."""
    with tempfile.TemporaryDirectory() as dump:
        done = subprocess.run([os.path.abspath(binary), *arguments, "--threads", str(threads), "--json", "--dump", dump], capture_output=True, cwd=HERE)
        if done.returncode:
            raise RuntimeError(f"the binary exits {done.returncode}: {done.stderr.decode(errors='replace').strip()}")
        result = {file[:-4]: np.load(os.path.join(dump, file)) for file in os.listdir(dump) if file.endswith(".npy")}
    result["tokens"] = json.loads(done.stdout)
    return result


def compare(label, expected, got, float32, options):
    """Prints one line; whether all is within bounds. float32: the reference's own distances by array."""
    problems, shown = [], []
    loose = options.tolerance is not None
    same = 0
    for same, (a, b) in enumerate(zip(expected["tokens"]["tokens"] + [-1], got["tokens"].get("tokens", []) + [-1])):
        if a != b:
            break
    for name, scale in float32.items():
        want, have = expected[name], got.get(name)
        if have is None:
            problems.append(f"no {name}.npy")
            continue
        if loose and name == "logits":
            want, have = want[:same + 1], have[:same + 1]
        error = distance(want, have)
        shown.append(f"{name} {error:.1e}" + (f" shape {have.shape} not {want.shape}" if have.shape != want.shape else ""))
        if not error <= (options.tolerance if loose else max(1e-6, options.factor * scale)):
            problems.append(name)
    absent = [name for name in ("pixels", "projected") if name in got and not got["tokens"].get("visual_tokens")]
    problems += [f"{name}.npy without an image" for name in absent]
    for field in FIELDS if not loose else FIELDS[1:3]:
        if got["tokens"].get(field) != expected["tokens"][field]:
            problems.append(f"{field} {got['tokens'].get(field)!r} not {expected['tokens'][field]!r}")
    if loose:
        shown.append(f"{same} of {len(expected['tokens']['tokens'])} tokens")
    print(f"{'FAIL' if problems else 'ok'}  {label}: {', '.join(shown)}" + (f"  ({'; '.join(problems)})" if problems else ""), flush=True)
    return not problems


def golden_cases(entry, binary, options):
    """Every (or the one) case of a manifest entry."""
    fine = True
    for case in entry["cases"]:
        if options.case not in (None, case["name"]):
            continue
        folder = os.path.join(HERE, case["expected"])
        expected = {name: np.load(os.path.join(folder, name + ".npy")) for name in case["compare"]}
        with open(os.path.join(folder, "tokens.json"), encoding="utf-8") as file:
            expected["tokens"] = json.load(file)
        label = f"{entry['checkpoint']}/{case['name']}"
        try:
            fine &= compare(label, expected, run_case(binary, case["arguments"], options.threads), case["float32_distance"], options)
        except (RuntimeError, ValueError) as error:
            fine = False
            print(f"FAIL  {label}: {error}", flush=True)
    return fine


def goldens(options, scratch):
    with open(os.path.join(HERE, "manifest.json"), encoding="utf-8") as file:
        entries = [e for e in json.load(file)["checkpoints"] if options.checkpoint in (None, e["checkpoint"])]
    if not entries:
        sys.exit(f"no checkpoint '{options.checkpoint}' in manifest.json")
    fine = True
    for entry in entries:
        binary = options.binary or os.path.join(scratch, entry["checkpoint"])
        try:
            if not options.binary:
                compiled(options.lmmc, os.path.join(HERE, entry["checkpoint"]), binary, options.compile or entry["compile"])
            fine &= golden_cases(entry, binary, options)
        except RuntimeError as error:
            fine = False
            print(f"FAIL  {entry['checkpoint']}: {error}", flush=True)
    return fine


def random_prompt(rng, words, images):
    """(text, raw) with `images` places, some left to the binary where the prompt is not raw."""
    text = lambda: " ".join(rng.choice(words) for _ in range(rng.randint(1, 8)))
    raw = rng.random() < 0.5
    places = images if raw else rng.randint(0, images)
    parts = [text() if rng.random() < 0.8 else rng.choice(["", " ", "\n", "</s>", "x</s>y"]) for _ in range(places + 1)]
    return "<image>".join(parts) or "x", raw


def random_checkpoints(options, scratch):
    import torch

    import checkpoints
    import make_golden
    import reference
    torch.set_num_threads(1)
    tokenizer, pieces = checkpoints.train_tokenizer(), checkpoints.Spec.vocab
    words, images = checkpoints.SENTENCES.split(), sorted(reference.read_json(os.path.join(HERE, "images", "images.json"))["images"], key=lambda e: e["file"])
    fine = True
    for number in range(options.seed, options.seed + options.random):
        rng = random.Random(number)
        folder, binary = os.path.join(scratch, f"model{number}"), os.path.join(scratch, f"binary{number}")
        spec = checkpoints.random_spec(rng, number)
        chosen = [rng.choice(images)["file"] for _ in range(rng.choice([0, 1, 1, 1, 2]))]
        text, raw = random_prompt(rng, words, len(chosen))
        checkpoints.make_checkpoint(spec, folder, tokenizer)
        exact, single = (reference.Reference(folder, dtype).run([make_golden.opened(name) for name in chosen], text, raw, 16) for dtype in (torch.float64, torch.float32))
        label = f"seed {number} ({spec.projector if spec.taps is None else f'k={spec.k} E={spec.tokens}'}, {spec.dtype}, {len(chosen)} images)"
        if margin(exact["logits"]) < 1e-4 or any(i >= pieces for i in exact["tokens"]["tokens"]):
            print(f"skip  {label}: a near tie or a padding id among the greedy tokens")
            continue
        float32 = {name: distance(exact[name], single[name]) for name in ("pixels", "projected", "logits") if name in exact}
        arguments = [a for name in chosen for a in ("--image", "images/" + name)] + ["--raw-prompt" if raw else "--prompt", text, "--max-tokens", "16"]
        try:
            compiled(options.lmmc, folder, binary, options.compile or ["--precision", "f32"])
            fine &= compare(label, exact, run_case(binary, arguments, options.threads), float32, options)
        except (RuntimeError, ValueError) as error:
            fine = False
            print(f"FAIL  {label}: {error}", flush=True)
            print(f"      {spec}", flush=True)
        if not options.keep:
            shutil.rmtree(folder)
            if os.path.exists(binary):
                os.remove(binary)
    return fine


def main():
    own, extra = sys.argv[1:], []
    if "--" in own:
        own, extra = own[:own.index("--")], own[own.index("--") + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", help="a compiled golden checkpoint (with --checkpoint)")
    parser.add_argument("--lmmc", help="the compiler, to compile what is compared")
    parser.add_argument("--checkpoint", help="one checkpoint of the manifest")
    parser.add_argument("--case", help="one case of it")
    parser.add_argument("--random", type=int, metavar="N", help="N random checkpoints")
    parser.add_argument("--seed", type=int, default=1, help="first seed of the random checkpoints")
    parser.add_argument("--factor", type=float, default=10.0, help="bound in float32 reference distances")
    parser.add_argument("--tolerance", type=float, help="bound in relative l2, for lower precisions")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", metavar="DIR", help="leave checkpoints and binaries in this folder")
    options = parser.parse_args(own)
    options.compile = extra
    if bool(options.binary) == bool(options.lmmc) or options.binary and (not options.checkpoint or options.random):
        parser.error("give --binary with --checkpoint, or --lmmc")
    with tempfile.TemporaryDirectory() as scratch:
        if options.keep:
            os.makedirs(options.keep, exist_ok=True)
            scratch = os.path.abspath(options.keep)
        fine = random_checkpoints(options, scratch) if options.random else goldens(options, scratch)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
