#!/usr/bin/env python3
"""Writes Runtime/tokenizer/unicode.h: the character classes that byte-level tokenizers split by.

    pip install unicodedata2==16.0.0 tokenizers==0.23.3
    unicode_tables.py              writes the header
    unicode_tables.py --check      holds it against the tokenizers library, character by character

The tokenizers library matches \\p{L}, \\p{N} and \\s with Oniguruma, whose tables are those of Unicode 16.0, and its `Digits` with Rust's
char::is_numeric, which is a version further (17.0): those few characters are listed apart."""
import os
import re
import sys

import unicodedata2

HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "Runtime", "tokenizer", "unicode.h")
SPACES = {*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}
# Nd, Nl and No that Unicode 17.0 adds to 16.0.
NEWER_NUMBERS = [*range(0x11DE0, 0x11DEA), *range(0x16FF4, 0x16FF7)]
SURROGATES = range(0xD800, 0xE000)


def character_class(c):
    """0 other, 1 letter, 2 number, 3 space."""
    return 3 if c in SPACES else {"L": 1, "N": 2}.get(unicodedata2.category(chr(c))[0], 0)


def write():
    assert unicodedata2.unidata_version == "16.0.0", unicodedata2.unidata_version
    starts, last = [], 0
    for c in range(0x80, 0x110000):
        if (new := character_class(c)) != last:
            starts.append(c << 2 | new)
            last = new
    lines, line = [], "   "
    for word in [f" {start:#x}," for start in starts]:
        if len(line) + len(word) > 120:
            lines.append(line)
            line = "   "
        line += word
    lines.append(line)
    with open(HEADER, "w", encoding="ascii") as file:
        file.write(f"""// Character classes of Unicode 16.0 (UnicodeData's general categories L and N, and White_Space), beyond ASCII.
// Written by Tools/unicode_tables.py.
#ifndef LMMC_TOKENIZER_UNICODE_H
#define LMMC_TOKENIZER_UNICODE_H
#include <stdint.h>

enum {{ LMMC_OTHER, LMMC_LETTER, LMMC_NUMBER, LMMC_SPACE }};

// code point << 2 | class: from this character to the next entry's, ascending; before the first all are LMMC_OTHER
static const uint32_t lmmc_unicode[{len(starts)}] = {{
""" + "\n".join(lines) + """
};

#endif
""")


def check():
    from tokenizers import Regex, pre_tokenizers
    with open(HEADER, encoding="ascii") as file:
        starts = [int(word, 16) for word in re.findall(r"0x[0-9a-f]+(?=,)", file.read())]
    table, at = {}, 0
    for c in range(0x80, 0x110000):
        while at < len(starts) and starts[at] >> 2 <= c:
            at += 1
        table[c] = starts[at - 1] & 3 if at else 0
    splits = {kind: pre_tokenizers.Split(Regex(pattern), "isolated") for kind, pattern in ((1, r"\p{L}"), (2, r"\p{N}"), (3, r"\s"))}
    digits = pre_tokenizers.Digits(individual_digits=True)
    wrong = 0
    for c in range(0x80, 0x110000):
        if c in SURROGATES:
            continue
        matches = {kind: len(split.pre_tokenize_str("\x01" + chr(c) + "\x01")) == 3 for kind, split in splits.items()}
        wrong += any(matches[kind] != (table[c] == kind) for kind in matches)
        wrong += (len(digits.pre_tokenize_str("\x01" + chr(c) + "\x01")) == 3) != (table[c] == 2 or c in NEWER_NUMBERS)
    print(f"{len(table) - len(SURROGATES)} characters, {wrong} differences")
    return wrong


if __name__ == "__main__":
    sys.exit(check() > 0) if sys.argv[1:] == ["--check"] else write()
