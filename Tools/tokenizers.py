#!/usr/bin/env python3
"""Holds compiled tokenizers against the originals on many random texts: the sentencepiece package for tokenizer.model, the tokenizers library
for tokenizer.json.

    LMMC=path/to/lmmc Tools/tokenizers.py [--count N] [--seed S] FILE...

For each FILE a tiny decoder with that tokenizer goes through `lmmc compile --emit c`; the bytes that its program would hold are read by the
runtime's own code in Tests/Runtime/tokenizer/*_test.c, which encodes and decodes N (10,000) texts: pieces of the vocabulary glued, many scripts, runs
of spaces, and for tokenizer.model broken UTF-8. A subset of such cases stands in Tests/Golden and is part of the tests. Exits 1 when a token differs.
Needs numpy, sentencepiece and tokenizers; a C compiler."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN, RUNTIME = os.path.join(HERE, "..", "Tests", "Golden"), os.path.join(HERE, "..", "Runtime")
sys.path[:0] = [GOLDEN, os.path.join(GOLDEN, "formats")]
import true_width


def vocabulary(file):
    if file.endswith(".model"):
        import sentencepiece
        return sentencepiece.SentencePieceProcessor(model_file=file).get_piece_size()
    with open(file, encoding="utf-8") as source:
        whole = json.load(source)
    return 1 + max([*whole["model"]["vocab"].values(), *(token["id"] for token in whole["added_tokens"])])


def blob(file, lmmc, scratch):
    """The tokenizer as `lmmc` puts it into a program, as a file."""
    count, width = vocabulary(file), 8
    model, sources = os.path.join(scratch, "model"), os.path.join(scratch, "c")
    os.makedirs(model)
    shutil.copy(file, os.path.join(model, "tokenizer.json" if file.endswith(".json") else "tokenizer.model"))
    true_width.write_json({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": count, "hidden_size": width, "intermediate_size": width,
                           "num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": 64, "tie_word_embeddings": True}, model, "config.json")
    names = {"embed_tokens": (count, width), "norm": (width,)}
    names.update({f"layers.0.self_attn.{n}_proj": (width, width) for n in "qkvo"}, **{f"layers.0.mlp.{n}_proj": (width, width) for n in ("gate", "up", "down")},
                 **{f"layers.0.{n}_layernorm": (width,) for n in ("input", "post_attention")})
    true_width.write({f"model.{name}.weight": np.ones(shape, np.float16) for name, shape in names.items()}, model, "model.safetensors")
    subprocess.run([lmmc, "compile", model, "--emit", "c", "-o", sources, "--quiet", "--precision", "f32"], check=True)
    text = ""
    for name in os.listdir(sources):
        if name.endswith(".c"):
            with open(os.path.join(sources, name), encoding="utf-8") as source:
                text += source.read()
    offset, size = (int(re.search(rf"\.tokenizer_{field} = (\d+)", text)[1]) for field in ("offset", "bytes"))
    with open(os.path.join(sources, "weights.bin"), "rb") as source, open(os.path.join(scratch, "fuzz.blob"), "wb") as target:
        source.seek(offset)
        target.write(source.read(size))
    shutil.rmtree(sources)
    return os.path.join(scratch, "fuzz.blob")


def program(name, scratch):
    path = os.path.join(scratch, name)
    parts = [str(path) for room in ("base", "tokenizer") for path in sorted(pathlib.Path(RUNTIME, room).glob("*.c"))]
    subprocess.run(["cc", "-std=gnu11", "-O2", "-I" + RUNTIME, os.path.join(HERE, "..", "Tests", "Runtime", "tokenizer", name + ".c"), *parts, "-o", path], check=True)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="tokenizer.model or tokenizer.json")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    lmmc = os.path.abspath(os.environ.get("LMMC", os.path.join(HERE, "..", ".build", "release", "lmmc")))
    fuzz, failed = ["--count", str(options.count), "--seed", str(options.seed)], False
    for file in options.files:
        with tempfile.TemporaryDirectory() as scratch:
            made, cases = blob(file, lmmc, scratch), os.path.join(scratch, "cases")
            pieces = file.endswith(".model")
            maker = ["make_golden.py", "--tokenizer", os.path.abspath(file)] if pieces else ["tokenizer_json.py", "--fuzz", os.path.abspath(file)]
            with open(cases, "w") as target:
                subprocess.run([sys.executable, os.path.join(GOLDEN, maker[0]), *maker[1:], *fuzz], check=True, stdout=target)
            if pieces:
                with open(cases) as source:
                    done = subprocess.run([program("tokenizer_test", scratch), "--stream", made], stdin=source, capture_output=True, text=True)
            else:
                done = subprocess.run([program("tokenizer_json_test", scratch), scratch, cases], capture_output=True, text=True)
            failed |= done.returncode != 0
            print(f"{file}: {vocabulary(file)} tokens, {done.stdout.strip() or done.stderr.strip()}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
