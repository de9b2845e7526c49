#!/usr/bin/env python3
"""Writes tokenizers/: small tokenizer.json files of every kind that lmmc reads, what compiled programs keep of them, and cases.

    tokenizer_json.py                              writes the folder
    tokenizer_json.py --fuzz FILE [--count N] [--seed S] > cases.json
                                                   the same cases, random ones, for any tokenizer.json

`cases.json`: "encode" has for each tokenizer the ids of each of "texts", plain (special tokens are text, but user-defined ones are found); "decode" id
lists with their text; "words" for each regular expression the words of each text, by their lengths in bytes. All as the tokenizers library gives them.
`NAME.blob`: the layout of Runtime/contract/tokenizer_blob.h, written here a second time, for the tests of those who write and read it."""
import argparse
import json
import os
import random
import struct

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import checkpoints
import tokenizer_cases

HERE = os.path.dirname(os.path.abspath(__file__))
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
MARK = "\u2581"
TURNS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
WORDS = "it's I'M we'RE they've you'll he'd 'S '\u017f don't rock'n'roll caf\u00e9 the of and".split()
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\u00a0", "\u3000", "\u0085", "\u2028", "\u200b", "\u001c", " \n  ", "    "]
OTHERS = ["1", "12345", "\u0663\u0664", "\u00bd", "\u2167", "\U00011de5", "\U00016ff4", "\u3007", "...", "!=", "'", "''", "\u2019s", "-", "(", "\u65e5\u672c", "\U0001f600", "e\u0301", "\u01c5",
          "\u02b0", "\u0e01\u0e34", "\U00020000", "\u0000", "\ufffd", MARK, "\u0120", "<0x41>", "x", "aa"]


def mixtures(rng, count):
    return ["".join(rng.choice(rng.choice([WORDS, SPACES, SPACES, OTHERS])) for _ in range(rng.randint(2, 14))) for _ in range(count)]


def glued(rng, count):
    """Texts of what with_words adds, and of its neighbours."""
    parts = ["zebra", "zeb", " the ", "the", "caf\u00e9", "aa", "a", "[SEG]", "'s", "of the", "of", "x", "xyz", " ", " ", "  ", "\n", "<|im|>", "SEG]", MARK, "z"]
    return ["".join(rng.choice(parts) for _ in range(rng.randint(1, 9))) for _ in range(count)]


def byte_level(split, regex_in_level):
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex_in_level)
    return pre_tokenizers.Sequence([split, level]) if split else level


def special(*names):
    return [AddedToken(name, normalized=False, special=True) for name in names]


