#!/usr/bin/env python3
"""Writes Runtime/serve/page/page_content.c: the page that a server shows at `/`, as C, with the policy that it must be sent with.

    page_to_c.py              writes the file
    page_to_c.py --check      exit code 1 where it is not what the page's sources give
    page_to_c.py --page       prints the page

The sources are page.html, page.css and page.js in Runtime/serve/page; style and script come into the page where it links them, and the
policy has their sums, so that a browser runs nothing else, whatever a model's answer or a picture's name may hold."""

import base64
import hashlib
import os
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
FOLDER = os.path.join(ROOT, "Runtime", "serve", "page")
OUTPUT = os.path.join(FOLDER, "page_content.c")
MOST_BYTES = 60_000
COLUMNS = 140


def source(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8", newline="") as file:
        return file.read()


def replaced(text, old, new):
    assert text.count(old) == 1, f"page.html has {old} {text.count(old)} times; expected it once"
    return text.replace(old, new)


def compose():
    """The page's bytes and its policy."""
    style, script = source("page.css"), source("page.js")
    assert "</style" not in style and "</script" not in script and "<!--" not in script
    page = replaced(source("page.html"), '<link rel="stylesheet" href="page.css">', f"<style>\n{style}</style>")
    page = replaced(page, '<script src="page.js"></script>', f"<script>\n{script}</script>").encode()
    assert len(page) < MOST_BYTES, f"the page has {len(page)} bytes; expected fewer than {MOST_BYTES}"

    def sum_of(text):
        return "'sha256-" + base64.b64encode(hashlib.sha256(f"\n{text}".encode()).digest()).decode() + "'"

    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {sum_of(script)}",
            f"style-src {sum_of(style)}",
            "img-src data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )
    return page, policy


def escaped(byte, before):
    special = {ord("\n"): "\\n", ord("\t"): "\\t", ord('"'): '\\"', ord("\\"): "\\\\"}
    if byte in special:
        return special[byte]
    if byte == ord("?") and before == byte:  # a trigraph's beginning
        return "\\?"
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


def literal(data):
    """Pieces of one string literal: a line each, longer ones cut."""
    lines, line, before = [], "", 0
    for byte in data:
        word = escaped(byte, before)
        if 4 + 2 + len(line) + len(word) + 1 > COLUMNS:
            lines.append(line)
            line = ""
        line += word
        before = byte
        if byte == ord("\n"):
            lines.append(line)
            line = ""
    if line:
        lines.append(line)
    return "\n".join(f'    "{line}"' for line in lines)


def c_source():
    page, policy = compose()
    tag = '"' + hashlib.sha256(page).hexdigest()[:32] + '"'
    return f"""// The page, its policy and its tag. Written by Tools/page_to_c.py from the files of Runtime/serve/page.
#include "page.h"

// clang-format off
const char lmmc_page_policy[] =
{literal(policy.encode())};

const char lmmc_page_tag[] = {literal(tag.encode()).strip()};

const size_t lmmc_page_bytes = {len(page)};

const char lmmc_page[] =
{literal(page)};
"""


def is_current():
    with open(OUTPUT, encoding="ascii", newline="") as file:
        return file.read() == c_source()


def main():
    if sys.argv[1:] == ["--page"]:
        sys.stdout.buffer.write(compose()[0])
    elif sys.argv[1:] == ["--check"]:
        if not is_current():
            print(
                "error: Runtime/serve/page/page_content.c is not what Runtime/serve/page gives; expected the output of Tools/page_to_c.py",
                file=sys.stderr,
            )
            return 1
    else:
        text = c_source()
        with open(OUTPUT, "w", encoding="ascii", newline="") as file:
            file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
