#!/usr/bin/env python3
"""The numeric reference of token reducers: a checkpoint of layout A with `--reduce METHOD[:key=value,...]`, written from their definitions.

Made for correctness: one image, one block, one row at a time. The towers' modules are those of reference.py; blocks and caches are here.

    reducers.py CHECKPOINT --reduce TEXT --image F ... --prompt TEXT --max-tokens N --dtype float64 --out DIR
writes what reference.py writes, and selected.npy [images, bound] or kept.npy [points, bound], int32 and padded with -1, and
visual_rows.npy [images] where the tower's side decides how many rows there are."""
import argparse
import os
import sys

import numpy as np
import torch
from PIL import Image

import reducers_decoder
import reducers_vision
import reference
from choices import Choices

VISION = ("prumerge", "prumerge+", "visionzip", "mmtok", "tome")


def parse(text):
    """'METHOD:key=value,...' -> (method, {key: value})."""
    method, _, rest = text.partition(":")
    return method, dict(part.split("=", 1) for part in rest.split(",")) if rest else {}


@torch.no_grad()
def reduce_image(model, method, options, choices, pixels, question, picture):
    """One image [3, S, S] -> {projected [n, C3], selected, counted, key}."""
    if method.startswith("prumerge"):
        return reducers_vision.prumerge(model, pixels, options, choices, method.endswith("+"))
    if method == "visionzip":
        return reducers_vision.visionzip(model, pixels, options, choices)
    if method == "mmtok":
        return reducers_vision.mmtok(model, pixels, options, choices, question, picture)
    if method == "tome":
        return reducers_vision.tome(model, pixels, options, choices)
    if method == "mustdrop":
        return reducers_vision.mustdrop_tower(model, pixels, options, choices)
    return {"projected": model.project(pixels[None])[0]}


def question_ids(model, message):
    """Each word by itself, no BOS."""
    return [i for word in reducers_vision.question_words(message) for i in model.prompts.encode(word)]


def run(model, reduction, images, text, raw, limit, template="vicuna_v1", question=None, kind=None):
    """As Reference.run: arrays by name and the tokens.json object. 'choices' in the result says how clear the decisions were."""
    method, options = parse(reduction)
    choices = Choices()
    pieces = model.prompts.prompt(text, len(images), raw, template)
    pixels = [model.preprocessor.pixels(image, model.dtype) for image in images]
    message = question if question is not None else reducers_vision.DEFAULT_QUESTION if raw else text
    ids = question_ids(model, message) if method == "mmtok" else []
    parts = [reduce_image(model, method, options, choices, p, ids, image.size) for p, image in zip(pixels, images)]
    projected = [part["projected"] for part in parts]
    kind = kind or (reducers_decoder.FastVRecompute if options.get("variant") == "recompute" else reducers_decoder.METHODS.get(method, reducers_decoder.Dense))
    out = reducers_decoder.generate(model, kind, options, choices, pieces, projected, limit, parts[0].get("key", ()) if parts else ())
    result = {"choices": choices, "logits": out["logits"].numpy(), "lengths": out["lengths"]}
    if images:
        bound = max(map(len, projected))
        padded = [torch.cat((part, part.new_zeros(bound - len(part), part.shape[1]))) for part in projected]
        result.update(pixels=torch.stack(pixels).numpy(), projected=torch.stack(padded).numpy())
        if any(part.get("counted") for part in parts):
            result["visual_rows"] = np.array(list(map(len, projected)), dtype=np.int32)
        if "selected" in parts[0]:
            bound = max(len(part["selected"]) for part in parts)
            result["selected"] = np.array([part["selected"] + [-1] * (bound - len(part["selected"])) for part in parts], dtype=np.int32)
    if out["kept"] is not None:
        result["kept"] = out["kept"]
    result["tokens"] = {"tokens": out["ids"], "prompt_tokens": sum(map(len, pieces)), "visual_tokens": sum(map(len, projected)),
                        "visual_tokens_per_block": out["per_block"], "text": model.prompts.text(out["ids"]), "finish_reason": out["reason"], "prompt_ids": pieces}
    if parts and "key" in parts[0]:
        result["tokens"]["key_set"] = parts[0]["key"]
    return result


def write(result, folder, arrays, indices):
    """The arrays as float32, the index arrays as int32, and tokens.json."""
    reference.write(result, folder, arrays)
    for name in indices:
        np.save(os.path.join(folder, name + ".npy"), result[name])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--reduce", required=True)
    parser.add_argument("--image", action="append", default=[])
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--prompt")
    prompt.add_argument("--raw-prompt")
    parser.add_argument("--question")
    parser.add_argument("--template", choices=sorted(reference.TEMPLATES), default="vicuna_v1")
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, raw = reference.Reference(options.checkpoint, getattr(torch, options.dtype)), options.prompt is None
    try:
        result = run(model, options.reduce, [Image.open(path) for path in options.image], options.raw_prompt if raw else options.prompt, raw,
                     options.max_tokens, options.template, options.question)
    except reference.UnsupportedError as error:
        sys.exit(str(error))
    write(result, options.out, ("projected", "logits"), [name for name in ("selected", "kept", "visual_rows") if name in result])
    print(f"closest decision: {result['choices'].closest:.1e} ({result['choices'].where})", file=sys.stderr)


if __name__ == "__main__":
    main()