def like_llama3():
    """Special tokens behind the vocabulary, a BOS, whole words kept."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = byte_level(pre_tokenizers.Split(Regex(LLAMA3), "isolated"), False)
    tokenizer.train_from_iterator([checkpoints.SENTENCES + "".join(mixtures(random.Random(1), 200))],
                                  trainers.BpeTrainer(vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    # A whole word that the merges would not make.
    document = json.loads(tokenizer.to_str())
    document["model"]["vocab"]["\u0120horses"] = 420
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.add_special_tokens(special(*TURNS))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single=TURNS[0] + " $A", pair=TURNS[0] + " $A $B", special_tokens=[(TURNS[0], tokenizer.token_to_id(TURNS[0]))])])
    return tokenizer


def like_smollm2():
    """Special tokens at the start of the vocabulary, single digits, bytes without a token, a user-defined token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = byte_level(pre_tokenizers.Digits(individual_digits=True), True)
    tokenizer.train_from_iterator([checkpoints.SENTENCES + "".join(mixtures(random.Random(2), 200))],
                                  trainers.BpeTrainer(vocab_size=360, special_tokens=special("<|endoftext|>", "<|im_start|>", "<|im_end|>"), show_progress=False))
    tokenizer.add_tokens([AddedToken("n't", normalized=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def after_sentencepiece(kind):
    """From the small SentencePiece model, as transformers converts one: a merge for each way to make a piece of two, in the order of scores."""
    import sentencepiece
    model = sentencepiece.SentencePieceProcessor(model_proto=checkpoints.train_tokenizer())
    ids = {model.id_to_piece(i): i for i in range(model.get_piece_size())}
    merges = []
    for piece, i in ids.items():
        ways = [(piece[:at], piece[at:]) for at in range(1, len(piece)) if piece[:at] in ids and piece[at:] in ids]
        merges += [(-model.get_score(i), ids[left], ids[right], (left, right)) for left, right in ways if model.get_score(i) != 0 or i > 258]
    tokenizer = Tokenizer(models.BPE(ids, [pair for *_, pair in sorted(merges)], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if kind == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(MARK, "first" if kind == "first" else "always", kind == "words")
    tokenizer.decoder = decoders.Sequence([decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens(special("<unk>", "<s>", "</s>"))
    return tokenizer


def with_words(kind):
    """Added words: as they were typed, and, behind a normalizer that puts a space before a text, as it makes them."""
    tokenizer = after_sentencepiece(kind)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ["zebra", "zeb", " the ", "caf\u00e9", "aa"]] + ["[SEG]", "'s", "of the", "xyz"])
    tokenizer.add_special_tokens(special("<|im|>"))
    return tokenizer


TOKENIZERS = {"llama3": like_llama3, "smollm2": like_smollm2, "prepend": lambda: after_sentencepiece("prepend"), "first": lambda: after_sentencepiece("first"),
              "words": lambda: after_sentencepiece("words"), "added": lambda: with_words("prepend"), "added-first": lambda: with_words("first")}


# ---- what compiled programs keep

def byte_codes():
    """Character -> byte of the byte-level alphabet."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in plain]
    return {**{chr(b): b for b in plain}, **{chr(256 + i): b for i, b in enumerate(rest)}}


def hashed(values, count):
    """u64 hashes (None: not in the table) -> open addressing."""
    slots = 8
    while slots < 2 * count:
        slots *= 2
    table = [0xFFFFFFFF] * slots
    for index, value in enumerate(values):
        if value is not None:
            slot = (value ^ value >> 32) & slots - 1
            while table[slot] != 0xFFFFFFFF:
                slot = (slot + 1) % slots
            table[slot] = index
    return table


def fnv1a(data):
    value = 0xcbf29ce484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001b3 & 2 ** 64 - 1
    return value


NORMAL, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 3, 4, 5, 6


def blob(document):
    """The bytes of Runtime/contract/tokenizer_blob.h from a tokenizer.json object."""
    text = json.dumps(document)
    level, codes = "ByteLevel" in json.dumps(document["pre_tokenizer"]), byte_codes()
    vocab, added = document["model"]["vocab"], {token["id"]: token for token in document["added_tokens"]}
    names = {i: name for name, i in vocab.items()}
    texts, types, late = [], [], []
    for i in range(max([*names, *added]) + 1):
        if i in added:
            if not added[i]["special"] and added[i]["normalized"]:
                late.append(i)
            piece, kind = added[i]["content"].encode(), CONTROL if added[i]["special"] else USER_DEFINED
        elif level:
            piece, kind = bytes(codes[c] for c in names[i]), NORMAL
        else:
            piece, kind = names[i].encode(), BYTE if names[i].startswith("<0x") else NORMAL
        if i in late and document["normalizer"]:
            piece = (MARK + piece.decode().replace(" ", MARK)).encode()
        texts.append(piece)
        types.append(kind)
    merges = [(vocab[a], vocab[b], vocab[a + b]) for a, b in document["model"]["merges"]]
    wholes = sorted((i for i, kind in enumerate(types) if kind in (CONTROL, USER_DEFINED)), key=lambda i: texts[i])
    table = hashed([fnv1a(t) if k == NORMAL else None for t, k in zip(texts, types)], types.count(NORMAL))
    merge_table = hashed([(a << 32 | b) * 0x9E3779B97F4A7C15 & 2 ** 64 - 1 for a, b, _ in merges], len(merges))
    flags = 4 if level else 2
    flags |= 64 * bool(document["model"].get("ignore_merges")) | 128 * ("Digits" in text)
    if not level:
        space = document["pre_tokenizer"]
        flags |= 1 if space is None or space["prepend_scheme"] != "never" else 0
        if space is not None:
            flags |= 16 | 8 * (space["prepend_scheme"] == "first") | 32 * space["split"]
    bos = [token["ids"][0] for token in json.loads(text)["post_processor"]["special_tokens"].values()] if '"special_tokens"' in text and "processors" not in text else \
        [vocab.get(TURNS[0], next((i for i, token in added.items() if token["content"] == TURNS[0]), -1))] if level else []
    bos, eos = bos[0] if bos else -1, -1 if level else vocab["</s>"]
    ends = lambda parts: np.cumsum([0] + [len(part) for part in parts])
    sections = [np.array(ends(texts), "<u4"), np.array(table, "<u4"), np.array(wholes, "<i4"), np.array(ends([texts[i] for i in wholes]), "<u4"),
                np.array(merges, "<i4"), np.array(merge_table, "<u4"), np.array([1 if types[i] == CONTROL else 2 if i not in late else 8 if document["normalizer"] else 4 for i in wholes], "u1"),
                np.array(types, "u1"), b"".join(texts), b"".join(texts[i] for i in wholes)]
    body = b"".join(data + b"\0" * (-len(data) % 8) for data in (s if isinstance(s, bytes) else s.tobytes() for s in sections))
    return b"lmmctok2" + struct.pack("<QIIIIIiiiIIII", 64 + len(body), 2, flags, len(texts), len(table), len(wholes), -1, bos, eos,
                                     (2 if "(?i:" in text else 1) if level else 0, len(merges), len(merge_table), 0) + body


# ---- cases

def encode(tokenizer, text):
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text, add_special_tokens=False).ids


def decode_lists(tokenizer, rng):
    n = tokenizer.get_vocab_size()
    lists = [[i] for i in range(min(n, 60))] + [[rng.randrange(n) for _ in range(rng.choice([2, 3, 5, 9, 20]))] for _ in range(60)]
    return [ids for ids in lists if tokenizer.decode(ids).count("\ufffd") == 0 or isinstance(tokenizer.decoder, decoders.ByteLevel)]


def words(text, split):
    """Lengths in bytes."""
    return [len(text[start:end].encode()) for _, (start, end) in split.pre_tokenize_str(text)]


def cases(tokenizers, texts, seed):
    rng = random.Random(seed)
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    splits = {"gpt2": gpt2, "gpt2-digits": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2]),
              "llama3": pre_tokenizers.Split(Regex(LLAMA3), "isolated")}
    return {"texts": texts, "encode": {name: [encode(t, text) for text in texts] for name, t in tokenizers.items()},
            "decode": {name: [[ids, t.decode(ids, skip_special_tokens=True)] for ids in decode_lists(t, rng)] for name, t in tokenizers.items()},
            "words": {name: [words(text, split) for text in texts] for name, split in splits.items()}}


def write():
    folder = os.path.join(HERE, "tokenizers")
    made = {name: make() for name, make in TOKENIZERS.items()}
    for name, tokenizer in made.items():
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        document = json.loads(tokenizer.to_str())
        with open(os.path.join(folder, name, "tokenizer.json"), "w", encoding="utf-8") as file:
            json.dump(document, file, ensure_ascii=False, indent=1)
            file.write("\n")
        with open(os.path.join(folder, name + ".blob"), "wb") as file:
            file.write(blob(document))
    texts = [*tokenizer_cases.NASTY, "don't can't", "n't", "two horses", *mixtures(random.Random(3), 120), *glued(random.Random(5), 60), "ab " * 400, "a" * 3000, " " * 1000 + "x", "\n" * 500]
    with open(os.path.join(folder, "cases.json"), "w", encoding="utf-8") as file:
        json.dump(cases(made, texts, 4), file, separators=(",", ":"))
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fuzz", metavar="FILE")
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if not options.fuzz:
        return write()
    rng = random.Random(options.seed)
    characters = lambda: "".join(chr(rng.choice([rng.randrange(0xD800), rng.randrange(0xE000, 0x110000), rng.randrange(32, 127)])) for _ in range(rng.randint(1, 30)))
    texts = [characters() if i % 3 == 0 else text for i, text in enumerate(mixtures(rng, options.count))]
    print(json.dumps(cases({"fuzz": Tokenizer.from_file(options.fuzz)}, texts, options.seed)))


if __name__ == "__main__":
    main()
