#!/usr/bin/env python3
"""Writes Docs/Configurations.md: every configuration of the paper and of the file formats, with its checks.

    LMMC=path/to/lmmc Tools/make_configurations.py [--work DIR] [--only TEXT] [--condition TEXT]

Each row is compiled twice. At small widths, in f32, the program runs on the goldens (Tests/Golden) and is compared with transformers and torch in
float64; a logit farther than 1e-4 in relative l2 or another token ends the script. At true widths, with one decoder layer and random weights
(`lmmc synth`), it is compiled, asked about a picture, and its time and memory are noted. Then come the paper's counts, held against
`lmmc inspect`, and what each wrong combination is told. Nothing is left in DIR, which needs 30 GB; the row of k = 8 needs 20 GB of it. Needs
numpy; torch, sentencepiece and the gguf package for the file formats.
`--only` runs the rows that have TEXT in their name and prints them; `--condition` is said in the page about the times."""
import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "Tests", "Golden")
sys.path[:0] = [GOLDEN, os.path.join(GOLDEN, "formats")]
import compare
import true_width

BOUND = 1e-4
PAPER, PLAIN = "llava-stf-paper-7b", "llava-1.5-7b"


def row(name, goldens, *synth, preset=PAPER, precisions=("int8",), maker=None):
    """goldens: names in the manifests; synth: options beside the preset; maker: what true_width.py makes of that checkpoint."""
    return {"name": name, "goldens": goldens.split(), "preset": preset, "synth": list(synth), "precisions": precisions, "maker": maker}


def fusion(k, tokens):
    # k = 8: 2^32 weights in the window convolution.
    return row(f"k = {k}, E = {tokens}", f"table5-k{k}-e{tokens}", "--kernel", str(k), "--tokens-per-window", str(tokens),
               precisions=("int8", "int4") if (k, tokens) in ((2, 1), (8, 4)) else ("int8",))


BOTH = ("int8", "int4")
TABLES = {
    "Fusion strategies (Table 6)": [
        row("STF over MBTF, as in the paper", "fusion-paper fusion-k3-e2", precisions=BOTH),
        row("STF over MBTF, as released", "released-stf released-stf-sharded", preset="llava-stf-7b", precisions=BOTH),
        row("STF without window convolution", "fusion-no-conv fusion-e8-no-conv", "--strategy", "tokenconcat"),
        row("average pooling", "avgpool-mbtf avgpool-taps", "--strategy", "avgpool"),
        row("token concatenation", "tokenconcat-mbtf tokenconcat", "--strategy", "tokenconcat"),
        row("Q-Former", "qformer-mbtf qformer", "--strategy", "qformer"),
        row("none (LLaVA-1.5)", "llava-mlp llava-linear", preset=PLAIN, precisions=BOTH),
    ],
    "Trained projectors of fewer tokens": [
        row("TokenPacker, s = 2", "tokenpacker-s2", preset="tokenpacker-7b", precisions=BOTH),
        row("TokenPacker, s = 3", "tokenpacker-s3", "--kernel", "3", preset="tokenpacker-7b"),
        row("TokenPacker, s = 2, Vicuna-13B", "tokenpacker-s2", preset="tokenpacker-13b"),
        row("LLaVA-Mini, S = 1, Llama-3.1-8B", "llava-mini-s1", preset="llava-mini-llama-3.1-8b", precisions=BOTH),
    ],
    "Compression tokens (VoCo-LLaMA)": [
        row("two tokens behind the image", "voco", preset="voco-llama-7b", precisions=BOTH),
    ],
    "MBTF and STF, alone and together (Table 3)": [
        row("neither", "llava-mlp", preset=PLAIN),
        row("MBTF alone", "table3-mbtf-alone fusion-k1", "--strategy", "tokenconcat", "--kernel", "1"),
        row("STF alone", "table3-stf-alone fusion-k2-e4", "--no-mbtf", "--taps", "23,"),
        row("both", "fusion-paper"),
    ],
    "Windows k and tokens per window E, on a grid of 24 x 24 (Table 5)": [
        fusion(k, tokens) for k, tokens in ((1, 1), (2, 1), (2, 2), (4, 4), (4, 8), (8, 4), (8, 8), (8, 16), (8, 32))],
    "Taps (Table 7)": [row(f"{count} taps", f"table7-{count}-taps", "--taps", str(count)) for count in (8, 16, 24)],
    "Image sizes (Table 11)": [
        row("224 pixels, a grid of 16 x 16", "table11-grid16", "--image-size", "224"),
        row("336 pixels, a grid of 24 x 24", "table5-k2-e1", "--image-size", "336"),
    ],
    "Decoders (Table 12)": [
        row("Vicuna-7B", "fusion-paper", preset="llava-stf-7b"),
        row("Vicuna-13B", "released-stf", preset="llava-stf-13b", precisions=BOTH),
        row("Llama-3.1-8B: grouped queries, its rotary scaling, byte-level tokenizer, several eos ids", "llava-llama3", preset="llava-stf-llama3.1-8b", precisions=BOTH),
        row("a decoder alone", "decoder-tied decoder-untied", preset="vicuna-7b"),
        row("a decoder alone with a byte-level tokenizer (golden: SmolLM2's split)", "decoder-smollm2", preset="llama-3.1-8b"),
        row("tokenizer.json of the SentencePiece kind", "decoder-metaspace", preset=PLAIN, maker="tokenizer_json"),
    ],
    "File formats": [
        row("LLaVA's layout, one file, F16", "llava-mlp", preset=PLAIN),
        row("LLaVA's layout, shards, BF16", "released-stf-sharded", preset=PLAIN, maker="shards"),
        row("transformers, older names", "transformers-old", preset=PLAIN, maker="transformers_older"),
        row("transformers, newer names", "transformers-new", preset=PLAIN, maker="transformers_newer"),
        row("pytorch_model.bin", "torch-shards", preset=PLAIN, maker="torch_archive"),
        row("a projector of its own over a base decoder", "projector", preset=PLAIN, maker="projector"),
        row("a LoRA adapter over a base decoder", "adapter", preset=PLAIN, maker="adapter"),
        row("GGUF: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, BF16 and F32 in one decoder, and a mmproj file in F16", "gguf gguf-older", preset=PLAIN, maker="gguf"),
    ],
}


