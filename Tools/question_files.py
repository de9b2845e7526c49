#!/usr/bin/env python3
"""Makes question files for `--batch` of benchmarks whose own files LLaVA's evaluation reads in other forms; see Docs/Evaluation.md.

    question_files.py scienceqa llava_test_CQM-A.json >questions.jsonl
    question_files.py mmbench mmbench_dev_20230712.tsv --images DIR [--lang en|cn] >questions.jsonl

Each line has `question_id`, `text` and maybe `image`: `text` is the prompt that LLaVA's scripts make with `--single-pred-prompt`. mmbench
writes the pictures that the table holds into DIR, a file for each that differs. Python's standard library only.
"""

import argparse
import base64
import csv
import hashlib
import json
import os
import sys

SUFFIXES = {"en": "Answer with the option's letter from the given choices directly.", "cn": "请直接回答选项字母。"}
LETTERS = "ABCD"
# What pandas reads as no value, and two words that LLaVA does, in any case.
NO_VALUES = {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>",
             "N/A", "NA", "NULL", "n/a", "null"}


class Unusable(Exception):
    pass


def is_none(text):
    return text in NO_VALUES or text.lower() in ("nan", "none")


def scienceqa(path):
    """A list of `id`, `conversations` and maybe `image`; the place of the picture is written out, since the scorer looks for it."""
    with open(path, encoding="utf-8") as f:
        problems = json.load(f)
    for number, problem in enumerate(problems):
        try:
            text = problem["conversations"][0]["value"].replace("<image>", "").strip() + "\n" + SUFFIXES["en"]
            if "image" in problem:
                yield {"question_id": problem["id"], "image": problem["image"], "text": "<image>\n" + text}
            else:
                yield {"question_id": problem["id"], "text": text}
        except (KeyError, IndexError, TypeError) as e:
            raise Unusable(f"'{path}' is no question file of ScienceQA at its entry {number}: {type(e).__name__} {e}") from None


def save_picture(text, folder):
    bytes_of_file = base64.b64decode(text, validate=True)
    name = hashlib.sha256(bytes_of_file).hexdigest()[:20] + ".jpg"  # what it is, its bytes say
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        with open(path + ".part", "wb") as f:
            f.write(bytes_of_file)
        os.replace(path + ".part", path)
    return name


def mmbench(path, folder, language):
    """A table with tabs: `index`, `question`, `hint`, `A` to `D`, `image` in base64. Options end before the first that has no value."""
    csv.field_size_limit(sys.maxsize)
    os.makedirs(folder, exist_ok=True)
    with open(path, encoding="utf-8", newline="") as f:
        for number, row in enumerate(csv.DictReader(f, delimiter="\t")):
            try:
                text = row["question"] if is_none(row["hint"]) else row["hint"] + "\n" + row["question"]
                for letter in LETTERS:
                    if is_none(row[letter]):
                        break
                    text += f"\n{letter}. {row[letter]}"
                image = save_picture(row["image"], folder)
                yield {"question_id": int(row["index"]), "image": image, "text": text + "\n" + SUFFIXES[language]}
            except (KeyError, ValueError, TypeError, AttributeError) as e:
                raise Unusable(f"'{path}' is no table of MMBench at its row {number}: {type(e).__name__} {e}") from None


def main():
    parser = argparse.ArgumentParser(description="make question files for '--batch'")
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("scienceqa").add_argument("file")
    table = kinds.add_parser("mmbench")
    table.add_argument("file")
    table.add_argument("--images", required=True, metavar="DIR")
    table.add_argument("--lang", choices=sorted(SUFFIXES), default="en")
    args = parser.parse_args()
    try:
        lines = scienceqa(args.file) if args.kind == "scienceqa" else mmbench(args.file, args.images, args.lang)
        for line in lines:
            print(json.dumps(line))
    except (Unusable, OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as e:
        message = str(e) if isinstance(e, Unusable) else f"'{args.file}' cannot be used: {e}"
        print("error: " + message.replace("\n", " "), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
