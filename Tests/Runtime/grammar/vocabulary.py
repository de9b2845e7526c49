#!/usr/bin/env python3
"""Writes the tokens of a tokenizer as what the drivers of this folder read: what each adds to a text.

    vocabulary.py TOKENIZER.json|TOKENIZER.model OUT

Little-endian: u32 rows, u32 flags (1: the first token loses a space), i32 the token of byte 20 that keeps it or -1, then for each row u32 bytes and
the bytes, none for a control token.
"""
import json
import struct
import sys


def byte_alphabet():
    """The characters that byte-level tokenizers spell bytes with."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(b): b for b in plain}
    others = [b for b in range(256) if b not in plain]
    table.update({chr(256 + i): b for i, b in enumerate(others)})
    return table


def of_json(path):
    data = json.load(open(path, encoding="utf-8"))
    alphabet = byte_alphabet()
    rows = {id: bytes(alphabet[c] for c in piece) for piece, id in data["model"]["vocab"].items()}
    rows.update({t["id"]: b"" for t in data["added_tokens"] if t["special"]})
    return [rows.get(i, b"") for i in range(max(rows) + 1)], 0, -1


def fields(message):
    """The fields of a protocol buffer."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            yield key >> 3, message[at : at + size]
            at += size


def of_model(path):
    rows, kept = [], -1
    for number, value in fields(open(path, "rb").read()):
        if number != 1:
            continue
        piece = dict(fields(value))
        text, kind = piece[1].decode(), piece.get(3, 1)
        if kind == 6:
            rows.append(bytes([int(text[3:5], 16)]))
            if rows[-1] == b" ":
                kept = len(rows) - 1
        else:
            rows.append(b"" if kind in (2, 3) else text.replace("\u2581", " ").encode())
    return rows, 1, kept


def main():
    rows, flags, kept = (of_json if sys.argv[1].endswith(".json") else of_model)(sys.argv[1])
    with open(sys.argv[2], "wb") as out:
        out.write(struct.pack("<IIi", len(rows), flags, kept))
        for row in rows:
            out.write(struct.pack("<I", len(row)) + row)


if __name__ == "__main__":
    main()