# Decoder TFLOPs of the vision tokens as the paper prints them; what MBTF and the released STF have.
PAPER_TFLOPS = {576: "7.6", 288: "3.8", 144: "1.9", 72: "0.9", 36: "0.5"}
WEIGHTS = {"mbtf": 37_748_736, "stf": 134_217_728}


def fused(**changes):
    return lambda config: config["mm_token_fusion"].update(changes)


def changed(**changes):
    return lambda config: config.update(changes)


def wrong(what, says, model, edit=None, *options):
    """A golden checkpoint, what is made wrong in its configuration, options of `compile`; `says`: the wrong and the right numbers of the line."""
    return {"what": what, "says": says.split(" | "), "model": model, "edit": edit, "options": list(options), "status": 1}


def unfit(what, says, model, reducer):
    """A golden checkpoint, and a reducer that it cannot have."""
    return {"what": what, "says": says.split(" | "), "model": model, "edit": None, "options": ["--reduce", reducer], "status": 2}


def misuse(what, says, *options):
    return {"what": what, "says": says.split(" | "), "model": None, "edit": None, "options": list(options), "status": 2}


REFUSALS = [
    wrong("k does not divide the grid", "is 5 | 24 x 24 | 1, 2, 3, 4, 6, 8, 12, 24", "table5-k2-e1", fused(kernel=5)),
    wrong("E does not divide C2", "is 24 | 256 channels | 1, 2, 4, 8", "table5-k8-e32", fused(tokens_per_window=24)),
    wrong("E > 1 where a window becomes one token", "is 2 | expected 1", "avgpool-taps", fused(tokens_per_window=2)),
    wrong("a tap beyond the tower", "taps[3]' is 5 | -5 to 4 | 4 blocks", "fusion-paper", fused(taps=[1, 2, 3, 5])),
    wrong("LLaVA-1.5's tap beyond the tower", "is 99 | a tower of", "llava-mlp", changed(mm_vision_select_layer=99)),
    wrong("fewer taps than MBTF's weights are for", "[64, 64, 1, 1] | [64, 48, 1, 1]", "fusion-paper", fused(taps=[1, 2, 3])),
    wrong("an unknown strategy", "'resampler' | 'stf', 'avgpool', 'tokenconcat' or 'qformer'", "fusion-paper", fused(strategy="resampler")),
    wrong("a TokenPacker's windows that it does not have", "is 5 | 2, 3 or 4", "tokenpacker-s2", changed(scale_factor=5)),
    wrong("a TokenPacker's windows that do not divide the grid", "is 2 | 9 x 9 | 1, 3, 9", "tokenpacker-s3", changed(scale_factor=2)),
    wrong("LLaVA-Mini with images of more pixels", "resolution_ratio | is 2.0 | expected 1", "llava-mini-s1", changed(resolution_ratio=2)),
    wrong("TokenPacker-HD", "patch_num | null", "tokenpacker-s2", changed(patch_num=9)),
    wrong("an aligner that ends in another decoder's width", "ends in 48 | expected 32",
          "fusion-paper", lambda config: config["mm_token_fusion"]["stf"].update(channels=[64, 64, 48])),
    wrong("a projector of another decoder", "[48, 48] | [36, 48]", "decoder-untied", None, "--projector", "formats/projector/mm_projector.bin"),
    wrong("an adapter of another decoder", "[48, 48] | [36, 48]", "decoder-untied", None, "--adapter", "formats/adapter"),
    wrong("a mmproj file of another decoder", "[256, 256] | [36, 256]", "decoder-untied", None, "--vision-tower", "formats/gguf/mmproj.gguf"),
    wrong("a reducer in the decoder beyond its blocks", "has layer 2 | 2 blocks | at most 1", "llava-mlp",
          changed(mm_token_reduction={"method": "fastv", "layer": 2, "keep": 4})),
    unfit("a reducer in the decoder beyond its blocks", "has layer 2 | 2 blocks | at most 1", "llava-mlp", "fastv:layer=2,keep=4"),
    unfit("FastV before the first block, which no attention can rank", "is '0' | expected 1 to", "llava-mlp", "fastv:layer=0,keep=4"),
    unfit("more vision tokens kept than there are", "keeps 37 rows | 36 patches", "llava-mlp", "mmtok:keep=37"),
    unfit("more vision tokens pooled than there are", "stride 37 | 36 vision rows", "llava-mlp", "llavolta:layer=1,stride=37"),
    unfit("a share of the patches that is no whole part", "ratio 0.3 | 36 patches: 1/3, 1/4", "llava-mlp", "prumerge+:ratio=0.3"),
    unfit("a setting that was not published", "is '100' | '192', '128', '96' or '64'", "llava-mlp", "sparsevlm:tokens=100"),
    unfit("a reducer of patches over fused windows", "'visionzip' | windows of 2 x 2 patches", "released-stf", "visionzip:keep=7"),
    unfit("a reducer of patches over pooled windows", "'prumerge' | means of 3 x 3 patches", "avgpool-taps", "prumerge"),
    unfit("a reducer of patches over a Q-Former", "'mmtok' | strategy 'qformer'", "qformer", "mmtok:keep=1"),
    unfit("a reducer of patches over TokenPacker", "'tome' | TokenPacker", "tokenpacker-s2", "tome:keep=4"),
    unfit("a reducer of patches beside the class token", "'visionzip' | the class token that key 'mm_vision_select_feature' keeps", "llava-linear", "visionzip:keep=7"),
    unfit("a reducer over compression tokens", "'fastv' | token '<voco>'", "voco", "fastv:layer=1,keep=4"),
    unfit("compression tokens that a model does not have", "'voco' | '<voco>'", "llava-mlp", "voco"),
    unfit("a reducer of a decoder without images", "'fastv' | a decoder without images", "decoder-untied", "fastv:layer=1,keep=4"),
    unfit("an unknown reducer", "'pumer' | 'prumerge', 'prumerge+', 'visionzip'", "llava-mlp", "pumer:keep=3"),
    misuse("k does not divide the grid", "kernel 5 | 24 x 24 | 1, 2, 3, 4, 6, 8, 12, 24", "--kernel", "5"),
    misuse("E does not divide C2", "3 tokens | 4096 channels: 1, 2, 4, 8", "--tokens-per-window", "3"),
    misuse("more taps than blocks", "'25' | up to 24", "--taps", "25"),
    misuse("a tap beyond the tower", "'3,30' | 0 to 24", "--taps", "3,30"),
    misuse("an unknown strategy", "'resampler' | 'stf', 'avgpool', 'tokenconcat', 'qformer' or 'none'", "--strategy", "resampler"),
]


class Failed(Exception):
    pass


def manifest():
    entries = {}
    for file in ("manifest.json", "formats/manifest.json"):
        for entry in true_width.read_json(GOLDEN, file)["checkpoints"]:
            entries[entry.get("name", entry["checkpoint"])] = entry
    return entries


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise Failed(f"'{' '.join(command)}' exits {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def golden(entry, lmmc, scratch):
    """(largest relative l2 distance of the logits, cases) of one golden checkpoint."""
    program, worst = os.path.join(scratch, "golden"), 0.0
    run([lmmc, "compile", entry["checkpoint"], "-o", program, "--quiet", *entry["compile"]], cwd=GOLDEN)
    for case in entry["cases"]:
        got = compare.run_case(program, case["arguments"], 1)
        want = true_width.read_json(GOLDEN, case["expected"], "tokens.json")
        distance = compare.distance(np.load(os.path.join(GOLDEN, case["expected"], "logits.npy")), got["logits"])
        if got["tokens"]["tokens"] != want["tokens"] or not distance <= BOUND:
            raise Failed(f"golden '{case['expected']}': distance {distance:.1e}, tokens {got['tokens']['tokens']} for {want['tokens']}")
        worst = max(worst, distance)
    os.remove(program)
    return worst, len(entry["cases"])


def size(count):
    return f"{count / 1e9:.2f} GB"


def at_true_width(entry, lmmc, scratch, say):
    """Cells of each precision: compile time, program, vision tokens, time to the first token, peak memory."""
    source, made = os.path.join(scratch, "synth"), os.path.join(scratch, "made")
    program = os.path.join(scratch, "program")
    try:
        run([lmmc, "synth", "--preset", entry["preset"], "--layers", "1", *entry["synth"], "-o", source])
        stored = sum(os.path.getsize(os.path.join(source, f)) for f in os.listdir(source) if f.endswith(".safetensors"))
        model, options = getattr(true_width, entry["maker"])(source, made) if entry["maker"] else (source, [])
        if entry["maker"]:
            shutil.rmtree(source)
        for precision in entry["precisions"]:
            began = time.monotonic()
            run([lmmc, "compile", model, *options, "--precision", precision, "--quiet", "-o", program])
            seconds = time.monotonic() - began
            image = ["--image", os.path.join(GOLDEN, "images", "wide.png")] if entry["preset"].startswith(("llava", "tokenpacker", "voco")) else []
            result = json.loads(run([program, "--json", *image, "--prompt", "What is in the picture?", "--max-tokens", "3"]))
            if not 1 <= len(result["tokens"]) <= 3:
                raise Failed(f"'{entry['name']}' answers {result['tokens']}")
            cells = [precision, size(stored), f"{seconds:.1f} s", size(os.path.getsize(program)), str(result["visual_tokens"]),
                     f"{result['timings']['time_to_first_token']:.0f} ms", size(result["peak_rss_bytes"])]
            say(f"{entry['name']}: " + ", ".join(cells))
            yield cells
            os.remove(program)
    finally:
        for path in source, made:
            shutil.rmtree(path, ignore_errors=True)


def counts(lmmc):
    """Lines: what `inspect` counts beside what the paper prints."""
    got = json.loads(run([lmmc, "inspect", "--preset", "llava-stf-7b", "--json"]))
    lines = ["| k, E | vision tokens | decoder TFLOPs | the paper's |", "|---|---:|---:|---:|"]
    for entry in got["paper_decoder_flops"]:
        tokens = entry["vision_tokens"]
        text = f"{entry['flops'] / 1e12:.1f}"
        if text != PAPER_TFLOPS[tokens]:
            raise Failed(f"{tokens} vision tokens are {text} TFLOPs for {PAPER_TFLOPS[tokens]}")
        lines.append(f"| {entry['kernel']}, {entry['tokens_per_window']} | {tokens} | {entry['flops'] / 1e12:.3f} | {PAPER_TFLOPS[tokens]} |")
    if {entry["vision_tokens"] for entry in got["paper_decoder_flops"]} != set(PAPER_TFLOPS):
        raise Failed("a row of the paper's is missing")
    lines += ["", "| part | weights | with biases |", "|---|---:|---:|"]
    for part, weights in WEIGHTS.items():
        found = got["fusion_parameters"][part]
        if found["weights"] != weights:
            raise Failed(f"'{part}' has {found['weights']} weights for {weights}")
        lines.append(f"| {part.upper()}, released | {found['weights']:,} | {found['with_biases']:,} |")
    return lines


def refusal(case, lmmc, scratch):
    """The line of the table. One line is all that may be said or left: no stage is begun."""
    folder, outside = os.path.join(scratch, "refused"), os.path.join(scratch, "outside")
    os.makedirs(outside)
    try:
        if not case["model"]:
            command = [lmmc, "synth", "--preset", PAPER, *case["options"], "-o", os.path.join(outside, "model")]
        else:
            shutil.copytree(os.path.join(GOLDEN, case["model"]), folder)
            if case["edit"]:
                config = true_width.read_json(folder, "config.json")
                case["edit"](config)
                true_width.write_json(config, folder, "config.json")
            command = [lmmc, "compile", folder, *case["options"], "-o", os.path.join(outside, "program")]
        done = subprocess.run(command, capture_output=True, text=True, cwd=GOLDEN, env={**os.environ, "TMPDIR": outside, "LMMC_CACHE": outside})
        line, left = done.stderr.removesuffix("\n"), os.listdir(outside)
        if done.returncode != case["status"] or done.stdout or left or "\n" in line or not line.startswith("error: ") or any(s not in line for s in case["says"]):
            raise Failed(f"'{case['what']}': exit code {done.returncode}, left {left}, said {done.stdout}{done.stderr}")
        shown = ["lmmc", *command[1:-2]] if not case["model"] else ["lmmc compile MODEL", *case["options"]]
        return f"| {case['what']} | `{' '.join(shown)}` | {done.returncode} | `{line.replace(folder, 'MODEL')}` |"
    finally:
        for path in folder, outside:
            shutil.rmtree(path, ignore_errors=True)


HEAD = """# Every configuration, with its check

Made by `Tools/make_configurations.py`; a row without its check is not written.

- **Golden**: small random checkpoints compiled in f32 and compared with transformers and torch in float64 ([Tests/Golden](../Tests/Golden/README.md)):
  the largest relative l2 distance of the logits over all cases (at most {bound}), greedy tokens identical in every one. The tests hold these too.
- **True widths**: `lmmc synth --preset` with `--layers 1` and the options named, compiled and asked about a picture: bytes of the F16
  checkpoint, compilation, program, vision tokens, time to the first token, peak resident memory (of the mapped weights what was read).
  {condition}

"""

REFUSED = """Before any work: each command ends with this one line, no stage is begun and nothing is left. `MODEL` is a golden checkpoint whose
`config.json` was made wrong, or one that the option does not fit."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", metavar="DIR", help="where checkpoints and programs are made")
    parser.add_argument("--only", metavar="TEXT")
    parser.add_argument("--condition", default="", metavar="TEXT")
    options = parser.parse_args()
    lmmc = os.path.abspath(os.environ.get("LMMC", os.path.join(HERE, "..", ".build", "release", "lmmc")))
    entries, distances, widths, text = manifest(), {}, {}, []

    def say(line):
        print(time.strftime("%H:%M:%S"), line, flush=True)
    with tempfile.TemporaryDirectory(dir=options.work) as scratch:
        for title, rows in TABLES.items():
            text += [f"## {title}", "", "| configuration | golden | logits | preset and options | precision | checkpoint | compile | program | vision tokens | first token | memory |",
                     "|---|---|---|---|---|---:|---:|---:|---:|---:|---:|"]
            for entry in rows:
                if options.only and options.only not in entry["name"]:
                    continue
                for name in entry["goldens"]:
                    if name not in distances:
                        distances[name] = golden(entries[name], lmmc, scratch)
                        say(f"{name}: {distances[name][0]:.1e} over {distances[name][1]} case(s)")
                key = json.dumps([entry["preset"], entry["synth"], entry["maker"]])
                if key not in widths or not set(entry["precisions"]) <= {cells[0] for cells in widths[key]}:
                    widths[key] = list(at_true_width(entry, lmmc, scratch, say))
                chosen = " ".join([entry["preset"], *entry["synth"]])
                first = [entry["name"], ", ".join(entry["goldens"]), f"{max(distances[name][0] for name in entry['goldens']):.1e}", f"`{chosen}`"]
                for cells in widths[key]:
                    if cells[0] in entry["precisions"]:
                        text.append("| " + " | ".join(first + cells) + " |")
                        first = [""] * 4
            text.append("")
        if options.only:
            return print("\n".join(text))
        text += ["## The paper's counts", "", "`lmmc inspect --preset llava-stf-7b`, by which every other shape is counted too ([Sizing.md](Sizing.md)).", ""]
        text += [*counts(lmmc), "", "## What is refused", "", REFUSED, "", "| wrong | command | exit code | line |", "|---|---|---:|---|"]
        text += [refusal(case, lmmc, scratch) for case in REFUSALS]
        say(f"{len(REFUSALS)} refusals")
    with open(os.path.join(HERE, "..", "Docs", "Configurations.md"), "w", encoding="utf-8") as file:
        file.write(HEAD.format(bound=BOUND, condition=options.condition or f"{datetime.date.today()}.") + "\n".join(text).rstrip() + "\n")


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"error: {failure}")
